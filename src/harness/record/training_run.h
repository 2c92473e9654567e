/**
 * One training run among others, as `sweep` and `explore` keep it: what it reached and what it
 * cost.
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
    bool reached;       /* the accuracy that was asked for */
    int until_epochs;   /* then: epochs until there, and their cost */
    cm_train_cost until;
    char sha256[65];
} cm_training_run;

/** What *result, of at least one epoch, comes to. `accuracy` is the one asked for, or 0. */
cm_training_run cm_training_run_of(const cm_train_result *result, const cm_train_options *options,
                                   double accuracy);

/** Puts its members into `object`; false, with a message, when a number is not finite or memory
 * runs out. */
bool cm_training_run_set_json(json_t *object, const cm_training_run *run, cm_error *error);

/** Reads them back; false when they are not those of a run. */
bool cm_training_run_take_json(const json_t *object, cm_training_run *run);

/** One line of text on what it took to reach `accuracy`: images, seconds and, where known, joules.
 */
void cm_training_run_describe(const cm_training_run *run, double accuracy, char *text, size_t size);

#ifdef __cplusplus
}
#endif

#endif
