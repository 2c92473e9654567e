/**
 * Exploring: a grid over the architecture (depth, pooling, batch norm, dropout, width) and the
 * learning rate's schedule. Each network is measured in images a second, each of its schedules
 * trained, and the frontier shows which of them pay on this machine. docs/guide/explore.md says
 * how.
 */
#ifndef CM_EXPLORE_EXPLORE_H
#define CM_EXPLORE_EXPLORE_H

#include <jansson.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>

#include "convmark/dataset.h"
#include "convmark/status.h"
#include "convmark/trainer.h"
#include "core/system/topology.h"
#include "harness/record/measurement.h"
#include "harness/record/training_run.h"
#include "harness/studies/sweep/rounds.h"

#ifdef __cplusplus
extern "C" {
#endif

enum {
    CM_EXPLORE_MAX_LIST = 32,
    CM_EXPLORE_MAX_SEEDS = 1000,
    CM_EXPLORE_MAX_NETWORKS = 4096,
    CM_EXPLORE_MAX_RUNS = 100000,
    CM_EXPLORE_MAX_DEPTH = 100,
    CM_EXPLORE_MAX_WIDTH = 4096
};

/** Strings are borrowed: they must live as long as the exploration. */
typedef struct cm_explore_options {
    int depths[CM_EXPLORE_MAX_LIST], depth_count; /* numbers of convolutions */
    int pools[CM_EXPLORE_MAX_LIST], pool_count;   /* pooling periods */
    bool batch_norms[2];
    int batch_norm_count;
    double dropouts[CM_EXPLORE_MAX_LIST]; /* before the output layer */
    int dropout_count;
    int widths[CM_EXPLORE_MAX_LIST], width_count; /* channels */
    cm_schedule_kind schedules[CM_SCHEDULE_COUNT];
    int schedule_count;
    int seeds; /* 0 .. seeds - 1 */
    int threads;
    bool pinned;
    cm_isa isa;            /* CM_ISA_BEST: the best */
    int rounds;            /* samples of each network: 9 */
    double seconds;        /* of a sample, at least: 0.25 */
    uint64_t order_seed;   /* of the order in which a round measures */
    double until_accuracy; /* 0, or what seconds, images and joules are told for */
    cm_train_options train;
    const char *output;   /* folder of the results; NULL: write no files */
    bool restart;         /* forget what the folder holds */
    bool allow_synthetic; /* generated pictures */
    int argc;             /* the command line, for the record */
    const char *const *argv;
    const cm_topology *topology;
} cm_explore_options;

/** The grid of the documentation: depth 3 and 8, pooling 1 and 3, both with and without batch norm,
 * dropout 0.1, width 32, 64 and 128, plateau and one-cycle; one seed, nine rounds. */
cm_explore_options cm_explore_options_default(void);

/** One network of the grid, or what it would have been. */
typedef struct cm_explore_network {
    char name[CM_NETWORK_NAME_SIZE]; /* "d3-p1-bn-w64-do0.1" */
    int depth, pool, width;
    bool batch_norm;
    double dropout;
    cm_network *network; /* NULL: there is no such network */
    char reason[200];    /* why not; "" where there is */
    double macs;
} cm_explore_network;

/** One training run of a point. */
typedef struct cm_explore_run {
    char failure[200]; /* why it has no result (its loss is not finite); "" otherwise */
    cm_training_run result;
} cm_explore_run;

typedef struct cm_explore {
    cm_explore_options options;
    const cm_dataset *dataset; /* borrowed */
    int network_count, skipped_count;
    cm_explore_network *networks; /* those that there are */
    cm_explore_network *skipped;
    cm_measurements measurements; /* training; one a network */
    int point_count;              /* [network][schedule] */
    cm_explore_run *runs;         /* [point][seed] */
    bool complete;
    json_t *machine, *data, *conditions;
} cm_explore;

/** A point of the grid: a network under a schedule. Means are over its runs; NAN: not known. */
typedef struct cm_explore_point {
    const cm_explore_network *network;
    cm_schedule_kind schedule;
    const cm_explore_run *runs;
    double images_per_second; /* median */
    double train_loss, test_loss, accuracy;
    cm_train_cost cost;
    int reached; /* runs that reached options.until_accuracy, and their means until there */
    cm_train_cost until;
    bool frontier; /* no other point is as good in both accuracy and speed, and better in one */
} cm_explore_point;

/**
 * Measures and trains what is not yet done. After each round, and each training run,
 * output/explore.json holds everything so far ("complete": false), from which a later call with the
 * same options on the same machine goes on. *explore is the caller's to free with
 * cm_explore_free(), whatever the status. CM_USAGE: options; CM_BAD_INPUT: explore.json is damaged
 * or not of this grid. A run whose loss is not finite ends itself only.
 */
cm_status cm_explore_make(const cm_explore_options *options, const cm_dataset *dataset,
                          cm_work_observer *observer, void *observer_context,
                          const volatile sig_atomic_t *stop, cm_explore *explore, cm_error *error);
void cm_explore_free(cm_explore *explore);

/** Lays out the grid: networks, skipped, measurements, runs. Called by cm_explore_make(). */
cm_status cm_explore_plan_grid(cm_explore *explore, cm_error *error);

/** All points, [network][schedule], with the frontier marked; free() them. NULL: no memory. */
cm_explore_point *cm_explore_points(const cm_explore *explore);

/** Marks the points that no other one dominates; one whose accuracy or speed is NAN is none. */
void cm_explore_mark_frontier(cm_explore_point *points, int count);

/** Kind "explore" of docs/reference/results-schema.md; a new reference. NULL, with a message: no
 * memory. */
json_t *cm_explore_to_json(const cm_explore *explore, cm_error *error);

/** Takes samples and runs of `json`, as cm_explore_to_json() wrote it. `file` names it in messages.
 */
cm_status cm_explore_take_json(cm_explore *explore, const json_t *json, const char *file,
                               cm_error *error);

/** The table and the frontier: as text, as Markdown; free() it. NULL: no memory. */
char *cm_explore_text(const cm_explore *explore);
char *cm_explore_markdown(const cm_explore *explore);

#ifdef __cplusplus
}
#endif

#endif
