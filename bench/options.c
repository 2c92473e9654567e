#include "bench/options.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/name_suggestion.h"

enum { MAX_ITEM = 16 };

/* Calls `take` for each of the items between commas. */
static cm_status each_item(const char *option, const char *list,
                           cm_status (*take)(const char *item, bench_options *options,
                                             cm_error *error),
                           bench_options *options, cm_error *error) {
    for (const char *at = list;;) {
        const size_t length = strcspn(at, ",");
        if (length == 0 || length >= MAX_ITEM) {
            return cm_fail(error, CM_USAGE,
                           "%s: '%s' has an empty item, or a long one; give items with single "
                           "commas",
                           option, list);
        }
        char item[MAX_ITEM];
        memcpy(item, at, length);
        item[length] = '\0';
        const cm_status status = take(item, options, error);
        if (status != CM_OK || at[length] == '\0') {
            return status;
        }
        at += length + 1;
    }
}

/* ---- One function an option ---- */

static cm_status take_shapes(const char *value, bench_options *options, cm_error *error) {
    if (options->list_count == BENCH_MAX_LISTS) {
        return cm_fail(error, CM_USAGE, "--shapes more than %d times; join the files",
                       (int)BENCH_MAX_LISTS);
    }
    options->lists[options->list_count++] = value;
    return CM_OK;
}

static cm_status take_isa(const char *item, bench_options *options, cm_error *error) {
    const cm_isa isa = cm_isa_from_name(item);
    if (isa == CM_ISA_COUNT || cm_kernels_of(isa) == NULL) {
        return cm_fail(error, CM_USAGE, "--isa: '%s' %s; 'convmark info' lists those usable", item,
                       isa == CM_ISA_COUNT ? "is not an instruction set" : "cannot run here");
    }
    options->isas[isa] = true;
    return CM_OK;
}

static cm_status take_isas(const char *value, bench_options *options, cm_error *error) {
    memset(options->isas, 0, sizeof options->isas);
    return each_item("--isa", value, take_isa, options, error);
}

static cm_status take_team(const char *item, bench_options *options, cm_error *error) {
    char *end;
    const long threads = strtol(item, &end, 10);
    if (item[0] < '0' || item[0] > '9' || *end != '\0' || threads < 1 ||
        threads > BENCH_MAX_THREADS) {
        return cm_fail(error, CM_USAGE, "--threads: '%s' is not a whole number from 1 to %d", item,
                       (int)BENCH_MAX_THREADS);
    }
#ifndef _OPENMP
    if (threads > 1) {
        return cm_fail(error, CM_USAGE, "--threads %ld: this build has no OpenMP; use 1", threads);
    }
#endif
    for (int i = 0; i < options->team_count; ++i) {
        if (options->teams[i] == threads) {
            return CM_OK;
        }
    }
    if (options->team_count == BENCH_MAX_TEAMS) {
        return cm_fail(error, CM_USAGE, "--threads: more than %d numbers; give fewer",
                       (int)BENCH_MAX_TEAMS);
    }
    options->teams[options->team_count++] = (int)threads;
    return CM_OK;
}

static cm_status take_teams(const char *value, bench_options *options, cm_error *error) {
    options->team_count = 0;
    return each_item("--threads", value, take_team, options, error);
}

static cm_status take_caches(const char *value, bench_options *options, cm_error *error) {
    const bool both = strcmp(value, "both") == 0;
    options->warm = both || strcmp(value, "warm") == 0;
    options->cold = both || strcmp(value, "cold") == 0;
    return options->warm || options->cold
               ? CM_OK
               : cm_fail(error, CM_USAGE,
                         "--caches: '%s' is not accepted; choose warm, cold or both", value);
}

static const struct option {
    const char *name, *value, *help;
    cm_status (*take)(const char *value, bench_options *options, cm_error *error);
} own[] = {
    {"--shapes", "FILE",
     "Measure the shapes of this file or list; may be repeated (default: report)", take_shapes},
    {"--isa", "LIST", "Measure these instruction sets (default: all usable)", take_isas},
    {"--threads", "LIST",
     "Measure with these numbers of threads (default: 1, 2, 4 ... all usable cores)", take_teams},
    {"--caches", "warm|cold|both",
     "Measure kernels with operands in the caches, or not (default: both)", take_caches},
};

