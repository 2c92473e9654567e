#include "harness/compare/results_file.h"

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "core/files/atomic_file.h"
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

/* What mark_missing() made of NaN and infinity. */
static bool is_missing(const json_t *value) {
    return json_is_string(value) && json_string_length(value) == 0;
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
        json_is_true(json_object_get(row, "error_occurred")) ||
        json_is_true(json_object_get(row, "skipped"))) {
        return CM_OK; /* means and deviations are computed here; what did not run has no value */
    }
    const char *name =
        text_of(row, "run_name") != NULL ? text_of(row, "run_name") : text_of(row, "name");
    const json_t *time = json_object_get(row, "real_time");
    const double unit = seconds_per(text_of(row, "time_unit"));
    if (name != NULL && is_missing(time)) {
        return CM_OK;
    }
    if (name == NULL || strlen(name) >= sizeof in->list->items->name || !json_is_number(time) ||
        !(unit > 0.0)) {
        return cm_fail(error, CM_BAD_INPUT,
                       "%s: benchmark '%.200s' has no \"real_time\" or \"time_unit\", or a name "
                       "that is missing or too long; it is left out",
                       path, name != NULL ? name : "");
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

/* A row that is damaged does not condemn the file. */
static cm_status leave_out_row(cm_results_file *file, cm_status status, const cm_error *reason) {
    if (status == CM_BAD_INPUT && reason != NULL) {
        cm_skip_row(&file->skipped, reason);
        return CM_OK;
    }
    return status;
}

/* One command of `hyperfine --export-json`. */
static cm_status add_command(const benchmarks *in, const json_t *row, const char *path,
                             cm_error *error) {
    const char *name = text_of(row, "command");
    const json_t *times = json_object_get(row, "times");
    const size_t count = json_array_size(times);
    if (name == NULL || strlen(name) >= sizeof in->list->items->name || !json_is_array(times) ||
        json_object_get(in->places, name) != NULL || count > CM_MAX_SAMPLES) {
        return cm_fail(error, CM_BAD_INPUT,
                       "%s: command '%.200s' has no \"times\", or a name that is missing, too "
                       "long or there twice; it is left out",
                       path, name != NULL ? name : "");
    }
    cm_measurement *m = find_benchmark(in, name, error);
    if (m != NULL) {
        m->samples = malloc((count + 1) * sizeof *m->samples);
    }
    if (m == NULL || m->samples == NULL) {
        return results_file_out_of_memory(path, error);
    }
    for (size_t i = 0; i < count; ++i) {
        const json_t *value = json_array_get(times, i);
        if (json_is_number(value)) {
            m->samples[m->n++] = json_number_value(value);
        }
    }
    return CM_OK;
}

static cm_status read_hyperfine(cm_results_file *file, cm_error *error) {
    const json_t *rows = json_object_get(file->json, "results");
    const size_t count = json_array_size(rows);
    if (count > CM_MAX_MEASUREMENTS) {
        return cm_fail(error, CM_BAD_INPUT, "%s: more than %d commands; give fewer", file->path,
                       CM_MAX_MEASUREMENTS);
    }
    snprintf(file->kind, sizeof file->kind, "hyperfine");
    const benchmarks in = {&file->measurements, json_object()};
    in.list->items = calloc(count + 1, sizeof *in.list->items);
    cm_status status = in.list->items != NULL && in.places != NULL
                           ? CM_OK
                           : results_file_out_of_memory(file->path, error);
    for (size_t i = 0; status == CM_OK && i < count; ++i) {
        status = add_command(&in, json_array_get(rows, i), file->path, error);
        status = leave_out_row(file, status, error);
    }
    json_decref(in.places);
    return status;
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
        status = leave_out_row(file, status, error);
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
    return cm_measurements_read_good(json_object_get(file->json, "measurements"), file->path,
                                     &file->measurements, &file->skipped, error);
}

/* Other programs write NaN and infinity as words, which JSON does not have. Makes each one, outside
 * strings, an empty string of the same length with spaces. */
static void mark_missing(char *text, size_t size) {
    static const char *const words[] = {"-Infinity", "Infinity", "-NaN", "-nan", "-inf",
                                        "NaN",       "nan",      "inf",  NULL};
    bool quoted = false;
    for (size_t i = 0; i < size; ++i) {
        if (quoted && text[i] == '\\') {
            ++i;
        } else if (text[i] == '"') {
            quoted = !quoted;
        } else if (!quoted && strchr("-NnIi", text[i]) != NULL && text[i] != '\0') {
            for (int k = 0; words[k] != NULL; ++k) {
                const size_t length = strlen(words[k]);
                if (length <= size - i && memcmp(text + i, words[k], length) == 0) {
                    memset(text + i, ' ', length);
                    text[i] = text[i + 1] = '"';
                    i += length - 1;
                    break;
                }
            }
        }
    }
}

/* Windows programs begin a text with a mark of its encoding. */
static cm_status refuse_encoding(const char *text, size_t size, const char *path, cm_error *error) {
    static const struct {
        const char *mark, *name;
    } marks[] = {{"\xEF\xBB\xBF", "begins with a byte order mark (BOM)"},
                 {"\xFF\xFE", "is UTF-16"},
                 {"\xFE\xFF", "is UTF-16"}};
    for (size_t i = 0; i < sizeof marks / sizeof *marks; ++i) {
        const size_t length = strlen(marks[i].mark);
        if (size >= length && memcmp(text, marks[i].mark, length) == 0) {
            return cm_fail(error, CM_BAD_INPUT, "%s: %s; save it as UTF-8 without one", path,
                           marks[i].name);
        }
    }
    if (size >= 2 && (text[0] == '\0' || text[1] == '\0')) {
        return cm_fail(error, CM_BAD_INPUT, "%s: is UTF-16; save it as UTF-8", path);
    }
    return CM_OK;
}

static cm_status load_text(const char *path, json_t **json, cm_error *error) {
    char *text = NULL;
    size_t size = 0;
    cm_status status = cm_file_read(path, MAX_FILE, &text, &size, error);
    if (status == CM_OK) {
        status = refuse_encoding(text, size, path, error);
    }
    if (status == CM_OK) {
        mark_missing(text, size);
        status = cm_json_parse(text, size, path, json, error);
    }
    free(text);
    return status;
}

static cm_status read_rows(cm_results_file *file, cm_error *error) {
    const bool is_google = json_is_object(json_object_get(file->json, "context")) &&
                           json_is_array(json_object_get(file->json, "benchmarks"));
    const bool is_hyperfine = json_is_array(json_object_get(file->json, "results"));
    const cm_status status = is_google      ? read_benchmarks(file, error)
                             : is_hyperfine ? read_hyperfine(file, error)
                                            : read_ours(file, error);
    if (status == CM_OK && file->measurements.count == 0 && file->skipped.count > 0) {
        file->skipped.count = 0; /* the whole file is: its first row says why */
        return cm_fail(error, CM_BAD_INPUT, "%s", file->skipped.notes[0].message);
    }
    return status;
}

/* The file that a folder of results is read for. */
static cm_status find_in_folder(cm_results_file *file, cm_error *error) {
    static const char *const names[] = {"sweep.json", "explore.json", "profile.json",
                                        "convmark.json"};
    const char *folder = file->path;
    struct stat info;
    if (stat(folder, &info) != 0 || !S_ISDIR(info.st_mode)) {
        return CM_OK; /* a file; what is wrong with it is told when it is read */
    }
    const size_t size = strlen(folder) + sizeof "/convmark.json";
    file->in_folder = malloc(size);
    if (file->in_folder == NULL) {
        return results_file_out_of_memory(folder, error);
    }
    for (size_t i = 0; i < sizeof names / sizeof *names; ++i) {
        snprintf(file->in_folder, size, "%s/%s", folder, names[i]);
        if (stat(file->in_folder, &info) == 0) {
            file->path = file->in_folder;
            return CM_OK;
        }
    }
    return cm_fail(error, CM_BAD_INPUT,
                   "%s: is a folder without sweep.json, explore.json, profile.json or "
                   "convmark.json; give a file of measurements",
                   folder);
}

cm_status cm_results_file_open(const char *path, cm_results_file *file, cm_error *error) {
    *file = (cm_results_file){.path = path};
    cm_status status = find_in_folder(file, error);
    if (status == CM_OK) {
        status = load_text(file->path, &file->json, error);
    }
    return status == CM_OK ? read_rows(file, error) : status;
}

void cm_results_file_close(cm_results_file *file) {
    cm_measurements_free(&file->measurements);
    json_decref(file->json);
    free(file->in_folder);
    *file = (cm_results_file){.path = NULL};
}
