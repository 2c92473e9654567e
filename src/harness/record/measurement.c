#include "harness/record/measurement.h"

#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/files/json.h"
#include "core/statistics/samples.h"
#include "harness/record/folder.h"

static json_t *samples_json(const cm_measurement *m) {
    json_t *list = json_array();
    for (int i = 0; i < m->n; ++i) {
        if (json_array_append_new(list, json_real(m->samples[i])) != 0) {
            json_decref(list);
            return NULL;
        }
    }
    return list;
}

static json_t *interval_json(cm_interval interval) {
    return interval.known ? json_pack("[f, f]", interval.low, interval.high) : json_null();
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
         cm_json_set(o, "confidence_interval", interval_json(interval), error) &&
         cm_json_set(o, "samples", samples_json(m), error);
    if (!ok) {
        json_decref(o);
        return NULL;
    }
    return o;
}

/* ---- Reading ---- */

static cm_status refuse(const char *file, size_t index, const char *what, cm_error *error) {
    return cm_fail(error, CM_BAD_INPUT,
                   "%s: measurements[%zu]: %s; the file is damaged or was not written by convmark",
                   file, index, what);
}

static bool take_text(const json_t *object, const char *key, char *text, size_t size) {
    const char *value = json_string_value(json_object_get(object, key));
    if (value == NULL || strlen(value) >= size) {
        return false;
    }
    memcpy(text, value, strlen(value) + 1);
    return true;
}

static bool is_common(const char *key) {
    static const char *const keys[] = {"name",    "metric", "unit",   "higher_is_better",
                                       "samples", "n",      "median", "confidence_interval"};
    for (size_t i = 0; i < sizeof keys / sizeof *keys; ++i) {
        if (strcmp(key, keys[i]) == 0) {
            return true;
        }
    }
    return false;
}

static bool take_attributes(const json_t *object, cm_measurement *m) {
    m->attributes = json_object();
    const char *key;
    json_t *value;
    json_object_foreach((json_t *)(uintptr_t)object, key, value) {
        if (!is_common(key) && json_object_set(m->attributes, key, value) != 0) {
            return false;
        }
    }
    return m->attributes != NULL;
}

static cm_status read_item(const json_t *object, const char *file, size_t index, cm_measurement *m,
                           cm_error *error) {
    if (!take_text(object, "name", m->name, sizeof m->name)) {
        return refuse(file, index, "\"name\" is missing, no text, or too long", error);
    }
    if (!take_text(object, "metric", m->metric, sizeof m->metric)) {
        return refuse(file, index, "\"metric\" is missing, no text, or too long", error);
    }
    if (!take_text(object, "unit", m->unit, sizeof m->unit)) {
        return refuse(file, index, "\"unit\" is missing, no text, or too long", error);
    }
    const json_t *better = json_object_get(object, "higher_is_better");
    if (!json_is_boolean(better)) {
        return refuse(file, index, "\"higher_is_better\" is not true or false", error);
    }
    m->higher_is_better = json_is_true(better);
    const json_t *samples = json_object_get(object, "samples");
    const size_t n = json_array_size(samples);
    if (!json_is_array(samples) || n > CM_MAX_SAMPLES) {
        return refuse(file, index, "\"samples\" is not a list of at most 1000000 numbers", error);
    }
    m->samples = malloc((n + 1) * sizeof *m->samples);
    if (m->samples == NULL || !take_attributes(object, m)) {
        return cm_fail(error, CM_FAILED, "%s: out of memory; close other programs", file);
    }
    for (; m->n < (int)n; ++m->n) {
        const json_t *value = json_array_get(samples, (size_t)m->n);
        if (!json_is_number(value)) {
            return refuse(file, index, "\"samples\" has a member that is no number", error);
        }
        m->samples[m->n] = json_number_value(value);
    }
    return CM_OK;
}

static int compare_keys(const void *left, const void *right) {
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
        qsort(ordered, (size_t)list->count, sizeof *ordered, compare_keys);
    }
    return ordered;
}

const cm_measurement *cm_measurements_search(const cm_measurement *const *ordered, int count,
                                             const cm_measurement *key) {
    const cm_measurement *const *found =
        bsearch(&key, ordered, (size_t)count, sizeof *ordered, compare_keys);
    return found == NULL ? NULL : *found;
}

static cm_status refuse_duplicates(const cm_measurements *list, const char *file, cm_error *error) {
    const cm_measurement **ordered = cm_measurements_sort(list);
    if (ordered == NULL) {
        return cm_fail(error, CM_FAILED, "%s: out of memory; close other programs", file);
    }
    cm_status status = CM_OK;
    for (int i = 1; status == CM_OK && i < list->count; ++i) {
        if (compare_keys(&ordered[i - 1], &ordered[i]) == 0) {
            status = cm_fail(error, CM_BAD_INPUT,
                             "%s: measurements: %s of '%s' is there twice; the file is damaged",
                             file, ordered[i]->metric, ordered[i]->name);
        }
    }
    free(ordered);
    return status;
}

