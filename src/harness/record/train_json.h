/**
 * The JSON of `convmark train`: docs/reference/results-schema.md, kind "train".
 */
#ifndef CM_HARNESS_RECORD_TRAIN_JSON_H
#define CM_HARNESS_RECORD_TRAIN_JSON_H

#include <jansson.h>
#include <stdbool.h>

#include "convmark/dataset.h"
#include "convmark/model.h"
#include "convmark/status.h"
#include "convmark/trainer.h"
#include "core/system/topology.h"
#include "harness/record/results_json.h"

#ifdef __cplusplus
extern "C" {
#endif

/** Input of a training run's JSON; everything is borrowed. */
typedef struct cm_train_record {
    const cm_model *model;
    const cm_dataset *dataset;
    const cm_train_options *options;
    const cm_train_result *result;
    bool complete;               /* false: interrupted */
    bool pinned;                 /* threads were bound to CPUs */
    const char *loaded_from;     /* model file of the initial values, or NULL */
    const char *started;         /* cm_clock_utc() at the beginning, or NULL */
    int argc;                    /* the command line: argv[0] .. argv[argc-1] */
    const char *const *argv;     /* may be NULL when argc is 0 */
    const cm_topology *topology; /* NULL: it is read */
} cm_train_record;

/**
 * Builds the object. Losses and accuracies that were not measured because `steps` or `valid_steps`
 * is 0 are null; any other number that is not finite is CM_FAILED. json_decref() the result; write
 * it with cm_json_write().
 */
cm_status cm_train_json(const cm_train_record *record, json_t **train, cm_error *error);

/** The "options" object: everything that decides a run's result except seed, variant and data.
 * NULL: no memory, or a number that is not finite. */
json_t *cm_train_options_json(const cm_train_options *options);

#ifdef __cplusplus
}
#endif

#endif
