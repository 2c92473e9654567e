#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/escape.h"
#include "harness/profile/profile.h"
#include "harness/record/text_table.h"

enum { MAX_ROWS = 30, HOT_SPOTS = 6 };

/* Rows below this share of the step are not printed one by one. */
static const double smallest_share = 0.004;

static double step_seconds(const cm_profile *profile) {
    double sum = 0.0;
    for (int i = 0; i < profile->steps; ++i) {
        sum += profile->wall[i];
    }
    return sum / profile->steps;
}

static void format_share(double share, char *text) {
    if (isnan(share)) {
        snprintf(text, CM_TABLE_CELL, "-");
    } else {
        snprintf(text, CM_TABLE_CELL, "%.1f", 100 * share);
    }
}

static void print_row(const cm_text_table *table, const cm_profile *profile,
                      const cm_profile_row *row) {
    char cells[CM_TABLE_MAX_COLUMNS][CM_TABLE_CELL];
    cm_profile_layer(profile, row, cells[0], CM_TABLE_CELL);
    snprintf(cells[1], CM_TABLE_CELL, "%s", cm_pass_name(row->pass));
    snprintf(cells[2], CM_TABLE_CELL, "%s", cm_phase_name(row->phase));
    snprintf(cells[3], CM_TABLE_CELL, "%.3f", 1e3 * row->seconds);
    format_share(row->seconds / step_seconds(profile), cells[4]);
    snprintf(cells[5], CM_TABLE_CELL, "-");
    snprintf(cells[7], CM_TABLE_CELL, "-");
    if (row->work.flops > 0.0) {
        snprintf(cells[5], CM_TABLE_CELL, "%.1f", row->work.flops / row->seconds * 1e-9);
    }
    format_share(row->peak_share, cells[6]);
    if (row->work.bytes > 0.0) {
        snprintf(cells[7], CM_TABLE_CELL, "%.1f", row->work.bytes / row->seconds * 1e-9);
    }
    format_share(row->bandwidth_share, cells[8]);
    snprintf(cells[9], CM_TABLE_CELL, "%s", row->level != NULL ? row->level->name : "-");
    snprintf(cells[10], CM_TABLE_CELL, "%.1f", 100 * row->imbalance);
    cm_table_print_row(table, cells);
}

static void print_sum(const cm_text_table *table, const char *name, double seconds, double step) {
    char cells[CM_TABLE_MAX_COLUMNS][CM_TABLE_CELL] = {{0}};
    snprintf(cells[0], CM_TABLE_CELL, "%s", name);
    snprintf(cells[3], CM_TABLE_CELL, "%.3f", 1e3 * seconds);
    format_share(seconds / step, cells[4]);
    cm_table_print_row(table, cells);
}

static void print_table(const cm_profile *profile, FILE *out) {
    static const cm_table_column columns[] = {
        {"layer", 20, false}, {"pass", 8, false},   {"part", 9, false}, {"ms", 7, true},
        {"share%", 6, true},  {"GFLOP/s", 7, true}, {"peak%", 5, true}, {"GB/s", 6, true},
        {"bw%", 5, true},     {"level", 5, true},   {"imb%", 5, true}};
    const cm_text_table table = {out, false, columns, sizeof columns / sizeof *columns};
    const double step = step_seconds(profile);
    double waiting = 0.0, others = 0.0, data = 0.0;
    int printed = 0, left = 0;
    cm_table_print_head(&table);
    for (int i = 0; i < profile->row_count; ++i) {
        const cm_profile_row *row = &profile->rows[i];
        if (row->phase == CM_PHASE_BARRIER) {
            waiting += row->seconds;
        } else if (printed < MAX_ROWS && row->seconds > smallest_share * step) {
            print_row(&table, profile, row);
            ++printed;
        } else {
            others += row->seconds;
            ++left;
        }
    }
    for (int i = 0; i < profile->steps; ++i) {
        data += profile->data[i] / profile->steps;
    }
    char name[40];
    snprintf(name, sizeof name, "%d smaller parts", left);
    print_sum(&table, name, others, step);
    print_sum(&table, "waiting at barriers", waiting, step);
    print_sum(&table, "reading data", data, step);
    print_sum(&table, "sum", step * profile->accounted, step);
}

