/**
 * sweep.json: results for readers, and the state to resume from.
 */
#ifndef CM_HARNESS_STUDIES_SWEEP_SWEEP_JSON_H
#define CM_HARNESS_STUDIES_SWEEP_SWEEP_JSON_H

#include <jansson.h>

#include "harness/studies/sweep/sweep.h"

#ifdef __cplusplus
extern "C" {
#endif

/** Kind "sweep" of docs/reference/results-schema.md; a new reference. NULL, with a message: no
 * memory. */
json_t *cm_sweep_to_json(const cm_sweep *sweep, cm_error *error);

/** Takes samples and runs of `json`, as cm_sweep_to_json() wrote it, into a planned sweep. `file`
 * names it in messages. CM_BAD_INPUT: damaged, or not of this sweep. */
cm_status cm_sweep_take_json(cm_sweep *sweep, const json_t *json, const char *file,
                             cm_error *error);

#ifdef __cplusplus
}
#endif

#endif
