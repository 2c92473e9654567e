#include "harness/record/measurement.h"

#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/files/json.h"
#include "core/statistics/samples.h"
#include "harness/record/results_json.h"

void cm_measurement_set_metric(cm_measurement *m, cm_metric metric) {
    static const struct {
        const char *name, *unit;
        bool higher_is_better;
    } metrics[CM_METRIC_COUNT] = {
        [CM_METRIC_IMAGES_PER_SECOND] = {"images_per_second", "images/s", true},
        [CM_METRIC_SECONDS] = {"seconds", "s", false},
    };
    snprintf(m->metric, sizeof m->metric, "%s", metrics[metric].name);
    snprintf(m->unit, sizeof m->unit, "%s", metrics[metric].unit);
    m->higher_is_better = metrics[metric].higher_is_better;
}

static json_t *samples_json(const cm_measurement *m) {
    json_t *list = json_array();
    for (int i = 0; i < m->n; ++i) {
        cm_json_append(&list, json_real(m->samples[i]));
    }
    return list;
}

json_t *cm_measurement_json(const cm_measurement *m, cm_error *error) {
    json_t *o = json_object();
    bool ok = cm_json_set(o, "name", json_string(m->name), error) &&
              cm_json_set(o, "metric", json_string(m->metric), error) &&
              cm_json_set(o, "unit", json_string(m->unit), error) &&
              cm_json_set(o, "higher_is_better", json_boolean(m->higher_is_better), error);
    const char *key;
    json_t *value;
    json_object_foreach(m->attributes, key, value) {
        ok = ok && cm_json_set(o, key, json_incref(value), error);
    }
    const cm_interval interval = cm_median_interval(m->samples, m->n, CM_RESULTS_LEVEL);
    ok = ok && cm_json_set(o, "n", json_integer(m->n), error) &&
         cm_json_set(o, "median", m->n > 0 ? json_real(cm_median(m->samples, m->n)) : json_null(),
                     error) &&
         cm_json_set(o, "confidence_interval", cm_interval_json(interval), error) &&
         cm_json_set(o, "samples", samples_json(m), error);
    if (!ok) {
        json_decref(o);
        return NULL;
    }
    return o;
}

/* ---- Reading ---- */

static cm_status refuse_measurement(const char *file, size_t index, const char *name,
                                    const char *what, cm_error *error) {
    return cm_fail(error, CM_BAD_INPUT,
                   "%s: measurements[%zu]%s%.200s%s: %s; the file is damaged or was not written by "
                   "convmark",
                   file, index, name[0] != '\0' ? " ('" : "", name, name[0] != '\0' ? "')" : "",
                   what);
}

static bool take_short_text(const json_t *object, const char *key, char *text, size_t size) {
    const char *value = json_string_value(json_object_get(object, key));
    if (value == NULL || strlen(value) >= size) {
        return false;
    }
    memcpy(text, value, strlen(value) + 1);
    return true;
}

static bool is_common_member(const char *key) {
    static const char *const keys[] = {"name",    "metric", "unit",   "higher_is_better",
                                       "samples", "n",      "median", "confidence_interval"};
    for (size_t i = 0; i < sizeof keys / sizeof *keys; ++i) {
        if (strcmp(key, keys[i]) == 0) {
            return true;
        }
    }
    return false;
}

static bool take_attributes(const json_t *object, cm_measurement *m, cm_error *error) {
    m->attributes = json_object();
    const char *key;
    json_t *value;
    json_object_foreach((json_t *)(uintptr_t)object, key, value) {
        if (!is_common_member(key) && !cm_json_set(m->attributes, key, json_incref(value), error)) {
            return false;
        }
    }
    return m->attributes != NULL;
}

static cm_status read_measurement(const json_t *object, const char *file, size_t index,
                                  cm_measurement *m, cm_error *error) {
    if (!take_short_text(object, "name", m->name, sizeof m->name)) {
        return refuse_measurement(file, index, m->name, "\"name\" is missing, no text, or too long",
                                  error);
    }
    if (!take_short_text(object, "metric", m->metric, sizeof m->metric)) {
        return refuse_measurement(file, index, m->name,
                                  "\"metric\" is missing, no text, or too long", error);
    }
    if (!take_short_text(object, "unit", m->unit, sizeof m->unit)) {
        return refuse_measurement(file, index, m->name, "\"unit\" is missing, no text, or too long",
                                  error);
    }
    const json_t *better = json_object_get(object, "higher_is_better");
    if (!json_is_boolean(better)) {
        return refuse_measurement(file, index, m->name, "\"higher_is_better\" is not true or false",
                                  error);
    }
    m->higher_is_better = json_is_true(better);
    const json_t *samples = json_object_get(object, "samples");
    const size_t n = json_array_size(samples);
    if (!json_is_array(samples) || n > CM_MAX_SAMPLES) {
        return refuse_measurement(file, index, m->name,
                                  "\"samples\" is not a list of at most 1000000 numbers", error);
    }
    m->samples = malloc((n + 1) * sizeof *m->samples);
    if (m->samples == NULL || !take_attributes(object, m, error)) {
        return cm_fail(error, CM_FAILED, "%s: out of memory; close other programs", file);
    }
    for (; m->n < (int)n; ++m->n) {
        const json_t *value = json_array_get(samples, (size_t)m->n);
        if (!json_is_number(value)) {
            return refuse_measurement(file, index, m->name,
                                      "\"samples\" has a member that is no number", error);
        }
        m->samples[m->n] = json_number_value(value);
    }
    return CM_OK;
}

