#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

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
    snprintf(cells[0], CM_TABLE_CELL, "%s", c->base->name);
    format_value(cm_median(c->base->samples, c->base->n), cells[1]);
    format_value(cm_median(c->other->samples, c->other->n), cells[2]);
    snprintf(cells[3], CM_TABLE_CELL, "%.3f", c->speedup);
    snprintf(cells[4], CM_TABLE_CELL, "-");
    if (c->interval.known) {
        snprintf(cells[4], CM_TABLE_CELL, "%.3f .. %.3f", c->interval.low, c->interval.high);
    }
    snprintf(cells[5], CM_TABLE_CELL, isnan(c->p) ? "-" : "%.2g", c->p);
    snprintf(cells[6], CM_TABLE_CELL, "%s", cm_speed_verdict_name(c->verdict));
    cm_table_print_row(table, cells);
}

/* Rows of one metric and file. */
static void print_group(const cm_text_table *table, const cm_comparisons *result, int file,
                        int first) {
    const cm_measurement *head = result->items[first].base;
    cm_table_print_head(table);
    for (int i = first; i < result->count; ++i) {
        const cm_comparison *c = &result->items[i];
        if (c->file == file && strcmp(c->base->metric, head->metric) == 0) {
            print_comparison(table, c);
        }
    }
}

/* Whether this row is the first of its metric and file. */
static bool begins_group(const cm_comparisons *result, int index) {
    const cm_comparison *c = &result->items[index];
    for (int i = 0; i < index; ++i) {
        if (result->items[i].file == c->file &&
            strcmp(result->items[i].base->metric, c->base->metric) == 0) {
            return false;
        }
    }
    return true;
}

static void print_verdicts(FILE *out, const cm_comparisons *result) {
    int counts[CM_SPEED_COUNT] = {0};
    for (int i = 0; i < result->count; ++i) {
        ++counts[result->items[i].verdict];
    }
    fprintf(out, "%d faster, %d slower, %d no difference", counts[CM_SPEED_FASTER],
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

char *cm_compare_text(const cm_results_file *files, int count, const cm_comparisons *result,
                      bool markdown) {
    const cm_table_column columns[] = {{"name", name_width(result), false},
                                       {"before", 8, true},
                                       {"now", 8, true},
                                       {"speedup", 7, true},
                                       {"95 % interval", 14, true},
                                       {"p", 7, true},
                                       {"verdict", 15, false}};
    char *text = NULL;
    size_t size = 0;
    FILE *out = open_memstream(&text, &size);
    if (out == NULL) {
        return NULL;
    }
    const cm_text_table table = {out, markdown, columns, sizeof columns / sizeof *columns};
    for (int file = 1; file < count; ++file) {
        for (int i = 0; i < result->count; ++i) {
            if (result->items[i].file == file && begins_group(result, i)) {
                const cm_measurement *m = result->items[i].base;
                fprintf(out, "%s, %s: %s (before), %s (now)\n\n", m->metric, m->unit, files[0].path,
                        files[file].path);
                print_group(&table, result, file, i);
                fputc('\n', out);
            }
        }
    }
    print_verdicts(out, result);
    const bool failed = ferror(out) != 0;
    if (fclose(out) != 0 || failed) {
        free(text);
        return NULL;
    }
    return text;
}
