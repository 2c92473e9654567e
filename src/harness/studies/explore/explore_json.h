/**
 * explore.json: results for readers, and the state to resume from.
 */
#ifndef CM_HARNESS_STUDIES_EXPLORE_EXPLORE_JSON_H
#define CM_HARNESS_STUDIES_EXPLORE_EXPLORE_JSON_H

#include <jansson.h>

#include "harness/studies/explore/explore.h"

#ifdef __cplusplus
extern "C" {
#endif

/** Kind "explore" of docs/reference/results-schema.md; a new reference. NULL, with a message: no
 * memory. */
json_t *cm_explore_to_json(const cm_explore *explore, cm_error *error);

/** Takes samples and runs of `json`, as cm_explore_to_json() wrote it, into a planned exploration.
 * `file` names it in messages. CM_BAD_INPUT: damaged, or not of this grid. */
cm_status cm_explore_take_json(cm_explore *explore, const json_t *json, const char *file,
                               cm_error *error);

#ifdef __cplusplus
}
#endif

#endif
