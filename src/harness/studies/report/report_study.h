/**
 * Runs the report.
 */
#ifndef CM_HARNESS_STUDIES_REPORT_REPORT_STUDY_H
#define CM_HARNESS_STUDIES_REPORT_REPORT_STUDY_H

#include "harness/studies/report/report.h"

#ifdef __cplusplus
extern "C" {
#endif

/**
 * Trains what is not yet done: all variants of seed 0, then of seed 1, ... so that a report that is
 * interrupted compares variants. cm_study_make() says what is written, how it resumes and what is
 * returned; report.md is also written when it is interrupted. report.json of another protocol, data
 * set or program, or with runs that are not asked for, is CM_BAD_INPUT. The data set must outlive
 * *report; cm_report_free() it, whatever the status. `control` may be NULL.
 */
cm_status cm_report_make(const cm_report_options *options, const cm_dataset *dataset,
                         const cm_study_control *control, cm_report *report, cm_error *error);

/** The variant, the seed and the run that cm_study_progress.run means. */
typedef struct cm_report_place {
    const cm_report_variant *variant;
    int seed;
    cm_report_run *run;
} cm_report_place;

cm_report_place cm_report_place_of(const cm_report *report, int run);

#ifdef __cplusplus
}
#endif

#endif
