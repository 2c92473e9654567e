/* convmark compare: which measurements of two or more files differ. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "cli/cli.h"
#include "harness/compare/compare.h"

enum { MAX_FILES = 16 };

typedef struct compare_options {
    cm_compare_options compare;
    double limit; /* of --fail-if-slower, as a share; NAN: not given */
    const char *markdown;
} compare_options;

/* "5%" or "5" as 0.05. */
static cm_status parse_percentage(char *text, void *values, cm_error *error) {
    char number[32] = "";
    double percent = -1.0;
    const size_t length = strcspn(text, "%");
    if (length < sizeof number && (text[length] == '\0' || text[length + 1] == '\0')) {
        memcpy(number, text, length);
    }
    if (!cm_parse_double(number, &percent) || !(percent >= 0.0 && percent < 100.0)) {
        return cm_fail(error, CM_USAGE, "'%s' is not a percentage; give 0%% to 99%%, such as 5%%",
                       text);
    }
    ((compare_options *)values)->limit = percent / 100.0;
    return CM_OK;
}

#define MEMBER(name) offsetof(compare_options, name)
static const cm_option option_table[] = {
    {"threshold", CM_OPTION_DOUBLE, MEMBER(compare.threshold), "X",
     "Ignore relative differences below X (default: 0.05)", 0, 10, NULL},
    {"metric", CM_OPTION_STRING, MEMBER(compare.metric), "NAME", "Compare this metric only", 0, 0,
     NULL},
    {"filter", CM_OPTION_STRING, MEMBER(compare.filter), "TEXT",
     "Compare only measurements whose name contains TEXT", 0, 0, NULL},
    {"fail-if-slower", CM_OPTION_PARSED, 0, "N%",
     "Exit with code 1 if a measurement is slower by more than N%, beyond doubt", 0, 0,
     parse_percentage},
    {"force", CM_OPTION_TRUE, MEMBER(compare.force), NULL,
     "Compare files of different machines, builds or data sets", 0, 0, NULL},
    {"markdown", CM_OPTION_STRING, MEMBER(markdown), "FILE",
     "Write the tables as Markdown to FILE ('-': standard output)", 0, 0, NULL},
    {0}};
#undef MEMBER

/* Fails for the first measurement whose whole interval is slower than `limit`. */
static cm_status check_limit(const cm_comparisons *result, double limit, cm_error *error) {
    for (int i = 0; i < result->count; ++i) {
        const cm_comparison *c = &result->items[i];
        if (c->interval.known && c->interval.high < 1.0 - limit && c->p_adjusted < 0.05) {
            return cm_fail(error, CM_FAILED,
                           "%s: %s is slower by %.1f %% (at least %.1f %%), more than the %.4g %% "
                           "of --fail-if-slower",
                           c->base->name, c->base->metric, 100 * (1 - c->speedup),
                           100 * (1 - c->interval.high), 100 * limit);
        }
    }
    return CM_OK;
}

void cm_warn_of_skipped_rows(const cm_results_file *file) {
    const int count = file->skipped.count;
    for (int i = 0; i < count && i < CM_MAX_SKIPPED_NOTES; ++i) {
        cm_warn("%s", file->skipped.notes[i].message);
    }
    if (count > CM_MAX_SKIPPED_NOTES) {
        cm_warn("%s: %d more rows are left out", file->path, count - CM_MAX_SKIPPED_NOTES);
    }
}

static cm_status show_comparison(const compare_options *options, const cm_results_file *files,
                                 int count, cm_error *error) {
    cm_comparisons result;
    cm_status status = cm_compare(&options->compare, files, count, &result, error);
    if (status == CM_OK) {
        status = cm_write_text("compare", "-", cm_compare_text(files, &result, false), error);
    }
    if (status == CM_OK && options->markdown != NULL) {
        status = cm_write_text("compare", options->markdown, cm_compare_text(files, &result, true),
                               error);
    }
    if (status == CM_OK && !isnan(options->limit)) {
        status = check_limit(&result, options->limit, error);
    }
    cm_comparisons_free(&result);
    return status;
}

static cm_status open_and_show(const compare_options *options, const char *const *paths,
                               int path_count, cm_error *error) {
    cm_results_file files[MAX_FILES] = {{0}};
    int count = 0;
    cm_status status = CM_OK;
    if (path_count < 2 || path_count > MAX_FILES) {
        status = cm_fail(error, CM_USAGE, "compare: %d files given; give 2 to %d", path_count,
                         MAX_FILES);
    }
    for (; status == CM_OK && count < path_count; ++count) {
        status = cm_results_file_open(paths[count], &files[count], error);
        cm_warn_of_skipped_rows(&files[count]);
    }
    if (status == CM_OK) {
        status = show_comparison(options, files, count, error);
    }
    for (int i = 0; i < count; ++i) {
        cm_results_file_close(&files[i]);
    }
    return status;
}

cm_status cm_compare_paths(const char *const *paths, int count, cm_error *error) {
    const compare_options options = {.compare = cm_compare_options_default(), .limit = NAN};
    return open_and_show(&options, paths, count, error);
}

cm_status cm_command_compare(const cm_command *command, int argc, const char **argv,
                             cm_error *error) {
    compare_options options = {.compare = cm_compare_options_default(), .limit = NAN};
    const cm_option_group groups[] = {{option_table, &options}};
    cm_arguments arguments;
    cm_status status =
        cm_arguments_parse(&command->usage, argc, argv, groups, 1, CM_ANY_WORDS, &arguments, error);
    if (status == CM_OK && !arguments.help) {
        const char *inputs[MAX_FILES + 1] = {NULL};
        for (int i = 0; i < arguments.count && i < MAX_FILES; ++i) {
            inputs[i] = arguments.words[i];
        }
        status = cm_check_output("compare", "markdown", options.markdown, inputs, error);
        if (status == CM_OK) {
            status = open_and_show(&options, arguments.words, arguments.count, error);
        }
    }
    cm_arguments_free(&arguments);
    return status;
}
