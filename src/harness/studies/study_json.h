/**
 * The JSON that studies share: the head of NAME.json, and whether an earlier call's file can be
 * resumed.
 */
#ifndef CM_HARNESS_STUDIES_STUDY_JSON_H
#define CM_HARNESS_STUDIES_STUDY_JSON_H

#include <jansson.h>
#include <stdbool.h>

#include "convmark/status.h"
#include "harness/record/measurement.h"
#include "harness/studies/study.h"

#ifdef __cplusplus
extern "C" {
#endif

/** Sets schema_version, kind, complete, program, command and machine. False, with a message: no
 * memory. */
bool cm_study_set_head(json_t *object, const char *kind, const cm_study *study, cm_error *error);

/** The measurements as an array; NULL, with a message: no memory. */
json_t *cm_study_measurements_json(const cm_measurements *measurements, cm_error *error);

/**
 * Whether `earlier` may be resumed: kind, schema, program, build, CPU, options and data are those
 * of `ours`, which is what the same file will be now. CM_BAD_INPUT, naming `file`.
 */
cm_status cm_study_check_same(const json_t *earlier, const json_t *ours, const char *file,
                              cm_error *error);

/**
 * Takes over the samples of an earlier file's array, whose items are the planned ones in the same
 * order: as many of each as all of them have. `room` is that of the plan. CM_BAD_INPUT, naming
 * `file`, leaves no sample.
 */
cm_status cm_study_resume_measurements(cm_measurements *planned, int room, const json_t *array,
                                       const char *file, cm_error *error);

/** CM_BAD_INPUT: what is wrong with the file of an earlier call. */
cm_status cm_study_refuse(const char *file, const char *what, cm_error *error);

#ifdef __cplusplus
}
#endif

#endif
