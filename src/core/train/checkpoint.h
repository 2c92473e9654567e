/**
 * A training run under way as bytes: everything that its rest depends on, and what decides the run,
 * so that only the same run resumes from it. docs/guide/checkpoints.md describes the format.
 */
#ifndef CM_CORE_TRAIN_CHECKPOINT_H
#define CM_CORE_TRAIN_CHECKPOINT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "convmark/dataset.h"
#include "convmark/model.h"
#include "convmark/schedule.h"
#include "convmark/status.h"
#include "convmark/stream.h"
#include "convmark/trainer.h"

/** Where a run is, besides its model, its streams and its log. */
typedef struct cm_train_state {
    int epoch;            /* epochs done */
    int step, valid_step; /* batches done of the epoch under way */
    double loss_sum, valid_loss_sum;
    int64_t correct;
    cm_epoch_result current; /* of the epoch under way, over what was done of it */
    cm_schedule schedule;
    double train_seconds; /* of all steps */
    bool early_stopped, reached_accuracy;
} cm_train_state;

/** What decides a run: another one cannot resume from its checkpoints. */
typedef struct cm_run_identity {
    const cm_train_options *options;
    char *network_text;                       /* cm_network_to_text() */
    char data_sha256[65], initial_sha256[65]; /* the latter of the model before the first step */
} cm_run_identity;

/** The parts of a run, which a checkpoint is written from and read into. */
typedef struct cm_checkpoint {
    const cm_run_identity *identity;
    cm_model *model;
    cm_train_state *state;
    cm_stream *train_stream, *valid_stream;
    cm_train_result *result; /* the log; with room for all that the options allow */
    char *scratch;           /* cm_checkpoint_scratch() bytes */
} cm_checkpoint;

/** Bytes, at most, of a checkpoint of this run, and of the scratch memory that it takes. */
size_t cm_checkpoint_limit(const cm_checkpoint *run);
size_t cm_checkpoint_scratch(const cm_model *model);

/** Writes the checkpoint to `bytes`, which has cm_checkpoint_limit(); returns its size. */
size_t cm_checkpoint_encode(const cm_checkpoint *run, uint8_t *bytes);

/** Whether the bytes are a whole checkpoint, as its hash says, that another version of the format
 * describes: every version has the magic and its number at the beginning and the hash at the end.
 */
bool cm_checkpoint_is_of_another_version(const uint8_t *bytes, size_t size);

/**
 * Reads a checkpoint into the run's parts. Nothing is allocated; every size is checked against what
 * the run has room for. `name` is the file in messages. CM_BAD_INPUT: damaged, or of another
 * version; the message names the field. CM_USAGE: of another run; the message says what differs.
 * The run's parts are then as they were.
 */
cm_status cm_checkpoint_decode(const cm_checkpoint *run, const uint8_t *bytes, size_t size,
                               const char *name, cm_error *error);

#endif
