#include "harness/compare/compare.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

const char *cm_speed_verdict_name(cm_speed_verdict verdict) {
    static const char *const names[CM_SPEED_COUNT] = {"not shown", "faster", "slower",
                                                      "too few samples"};
    return names[verdict];
}

cm_compare_options cm_compare_options_default(void) {
    return (cm_compare_options){.threshold = 0.05, .level = CM_RESULTS_LEVEL};
}

static cm_status compare_out_of_memory(cm_error *error) {
    return cm_fail(error, CM_FAILED, "compare: out of memory; close other programs");
}

/* ---- What may be compared ---- */

/* What must be equal: where it is in a file, and what to say. */
static const struct {
    const char *path[3];
    const char *what;
} requirements[] = {
    {{"kind"}, "the kinds of their measurements differ"},
    {{"machine", "cpu", "model"}, "they were measured on another CPU"},
    {{"machine", "cpu", "cores"}, "they were measured on another machine"},
    {{"machine", "cpu", "isas"}, "their instruction sets differ: another machine or build"},
    {{"machine", "cpu", "caches"}, "they were measured on another machine: its caches differ"},
    {{"machine", "cpu", "usable_cores"}, "one could use more cores than the other"},
    {{"machine", "build", "type"}, "their build types differ"},
    {{"machine", "build", "compiler"}, "they were built by another compiler"},
    {{"machine", "build", "flags"}, "they were built with other flags"},
    {{"data", "sha256"}, "they were measured on another data set"},
    {{"context", "cpu"}, "they were measured on another CPU"},
    {{"context", "convmark_type"}, "their build types differ"},
    {{"context", "convmark_compiler"}, "they were built by another compiler"},
    {{"context", "convmark_flags"}, "they were built with other flags"},
    {{"context", "library_build_type"}, "their build types differ"},
    {{"context", "num_cpus"}, "they were measured on another machine"},
};

static const json_t *value_at(const json_t *json, const char *const path[3]) {
    for (int i = 0; i < 3 && path[i] != NULL; ++i) {
        json = json_object_get(json, path[i]);
    }
    return json;
}

static cm_status check_comparable(const cm_results_file *a, const cm_results_file *b,
                                  cm_error *error) {
    for (size_t i = 0; i < sizeof requirements / sizeof *requirements; ++i) {
        const json_t *left = value_at(a->json, requirements[i].path);
        const json_t *right = value_at(b->json, requirements[i].path);
        if ((left != NULL || right != NULL) &&
            (left == NULL || right == NULL || !json_equal(left, right))) {
            char which[300] = "";
            if (json_is_string(left) && json_is_string(right)) {
                snprintf(which, sizeof which, " ('%.120s' and '%.120s')", json_string_value(left),
                         json_string_value(right));
            }
            return cm_fail(error, CM_BAD_INPUT,
                           "%s and %s are not comparable: %s%s; --force compares them all the same",
                           a->path, b->path, requirements[i].what, which);
        }
    }
    return CM_OK;
}

/* ---- Judging ---- */

static bool wanted(const cm_compare_options *options, const cm_measurement *m) {
    return (options->metric == NULL || strcmp(options->metric, m->metric) == 0) &&
           (options->filter == NULL || strstr(m->name, options->filter) != NULL);
}

static cm_status compare_one(const cm_measurement *base, const cm_measurement *other, int file,
                             double level, cm_comparison *result, cm_error *error) {
    /* The larger value is the better one, or the other way round. */
    const bool up = base->higher_is_better;
    const cm_measurement *from = up ? base : other, *to = up ? other : base;
    cm_ratio ratio;
    const cm_status status =
        cm_sample_ratio(from->samples, from->n, to->samples, to->n, level, &ratio, error);
    *result = (cm_comparison){.base = base,
                              .other = other,
                              .file = file,
                              .speedup = ratio.ratio,
                              .interval = ratio.interval,
                              .p = ratio.p,
                              .p_adjusted = NAN,
                              .verdict = CM_SPEED_UNKNOWN};
    return status;
}

static int by_p(const void *left, const void *right) {
    const cm_comparison *a = *(cm_comparison *const *)left, *b = *(cm_comparison *const *)right;
    return (a->p > b->p) - (a->p < b->p);
}

/* Holm's step-down correction (1979): the k-th smallest p of n times n - k, never falling. */
static cm_status adjust(cm_comparisons *result, cm_error *error) {
    cm_comparison **ordered = malloc(((size_t)result->count + 1) * sizeof *ordered);
    if (ordered == NULL) {
        return compare_out_of_memory(error);
    }
    int known = 0;
    for (int i = 0; i < result->count; ++i) {
        if (!isnan(result->items[i].p)) {
            ordered[known++] = &result->items[i];
        }
    }
    qsort(ordered, (size_t)known, sizeof *ordered, by_p);
    double largest = 0.0;
    for (int i = 0; i < known; ++i) {
        largest = fmax(largest, fmin(1.0, ordered[i]->p * (known - i)));
        ordered[i]->p_adjusted = largest;
    }
    free(ordered);
    return CM_OK;
}

