#include "harness/studies/explore/explore_text.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/escape.h"
#include "core/system/energy.h"
#include "harness/record/machine_text.h"
#include "harness/record/text_table.h"
#include "harness/studies/explore/points.h"

/* ---- Columns ---- */

static void put_point_mark(const cm_explore_point *p, char *cell) {
    snprintf(cell, CM_TABLE_CELL, "%s", p->frontier ? "*" : "");
}

static void put_point_network(const cm_explore_point *p, char *cell) {
    snprintf(cell, CM_TABLE_CELL, "%s", p->network->name);
}

static void put_point_schedule(const cm_explore_point *p, char *cell) {
    snprintf(cell, CM_TABLE_CELL, "%s", cm_schedule_name(p->schedule));
}

static void put_point_params(const cm_explore_point *p, char *cell) {
    cm_table_format_count((double)cm_network_parameter_count(p->network->network), cell,
                          CM_TABLE_CELL);
}

static void put_point_speed(const cm_explore_point *p, char *cell) {
    cm_table_format_count(p->images_per_second, cell, CM_TABLE_CELL);
}

static void put_point_accuracy(const cm_explore_point *p, char *cell) {
    snprintf(cell, CM_TABLE_CELL, "%.2f %%", 100 * p->accuracy);
}

static void put_point_train_loss(const cm_explore_point *p, char *cell) {
    snprintf(cell, CM_TABLE_CELL, "%.3f", p->train_loss);
}

static void put_point_test_loss(const cm_explore_point *p, char *cell) {
    snprintf(cell, CM_TABLE_CELL, "%.3f", p->test_loss);
}

static void put_point_seconds(const cm_explore_point *p, char *cell) {
    snprintf(cell, CM_TABLE_CELL, "%.1f s", p->cost.seconds);
}

static void put_point_until(const cm_explore_point *p, char *cell) {
    snprintf(cell, CM_TABLE_CELL, "%.1f s", p->until.seconds);
}

static void put_point_joules(const cm_explore_point *p, char *cell) {
    snprintf(cell, CM_TABLE_CELL, "%.0f J", p->cost.joules);
}

/* The cell of a number that is not finite is "-". */
typedef struct explore_column {
    cm_table_column column;
    void (*put)(const cm_explore_point *point, char *cell);
    bool of_energy, of_target; /* shown where joules are known; where there is a target accuracy */
} explore_column;

static const explore_column explore_columns[] = {
    {{"", 1, false}, put_point_mark, false, false},
    {{"network", 20, false}, put_point_network, false, false},
    {{"schedule", 9, false}, put_point_schedule, false, false},
    {{"params", 9, true}, put_point_params, false, false},
    {{"images/s", 8, true}, put_point_speed, false, false},
    {{"accuracy", 8, true}, put_point_accuracy, false, false},
    {{"train", 5, true}, put_point_train_loss, false, false},
    {{"test", 5, true}, put_point_test_loss, false, false},
    {{"training", 8, true}, put_point_seconds, false, false},
    {{"energy", 6, true}, put_point_joules, true, false},
    {{"until", 7, true}, put_point_until, false, true},
};

enum { COLUMN_COUNT = sizeof explore_columns / sizeof *explore_columns };

/* ---- The table ---- */

static bool any_point_joules(const cm_explore_point *points, int count) {
    bool any = false;
    for (int i = 0; i < count; ++i) {
        any = any || isfinite(points[i].cost.joules);
    }
    return any;
}

