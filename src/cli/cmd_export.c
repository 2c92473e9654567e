/* convmark export: a file of measurements for spreadsheets, R, pandas, or a README. */
#include <stdio.h>
#include <stdlib.h>

#include "cli/cli.h"
#include "core/statistics/samples.h"
#include "harness/compare/results_file.h"
#include "harness/record/text_table.h"

typedef struct export_options {
    const char *csv, *markdown;
} export_options;

#define MEMBER(name) offsetof(export_options, name)
static const cm_option option_table[] = {
    {"csv", CM_OPTION_STRING, MEMBER(csv), "FILE",
     "Write one line of CSV per sample to FILE (default: '-': standard output)", 0, 0, NULL},
    {"markdown", CM_OPTION_STRING, MEMBER(markdown), "FILE",
     "Write medians with 95 % confidence intervals to FILE ('-': standard output)", 0, 0, NULL},
    {0}};
#undef MEMBER

static char *markdown_table(const cm_measurements *list) {
    static const cm_table_column columns[] = {
        {"name", 1, false},  {"metric", 1, false},       {"n", 1, true},
        {"median", 1, true}, {"95 % interval", 1, true}, {"unit", 1, false}};
    char *text = NULL;
    size_t size = 0;
    FILE *out = open_memstream(&text, &size);
    if (out == NULL) {
        return NULL;
    }
    const cm_text_table table = {out, true, columns, sizeof columns / sizeof *columns};
    cm_table_print_head(&table);
    for (int i = 0; i < list->count; ++i) {
        const cm_measurement *m = &list->items[i];
        char cells[CM_TABLE_MAX_COLUMNS][CM_TABLE_CELL];
        const cm_interval interval = cm_median_interval(m->samples, m->n, CM_RESULTS_LEVEL);
        snprintf(cells[0], CM_TABLE_CELL, "%.*s", CM_TABLE_CELL - 1, m->name);
        snprintf(cells[1], CM_TABLE_CELL, "%s", m->metric);
        snprintf(cells[2], CM_TABLE_CELL, "%d", m->n);
        snprintf(cells[3], CM_TABLE_CELL, m->n > 0 ? "%.6g" : "-", cm_median(m->samples, m->n));
        snprintf(cells[4], CM_TABLE_CELL, interval.known ? "%.6g .. %.6g" : "-", interval.low,
                 interval.high);
        snprintf(cells[5], CM_TABLE_CELL, "%s", m->unit);
        cm_table_print_row(&table, cells);
    }
    if (fclose(out) != 0) {
        free(text);
        return NULL;
    }
    return text;
}

static cm_status run_export(const export_options *options, const char *path, cm_error *error) {
    cm_results_file file;
    cm_status status = cm_results_file_open(path, &file, error);
    cm_warn_of_skipped_rows(&file);
    const char *csv = options->csv != NULL || options->markdown != NULL ? options->csv : "-";
    if (status == CM_OK && csv != NULL) {
        status = cm_write_text("export", csv, cm_measurements_csv(&file.measurements), error);
    }
    if (status == CM_OK && options->markdown != NULL) {
        status =
            cm_write_text("export", options->markdown, markdown_table(&file.measurements), error);
    }
    cm_results_file_close(&file);
    return status;
}

cm_status cm_command_export(const cm_command *command, int argc, const char **argv,
                            cm_error *error) {
    export_options options = {NULL, NULL};
    const cm_option_group groups[] = {{option_table, &options}};
    cm_arguments arguments;
    cm_status status =
        cm_arguments_parse(&command->usage, argc, argv, groups, 1, 1, &arguments, error);
    if (status == CM_OK && !arguments.help) {
        const cm_output outputs[] = {
            {.option = "csv", .path = options.csv, .allow_stdout = true},
            {.option = "markdown", .path = options.markdown, .allow_stdout = true}};
        const char *const inputs[] = {arguments.words[0], NULL};
        status = cm_check_outputs("export", outputs, 2, inputs, error);
        if (status == CM_OK) {
            status = run_export(&options, arguments.words[0], error);
        }
    }
    cm_arguments_free(&arguments);
    return status;
}