static int by_gain(const void *left, const void *right) {
    const cm_profile_row *a = *(const cm_profile_row *const *)left;
    const cm_profile_row *b = *(const cm_profile_row *const *)right;
    return (a->gain < b->gain) - (a->gain > b->gain);
}

/* "conv.4 conv2d, backward weights: compute, at 81 % of the FMA peak; at the limit ...". */
static void print_hot_spot(const cm_profile *profile, const cm_profile_row *row, FILE *out) {
    char layer[CM_TABLE_CELL];
    const double step = step_seconds(profile);
    cm_profile_layer(profile, row, layer, sizeof layer);
    fprintf(out, "  %s, %s %s: ", CM_SHOW(layer), cm_pass_name(row->pass),
            cm_phase_name(row->phase));
    switch (row->limit) {
    case CM_LIMIT_COMPUTE:
        fprintf(out, "compute, at %.0f %% of the FMA peak", 100 * row->peak_share);
        break;
    case CM_LIMIT_MEMORY:
        fprintf(out, "%s, at %.0f %% of its bandwidth", row->level->name,
                100 * row->bandwidth_share);
        break;
    case CM_LIMIT_IMBALANCE:
        fprintf(out, "imbalance, the slowest thread takes %.0f %% longer", 100 * row->imbalance);
        break;
    case CM_LIMIT_BARRIER:
        fprintf(out, "waiting for the other threads");
        break;
    case CM_LIMIT_NONE:
        fprintf(out, "its work is not counted");
        break;
    }
    fprintf(out, "; at the limit the step would be %.1f %% shorter\n", 100 * row->gain / step);
}

static void print_hot_spots(const cm_profile *profile, FILE *out) {
    const cm_profile_row **rows = malloc((size_t)profile->row_count * sizeof *rows);
    for (int i = 0; rows != NULL && i < profile->row_count; ++i) {
        rows[i] = &profile->rows[i];
    }
    if (rows != NULL) {
        qsort(rows, (size_t)profile->row_count, sizeof *rows, by_gain);
        fputs("\nWhere most can be gained:\n", out);
        for (int i = 0; i < profile->row_count && i < HOT_SPOTS; ++i) {
            print_hot_spot(profile, rows[i], out);
        }
    }
    free(rows);
}

static void print_counters(const cm_profile *profile, FILE *out) {
    const double *counts = profile->counts;
    if (!profile->counted) {
        fprintf(out,
                "Hardware counters: none, %s.\nBytes and operations above are computed from the "
                "shapes.\n",
                CM_SHOW(profile->no_counters));
        return;
    }
    fprintf(out,
            "Hardware counters per step: %.4g cycles, %.4g instructions (%.2f per cycle), %.4g "
            "last-level cache misses of %.4g (%.1f GB/s from memory).\n",
            counts[CM_COUNTER_CYCLES], counts[CM_COUNTER_INSTRUCTIONS],
            counts[CM_COUNTER_INSTRUCTIONS] / counts[CM_COUNTER_CYCLES],
            counts[CM_COUNTER_CACHE_MISSES], counts[CM_COUNTER_CACHE_REFERENCES],
            64.0 * counts[CM_COUNTER_CACHE_MISSES] / step_seconds(profile) * 1e-9);
}

void cm_profile_print(const cm_profile *profile, FILE *out) {
    double overhead, low, high;
    const double step = step_seconds(profile);
    fprintf(out, "%s, %s, batch %d, %d thread%s, %s: %d steps of %.3f ms, %.0f images/s\n\n",
            CM_SHOW(cm_model_network(profile->model)->name), cm_mode_name(profile->mode),
            profile->batch, profile->threads, profile->threads == 1 ? "" : "s",
            cm_isa_name(cm_model_isa(profile->model)), profile->steps, 1e3 * step,
            profile->batch / step);
    print_table(profile, out);
    print_hot_spots(profile, out);
    cm_profile_overhead(profile, &overhead, &low, &high);
    fprintf(out, "\nThe parts explain %.2f %% of the step. ", 100 * profile->accounted);
    if (isnan(low)) {
        fprintf(out, "Tracing: %+.2f %% (too few steps for an interval).\n", 100 * overhead);
    } else {
        fprintf(out, "Tracing: %+.2f %% [%+.2f, %+.2f] against the untraced steps between.\n",
                100 * overhead, 100 * low, 100 * high);
    }
    print_counters(profile, out);
}

/* ---- Memory ---- */