/* For suggestions; Google Benchmark parses them. */
static const char *const others[] = {"--help",
                                     "--version",
                                     "--benchmark_list_tests",
                                     "--benchmark_filter",
                                     "--benchmark_min_time",
                                     "--benchmark_repetitions",
                                     "--benchmark_enable_random_interleaving",
                                     "--benchmark_report_aggregates_only",
                                     "--benchmark_display_aggregates_only",
                                     "--benchmark_format",
                                     "--benchmark_out",
                                     "--benchmark_out_format",
                                     "--benchmark_color",
                                     "--benchmark_counters_tabular",
                                     "--benchmark_perf_counters",
                                     "--benchmark_context",
                                     "--benchmark_time_unit"};

enum { OWN_COUNT = sizeof own / sizeof *own, OTHER_COUNT = sizeof others / sizeof *others };

/* The option that an argument names; *value is the text after its '=', or NULL. */
static const struct option *find(const char *argument, const char **value) {
    for (int i = 0; i < OWN_COUNT; ++i) {
        const size_t length = strlen(own[i].name);
        if (strncmp(argument, own[i].name, length) == 0 &&
            (argument[length] == '\0' || argument[length] == '=')) {
            *value = argument[length] == '=' ? argument + length + 1 : NULL;
            return &own[i];
        }
    }
    return NULL;
}

cm_status bench_options_parse(int *argc, char **argv, bench_options *options, cm_error *error) {
    *options = (bench_options){.warm = true, .cold = true};
    for (cm_isa isa = 0; isa < CM_ISA_COUNT; ++isa) {
        options->isas[isa] = cm_kernels_of(isa) != NULL;
    }
    int left = 1;
    for (int i = 1; i < *argc; ++i) {
        const char *value = NULL;
        const struct option *option = find(argv[i], &value);
        if (option == NULL) {
            options->help = options->help || strcmp(argv[i], "--help") == 0;
            options->version = options->version || strcmp(argv[i], "--version") == 0;
            options->list_tests =
                options->list_tests || (strncmp(argv[i], "--benchmark_list_tests", 22) == 0 &&
                                        strcmp(argv[i] + 22, "=false") != 0);
            argv[left++] = argv[i];
            continue;
        }
        if (value == NULL && ++i < *argc) {
            value = argv[i];
        }
        if (value == NULL || value[0] == '\0') {
            return cm_fail(error, CM_USAGE, "%s needs a value: %s", option->name, option->value);
        }
        const cm_status status = option->take(value, options, error);
        if (status != CM_OK) {
            return status;
        }
    }
    argv[left] = NULL;
    *argc = left;
    if (options->list_count == 0) {
        options->lists[options->list_count++] = "report";
    }
    return CM_OK;
}

cm_status bench_options_unknown(const char *argument, cm_error *error) {
    const char *names[OWN_COUNT + OTHER_COUNT];
    char word[64];
    for (int i = 0; i < OWN_COUNT + OTHER_COUNT; ++i) {
        names[i] = i < OWN_COUNT ? own[i].name : others[i - OWN_COUNT];
    }
    snprintf(word, sizeof word, "%.*s", (int)strcspn(argument, "="), argument);
    const char *kind = argument[0] == '-' ? "unknown option" : "unexpected argument";
    const char *nearest = cm_suggest_name(word, names, OWN_COUNT + OTHER_COUNT);
    return cm_fail(error, CM_USAGE, "%s '%s'; %s%s%s", kind, argument,
                   nearest != NULL ? "did you mean " : "'convmark-bench --help' lists the options",
                   nearest != NULL ? nearest : "", nearest != NULL ? "?" : "");
}

void bench_options_default_teams(bench_options *options, int all) {
    for (int threads = 1; threads < all && options->team_count < BENCH_MAX_TEAMS - 1;
         threads *= 2) {
        options->teams[options->team_count++] = threads;
    }
    options->teams[options->team_count++] = all;
}

void bench_options_help(void) {
    printf(
        "Usage: convmark-bench [OPTION]...\n\n"
        "Measure each kernel on each shape, instruction set and number of threads, and whole\n"
        "steps of the report's variants, with Google Benchmark. Each result is checked first.\n\n"
        "Options:\n");
    for (int i = 0; i < OWN_COUNT; ++i) {
        printf("  %s %s\n        %s\n", own[i].name, own[i].value, own[i].help);
    }
    printf("  --help, --version\n\nOptions of Google Benchmark (see its user guide):\n");
    for (int i = 2; i < OTHER_COUNT; ++i) {
        printf("  %s\n", others[i]);
    }
    printf("\ndocs/guide/bench.md explains the names and what is counted.\n"
           "Exit codes: 0 success, 1 failed (a wrong result too), 2 wrong usage, 3 bad input "
           "file.\n");
}
