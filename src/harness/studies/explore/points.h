/**
 * The judgement of an exploration: means over seeds, and the frontier.
 */
#ifndef CM_HARNESS_STUDIES_EXPLORE_POINTS_H
#define CM_HARNESS_STUDIES_EXPLORE_POINTS_H

#include "harness/studies/explore/explore.h"

#ifdef __cplusplus
extern "C" {
#endif

/** A point of the grid: a network under a schedule. Means are over its runs; NAN: not known. */
typedef struct cm_explore_point {
    const cm_explore_network *network;
    cm_schedule_kind schedule;
    const cm_explore_run *runs;
    double images_per_second; /* median */
    double train_loss, test_loss, accuracy;
    cm_train_cost cost;
    int reached;         /* runs that reached options.until_accuracy */
    cm_train_cost until; /* mean of those, up to there */
    bool frontier; /* no other point is as good in both accuracy and speed, and better in one */
} cm_explore_point;

/** All points, [network][schedule], with the frontier marked; free() them. NULL: no memory. */
cm_explore_point *cm_explore_points(const cm_explore *explore);

/** Marks the points that no other one dominates; one whose accuracy or speed is NAN is none. */
void cm_explore_mark_frontier(cm_explore_point *points, int count);

#ifdef __cplusplus
}
#endif

#endif