/* A value of a line "Name:   123 kB" of a file of /proc, in bytes; -1: not there. */
static double proc_bytes(const char *path, const char *name) {
    char line[256];
    double value = -1.0;
    FILE *file = fopen(path, "re");
    while (file != NULL && value < 0.0 && fgets(line, sizeof line, file) != NULL) {
        const size_t length = strlen(name);
        if (strncmp(line, name, length) == 0 && line[length] == ':') {
            value = strtod(line + length + 1, NULL) * 1024.0;
        }
    }
    if (file != NULL) {
        fclose(file);
    }
    return value;
}

static void print_bytes(FILE *out, const char *name, double bytes) {
    if (bytes >= 0.0) {
        fprintf(out, "  %-34s %10.3f MiB\n", name, bytes / (1024.0 * 1024.0));
    } else {
        fprintf(out, "  %-34s    unknown\n", name);
    }
}

static double stage_outputs(const cm_profile *profile, int index) {
    const cm_network *network = cm_model_network(profile->model);
    const cm_plan *plan = profile->plan;
    const int next =
        index + 1 < plan->stage_count ? plan->stages[index + 1].layer : network->layer_count;
    const cm_layer_shape *shape = &network->layers[next - 1].out;
    return (double)plan->chunk * shape->channels * shape->height * shape->width;
}

void cm_profile_print_memory(const cm_profile *profile, FILE *out) {
    static const cm_table_column columns[] = {{"layer", 22, false},
                                              {"output MiB", 10, true},
                                              {"from..to", 17, true},
                                              {"for backward MiB", 16, true},
                                              {"workspace MiB", 13, true}};
    const cm_plan *plan = profile->plan;
    const bool training = profile->mode == CM_MODE_TRAIN;
    const double mebi = 1024.0 * 1024.0;
    fputs("\nMemory: outputs live from their forward to their backward pass (inference: until the "
          "next stage)\n\n",
          out);
    const cm_text_table table = {out, false, columns, sizeof columns / sizeof *columns};
    cm_table_print_head(&table);
    for (int i = 0; i < plan->stage_count; ++i) {
        const cm_stage *stage = &plan->stages[i];
        const cm_profile_row row = {.pass = CM_PASS_FORWARD, .stage = i};
        char cells[CM_TABLE_MAX_COLUMNS][CM_TABLE_CELL];
        const double count = stage_outputs(profile, i);
        double kept = stage->argmax == CM_NO_ARRAY ? 0 : count * sizeof(uint16_t);
        kept += stage->x_at_max == CM_NO_ARRAY ? 0 : count * sizeof(float);
        kept += stage->kept == CM_NO_ARRAY ? 0 : (double)stage->conv.kept;
        const bool conv = stage->kind == CM_STAGE_CONV2D;
        cm_profile_layer(profile, &row, cells[0], CM_TABLE_CELL);
        snprintf(cells[1], CM_TABLE_CELL, stage->out == CM_NO_ARRAY ? "in place" : "%.3f",
                 count * sizeof(float) / mebi);
        snprintf(cells[2], CM_TABLE_CELL, stage->out == CM_NO_ARRAY ? "-" : "%.3f..%.3f",
                 (double)stage->out * sizeof(float) / mebi,
                 ((double)stage->out + count) * sizeof(float) / mebi);
        snprintf(cells[3], CM_TABLE_CELL, "%.3f", kept / mebi);
        snprintf(cells[4], CM_TABLE_CELL, "%.3f",
                 (conv ? (double)stage->conv.workspace : 0) / mebi);
        cm_table_print_row(&table, cells);
    }
    fputc('\n', out);
    print_bytes(out, "parameters", (double)plan->parameter_floats * sizeof(float));
    if (training) {
        print_bytes(out, "gradients and Adam's moments",
                    3.0 * (double)plan->parameter_floats * sizeof(float));
    }
    print_bytes(out, "arena of this plan", (double)plan->arena_floats * sizeof(float));
    print_bytes(out, "all of the model", (double)cm_model_memory(profile->model));
    print_bytes(out, "in huge pages (of the process)",
                proc_bytes("/proc/self/smaps_rollup", "AnonHugePages"));
    print_bytes(out, "peak of the process", proc_bytes("/proc/self/status", "VmHWM"));
    fputs("  Arrays are touched first by the threads that own their parts.\n", out);
}
