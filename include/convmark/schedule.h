/**
 * Learning rates: one table of schedules, with PyTorch's formulas. Their cosine is our own
 * (kernels/elementwise/elementary.h), so that a rate has the same bits on every machine.
 */
#ifndef CM_SCHEDULE_H
#define CM_SCHEDULE_H

#include <stdbool.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/** PLATEAU is the report's protocol; docs/design/numerics.md has the formulas. */
typedef enum cm_schedule_kind {
    CM_SCHEDULE_PLATEAU,   /* ReduceLROnPlateau, on the validation loss */
    CM_SCHEDULE_CONSTANT,  /* the first rate throughout */
    CM_SCHEDULE_STEP,      /* StepLR: times a factor every so many epochs */
    CM_SCHEDULE_COSINE,    /* CosineAnnealingLR, batch by batch, from the first rate towards 0 */
    CM_SCHEDULE_ONE_CYCLE, /* OneCycleLR, batch by batch: up to the first rate, then down */
    CM_SCHEDULE_COUNT
} cm_schedule_kind;

/** "plateau", "constant", "step", "cosine", "one-cycle". */
const char *cm_schedule_name(cm_schedule_kind kind);
/** Whether its rates depend on how many batches the whole run has: such a run cannot be made longer
 * once it has begun. */
bool cm_schedule_knows_end(cm_schedule_kind kind);
/** CM_SCHEDULE_COUNT when there is none of this name. */
cm_schedule_kind cm_schedule_from_name(const char *name);

/** ReduceLROnPlateau, as PyTorch defines it with its defaults: mode "min", relative threshold 1e-4,
 * no cooldown, no lower bound. */
typedef struct cm_plateau {
    double factor;
    int patience;
    double best;    /* lowest value so far */
    int bad_epochs; /* since the best or the last reduction */
    int since_best; /* since the best: early stopping looks at it */
} cm_plateau;

cm_plateau cm_plateau_init(double factor, int patience);

/** Notes the value of one epoch; multiplies *learning_rate by the factor when more than `patience`
 * epochs in a row brought no improvement. NaN is no improvement. */
void cm_plateau_observe(cm_plateau *plateau, double value, double *learning_rate);

/** Where a schedule is: all that its next rate depends on. */
typedef struct cm_schedule {
    cm_schedule_kind kind;
    double base;               /* the first rate; of one-cycle the highest */
    double rate;               /* of the last batch */
    int64_t step, total_steps; /* batches so far; of the whole run */
    int epoch_steps;           /* batches per epoch */
    int step_epochs;           /* STEP: epochs between reductions */
    double step_factor;        /* STEP: what a reduction multiplies by */
    cm_plateau plateau;        /* follows the validation loss under every schedule */
} cm_schedule;

struct cm_train_options;
cm_schedule cm_schedule_init(const struct cm_train_options *options);

/** The rate of the next batch, which is counted. At most total_steps times. */
double cm_schedule_next(cm_schedule *schedule);

/** Notes the validation loss of one epoch. */
void cm_schedule_observe(cm_schedule *schedule, double validation_loss);

#ifdef __cplusplus
}
#endif

#endif
