/**
 * report.json: results for readers, and the state to resume from.
 */
#ifndef CM_HARNESS_STUDIES_REPORT_REPORT_JSON_H
#define CM_HARNESS_STUDIES_REPORT_REPORT_JSON_H

#include <jansson.h>

#include "harness/studies/report/report.h"

#ifdef __cplusplus
extern "C" {
#endif

/** The whole report (docs/guide/report.md); a new reference. NULL, with a message: no memory. */
json_t *cm_report_to_json(const cm_report *report, cm_error *error);

/** Takes the runs of `json`, as cm_report_to_json() wrote it, into `report`, which is planned but
 * has no runs. `file` names it in messages. CM_BAD_INPUT: damaged, or not of this report. */
cm_status cm_report_take_json(cm_report *report, const json_t *json, const char *file,
                              cm_error *error);

#ifdef __cplusplus
}
#endif

#endif