static int compare_measurements(const void *left, const void *right) {
    const cm_measurement *a = *(const cm_measurement *const *)left;
    const cm_measurement *b = *(const cm_measurement *const *)right;
    const int names = strcmp(a->name, b->name);
    return names != 0 ? names : strcmp(a->metric, b->metric);
}

const cm_measurement **cm_measurements_sort(const cm_measurements *list) {
    const cm_measurement **ordered = malloc(((size_t)list->count + 1) * sizeof *ordered);
    if (ordered != NULL) {
        for (int i = 0; i < list->count; ++i) {
            ordered[i] = &list->items[i];
        }
        qsort(ordered, (size_t)list->count, sizeof *ordered, compare_measurements);
    }
    return ordered;
}

const cm_measurement *cm_measurements_search(const cm_measurement *const *ordered, int count,
                                             const cm_measurement *key) {
    const cm_measurement *const *found =
        bsearch(&key, ordered, (size_t)count, sizeof *ordered, compare_measurements);
    return found == NULL ? NULL : *found;
}

void cm_skip_row(cm_skipped_rows *skipped, const cm_error *reason) {
    if (skipped->count < CM_MAX_SKIPPED_NOTES) {
        skipped->notes[skipped->count] = *reason;
    }
    ++skipped->count;
}

static void free_measurement(cm_measurement *m) {
    free(m->samples);
    json_decref(m->attributes);
    *m = (cm_measurement){.n = 0};
}

/* What is there twice is refused; or, with `skipped`, the second one is left out. */
static cm_status check_duplicate_measurements(cm_measurements *list, const char *file,
                                              cm_skipped_rows *skipped, cm_error *error) {
    const cm_measurement **ordered = cm_measurements_sort(list);
    if (ordered == NULL) {
        return cm_fail(error, CM_FAILED, "%s: out of memory; close other programs", file);
    }
    cm_status status = CM_OK;
    for (int i = 1; status == CM_OK && i < list->count; ++i) {
        if (compare_measurements(&ordered[i - 1], &ordered[i]) == 0) {
            cm_error reason;
            status = cm_fail(&reason, CM_BAD_INPUT,
                             "%s: measurements: %s of '%s' is there twice; the file is damaged",
                             file, ordered[i]->metric, ordered[i]->name);
            if (skipped != NULL) {
                /* Of equal ones the sort may give any first: the later one of the file goes. */
                const cm_measurement *later =
                    ordered[i] > ordered[i - 1] ? ordered[i] : ordered[i - 1];
                const cm_measurement *first = later == ordered[i] ? ordered[i - 1] : ordered[i];
                ordered[i] = first;
                list->items[later - list->items].n = -1;
                cm_skip_row(skipped, &reason);
                status = CM_OK;
            } else if (error != NULL) {
                *error = reason;
            }
        }
    }
    free(ordered);
    int kept = 0;
    for (int i = 0; i < list->count; ++i) {
        if (list->items[i].n < 0) {
            free_measurement(&list->items[i]);
        } else {
            list->items[kept++] = list->items[i];
        }
    }
    list->count = kept;
    return status;
}

cm_status cm_measurements_read_good(const json_t *array, const char *file, cm_measurements *list,
                                    cm_skipped_rows *skipped, cm_error *error) {
    *list = (cm_measurements){0, NULL};
    const size_t count = json_array_size(array);
    if (!json_is_array(array) || count > CM_MAX_MEASUREMENTS) {
        return cm_fail(error, CM_BAD_INPUT,
                       "%s: \"measurements\" is not a list of at most %d objects; give a file of "
                       "sweep, explore, profile, peers.sh or convmark-bench",
                       file, CM_MAX_MEASUREMENTS);
    }
    list->items = calloc(count + 1, sizeof *list->items);
    if (list->items == NULL) {
        return cm_fail(error, CM_FAILED, "%s: out of memory; close other programs", file);
    }
    cm_status status = CM_OK;
    for (size_t i = 0; status == CM_OK && i < count; ++i) {
        cm_measurement *item = &list->items[list->count++];
        cm_error reason = {""};
        status = read_measurement(json_array_get(array, i), file, i, item, &reason);
        if (status == CM_BAD_INPUT && skipped != NULL) {
            free_measurement(item);
            --list->count;
            cm_skip_row(skipped, &reason);
            status = CM_OK;
        } else if (status != CM_OK && error != NULL) {
            *error = reason;
        }
    }
    return status == CM_OK ? check_duplicate_measurements(list, file, skipped, error) : status;
}

cm_status cm_measurements_read(const json_t *array, const char *file, cm_measurements *list,
                               cm_error *error) {
    return cm_measurements_read_good(array, file, list, NULL, error);
}

void cm_measurements_free(cm_measurements *list) {
    for (int i = 0; i < list->count; ++i) {
        free_measurement(&list->items[i]);
    }
    free(list->items);
    *list = (cm_measurements){0, NULL};
}

/* ---- Planning ---- */

bool cm_measurement_plan_throughput(cm_measurement *m, const char *mode, const char *variant,
                                    int batch, int threads, const char *isa, int samples) {
    snprintf(m->name, sizeof m->name, "%s/%s/n%d/threads:%d", mode, variant, batch, threads);
    cm_measurement_set_metric(m, CM_METRIC_IMAGES_PER_SECOND);
    m->samples = calloc((size_t)samples, sizeof *m->samples);
    m->attributes = json_pack("{s:s, s:o, s:i, s:i, s:s, s:s}", "mode", mode, "variant",
                              cm_json_string(variant), "batch", batch, "threads", threads, "isa",
                              isa, "framework", "convmark");
    return m->samples != NULL && m->attributes != NULL;
}
