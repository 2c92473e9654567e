/**
 * The profile of a step: where each thread's time goes, layer by layer and part by part, and how
 * far each part is from this machine's limit. docs/guide/profiling.md says how it measures.
 */
#ifndef CM_PROFILE_PROFILE_H
#define CM_PROFILE_PROFILE_H

#include <jansson.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "convmark/dataset.h"
#include "convmark/model.h"
#include "convmark/status.h"
#include "convmark/trace.h"
#include "core/statistics/samples.h"
#include "core/system/counters.h"
#include "core/system/topology.h"
#include "harness/measure/capability.h"
#include "harness/measure/throughput.h"
#include "harness/profile/work.h"

#ifdef __cplusplus
extern "C" {
#endif

enum { CM_PROFILE_MAX_STEPS = 100000, CM_PROFILE_WARM_UP = 3 };

/** What limits a part. */
typedef enum cm_limit {
    CM_LIMIT_NONE, /* nothing known of its work */
    CM_LIMIT_COMPUTE,
    CM_LIMIT_MEMORY,
    CM_LIMIT_IMBALANCE,
    CM_LIMIT_BARRIER
} cm_limit;

/** A part of the step: a phase of a pass over a stage. Seconds are the mean over the threads, so
 * that the rows add up to the step. */
typedef struct cm_profile_row {
    cm_pass pass;
    int stage;
    cm_phase phase;
    double calls;                       /* a step and thread */
    double *samples;                    /* [steps] seconds of each step */
    double seconds;                     /* mean of the samples */
    double imbalance;                   /* slowest thread over the mean, minus 1 */
    cm_work work;                       /* of a step */
    const cm_level *level;              /* where its arrays lie; NULL: nothing known */
    double peak_share, bandwidth_share; /* of what the machine can do; NAN: unknown */
    cm_limit limit;
    double gain; /* seconds that the step would save at the limit */
} cm_profile_row;

typedef struct cm_profile {
    const cm_model *model;
    const cm_plan *plan;
    cm_mode mode;
    int threads, batch, steps;
    char started[24]; /* cm_clock_utc() at the beginning */
    double *wall;     /* [steps] seconds of a traced step, its data included */
    double *untraced; /* [steps] the same of the steps between them, without a trace */
    double *data;     /* [steps] seconds of reading the batch, of the traced steps */
    double accounted; /* share of the wall time that rows and data explain */
    int row_count;
    cm_profile_row *rows; /* the longest first */
    cm_trace *trace;      /* of the last step */
    int64_t trace_start_ns, trace_end_ns;
    cm_capability capability;
    bool counted;                    /* hardware counters were granted */
    char no_counters[200];           /* else why not */
    double counts[CM_COUNTER_COUNT]; /* of a traced step, all threads together */
    cm_ratio traced;                 /* the time of traced steps over that of untraced ones */
} cm_profile;

/** What to profile. All pointers are borrowed. */
typedef struct cm_profile_args {
    cm_model *model; /* the caller has pinned its threads */
    cm_mode mode;
    const cm_dataset *dataset;
    int batch, steps;
    const cm_topology *topology;
    const cm_counter_system *counters; /* &cm_counter_kernel */
    size_t max_marks;                  /* trace marks per thread and step; 0: 65536 */
} cm_profile_args;

/**
 * Profiles `args->steps` steps, in turn with as many that are not traced (their difference is the
 * overhead of tracing). CM_FAILED: a step has more than max_marks marks, or out of memory.
 * CM_INTERRUPTED: `stop` (NULL: never) became non-zero before all steps were done. Free with
 * cm_profile_free(), whatever the status.
 */
cm_status cm_profile_make(const cm_profile_args *args, const volatile sig_atomic_t *stop,
                          cm_profile *profile, cm_error *error);
void cm_profile_free(cm_profile *profile);

/** "conv.4 conv2d" ...: the layer that a row belongs to, or "loss", "adam". */
void cm_profile_layer(const cm_profile *profile, const cm_profile_row *row, char *text,
                      size_t size);
/** "forward", "backward" ... and "multiply", "barrier" ... */
const char *cm_pass_name(cm_pass pass);
const char *cm_phase_name(cm_phase phase);
/** "compute", "L2" ..., "imbalance", "waiting"; "-" where nothing is known. */
const char *cm_limit_name(const cm_profile_row *row);

/** Traced against untraced: the factor minus 1, and its 95 % interval. */
void cm_profile_overhead(const cm_profile *profile, double *overhead, double *low, double *high);

/** The table and the hot spots, in 100 columns. */
void cm_profile_print(const cm_profile *profile, FILE *out);

/** Kind "profile" of docs/reference/results-schema.md; NULL, with a message: no memory. `machine`,
 * `conditions` and `command` are taken over. */
json_t *cm_profile_json(const cm_profile *profile, json_t *machine, json_t *conditions,
                        json_t *command, cm_error *error);

/** The last step as Chrome trace events (one row per thread), and all of it as folded stacks, a
 * line a part with its nanoseconds. */
cm_status cm_profile_write_trace(const cm_profile *profile, const char *path, cm_error *error);
cm_status cm_profile_write_folded(const cm_profile *profile, const char *path, cm_error *error);

/** The arrays of the plan, where they live, huge pages and peak memory. */
void cm_profile_print_memory(const cm_profile *profile, FILE *out);

#ifdef __cplusplus
}
#endif

#endif
