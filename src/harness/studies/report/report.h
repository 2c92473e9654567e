/**
 * The report: variants x seeds trained under the protocol, beside the published tables and claims.
 *
 * docs/guide/report.md says what is computed and how verdicts are decided.
 */
#ifndef CM_REPORT_REPORT_H
#define CM_REPORT_REPORT_H

#include <jansson.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>

#include "convmark/dataset.h"
#include "convmark/model.h"
#include "convmark/network.h"
#include "convmark/status.h"
#include "convmark/trainer.h"
#include "core/statistics/statistics.h"
#include "core/system/topology.h"
#include "harness/studies/report/published.h"

#ifdef __cplusplus
extern "C" {
#endif

/** The confidence of every interval in the report. */
#define CM_REPORT_LEVEL 0.95

enum { CM_REPORT_MAX_SEEDS = 1000, CM_REPORT_MAX_VARIANTS = 64, CM_ISA_NAME_SIZE = 16 };

/** What the report tabulates of a run. */
typedef enum cm_measure {
    CM_MEASURE_TRAIN_LOSS,
    CM_MEASURE_TEST_LOSS,
    CM_MEASURE_ACCURACY,
    CM_MEASURE_COUNT
} cm_measure;

/** "train_loss", "test_loss", "accuracy": the names in JSON. */
const char *cm_measure_key(cm_measure measure);

/** Trains one run; cm_train() on a new model, unless a test puts something else here. */
typedef cm_status cm_report_train_fn(const cm_network *network, const cm_dataset *dataset,
                                     const cm_model_options *model_options,
                                     const cm_train_options *options, cm_train_observer *observer,
                                     void *observer_context, const volatile sig_atomic_t *stop,
                                     cm_train_result *result, cm_error *error);

/** Strings and arrays are borrowed: they must live as long as the report. */
typedef struct cm_report_options {
    const char *const *variants; /* ids or network files; NULL: the eight of the table */
    int variant_count;
    int seeds;                   /* 0 .. seeds-1 */
    cm_train_options train;      /* the protocol; its seed is not used */
    cm_model_options model;      /* threads and instruction set; the rest is not used */
    const char *output;          /* folder for report.json and report.md; NULL: write no files */
    bool restart;                /* forget what report.json in that folder holds */
    bool allow_synthetic;        /* accept a data set that is not real */
    int argc;                    /* the command line, for the record, from "report" on */
    const char *const *argv;     /* may be NULL when argc is 0 */
    const cm_topology *topology; /* as it was before threads were pinned; NULL: read here */
    cm_report_train_fn *run;     /* NULL: cm_train() */
} cm_report_options;

/** Three seeds of the eight variants under the protocol, one thread, the best instruction set. */
cm_report_options cm_report_options_default(void);

typedef struct cm_report_epoch {
    double values[CM_MEASURE_COUNT];
} cm_report_epoch;

/** One finished run. */
typedef struct cm_report_run {
    int seed;
    double values[CM_MEASURE_COUNT]; /* of the last epoch */
    int epoch_count;
    cm_report_epoch *epochs;
    char sha256[65]; /* over all final parameters and buffers */
    double images_per_second, seconds;
    int threads;
    char isa[CM_ISA_NAME_SIZE];
} cm_report_run;

typedef struct cm_report_variant {
    cm_network *network;
    const cm_published_figures *published; /* NULL for a user's own network */
    int64_t params;
    double macs;             /* of one image, forward: weighs the estimate of the time left */
    char network_sha256[65]; /* over the layers: the same name may mean another network later */
    int run_count;
    cm_report_run *runs; /* [options.seeds], those done first, by seed */
} cm_report_variant;

typedef struct cm_report {
    cm_report_options options;
    const cm_dataset *dataset; /* borrowed */
    char data_sha256[65];      /* cm_dataset_sha256() */
    json_t *data;              /* cm_dataset_json() */
    int variant_count;
    cm_report_variant *variants;
    bool complete;   /* every variant has every seed */
    json_t *machine; /* cm_machine_json() */
} cm_report;

/** Where the report is. */
typedef struct cm_report_progress {
    int run, runs; /* runs done, those found in report.json included, and runs in all */
    const char *variant;
    int seed;
    const cm_train_progress *train; /* inside the run; NULL at its end */
    const cm_report_run *done;      /* at the end of the run */
    double eta_seconds;             /* of the whole report; NAN before the first run is done */
} cm_report_progress;

/** Called after every batch, and with done != NULL after every run. */
typedef void cm_report_observer(const cm_report_progress *progress, void *context);

/**
 * Trains what is not yet done: all variants of seed 0, then of seed 1, ... so that a report that is
 * interrupted compares variants. After each run output/report.json holds everything done so far
 * ("complete": false); a later call with the same protocol, data set and program goes on from
 * there. At the end, or when `stop` (NULL: never) is not 0, report.json and report.md are written.
 *
 * *report is the caller's to free with cm_report_free(), whatever the status; after CM_OK and
 * CM_INTERRUPTED it holds the runs done. CM_USAGE: synthetic data without allow_synthetic, unknown
 * or repeated variant, a folder that cannot be written. CM_BAD_INPUT: report.json in the folder is
 * damaged or of another protocol, data set or program, or has runs that are not asked for.
 */
cm_status cm_report_make(const cm_report_options *options, const cm_dataset *dataset,
                         cm_report_observer *observer, void *observer_context,
                         const volatile sig_atomic_t *stop, cm_report *report, cm_error *error);
void cm_report_free(cm_report *report);

/** Adds a finished run, in order of seeds, and takes over its epochs. The seed must be one of the
 * options' and not be there yet. */
void cm_report_add_run(const cm_report *report, cm_report_variant *variant,
                       const cm_report_run *run);
/** NULL when this seed is not done. */
const cm_report_run *cm_report_find_run(const cm_report_variant *variant, int seed);

/** Values of a measure over the runs of a variant; count of them, at most options.seeds. */
int cm_report_values(const cm_report_variant *variant, cm_measure measure, double *values);

/** Whether the runs follow the published protocol (all options but the seed at their defaults). */
bool cm_report_follows_protocol(const cm_report *report);

/** One line of the tables. */
typedef struct cm_report_row {
    cm_summary ours;
    cm_interval prediction; /* where one more run of ours would lie */
    double published;       /* NAN for a user's own network */
    bool inside;            /* published lies inside the prediction interval, if both are known */
} cm_report_row;

cm_report_row cm_report_row_of(const cm_report_variant *variant, cm_measure measure);

/** Runs done, of all variants. */
int cm_report_run_count(const cm_report *report);

/** NULL when the variant is not in the report. */
const cm_report_variant *cm_report_find(const cm_report *report, const char *id);

/** The whole report as JSON (docs/guide/report.md); a new reference. NULL: no memory. */
json_t *cm_report_to_json(const cm_report *report);

/**
 * Takes the runs of `json`, as cm_report_to_json() wrote it, into `report`, which is planned but
 * has no runs. `file` names it in messages. CM_BAD_INPUT: damaged, or not of this report.
 */
cm_status cm_report_take_json(cm_report *report, const json_t *json, const char *file,
                              cm_error *error);

/** The tables as text of at most 100 columns; free() the result. NULL: no memory. */
char *cm_report_text(const cm_report *report);

/** The tables, the machine and the hash of every run as Markdown; free() it. NULL: no memory. */
char *cm_report_markdown(const cm_report *report);

#ifdef __cplusplus
}
#endif

#endif