cm_status cm_measurements_read(const json_t *array, const char *file, cm_measurements *list,
                               cm_error *error) {
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
        status = read_item(json_array_get(array, i), file, i, item, error);
    }
    return status == CM_OK ? refuse_duplicates(list, file, error) : status;
}

void cm_measurements_free(cm_measurements *list) {
    for (int i = 0; i < list->count; ++i) {
        free(list->items[i].samples);
        json_decref(list->items[i].attributes);
    }
    free(list->items);
    *list = (cm_measurements){0, NULL};
}

/* ---- Planning ---- */

bool cm_measurement_plan_throughput(cm_measurement *m, const char *mode, const char *variant,
                                    int batch, int threads, const char *isa, int samples) {
    snprintf(m->name, sizeof m->name, "%s/%s/n%d/threads:%d", mode, variant, batch, threads);
    snprintf(m->metric, sizeof m->metric, "images_per_second");
    snprintf(m->unit, sizeof m->unit, "images/s");
    m->higher_is_better = true;
    m->samples = calloc((size_t)samples, sizeof *m->samples);
    m->attributes = json_pack("{s:s, s:o, s:i, s:i, s:s, s:s}", "mode", mode, "variant",
                              cm_json_string(variant), "batch", batch, "threads", threads, "isa",
                              isa, "framework", "convmark");
    return m->samples != NULL && m->attributes != NULL;
}

cm_status cm_measurements_resume(cm_measurements *planned, int room, const json_t *array,
                                 const char *file, cm_error *error) {
    cm_measurements old;
    cm_status status = cm_measurements_read(array, file, &old, error);
    int rounds = room;
    for (int i = 0; status == CM_OK && i < planned->count; ++i) {
        cm_measurement *m = &planned->items[i];
        const cm_measurement *from = i < old.count ? &old.items[i] : NULL;
        if (from == NULL || strcmp(from->name, m->name) != 0 || from->n > room) {
            status =
                cm_folder_refuse(file, "its measurements are not those of this command", error);
            break;
        }
        for (int k = 0; k < from->n; ++k) {
            m->samples[k] = from->samples[k];
        }
        rounds = from->n < rounds ? from->n : rounds;
    }
    for (int i = 0; i < planned->count; ++i) {
        planned->items[i].n = status == CM_OK ? rounds : 0;
    }
    cm_measurements_free(&old);
    return status;
}

/* ---- CSV ---- */

/* A field in quotes where it needs them. */
static void print_field(FILE *out, const char *text) {
    if (strpbrk(text, ",\"\r\n") == NULL) {
        fputs(text, out);
        return;
    }
    fputc('"', out);
    for (; *text != '\0'; ++text) {
        if (*text == '"') {
            fputc('"', out);
        }
        fputc(*text, out);
    }
    fputc('"', out);
}

/* An attribute that is text or a whole number; nothing where it is not there. */
static void print_attribute(FILE *out, const json_t *attributes, const char *key) {
    const json_t *value = json_object_get(attributes, key);
    if (json_is_string(value)) {
        print_field(out, json_string_value(value));
    } else if (json_is_integer(value)) {
        fprintf(out, "%lld", (long long)json_integer_value(value));
    }
}

/* A number as JSON has it: with '.', whatever the locale. False: no memory. */
static bool print_number(FILE *out, double value) {
    json_t *number = json_real(value);
    size_t size = 0;
    char *text = cm_json_text(number, JSON_ENCODE_ANY | JSON_REAL_PRECISION(17), &size);
    fputs(text != NULL ? text : "", out);
    const bool printed = text != NULL;
    free(text);
    json_decref(number);
    return printed;
}

char *cm_measurements_csv(const cm_measurements *list) {
    static const char *const keys[] = {"variant", "mode", "batch", "threads", "framework", "isa"};
    char *text = NULL;
    size_t size = 0;
    bool printed = true;
    FILE *out = open_memstream(&text, &size);
    if (out == NULL) {
        return NULL;
    }
    fputs("name,metric,unit,variant,mode,batch,threads,framework,isa,sample,value\r\n", out);
    for (int i = 0; i < list->count; ++i) {
        const cm_measurement *m = &list->items[i];
        for (int sample = 0; sample < m->n; ++sample) {
            print_field(out, m->name);
            fputc(',', out);
            print_field(out, m->metric);
            fputc(',', out);
            print_field(out, m->unit);
            for (size_t k = 0; k < sizeof keys / sizeof *keys; ++k) {
                fputc(',', out);
                print_attribute(out, m->attributes, keys[k]);
            }
            fprintf(out, ",%d,", sample);
            printed = print_number(out, m->samples[sample]) && printed;
            fputs("\r\n", out);
        }
    }
    printed = ferror(out) == 0 && printed;
    if (fclose(out) != 0 || !printed) {
        free(text);
        return NULL;
    }
    return text;
}
