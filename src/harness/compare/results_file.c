#include "harness/compare/results_file.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/files/json.h"
#include "harness/record/train_json.h"

enum { MAX_FILE = 1 << 26 };

static cm_status results_file_out_of_memory(const char *path, cm_error *error) {
    return cm_fail(error, CM_FAILED, "%s: out of memory; close other programs", path);
}

static double seconds_per(const char *unit) {
    static const struct {
        const char *name;
        double seconds;
    } units[] = {{"ns", 1e-9}, {"us", 1e-6}, {"ms", 1e-3}, {"s", 1.0}};
    for (size_t i = 0; unit != NULL && i < sizeof units / sizeof *units; ++i) {
        if (strcmp(unit, units[i].name) == 0) {
            return units[i].seconds;
        }
    }
    return 0.0;
}

static const char *text_of(const json_t *object, const char *key) {
    return json_string_value(json_object_get(object, key));
}

/* A file of Google Benchmark as it is read; `places` is each name's index in the list. */
typedef struct benchmarks {
    cm_measurements *list;
    json_t *places;
} benchmarks;

/* The measurement of a benchmark's name; a new one at the end if there is none. NULL: no memory. */
static cm_measurement *find_benchmark(const benchmarks *in, const char *name, cm_error *error) {
    const json_t *place = json_object_get(in->places, name);
    if (place != NULL) {
        return &in->list->items[json_integer_value(place)];
    }
    cm_measurement *m = &in->list->items[in->list->count];
    if (!cm_json_set(in->places, name, json_integer(in->list->count), error)) {
        return NULL;
    }
    snprintf(m->name, sizeof m->name, "%s", name);
    snprintf(m->metric, sizeof m->metric, "seconds");
    snprintf(m->unit, sizeof m->unit, "s");
    m->attributes = json_object();
    ++in->list->count;
    return m->attributes != NULL ? m : NULL;
}

static cm_status add_benchmark(const benchmarks *in, const json_t *row, const char *path,
                               cm_error *error) {
    const char *type = text_of(row, "run_type");
    if ((type != NULL && strcmp(type, "iteration") != 0) ||
        json_is_true(json_object_get(row, "error_occurred"))) {
        return CM_OK; /* means and deviations are computed here */
    }
    const char *name =
        text_of(row, "run_name") != NULL ? text_of(row, "run_name") : text_of(row, "name");
    const json_t *time = json_object_get(row, "real_time");
    const double unit = seconds_per(text_of(row, "time_unit"));
    if (name == NULL || strlen(name) >= sizeof in->list->items->name || !json_is_number(time) ||
        !(unit > 0.0)) {
        return cm_fail(error, CM_BAD_INPUT,
                       "%s: a benchmark has no \"real_time\" or \"time_unit\", or a name that is "
                       "missing or too long; the file is damaged",
                       path);
    }
    cm_measurement *m = find_benchmark(in, name, error);
    double *samples = m == NULL ? NULL : realloc(m->samples, ((size_t)m->n + 1) * sizeof *samples);
    if (samples == NULL) {
        return results_file_out_of_memory(path, error);
    }
    m->samples = samples;
    m->samples[m->n++] = json_number_value(time) * unit;
    return CM_OK;
}

static cm_status read_benchmarks(cm_results_file *file, cm_error *error) {
    const json_t *rows = json_object_get(file->json, "benchmarks");
    const size_t count = json_array_size(rows);
    if (count > CM_MAX_MEASUREMENTS) {
        return cm_fail(error, CM_BAD_INPUT, "%s: more than %d benchmarks; use --benchmark_filter",
                       file->path, CM_MAX_MEASUREMENTS);
    }
    snprintf(file->kind, sizeof file->kind, "benchmark");
    const benchmarks in = {&file->measurements, json_object()};
    in.list->items = calloc(count + 1, sizeof *in.list->items);
    cm_status status = in.list->items != NULL && in.places != NULL
                           ? CM_OK
                           : results_file_out_of_memory(file->path, error);
    for (size_t i = 0; status == CM_OK && i < count; ++i) {
        status = add_benchmark(&in, json_array_get(rows, i), file->path, error);
    }
    json_decref(in.places);
    return status;
}

static cm_status read_ours(cm_results_file *file, cm_error *error) {
    const json_t *version = json_object_get(file->json, "schema_version");
    const char *kind = text_of(file->json, "kind");
    if (!json_is_integer(version) || kind == NULL) {
        return cm_fail(error, CM_BAD_INPUT,
                       "%s: not a results file of convmark or of a Google Benchmark program",
                       file->path);
    }
    if (json_integer_value(version) != CM_RESULTS_SCHEMA_VERSION) {
        return cm_fail(error, CM_BAD_INPUT,
                       "%s: schema version %lld, this program reads %d; use the convmark that "
                       "wrote it",
                       file->path, (long long)json_integer_value(version),
                       CM_RESULTS_SCHEMA_VERSION);
    }
    snprintf(file->kind, sizeof file->kind, "%s", kind);
    return cm_measurements_read(json_object_get(file->json, "measurements"), file->path,
                                &file->measurements, error);
}

cm_status cm_results_file_open(const char *path, cm_results_file *file, cm_error *error) {
    *file = (cm_results_file){.path = path};
    const cm_status status = cm_json_load(path, MAX_FILE, &file->json, error);
    if (status != CM_OK) {
        return status;
    }
    const bool benchmark = json_is_object(json_object_get(file->json, "context")) &&
                           json_is_array(json_object_get(file->json, "benchmarks"));
    return benchmark ? read_benchmarks(file, error) : read_ours(file, error);
}

void cm_results_file_close(cm_results_file *file) {
    cm_measurements_free(&file->measurements);
    json_decref(file->json);
    *file = (cm_results_file){.path = NULL};
}
