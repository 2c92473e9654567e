/* convmark compare: files of measurements side by side. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "cli/cli.h"
#include "core/files/atomic_file.h"
#include "harness/compare/compare.h"

enum { MAX_FILES = 16 };

typedef struct compare_options {
    cm_compare_options compare;
    const char *fail_if_slower; /* "5%" */
    const char *markdown;
} compare_options;

#define MEMBER(name) offsetof(compare_options, name)
static const cm_option option_table[] = {
    {"threshold", CM_OPTION_DOUBLE, MEMBER(compare.threshold), "X",
     "a difference up to this share counts as none (default: 0.05)", 0, 10},
    {"metric", CM_OPTION_STRING, MEMBER(compare.metric), "NAME", "only this metric", 0, 0},
    {"filter", CM_OPTION_STRING, MEMBER(compare.filter), "TEXT",
     "only measurements with this text in their name", 0, 0},
    {"fail-if-slower", CM_OPTION_STRING, MEMBER(fail_if_slower), "N%",
     "exit code 1 where something is slower by more than that, beyond doubt", 0, 0},
    {"force", CM_OPTION_TRUE, MEMBER(compare.force), NULL,
     "compare files of different machines, builds or data sets", 0, 0},
    {"markdown", CM_OPTION_STRING, MEMBER(markdown), "FILE", "write the table as Markdown", 0, 0},
    {0}};
#undef MEMBER

/* "5%" or "5" as 0.05. */
static cm_status read_limit(const char *text, double *limit, cm_error *error) {
    char number[32] = "";
    const size_t length = strcspn(text, "%");
    if (length < sizeof number && (text[length] == '\0' || text[length + 1] == '\0')) {
        memcpy(number, text, length);
    }
    if (!cm_parse_double(number, limit) || !(*limit >= 0.0 && *limit < 100.0)) {
        return cm_fail(error, CM_USAGE,
                       "--fail-if-slower '%s' is no percentage; give 0%% to 99%%, such as 5%%",
                       text);
    }
    *limit /= 100.0;
    return CM_OK;
}

/* The first measurement that is slower than `limit`, with its whole interval. */
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

static cm_status write_text(const char *path, char *text, cm_error *error) {
    const cm_status status = text == NULL ? cm_fail(error, CM_FAILED, "compare: out of memory")
                                          : cm_file_write(path, text, strlen(text), error);
    free(text);
    return status;
}

static cm_status show(const compare_options *options, const cm_results_file *files, int count,
                      cm_error *error) {
    cm_comparisons result;
    double limit = NAN;
    cm_status status = CM_OK;
    if (options->fail_if_slower != NULL) {
        status = read_limit(options->fail_if_slower, &limit, error);
    }
    if (status != CM_OK) {
        return status;
    }
    status = cm_compare(&options->compare, files, count, &result, error);
    char *text = status == CM_OK ? cm_compare_text(files, count, &result, false) : NULL;
    if (text != NULL) {
        fputs(text, stdout);
    }
    free(text);
    if (status == CM_OK && options->markdown != NULL) {
        status = write_text(options->markdown, cm_compare_text(files, count, &result, true), error);
    }
    if (status == CM_OK && !isnan(limit)) {
        status = check_limit(&result, limit, error);
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
        status = cm_fail(error, CM_USAGE, "compare: %d files; give 2 to %d", path_count, MAX_FILES);
    }
    for (; status == CM_OK && count < path_count; ++count) {
        status = cm_results_file_open(paths[count], &files[count], error);
    }
    if (status == CM_OK) {
        status = show(options, files, count, error);
    }
    for (int i = 0; i < count; ++i) {
        cm_results_file_close(&files[i]);
    }
    return status;
}

cm_status cm_compare_paths(const char *const *paths, int count, cm_error *error) {
    const compare_options options = {.compare = cm_compare_options_default()};
    return open_and_show(&options, paths, count, error);
}

cm_status cm_command_compare(const cm_command *command, int argc, const char **argv,
                             cm_error *error) {
    compare_options options = {.compare = cm_compare_options_default()};
    const cm_option_group groups[] = {{option_table, &options}};
    cm_arguments arguments;
    cm_status status =
        cm_arguments_parse(command, argc, argv, groups, 1, CM_ANY_WORDS, &arguments, error);
    if (status == CM_OK && !arguments.help) {
        status = cm_check_output("markdown", options.markdown, true, error);
        if (status == CM_OK) {
            status = open_and_show(&options, arguments.words, arguments.count, error);
        }
    }
    cm_arguments_free(&arguments);
    return status;
}
