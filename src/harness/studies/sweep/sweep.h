/**
 * The sweep's data: every variant at every number of cores and batch size, training and inference,
 * in images per second; and its accuracy under the protocol at every number of cores, which must be
 * the same to the bit. docs/guide/sweep.md says how it measures; sweep_study.h runs it.
 */
#ifndef CM_HARNESS_STUDIES_SWEEP_SWEEP_H
#define CM_HARNESS_STUDIES_SWEEP_SWEEP_H

#include <stdbool.h>
#include <stdint.h>

#include "convmark/dataset.h"
#include "convmark/kernels.h"
#include "convmark/status.h"
#include "convmark/trainer.h"
#include "core/system/topology.h"
#include "harness/measure/throughput.h"
#include "harness/record/measurement.h"
#include "harness/record/training_run.h"
#include "harness/studies/networks.h"
#include "harness/studies/study.h"

#ifdef __cplusplus
extern "C" {
#endif

enum { CM_SWEEP_MAX_BATCH = 16384 };

typedef struct cm_sweep_options {
    cm_study_settings study;     /* its topology must not be NULL */
    const char *const *variants; /* ids or network files, borrowed as those of cm_study_settings;
                                  * NULL: the eight of the table */
    int variant_count;
    int cores[CM_STUDY_MAX_LIST], core_count;    /* 0: 1, 2, 4 ... and all */
    int batches[CM_STUDY_MAX_LIST], batch_count; /* 0: the protocol's 64 */
    cm_pin pin;
    cm_isa isa;             /* CM_ISA_BEST: the best */
    int rounds;             /* samples of each measurement: 9 */
    double seconds;         /* of a sample, at least: 0.25 */
    uint64_t order_seed;    /* of the order in which a round measures: 0 */
    bool accuracy;          /* train under `train` at every number of cores */
    cm_train_options train; /* its energy is borrowed as long as the sweep lives */
} cm_sweep_options;

/** All variants and core counts, batch 64, nine rounds, with accuracy. */
cm_sweep_options cm_sweep_options_default(void);

/** The result of a training run under the protocol at one number of cores. */
typedef struct cm_sweep_run {
    int variant, cores; /* indices */
    cm_training_run result;
} cm_sweep_run;

typedef struct cm_sweep {
    cm_study study;
    cm_sweep_options options;
    cm_study_networks networks; /* one per variant */
    /* [variant][batch][cores][mode]; cm_sweep_place */
    cm_measurements measurements;
    int run_count; /* [variant][cores] with options.accuracy, else 0 */
    cm_sweep_run *runs;
} cm_sweep;

/** Completes the options and lays out measurements and runs. CM_USAGE: an option. */
cm_status cm_sweep_plan(cm_sweep *sweep, cm_error *error);
void cm_sweep_free(cm_sweep *sweep);

/** What a measurement is of: indices of the sweep's networks and of its options' lists. */
typedef struct cm_sweep_place {
    int variant, batch, cores;
    cm_mode mode;
} cm_sweep_place;

/** The place of measurement `index`, and the inverse. */
cm_sweep_place cm_sweep_place_of(const cm_sweep *sweep, int index);
cm_measurement *cm_sweep_at(const cm_sweep *sweep, cm_sweep_place at);

/** Speed relative to the smallest number of cores, divided by the ratio of the numbers of cores;
 * NAN before both are measured. */
double cm_sweep_efficiency(const cm_sweep *sweep, cm_sweep_place at);

#ifdef __cplusplus
}
#endif

#endif
