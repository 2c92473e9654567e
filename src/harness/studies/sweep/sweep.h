/**
 * The sweep: every variant at every number of cores and batch size, training and inference, in
 * images a second; and its accuracy under the protocol at every number of cores, which must be the
 * same to the bit. docs/guide/sweep.md says how it measures.
 */
#ifndef CM_SWEEP_SWEEP_H
#define CM_SWEEP_SWEEP_H

#include <jansson.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>

#include "convmark/dataset.h"
#include "convmark/status.h"
#include "convmark/trainer.h"
#include "core/system/threads.h"
#include "core/system/topology.h"
#include "harness/measure/throughput.h"
#include "harness/record/measurement.h"
#include "harness/record/training_run.h"
#include "harness/studies/sweep/rounds.h"

#ifdef __cplusplus
extern "C" {
#endif

enum {
    CM_SWEEP_MAX_LIST = 64, /* variants, core counts, batch sizes */
    CM_SWEEP_MAX_BATCH = 16384
};

/** Strings and arrays are borrowed: they must live as long as the sweep. */
typedef struct cm_sweep_options {
    const char *const *variants; /* ids or network files; NULL: the eight of the table */
    int variant_count;
    int cores[CM_SWEEP_MAX_LIST], core_count;    /* 0: 1, 2, 4 ... and all */
    int batches[CM_SWEEP_MAX_LIST], batch_count; /* 0: the protocol's 64 */
    cm_pin pin;
    cm_isa isa;          /* CM_ISA_BEST: the best */
    int rounds;          /* samples of each measurement: 9 */
    double seconds;      /* of a sample, at least: 0.25 */
    uint64_t order_seed; /* of the order in which a round measures: 0 */
    bool accuracy;       /* train under `train` at every number of cores */
    cm_train_options train;
    const char *output;   /* folder of the results; NULL: write no files */
    bool restart;         /* forget what the folder holds */
    bool allow_synthetic; /* accuracies on generated pictures */
    int argc;             /* the command line, for the record */
    const char *const *argv;
    const cm_topology *topology; /* of the machine, before threads were pinned */
} cm_sweep_options;

/** All variants and core counts, batch 64, nine rounds, with accuracy. */
cm_sweep_options cm_sweep_options_default(void);

/** What a training run under the protocol gave at one number of cores. */
typedef struct cm_sweep_run {
    int variant, cores; /* indices */
    cm_training_run result;
} cm_sweep_run;

typedef struct cm_sweep {
    cm_sweep_options options;
    const cm_dataset *dataset; /* borrowed */
    int variant_count;
    cm_network *networks[CM_SWEEP_MAX_LIST];
    /* [variant][batch][cores][mode]; cm_sweep_place */
    cm_measurements measurements;
    int run_count; /* [variant][cores] with options.accuracy, else 0 */
    cm_sweep_run *runs;
    bool complete;
    json_t *machine, *data, *conditions;
} cm_sweep;

/**
 * Measures what is not yet done. After each round, and each training run, output/sweep.json holds
 * everything so far ("complete": false), from which a later call with the same options on the same
 * machine goes on. *sweep is the caller's to free with cm_sweep_free(), whatever the status.
 * CM_USAGE: options, CM_BAD_INPUT: sweep.json is damaged or not of this sweep, CM_FAILED: also when
 * two core counts gave different bits.
 */
cm_status cm_sweep_make(const cm_sweep_options *options, const cm_dataset *dataset,
                        cm_work_observer *observer, void *observer_context,
                        const volatile sig_atomic_t *stop, cm_sweep *sweep, cm_error *error);
void cm_sweep_free(cm_sweep *sweep);

/** What a measurement is of: indices of the sweep's networks and of its options' lists. */
typedef struct cm_sweep_place {
    int variant, batch, cores;
    cm_mode mode;
} cm_sweep_place;

/** The place of measurement `index`, and the other way round. */
cm_sweep_place cm_sweep_place_of(const cm_sweep *sweep, int index);
cm_measurement *cm_sweep_at(const cm_sweep *sweep, cm_sweep_place at);

/** Speed against the smallest number of cores, divided by the number of times more cores; NAN
 * before both are measured. */
double cm_sweep_efficiency(const cm_sweep *sweep, cm_sweep_place at);

/** Kind "sweep" of docs/reference/results-schema.md; a new reference. NULL, with a message: no
 * memory. */
json_t *cm_sweep_to_json(const cm_sweep *sweep, cm_error *error);

/** Takes samples and runs of `json`, as cm_sweep_to_json() wrote it. `file` names it in messages.
 */
cm_status cm_sweep_take_json(cm_sweep *sweep, const json_t *json, const char *file,
                             cm_error *error);

/** The tables: as text of at most 100 columns, as Markdown; free() it. NULL: no memory. */
char *cm_sweep_text(const cm_sweep *sweep);
char *cm_sweep_markdown(const cm_sweep *sweep);

#ifdef __cplusplus
}
#endif

#endif