static void print_explore_points(FILE *out, const cm_explore *explore,
                                 const cm_explore_point *points, bool markdown) {
    const bool energy = any_point_joules(points, explore->point_count);
    const bool target = explore->options.until_accuracy > 0.0;
    cm_table_column columns[COLUMN_COUNT];
    const explore_column *shown[COLUMN_COUNT];
    int count = 0;
    for (int i = 0; i < COLUMN_COUNT; ++i) {
        const explore_column *column = &explore_columns[i];
        if ((energy || !column->of_energy) && (target || !column->of_target)) {
            columns[count] = column->column;
            shown[count++] = column;
        }
    }
    const cm_text_table t = {out, markdown, columns, count};
    cm_table_print_head(&t);
    for (int i = 0; i < explore->point_count; ++i) {
        char cells[CM_TABLE_MAX_COLUMNS][CM_TABLE_CELL];
        for (int k = 0; k < count; ++k) {
            shown[k]->put(&points[i], cells[k]);
            if (strstr(cells[k], "nan") != NULL) {
                snprintf(cells[k], CM_TABLE_CELL, "-");
            }
        }
        cm_table_print_row(&t, cells);
    }
}

/* ---- Below the table ---- */

static int compare_speed(const void *left, const void *right) {
    const cm_explore_point *a = left, *b = right;
    return (a->images_per_second < b->images_per_second) -
           (a->images_per_second > b->images_per_second);
}

/* From the fastest to the most accurate. */
static void print_explore_frontier(FILE *out, const cm_explore *explore, cm_explore_point *points,
                                   bool markdown) {
    qsort(points, (size_t)explore->point_count, sizeof *points, compare_speed);
    fprintf(out, "\nFrontier (*): no other point is as good in accuracy and images/s and better in "
                 "one.\n");
    for (int i = 0; i < explore->point_count; ++i) {
        if (points[i].frontier) {
            char speed[40];
            cm_table_format_count(points[i].images_per_second, speed, sizeof speed);
            fprintf(out, "%s%s, %s: %s images/s, %.2f %%\n", markdown ? "\n" : "  ",
                    CM_SHOW_IN(markdown, points[i].network->name),
                    cm_schedule_name(points[i].schedule), speed, 100 * points[i].accuracy);
        }
    }
}

/* ---- How to train one of them ---- */

/* Whether the name alone makes the same network; *no_memory becomes true where that cannot be told.
 */
static bool is_known_by_name(const cm_explore_network *network, bool *no_memory) {
    cm_error ignored = {""};
    cm_network *named = NULL;
    char *ours = NULL, *theirs = NULL;
    cm_status status = cm_network_open(network->name, &named, &ignored);
    if (status == CM_OK) {
        status = cm_network_to_text(named, &theirs, &ignored);
    }
    if (status == CM_OK) {
        status = cm_network_to_text(network->network, &ours, &ignored);
    }
    const bool same = status == CM_OK && strcmp(ours, theirs) == 0;
    *no_memory = *no_memory || status == CM_FAILED;
    free(ours);
    free(theirs);
    cm_network_free(named);
    return same;
}

/* The options that are not train's own defaults. */
static void print_train_options(FILE *out, const cm_train_options *train,
                                cm_schedule_kind schedule) {
    const cm_train_options usual = cm_train_options_default();
    const struct {
        const char *option;
        int value, usual;
    } rows[] = {{"epochs", train->epochs, usual.epochs},
                {"steps", train->steps, usual.steps},
                {"valid-steps", train->valid_steps, usual.valid_steps},
                {"batch", train->batch, usual.batch}};
    if (schedule != usual.schedule) {
        fprintf(out, " --schedule %s", cm_schedule_name(schedule));
    }
    for (size_t i = 0; i < sizeof rows / sizeof *rows; ++i) {
        if (rows[i].value != rows[i].usual) {
            fprintf(out, " --%s %d", rows[i].option, rows[i].value);
        }
    }
    if (train->optimizer.learning_rate != usual.optimizer.learning_rate) {
        fprintf(out, " --lr %.17g", train->optimizer.learning_rate);
    }
}

/* The command that trains the most accurate point again, with its first seed. */
static void print_explore_command(FILE *out, const cm_explore *explore,
                                  const cm_explore_point *points, bool markdown, bool *no_memory) {
    int best = -1;
    for (int i = 0; i < explore->point_count; ++i) {
        if (points[i].frontier && (best < 0 || points[i].accuracy > points[best].accuracy)) {
            best = i;
        }
    }
    if (best < 0) {
        return;
    }
    const char *name = points[best].network->name;
    const bool known = is_known_by_name(points[best].network, no_memory);
    fprintf(out, "\nTrain the most accurate%s, on the same data set:\n%s",
            known ? "" : " (its network_text in explore.json, written to a file)",
            markdown ? "\n    " : "  ");
    fprintf(out, known ? "convmark train %s" : "convmark train ./%s.txt", name);
    print_train_options(out, &explore->options.train, points[best].schedule);
    fprintf(out, "\n");
}