/* A difference must be larger than chance, and larger than what two runs of one build differ by. */
static cm_speed_verdict judge_difference(const cm_compare_options *options,
                                         const cm_comparison *c) {
    if (isnan(c->speedup) || !c->interval.known) {
        return CM_SPEED_UNKNOWN;
    }
    if (!(c->p_adjusted < 1.0 - options->level)) {
        return CM_SPEED_SAME;
    }
    if (c->interval.low > 1.0 + options->threshold) {
        return CM_SPEED_FASTER;
    }
    return c->interval.high < 1.0 / (1.0 + options->threshold) ? CM_SPEED_SLOWER : CM_SPEED_SAME;
}

static void summarize(cm_comparisons *result) {
    double sum = 0.0;
    int known = 0;
    for (int i = 0; i < result->count; ++i) {
        if (!isnan(result->items[i].speedup)) {
            sum += log(result->items[i].speedup);
            ++known;
        }
    }
    result->geometric_mean = known > 0 ? exp(sum / known) : NAN;
}

/* Of the measurements that are wanted, those of the first file with those of file `file`. */
static cm_status join_file(const cm_compare_options *options, const cm_results_file *files,
                           int file, const cm_measurement *const *base,
                           const cm_measurement *const *other, cm_comparisons *result,
                           cm_error *error) {
    const cm_measurements *left = &files[0].measurements, *right = &files[file].measurements;
    cm_status status = CM_OK;
    for (int i = 0; status == CM_OK && i < left->count; ++i) {
        const cm_measurement *m = &left->items[i];
        const cm_measurement *found =
            wanted(options, m) ? cm_measurements_search(other, right->count, m) : NULL;
        if (found != NULL) {
            status =
                compare_one(m, found, file, options->level, &result->items[result->count++], error);
        } else {
            result->unmatched += wanted(options, m);
        }
    }
    for (int i = 0; i < right->count; ++i) {
        const cm_measurement *m = &right->items[i];
        result->unmatched +=
            wanted(options, m) && cm_measurements_search(base, left->count, m) == NULL;
    }
    return status;
}

/* In the order of the first file, then of the files. */
static int by_place(const void *left, const void *right) {
    const cm_comparison *a = left, *b = right;
    return a->base != b->base ? (a->base > b->base) - (a->base < b->base) : a->file - b->file;
}

static cm_status join(const cm_compare_options *options, const cm_results_file *files, int count,
                      cm_comparisons *result, cm_error *error) {
    const size_t rows = (size_t)files[0].measurements.count * (size_t)count;
    const cm_measurement **base = cm_measurements_sort(&files[0].measurements);
    result->items = calloc(rows + 1, sizeof *result->items);
    cm_status status = base != NULL && result->items != NULL ? CM_OK : compare_out_of_memory(error);
    for (int file = 1; status == CM_OK && file < count; ++file) {
        const cm_measurement **other = cm_measurements_sort(&files[file].measurements);
        status = other != NULL ? join_file(options, files, file, base, other, result, error)
                               : compare_out_of_memory(error);
        free(other);
    }
    free(base);
    if (status == CM_OK) {
        qsort(result->items, (size_t)result->count, sizeof *result->items, by_place);
    }
    return status;
}

cm_status cm_compare(const cm_compare_options *options, const cm_results_file *files, int count,
                     cm_comparisons *result, cm_error *error) {
    *result = (cm_comparisons){0};
    cm_status status = CM_OK;
    for (int i = 1; status == CM_OK && !options->force && i < count; ++i) {
        status = check_comparable(&files[0], &files[i], error);
    }
    if (status == CM_OK) {
        status = join(options, files, count, result, error);
    }
    if (status == CM_OK && result->count == 0) {
        status = cm_fail(error, CM_BAD_INPUT,
                         "%s has no measurement, of those asked for, in common with the other "
                         "files",
                         files[0].path);
    }
    if (status == CM_OK) {
        status = adjust(result, error);
    }
    for (int i = 0; status == CM_OK && i < result->count; ++i) {
        result->items[i].verdict = judge_difference(options, &result->items[i]);
    }
    if (status == CM_OK) {
        summarize(result);
    }
    return status;
}

void cm_comparisons_free(cm_comparisons *result) {
    free(result->items);
    *result = (cm_comparisons){0};
}
