/**
 * The result and the cost of one training run, as `sweep` and `explore` keep it.
 */
#ifndef CM_HARNESS_RECORD_TRAINING_RUN_H
#define CM_HARNESS_RECORD_TRAINING_RUN_H

#include <jansson.h>
#include <stdbool.h>

#include "convmark/status.h"
#include "convmark/trainer.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct cm_training_run {
    bool done;
    double train_loss, test_loss, accuracy; /* of the last epoch */
    int epochs;
    cm_train_cost cost; /* of all its epochs */
    bool reached;       /* whether it reached the target accuracy */
    int until_epochs;   /* then: epochs up to there, and their cost */
    cm_train_cost until;
    char sha256[65];
} cm_training_run;

/** Summarizes *result, which has at least one epoch. `accuracy` is the target, 0: none. */
cm_training_run cm_training_run_of(const cm_train_result *result, const cm_train_options *options,
                                   double accuracy);

/** Sets the run's members of `object`; false, with a message, when a number is not finite or memory
 * runs out. */
bool cm_training_run_set_json(json_t *object, const cm_training_run *run, cm_error *error);

/** Reads them; false where one is missing or damaged. */
bool cm_training_run_take_json(const json_t *object, cm_training_run *run);

/** One line of text with the cost of reaching `accuracy`: images, seconds and, where known, joules.
 */
void cm_training_run_describe(const cm_training_run *run, double accuracy, char *text, size_t size);

#ifdef __cplusplus
}
#endif

#endif
