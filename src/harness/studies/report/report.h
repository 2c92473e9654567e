/**
 * The report's data: variants x seeds trained under the protocol, next to the published figures.
 * docs/guide/report.md says what is computed; report_study.h runs it, claims.h judges it.
 */
#ifndef CM_HARNESS_STUDIES_REPORT_REPORT_H
#define CM_HARNESS_STUDIES_REPORT_REPORT_H

#include <stdbool.h>
#include <stdint.h>

#include "convmark/dataset.h"
#include "convmark/model.h"
#include "convmark/network.h"
#include "convmark/status.h"
#include "convmark/trainer.h"
#include "core/statistics/statistics.h"
#include "harness/record/results_json.h"
#include "harness/studies/networks.h"
#include "harness/studies/report/published.h"
#include "harness/studies/study.h"

#ifdef __cplusplus
extern "C" {
#endif

enum { CM_REPORT_ISA_SIZE = 16 };

/** What the report tabulates of a run. */
typedef enum cm_measure {
    CM_MEASURE_TRAIN_LOSS,
    CM_MEASURE_TEST_LOSS,
    CM_MEASURE_ACCURACY,
    CM_MEASURE_COUNT
} cm_measure;

/** "train_loss", "test_loss", "accuracy": the names in JSON. */
const char *cm_measure_key(cm_measure measure);
/** "Loss/train", "Loss/test", "Accuracy": the names in the published tables. */
const char *cm_measure_title(cm_measure measure);
/** The measure of an epoch, and as published. */
double cm_measure_of_epoch(cm_measure measure, const cm_epoch_result *epoch);
double cm_measure_as_published(cm_measure measure, const cm_published_figures *figures);

/** What a run of the report is trained from. */
typedef struct cm_report_train_args {
    const cm_network *network;
    const cm_dataset *dataset;
    const cm_model_options *model;
    const cm_train_options *train;
    const cm_study_train_hooks *hooks;
} cm_report_train_args;

/** Trains one run. *result is the caller's to free, whatever the status. */
typedef cm_status cm_report_train_fn(const cm_report_train_args *args, cm_train_result *result,
                                     cm_error *error);

typedef struct cm_report_options {
    cm_study_settings study;     /* its topology may be NULL: it is then read */
    const char *const *variants; /* ids or network files, borrowed as those of cm_study_settings;
                                  * NULL: the eight of the table */
    int variant_count;
    int seeds;               /* 0 .. seeds-1 */
    cm_train_options train;  /* the protocol; its seed is not used */
    cm_model_options model;  /* threads and instruction set; the rest is not used */
    cm_report_train_fn *run; /* NULL: a new model and cm_train(); tests put others here */
} cm_report_options;

/** Three seeds of the eight variants under the protocol, one thread, the best instruction set. */
cm_report_options cm_report_options_default(void);

typedef struct cm_report_epoch {
    double values[CM_MEASURE_COUNT];
} cm_report_epoch;

/** The run of one seed. */
typedef struct cm_report_run {
    bool done;                       /* false: the other members are 0 */
    double values[CM_MEASURE_COUNT]; /* of the last epoch */
    int epoch_count;
    cm_report_epoch *epochs; /* owned */
    char sha256[65];         /* over all final parameters and buffers */
    double images_per_second, seconds;
    int threads;
    char isa[CM_REPORT_ISA_SIZE];
} cm_report_run;

typedef struct cm_report_variant {
    const cm_network *network;             /* of the report's networks */
    const cm_published_figures *published; /* NULL for a user's own network */
    int64_t params;
    double macs;             /* of one image, forward */
    char network_sha256[65]; /* over the layers: the same name may mean another network later */
    cm_report_run *runs;     /* [options.seeds] */
} cm_report_variant;

typedef struct cm_report {
    cm_study study;
    cm_report_options options;
    cm_study_networks networks;
    int variant_count;
    cm_report_variant *variants;
} cm_report;

/** Checks the options, opens the networks and makes room for the runs. CM_USAGE: an option. */
cm_status cm_report_plan(cm_report *report, cm_error *error);
void cm_report_free(cm_report *report);

/** NULL when the variant is not in the report. */
const cm_report_variant *cm_report_find(const cm_report *report, const char *id);

/** Runs done, of a variant, of all variants. */
int cm_report_variant_run_count(const cm_report *report, const cm_report_variant *variant);
int cm_report_run_count(const cm_report *report);

/** Values of a measure over the runs of a variant, by seed, at most CM_STUDY_MAX_SEEDS; their
 * count. */
int cm_report_values(const cm_report *report, const cm_report_variant *variant, cm_measure measure,
                     double *values);

/** Whether the runs follow the published protocol (all options but the seed at their defaults). */
bool cm_report_follows_protocol(const cm_report *report);

/** SHA-256 of the data set; "" when it is not known. */
const char *cm_report_data_sha256(const cm_report *report);

/** One line of the tables. */
typedef struct cm_report_row {
    cm_summary ours;
    cm_interval prediction; /* 95 % prediction interval of ours */
    double published;       /* NAN for a user's own network */
    bool inside;            /* published lies inside the prediction interval, if both are known */
} cm_report_row;

cm_report_row cm_report_row_of(const cm_report *report, const cm_report_variant *variant,
                               cm_measure measure);

#ifdef __cplusplus
}
#endif

#endif
