/**
 * Members that several kinds of results files share (docs/reference/results-schema.md). Each
 * function returns a new reference, and NULL without memory or for a number that is not finite.
 */
#ifndef CM_HARNESS_RECORD_RESULTS_JSON_H
#define CM_HARNESS_RECORD_RESULTS_JSON_H

#include <jansson.h>
#include <stdbool.h>

#include "convmark/dataset.h"
#include "core/statistics/statistics.h"

#ifdef __cplusplus
extern "C" {
#endif

enum { CM_RESULTS_SCHEMA_VERSION = 1 };

/** The confidence of every interval in results. */
#define CM_RESULTS_LEVEL 0.95

/** "program": name, version, numeric contract. */
json_t *cm_program_json(void);

/** "command": the command line as an array of strings. */
json_t *cm_command_json(int argc, const char *const *argv);

/** "data": name, source, counts and cm_dataset_sha256(). */
json_t *cm_dataset_json(const cm_dataset *dataset);

struct cm_energy;
/** "energy_note": why there are no joules; null where there are, and for NULL. */
json_t *cm_energy_note_json(const struct cm_energy *energy);

/** Joules as a number; null where they are not known (NAN). */
json_t *cm_joules_json(double joules);

/** JSON has no NaN: null for what is not finite. */
json_t *cm_finite_or_null_json(double value);

/** [low, high]; null where it is not known. */
json_t *cm_interval_json(cm_interval interval);

#ifdef __cplusplus
}
#endif

#endif
