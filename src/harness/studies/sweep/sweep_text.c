#include "harness/studies/sweep/sweep_text.h"

#include <stdio.h>
#include <string.h>

#include "core/escape.h"
#include "core/statistics/samples.h"
#include "core/system/energy.h"
#include "harness/record/machine_text.h"
#include "harness/record/text_table.h"

static void print_sweep_measurement(const cm_text_table *t, const cm_sweep *sweep, int index) {
    const cm_sweep_options *options = &sweep->options;
    const cm_measurement *m = &sweep->measurements.items[index];
    const cm_sweep_place at = cm_sweep_place_of(sweep, index);
    if (m->n == 0) {
        return;
    }
    const double median = cm_median(m->samples, m->n);
    const cm_interval interval = cm_median_interval(m->samples, m->n, CM_RESULTS_LEVEL);
    char cells[CM_TABLE_MAX_COLUMNS][CM_TABLE_CELL], low[40], high[40];
    snprintf(cells[0], CM_TABLE_CELL, "%s", sweep->networks.items[at.variant]->name);
    snprintf(cells[1], CM_TABLE_CELL, "%s", cm_mode_name(at.mode));
    snprintf(cells[2], CM_TABLE_CELL, "%d", options->batches[at.batch]);
    snprintf(cells[3], CM_TABLE_CELL, "%d", options->cores[at.cores]);
    cm_table_format_count(median, cells[4], CM_TABLE_CELL);
    snprintf(cells[5], CM_TABLE_CELL, "-");
    if (interval.known) {
        cm_table_format_count(interval.low, low, sizeof low);
        cm_table_format_count(interval.high, high, sizeof high);
        snprintf(cells[5], CM_TABLE_CELL, "%s .. %s", low, high);
    }
    snprintf(cells[6], CM_TABLE_CELL, "%.1f %%", 100 * cm_sweep_efficiency(sweep, at));
    snprintf(cells[7], CM_TABLE_CELL, "-");
    if (at.mode == CM_MODE_TRAIN) {
        snprintf(cells[7], CM_TABLE_CELL, "%.2f s",
                 (double)options->train.steps * options->batches[at.batch] / median);
    }
    cm_table_print_row(t, cells);
}

static void print_sweep_measurements(FILE *out, const cm_sweep *sweep, bool markdown) {
    static const cm_table_column columns[] = {{"variant", 18, false},   {"mode", 5, false},
                                              {"batch", 5, true},       {"cores", 5, true},
                                              {"images/s", 9, true},    {"95 % interval", 19, true},
                                              {"efficiency", 10, true}, {"epoch", 8, true}};
    const cm_text_table t = {out, markdown, columns, sizeof columns / sizeof *columns};
    cm_table_print_head(&t);
    for (int i = 0; i < sweep->measurements.count; ++i) {
        print_sweep_measurement(&t, sweep, i);
    }
}

/* On a hybrid CPU: which cores each number of them is. */
static void print_core_kinds(FILE *out, const cm_sweep *sweep, bool markdown) {
    for (int i = 0; i < sweep->options.core_count && sweep->measurements.count > 0; ++i) {
        const cm_measurement *m = cm_sweep_at(sweep, (cm_sweep_place){.cores = i});
        const char *kinds = json_string_value(json_object_get(m->attributes, "core_kinds"));
        if (kinds != NULL) {
            fprintf(
                out, "%s%d core%s: %s%s\n", i == 0 || markdown ? "\n" : "", sweep->options.cores[i],
                sweep->options.cores[i] == 1 ? "" : "s", CM_SHOW_IN(markdown, kinds),
                strchr(kinds, '+') != NULL ? " (mixed: the slow ones hold up the fast ones)" : "");
        }
    }
}

/* The cost of reaching the accuracy that ends a run. */
static void print_sweep_until(FILE *out, const cm_sweep *sweep, bool markdown) {
    const cm_train_options *train = &sweep->options.train;
    const char *space = markdown ? "\n" : "";
    if (train->until_accuracy <= 0.0) {
        return;
    }
    for (int i = 0; i < sweep->run_count; ++i) {
        const cm_sweep_run *run = &sweep->runs[i];
        if (run->result.done) {
            char text[160];
            const int cores = sweep->options.cores[run->cores];
            cm_training_run_describe(&run->result, train->until_accuracy, text, sizeof text);
            fprintf(out, "%s%s, %d core%s: %s\n", space,
                    CM_SHOW_IN(markdown, sweep->networks.items[run->variant]->name), cores,
                    cores == 1 ? "" : "s", text);
        }
    }
    if (train->energy != NULL && train->energy->note[0] != '\0') {
        fprintf(out, "%s%s\n", space, CM_SHOW_IN(markdown, train->energy->note));
    }
}

static void print_sweep_accuracy(FILE *out, const cm_sweep *sweep, bool markdown) {
    static const cm_table_column columns[] = {{"variant", 18, false},   {"cores", 5, true},
                                              {"train loss", 10, true}, {"test loss", 10, true},
                                              {"accuracy", 9, true},    {"epochs", 6, true},
                                              {"training", 9, true},    {"sha256", 12, false}};
    const cm_text_table t = {out, markdown, columns, sizeof columns / sizeof *columns};
    bool all = true;
    cm_table_print_head(&t);
    for (int i = 0; i < sweep->run_count; ++i) {
        const cm_sweep_run *run = &sweep->runs[i];
        char cells[CM_TABLE_MAX_COLUMNS][CM_TABLE_CELL];
        const cm_training_run *result = &run->result;
        all = all && result->done;
        if (!result->done) {
            continue;
        }
        snprintf(cells[0], CM_TABLE_CELL, "%s", sweep->networks.items[run->variant]->name);
        snprintf(cells[1], CM_TABLE_CELL, "%d", sweep->options.cores[run->cores]);
        snprintf(cells[2], CM_TABLE_CELL, "%.4f", result->train_loss);
        snprintf(cells[3], CM_TABLE_CELL, "%.4f", result->test_loss);
        snprintf(cells[4], CM_TABLE_CELL, "%.2f %%", 100 * result->accuracy);
        snprintf(cells[5], CM_TABLE_CELL, "%d", result->epochs);
        snprintf(cells[6], CM_TABLE_CELL, "%.1f s", result->cost.seconds);
        snprintf(cells[7], CM_TABLE_CELL, "%.12s", result->sha256);
        cm_table_print_row(&t, cells);
    }
    if (all && sweep->options.core_count > 1) {
        fprintf(out, "\nEvery variant has the same bits at all %d core counts.\n",
                sweep->options.core_count);
    }
    print_sweep_until(out, sweep, markdown);
}

static void print_sweep(FILE *out, const void *context, bool markdown) {
    const cm_sweep *sweep = context;
    if (markdown) {
        cm_machine_print_title(out, "convmark sweep", sweep->study.machine, sweep->study.started);
    }
    print_sweep_measurements(out, sweep, markdown);
    print_core_kinds(out, sweep, markdown);
    if (sweep->run_count > 0) {
        fputc('\n', out);
        print_sweep_accuracy(out, sweep, markdown);
    }
}

char *cm_sweep_text(const cm_sweep *sweep) {
    return cm_table_text(print_sweep, sweep, false);
}

char *cm_sweep_markdown(const cm_sweep *sweep) {
    return cm_table_text(print_sweep, sweep, true);
}
