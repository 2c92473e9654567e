/**
 * Runs the sweep.
 */
#ifndef CM_HARNESS_STUDIES_SWEEP_SWEEP_STUDY_H
#define CM_HARNESS_STUDIES_SWEEP_SWEEP_STUDY_H

#include "harness/studies/sweep/sweep.h"

#ifdef __cplusplus
extern "C" {
#endif

/**
 * Measures and trains what is not yet done; cm_study_make() says what is written, how it resumes
 * and what is returned. CM_FAILED: also when two core counts gave different bits. The data set must
 * outlive *sweep; cm_sweep_free() it, whatever the status. `control` may be NULL.
 */
cm_status cm_sweep_make(const cm_sweep_options *options, const cm_dataset *dataset,
                        const cm_study_control *control, cm_sweep *sweep, cm_error *error);

#ifdef __cplusplus
}
#endif

#endif
