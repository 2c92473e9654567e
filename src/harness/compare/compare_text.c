#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/escape.h"
#include "harness/compare/compare.h"
#include "harness/record/text_table.h"

/* A value with four digits, and a multiple of the unit where it is large or small. */
static void format_value(double value, char *text) {
    static const struct {
        double scale;
        const char *suffix;
    } scales[] = {{1e9, "G"}, {1e6, "M"}, {1.0, ""}, {1e-3, "m"}, {1e-6, "u"}, {1e-9, "n"}};
    size_t i = 0;
    while (i + 1 < sizeof scales / sizeof *scales && fabs(value) < scales[i].scale) {
        ++i;
    }
    snprintf(text, CM_TABLE_CELL, "%.4g%s%s", value / scales[i].scale,
             scales[i].suffix[0] != '\0' ? " " : "", scales[i].suffix);
    if (i == 2) { /* plain numbers as they are */
        snprintf(text, CM_TABLE_CELL, value < 1000 ? "%.4g" : "%.0f", value);
    }
}

static void print_comparison(const cm_text_table *table, const cm_comparison *c) {
    char cells[CM_TABLE_MAX_COLUMNS][CM_TABLE_CELL];
    snprintf(cells[0], CM_TABLE_CELL, "%.*s", CM_TABLE_CELL - 1, c->base->name);
    format_value(cm_median(c->base->samples, c->base->n), cells[1]);
    format_value(cm_median(c->other->samples, c->other->n), cells[2]);
    snprintf(cells[3], CM_TABLE_CELL, "%.3f", c->speedup);
    snprintf(cells[4], CM_TABLE_CELL, "-");
    if (c->interval.known) {
        snprintf(cells[4], CM_TABLE_CELL, "%.3f .. %.3f", c->interval.low, c->interval.high);
    }
    snprintf(cells[5], CM_TABLE_CELL, isnan(c->p_adjusted) ? "-" : "%.2g", c->p_adjusted);
    snprintf(cells[6], CM_TABLE_CELL, "%s", cm_speed_verdict_name(c->verdict));
    cm_table_print_row(table, cells);
}

/* ---- Groups: rows of one file and metric ---- */

/* A row, and the first one of its group. Pointers into one array: their order is that of rows. */
typedef struct grouped_row {
    const cm_comparison *row, *first;
} grouped_row;

static int by_row(const cm_comparison *a, const cm_comparison *b) {
    return (a > b) - (a < b);
}

static int by_metric(const void *left, const void *right) {
    const cm_comparison *a = ((const grouped_row *)left)->row;
    const cm_comparison *b = ((const grouped_row *)right)->row;
    const int metrics = strcmp(a->base->metric, b->base->metric);
    return a->file != b->file ? a->file - b->file : metrics != 0 ? metrics : by_row(a, b);
}

static int by_first_row(const void *left, const void *right) {
    const grouped_row *a = left, *b = right;
    const int files = a->row->file - b->row->file, groups = by_row(a->first, b->first);
    return files != 0 ? files : groups != 0 ? groups : by_row(a->row, b->row);
}

/* All rows by file, then by the first row of their metric; free() them. NULL: no memory. */
static grouped_row *group_rows(const cm_comparisons *result) {
    grouped_row *rows = malloc(((size_t)result->count + 1) * sizeof *rows);
    if (rows == NULL) {
        return NULL;
    }
    for (int i = 0; i < result->count; ++i) {
        rows[i].row = &result->items[i];
    }
    qsort(rows, (size_t)result->count, sizeof *rows, by_metric);
    for (int i = 0; i < result->count; ++i) {
        const cm_comparison *row = rows[i].row, *last = i > 0 ? rows[i - 1].row : NULL;
        const bool same = last != NULL && last->file == row->file &&
                          strcmp(last->base->metric, row->base->metric) == 0;
        rows[i].first = same ? rows[i - 1].first : row;
    }
    qsort(rows, (size_t)result->count, sizeof *rows, by_first_row);
    return rows;
}

