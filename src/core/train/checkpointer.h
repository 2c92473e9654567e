/**
 * The checkpoints of one run on the disk: the newest, the previous one, and the lock.
 */
#ifndef CM_CORE_TRAIN_CHECKPOINTER_H
#define CM_CORE_TRAIN_CHECKPOINTER_H

#include "convmark/status.h"
#include "core/files/lock_file.h"
#include "core/train/checkpoint.h"

typedef struct cm_checkpointer {
    const cm_checkpoint_options *options;
    cm_checkpoint run;
    cm_run_identity identity;
    const char *path; /* of the newest */
    char *previous;   /* of the previous one */
    cm_lock_file lock;
    uint8_t *bytes; /* room for a checkpoint */
    bool damaged;   /* what is at `path` is not worth keeping */
} cm_checkpointer;

/**
 * Takes the lock and the memory for all that follows; with options->resume it reads the newest good
 * checkpoint into the parts of `run`, whose identity and scratch memory it sets. Close it whatever
 * the status.
 */
cm_status cm_checkpointer_open(cm_checkpointer *to, const cm_checkpoint_options *options,
                               const cm_checkpoint *run, const cm_train_options *train,
                               const cm_dataset *dataset, cm_error *error);

/** Writes a checkpoint of the run as it is. CM_FAILED: a parameter is not finite, or the system
 * refuses; the last checkpoint is then kept. */
cm_status cm_checkpointer_write(cm_checkpointer *to, cm_error *error);

/** Also one that is all zero. */
void cm_checkpointer_close(cm_checkpointer *to);

#endif