/* How many networks from `first` on were skipped for the reason of that one. */
static int count_skip_reason(const cm_explore *explore, int first) {
    int count = 0;
    for (int i = first; i < explore->skipped_count; ++i) {
        count += strcmp(explore->skipped[i].reason, explore->skipped[first].reason) == 0;
    }
    return count;
}

/* One line per reason. */
static void print_skipped_networks(FILE *out, const cm_explore *explore, bool markdown) {
    for (int i = 0; i < explore->skipped_count; ++i) {
        const cm_explore_network *network = &explore->skipped[i];
        bool printed = false;
        for (int k = 0; k < i; ++k) {
            printed = printed || strcmp(explore->skipped[k].reason, network->reason) == 0;
        }
        if (!printed) {
            char more[32] = "";
            const int count = count_skip_reason(explore, i);
            if (count > 1) {
                snprintf(more, sizeof more, " and %d more", count - 1);
            }
            fprintf(out, "%sskipped %s%s: %s\n", markdown ? "\n" : "",
                    CM_SHOW_IN(markdown, network->name), more,
                    CM_SHOW_IN(markdown, network->reason));
        }
    }
}

static void print_explore_notes(FILE *out, const cm_explore *explore, bool markdown) {
    const char *space = markdown ? "\n" : "";
    const cm_explore_options *o = &explore->options;
    if (o->until_accuracy > 0.0) {
        fprintf(out,
                "%sUntil: training until the first validation of %.2f %%; '-': no run had it\n",
                space, 100 * o->until_accuracy);
        if (o->train.energy != NULL && o->train.energy->note[0] != '\0') {
            fprintf(out, "%s%s\n", space, CM_SHOW_IN(markdown, o->train.energy->note));
        }
    }
    print_skipped_networks(out, explore, markdown);
    for (int i = 0; i < explore->point_count * o->seeds; ++i) {
        if (explore->runs[i].failure[0] != '\0') {
            const int point = i / o->seeds;
            fprintf(out, "%s%s, %s, seed %d: %s\n", space,
                    CM_SHOW_IN(markdown, cm_explore_network_of(explore, point)->name),
                    cm_schedule_name(cm_explore_schedule_of(explore, point)), i % o->seeds,
                    CM_SHOW_IN(markdown, explore->runs[i].failure));
        }
    }
}

typedef struct explore_page {
    const cm_explore *explore;
    cm_explore_point *points;
    bool *no_memory; /* the text lacks something then */
} explore_page;

static void print_explore(FILE *out, const void *context, bool markdown) {
    const explore_page *page = context;
    if (markdown) {
        const cm_study *study = &page->explore->study;
        cm_machine_print_title(out, "convmark explore", study->machine, study->started);
    }
    print_explore_points(out, page->explore, page->points, markdown);
    print_explore_frontier(out, page->explore, page->points, markdown);
    print_explore_command(out, page->explore, page->points, markdown, page->no_memory);
    print_explore_notes(out, page->explore, markdown);
}

static char *explore_page_text(const cm_explore *explore, bool markdown) {
    bool no_memory = false;
    const explore_page page = {explore, cm_explore_points(explore), &no_memory};
    char *text = page.points == NULL ? NULL : cm_table_text(print_explore, &page, markdown);
    free(page.points);
    if (no_memory) {
        free(text);
        return NULL;
    }
    return text;
}

char *cm_explore_text(const cm_explore *explore) {
    return explore_page_text(explore, false);
}

char *cm_explore_markdown(const cm_explore *explore) {
    return explore_page_text(explore, true);
}
