/**
 * Runs the exploration.
 */
#ifndef CM_HARNESS_STUDIES_EXPLORE_EXPLORE_STUDY_H
#define CM_HARNESS_STUDIES_EXPLORE_EXPLORE_STUDY_H

#include "harness/studies/explore/explore.h"

#ifdef __cplusplus
extern "C" {
#endif

/**
 * Measures and trains what is not yet done; cm_study_make() says what is written, how it resumes
 * and what is returned. A run whose loss is not finite ends only itself. The data set must outlive
 * *explore; cm_explore_free() it, whatever the status. `control` may be NULL.
 */
cm_status cm_explore_make(const cm_explore_options *options, const cm_dataset *dataset,
                          const cm_study_control *control, cm_explore *explore, cm_error *error);

#ifdef __cplusplus
}
#endif

#endif
