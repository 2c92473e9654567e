/**
 * The plan of an exploration: which networks the grid has.
 */
#ifndef CM_HARNESS_STUDIES_EXPLORE_GRID_H
#define CM_HARNESS_STUDIES_EXPLORE_GRID_H

#include "harness/studies/explore/explore.h"

#ifdef __cplusplus
extern "C" {
#endif

/** Lays out the grid of explore->options: networks, skipped, measurements, runs. CM_USAGE: an
 * option, or a grid that is too large. */
cm_status cm_explore_plan_grid(cm_explore *explore, cm_error *error);

#ifdef __cplusplus
}
#endif

#endif
