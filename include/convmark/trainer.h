/**
 * The trainer: the report's whole protocol over a model, two streams and Adam.
 */
#ifndef CM_TRAINER_H
#define CM_TRAINER_H

#include <signal.h>
#include <stdbool.h>
#include <stdint.h>

#include "convmark/dataset.h"
#include "convmark/model.h"
#include "convmark/schedule.h"
#include "convmark/status.h"

#ifdef __cplusplus
extern "C" {
#endif

/** Limits of one run: more than a machine does in years, and small enough for every size. */
enum { CM_MAX_EPOCHS = 100000, CM_MAX_STEPS = 1000000, CM_MAX_TRAIN_STEPS = 100000000 };

struct cm_energy;

typedef struct cm_train_options {
    uint64_t seed;
    int epochs;      /* 3 */
    int steps;       /* training batches per epoch: 100 */
    int valid_steps; /* validation batches per epoch: 100 */
    int batch;       /* 64 */
    int block;       /* images of a block, as the model was made for: CM_DEFAULT_BLOCK */
    bool shuffle;
    cm_optimizer optimizer;      /* Adam 1e-3, 0.9, 0.999, 1e-8, weight decay 1e-5 */
    cm_schedule_kind schedule;   /* of the learning rate, which is its first or highest */
    int schedule_step;           /* CM_SCHEDULE_STEP: epochs between reductions: 1 */
    double schedule_factor;      /* CM_SCHEDULE_STEP: what they multiply by: 0.1 */
    double plateau_factor;       /* CM_SCHEDULE_PLATEAU: 0.1 */
    int plateau_patience;        /* 10 */
    int early_stopping_patience; /* epochs without improvement that end the run: 10 (0 is 1) */
    double until_accuracy;       /* end after the first epoch whose validation has it; 0: never */
    struct cm_energy *energy;    /* counts the joules of training (system/energy.h); NULL: nobody */
} cm_train_options;

/** The report's protocol, seed 0. */
cm_train_options cm_train_options_default(void);

/** CM_USAGE when a count is negative, the schedule is unknown or its step or factor out of range,
 * an accuracy is to be reached without validation, or epochs * steps is more than
 * CM_MAX_TRAIN_STEPS. cm_train() looks at it too; this is for programs that want to know early. */
cm_status cm_train_options_check(const cm_train_options *options, cm_error *error);

typedef struct cm_epoch_result {
    double train_loss, test_loss, accuracy;
    double learning_rate; /* of its first batch */
    double train_seconds, valid_seconds;
    double joules; /* of the packages while it trained; NAN: not known */
} cm_epoch_result;

/** The caller owns the arrays: cm_train_result_free() frees them. */
typedef struct cm_train_result {
    int step_count;      /* steps done in all */
    double *step_losses; /* [epochs * steps] */
    int epoch_count;     /* epochs completed */
    cm_epoch_result *epochs;
    bool early_stopped;
    bool reached_accuracy;    /* options->until_accuracy ended the run */
    double images_per_second; /* training only: images of all steps over their time */
    char sha256[65];          /* cm_model_sha256() at the end */
} cm_train_result;

/** What training took, validation left out. */
typedef struct cm_train_cost {
    double seconds, images;
    double joules; /* NAN: not known */
} cm_train_cost;

/** Of the first `epochs` complete epochs. */
cm_train_cost cm_train_cost_of(const cm_train_result *result, const cm_train_options *options,
                               int epochs);

/** Where a run is; `epoch` and `step` count from 0. */
typedef struct cm_train_progress {
    int epoch, epochs;
    int step, steps; /* steps done of this phase */
    bool validating;
    double loss;     /* of the last batch */
    double accuracy; /* mean so far in this validation; 0 while training */
    double images_per_second;
    double eta_seconds;
} cm_train_progress;

/** Called after every batch, and with result != NULL after every epoch. */
typedef void cm_train_observer(const cm_train_progress *progress, const cm_epoch_result *epoch,
                               void *context);

/**
 * Trains `model` on `dataset`. `stop` (NULL: never) is looked at after each step: when it is not 0
 * the run ends there, *result holds what was done, and the status is CM_INTERRUPTED. A loss that is
 * not finite, in training or validation, ends it with CM_FAILED, the message naming epoch and step.
 * Without validation (valid_steps 0) there is no plateau and no early stopping. CM_USAGE when the
 * model is not for these images or for smaller batches, or the options are refused by
 * cm_train_options_check(). Free *result with
 * cm_train_result_free(), whatever the status.
 */
cm_status cm_train(cm_model *model, const cm_dataset *dataset, const cm_train_options *options,
                   cm_train_observer *observer, void *observer_context,
                   const volatile sig_atomic_t *stop, cm_train_result *result, cm_error *error);
void cm_train_result_free(cm_train_result *result);

/** Where a run keeps its checkpoints (docs/guide/checkpoints.md), and whether it resumes from one.
 */
typedef struct cm_checkpoint_options {
    const char *path;   /* written here; FILE.previous is the previous one. NULL: to `resume` */
    const char *resume; /* read from here; NULL: start over, where there is none */
    int every;          /* training steps from one to the next; also at the end, and at a stop */
    /** Told, in one line, when the newest checkpoint is damaged or missing and the previous one
     * is used. May be NULL. */
    void (*notice)(const char *message, void *context);
    void *notice_context;
} cm_checkpoint_options;

/** Who watches a run: as the arguments of cm_train(); all may be NULL. */
typedef struct cm_train_watch {
    cm_train_observer *observer;
    void *observer_context;
    const volatile sig_atomic_t *stop;
} cm_train_watch;

/**
 * cm_train() with checkpoints (NULL: none): whenever it ends, or is killed, a call with `resume`,
 * and with the same network, data, options and initial values in `model`, ends with the same bits
 * as a run without interruption, also with other threads and on another instruction set. The
 * options may have more epochs than those of the checkpoint, unless the schedule depends on their
 * number: the end is then that of one longer run. CM_USAGE: the checkpoint is of another run, the
 * message says what differs; or there is one where a run is to start over. CM_BAD_INPUT: the newest
 * checkpoint and the previous one are damaged or missing. CM_FAILED: another process trains there,
 * or one cannot be written; the last one is then kept.
 */
cm_status cm_train_with_checkpoints(cm_model *model, const cm_dataset *dataset,
                                    const cm_train_options *options,
                                    const cm_checkpoint_options *checkpoints,
                                    const cm_train_watch *watch, cm_train_result *result,
                                    cm_error *error);

/** Loss, accuracy and confusion matrix over a whole set of images. cm_evaluation_free() frees the
 * matrix, whatever the status of cm_evaluate() was. */
typedef struct cm_evaluation {
    int64_t images;
    double loss, accuracy;
    int classes;
    int64_t *confusion; /* [label][answer] */
} cm_evaluation;

cm_status cm_evaluate(cm_model *model, const cm_images *images, int batch,
                      cm_evaluation *evaluation, cm_error *error);
void cm_evaluation_free(cm_evaluation *evaluation);

#ifdef __cplusplus
}
#endif

#endif
