/**
 * The exploration's data: a grid over the architecture (depth, pooling, batch norm, dropout, width)
 * and the learning rate's schedule. Each network is measured in images per second, each of its
 * schedules trained; the frontier shows which of them pay on this machine. docs/guide/explore.md
 * says how; explore_study.h runs it.
 */
#ifndef CM_HARNESS_STUDIES_EXPLORE_EXPLORE_H
#define CM_HARNESS_STUDIES_EXPLORE_EXPLORE_H

#include <stdbool.h>
#include <stdint.h>

#include "convmark/dataset.h"
#include "convmark/kernels.h"
#include "convmark/status.h"
#include "convmark/trainer.h"
#include "harness/record/measurement.h"
#include "harness/record/training_run.h"
#include "harness/studies/study.h"

#ifdef __cplusplus
extern "C" {
#endif

enum {
    CM_EXPLORE_MAX_NETWORKS = 4096,
    CM_EXPLORE_MAX_RUNS = 100000,
    CM_EXPLORE_MAX_DEPTH = 100,
    CM_EXPLORE_MAX_WIDTH = 4096
};

typedef struct cm_explore_options {
    cm_study_settings study;
    int depths[CM_STUDY_MAX_LIST], depth_count; /* numbers of convolutions */
    int pools[CM_STUDY_MAX_LIST], pool_count;   /* pooling periods */
    bool batch_norms[2];
    int batch_norm_count;
    double dropouts[CM_STUDY_MAX_LIST]; /* before the output layer */
    int dropout_count;
    int widths[CM_STUDY_MAX_LIST], width_count; /* channels */
    cm_schedule_kind schedules[CM_SCHEDULE_COUNT];
    int schedule_count;
    int seeds; /* 0 .. seeds - 1 */
    int threads;
    bool pinned;
    cm_isa isa;             /* CM_ISA_BEST: the best */
    int rounds;             /* samples of each network: 9 */
    double seconds;         /* of a sample, at least: 0.25 */
    uint64_t order_seed;    /* of the order in which a round measures */
    double until_accuracy;  /* report the cost of reaching it; 0: of none. Runs are not cut short */
    cm_train_options train; /* its energy is borrowed as long as the exploration lives */
} cm_explore_options;

/** The grid of the documentation: depth 3 and 8, pooling 1 and 3, both with and without batch norm,
 * dropout 0.1, width 32, 64 and 128, plateau and one-cycle; one seed, nine rounds. */
cm_explore_options cm_explore_options_default(void);

/** One combination of the grid. */
typedef struct cm_explore_network {
    char name[CM_NETWORK_NAME_SIZE]; /* "d3-p1-bn-w64-do0.1" */
    int depth, pool, width;
    bool batch_norm;
    double dropout;
    cm_network *network; /* NULL: it cannot be built */
    char reason[200];    /* why not; "" where it can */
    double macs;
} cm_explore_network;

/** One training run of a point. */
typedef struct cm_explore_run {
    char failure[200]; /* why it has no result (its loss is not finite); "" otherwise */
    cm_training_run result;
} cm_explore_run;

typedef struct cm_explore {
    cm_study study;
    cm_explore_options options;
    int network_count, skipped_count;
    cm_explore_network *networks; /* those that can be built */
    cm_explore_network *skipped;
    cm_measurements measurements; /* training; one per network */
    int point_count;              /* [network][schedule] */
    cm_explore_run *runs;         /* [point][seed] */
} cm_explore;

/** The network and the schedule of point 0 .. point_count-1. */
const cm_explore_network *cm_explore_network_of(const cm_explore *explore, int point);
cm_schedule_kind cm_explore_schedule_of(const cm_explore *explore, int point);
cm_explore_run *cm_explore_run_of(const cm_explore *explore, int point, int seed);

void cm_explore_free(cm_explore *explore);

#ifdef __cplusplus
}
#endif

#endif
