/**
 * Measurements: the member "measurements" of the files that `sweep`, `explore`, `profile` and the
 * peers' scripts write, and that `compare` and the plots read (docs/reference/results-schema.md).
 */
#ifndef CM_HARNESS_RECORD_MEASUREMENT_H
#define CM_HARNESS_RECORD_MEASUREMENT_H

#include <jansson.h>
#include <stdbool.h>

#include "convmark/status.h"
#include "harness/record/results_json.h"

#ifdef __cplusplus
extern "C" {
#endif

enum { CM_MAX_MEASUREMENTS = 100000, CM_MAX_SAMPLES = 1000000 };

/** What is measured: name, unit and direction of each are one row of a table. */
typedef enum cm_metric {
    CM_METRIC_IMAGES_PER_SECOND,
    CM_METRIC_SECONDS,
    CM_METRIC_COUNT
} cm_metric;

/** One metric of one piece of work, measured n times. */
typedef struct cm_measurement {
    char name[512];  /* "train/bn-3/n64/threads:2" */
    char metric[40]; /* "images_per_second" */
    char unit[24];   /* "images/s" */
    bool higher_is_better;
    int n;
    double *samples;    /* in the order of measuring; freed with the list */
    json_t *attributes; /* the other members: parts of the name, and more */
} cm_measurement;

typedef struct cm_measurements {
    int count;
    cm_measurement *items;
} cm_measurements;

/** Sets metric, unit and higher_is_better. */
void cm_measurement_set_metric(cm_measurement *measurement, cm_metric metric);

/** One object of the array, with median and confidence interval. NULL, with a message, when a
 * number is not finite or memory runs out. */
json_t *cm_measurement_json(const cm_measurement *measurement, cm_error *error);

/** Rows that a reader left out: one line on each of the first ones. */
enum { CM_MAX_SKIPPED_NOTES = 8 };
typedef struct cm_skipped_rows {
    int count;
    cm_error notes[CM_MAX_SKIPPED_NOTES];
} cm_skipped_rows;

/** Counts a row that is left out, with the reason if there is room for it. */
void cm_skip_row(cm_skipped_rows *skipped, const cm_error *reason);

/** As cm_measurements_read(), but a row that is damaged or there twice is left out. */
cm_status cm_measurements_read_good(const json_t *array, const char *file, cm_measurements *list,
                                    cm_skipped_rows *skipped, cm_error *error);

/** Reads the array. `file` names it in messages. CM_BAD_INPUT: not such an array, too large, two
 * items with the same name and metric. Free with cm_measurements_free(), whatever the status. */
cm_status cm_measurements_read(const json_t *array, const char *file, cm_measurements *list,
                               cm_error *error);
void cm_measurements_free(cm_measurements *list);

/** Every sample as one line of CSV (RFC 4180) after a line of column names: name, metric, unit,
 * variant, mode, batch, threads, framework, isa, sample (from 0), value. free() it; NULL: no
 * memory. */
char *cm_measurements_csv(const cm_measurements *list);

/**
 * Plans a measurement in images per second: name "MODE/VARIANT/nBATCH/threads:T", room for
 * `samples` samples. False: no memory.
 */
bool cm_measurement_plan_throughput(cm_measurement *measurement, const char *mode,
                                    const char *variant, int batch, int threads, const char *isa,
                                    int samples);

/** The items in the order of (name, metric), for cm_measurements_search(). free() the array before
 * the list. NULL: no memory. */
const cm_measurement **cm_measurements_sort(const cm_measurements *list);
/** The one of `count` sorted items that has the name and metric of `key`; NULL: none. */
const cm_measurement *cm_measurements_search(const cm_measurement *const *ordered, int count,
                                             const cm_measurement *key);

#ifdef __cplusplus
}
#endif

#endif