/* The CPU's name, of a file of ours or of convmark-bench; NULL: not there. */
static const char *cpu_of(const cm_results_file *file) {
    const json_t *cpu = json_object_get(json_object_get(file->json, "machine"), "cpu");
    const json_t *context = json_object_get(file->json, "context");
    const char *model = json_string_value(json_object_get(cpu, "model"));
    return model != NULL ? model : json_string_value(json_object_get(context, "cpu"));
}

static void print_machines(const cm_text_table *table, const cm_results_file *before,
                           const cm_results_file *now) {
    const char *first = cpu_of(before), *second = cpu_of(now);
    if (first != NULL || second != NULL) {
        const cm_shown left = cm_show(table->markdown ? CM_SINK_MARKDOWN : CM_SINK_TERMINAL,
                                      first != NULL ? first : "unknown CPU");
        const bool same = first != NULL && second != NULL && strcmp(first, second) == 0;
        fprintf(table->out, "before on %s; now on %s\n\n", left.text,
                same ? "the same CPU"
                     : CM_SHOW_IN(table->markdown, second != NULL ? second : "unknown CPU"));
    }
}

static void print_groups(const cm_text_table *table, const cm_results_file *files,
                         const grouped_row *rows, int count) {
    for (int i = 0; i < count; ++i) {
        const cm_comparison *row = rows[i].row;
        if (rows[i].first == row) {
            fprintf(table->out, "%s, %s: %s (before), %s (now)\n\n",
                    CM_SHOW_IN(table->markdown, row->base->metric),
                    CM_SHOW_IN(table->markdown, row->base->unit),
                    CM_SHOW_IN(table->markdown, files[0].path),
                    CM_SHOW_IN(table->markdown, files[row->file].path));
            print_machines(table, &files[0], &files[row->file]);
            cm_table_print_head(table);
        }
        print_comparison(table, row);
        if (i + 1 == count || rows[i + 1].first != rows[i].first) {
            fputc('\n', table->out);
        }
    }
}

static void print_verdicts(FILE *out, const cm_comparisons *result) {
    int counts[CM_SPEED_COUNT] = {0};
    for (int i = 0; i < result->count; ++i) {
        ++counts[result->items[i].verdict];
    }
    fputs("p is the one that decides: corrected for all rows together (Holm)\n", out);
    fprintf(out, "%d faster, %d slower, %d not shown", counts[CM_SPEED_FASTER],
            counts[CM_SPEED_SLOWER], counts[CM_SPEED_SAME]);
    if (counts[CM_SPEED_UNKNOWN] > 0) {
        fprintf(out, ", %d with too few samples", counts[CM_SPEED_UNKNOWN]);
    }
    if (!isnan(result->geometric_mean)) {
        fprintf(out, "; geometric mean of the speedups %.3f", result->geometric_mean);
    }
    fputc('\n', out);
    if (result->unmatched > 0) {
        fprintf(out, "%d measurements are not in both files and were left out\n",
                result->unmatched);
    }
}

/* The longest name's length: Google Benchmark's have many parts. */
static int name_width(const cm_comparisons *result) {
    size_t width = 28;
    for (int i = 0; i < result->count; ++i) {
        const size_t length = strlen(result->items[i].base->name);
        width = length > width ? length : width;
    }
    return (int)(width < CM_TABLE_CELL ? width : CM_TABLE_CELL - 1);
}

char *cm_compare_text(const cm_results_file *files, const cm_comparisons *result, bool markdown) {
    const cm_table_column columns[] = {{"name", name_width(result), false},
                                       {"before", 8, true},
                                       {"now", 8, true},
                                       {"speedup", 7, true},
                                       {"95 % interval", 14, true},
                                       {"p", 7, true},
                                       {"verdict", 15, false}};
    char *text = NULL;
    size_t size = 0;
    grouped_row *rows = group_rows(result);
    FILE *out = rows != NULL ? open_memstream(&text, &size) : NULL;
    if (out == NULL) {
        free(rows);
        return NULL;
    }
    const cm_text_table table = {out, markdown, columns, sizeof columns / sizeof *columns};
    print_groups(&table, files, rows, result->count);
    print_verdicts(out, result);
    free(rows);
    const bool failed = ferror(out) != 0;
    if (fclose(out) != 0 || failed) {
        free(text);
        return NULL;
    }
    return text;
}
