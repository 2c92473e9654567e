#include "bench/options.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/name_suggestion.h"

/* ---- Values ---- */

static cm_status take_shapes(char *text, void *values, cm_error *error) {
    bench_options *options = values;
    if (options->list_count == BENCH_MAX_LISTS) {
        return cm_fail(error, CM_USAGE, "is given more than %d times; join the files",
                       (int)BENCH_MAX_LISTS);
    }
    options->lists[options->list_count++] = text;
    return CM_OK;
}

static cm_status take_steps(char *text, void *values, cm_error *error) {
    bench_options *options = values;
    const char *items[BENCH_MAX_STEPS];
    int count = 0, variant_count;
    const cm_variant *variants = cm_variants(&variant_count);
    options->step_count = 0;
    if (strcmp(text, "all") == 0) {
        for (int i = 0; i < variant_count && i < BENCH_MAX_STEPS; ++i) {
            options->steps[options->step_count++] = &variants[i];
        }
        return CM_OK;
    }
    const cm_status status = cm_parse_list(text, items, BENCH_MAX_STEPS, &count, error);
    for (int i = 0; status == CM_OK && i < count; ++i) {
        const cm_variant *variant = cm_variant_find(items[i]);
        if (variant == NULL) {
            return cm_fail(error, CM_USAGE,
                           "'%s' is not a variant; give 'all' or names that 'convmark variants' "
                           "lists",
                           items[i]);
        }
        options->steps[options->step_count++] = variant;
    }
    return status;
}

static void take_usable_isas(bench_options *options) {
    for (cm_isa isa = 0; isa < CM_ISA_COUNT; ++isa) {
        options->isas[isa] = cm_kernels_of(isa) != NULL;
    }
}

static cm_status take_isas(char *text, void *values, cm_error *error) {
    bench_options *options = values;
    const char *items[CM_ISA_COUNT];
    int count = 0;
    memset(options->isas, 0, sizeof options->isas);
    if (strcmp(text, "all") == 0) {
        take_usable_isas(options);
        return CM_OK;
    }
    const cm_status status = cm_parse_list(text, items, CM_ISA_COUNT, &count, error);
    for (int i = 0; status == CM_OK && i < count; ++i) {
        const cm_isa isa = cm_isa_from_name(items[i]);
        if (isa == CM_ISA_COUNT || cm_kernels_of(isa) == NULL) {
            return cm_fail(error, CM_USAGE, "'%s' %s; 'convmark info' lists those usable", items[i],
                           isa == CM_ISA_COUNT ? "is not an instruction set" : "cannot run here");
        }
        options->isas[isa] = true;
    }
    return status;
}

static cm_status take_teams(char *text, void *values, cm_error *error) {
    bench_options *options = values;
    const cm_int_list list = {.values = options->teams,
                              .count = &options->team_count,
                              .limit = BENCH_MAX_TEAMS,
                              .minimum = 1,
                              .maximum = BENCH_MAX_THREADS};
    const cm_status status = cm_parse_int_list(text, &list, error);
#ifndef _OPENMP
    for (int i = 0; status == CM_OK && i < options->team_count; ++i) {
        if (options->teams[i] > 1) {
            return cm_fail(error, CM_USAGE, "%d: this build has no OpenMP; use 1",
                           options->teams[i]);
        }
    }
#endif
    return status;
}

static cm_status take_caches(char *text, void *values, cm_error *error) {
    enum { WARM, COLD, BOTH };
    static const char *const names[] = {"warm", "cold", "both"};
    bench_options *options = values;
    int choice = WARM;
    const cm_status status =
        cm_parse_choice(text, "a state of the caches", names, BOTH + 1, &choice, error);
    options->warm = choice != COLD;
    options->cold = choice != WARM;
    return status;
}

/* ---- Tables ---- */

static const cm_usage usage = {
    .program = "convmark-bench",
    .arguments = "",
    .summary = "Measure kernels on shapes, and whole steps of the report's variants, with Google\n"
               "Benchmark. Each result is checked first. Without --shapes and --steps: the list\n"
               "'small' and the steps of bn-3, in a minute or two."};

static const cm_option table[] = {
    {.name = "shapes",
     .kind = CM_OPTION_PARSED,
     .argument = "FILE",
     .help = "Measure the shapes of this file or list; repeatable",
     .parse = take_shapes},
    {.name = "steps",
     .kind = CM_OPTION_PARSED,
     .argument = "LIST",
     .help = "Measure whole steps of these variants, or of 'all'",
     .parse = take_steps},
    {.name = "isa",
     .kind = CM_OPTION_PARSED,
     .argument = "LIST",
     .help = "Use these instruction sets, or 'all' (default: fastest)",
     .parse = take_isas},
    {.name = "threads",
     .kind = CM_OPTION_PARSED,
     .argument = "LIST",
     .help = "Use these numbers of threads (default: 1 and all cores)",
     .parse = take_teams},
    {.name = "caches",
     .kind = CM_OPTION_PARSED,
     .argument = "STATE",
     .help = "Measure warm caches, cold ones, or both (default: warm)",
     .parse = take_caches},
    {.name = "version",
     .kind = CM_OPTION_TRUE,
     .offset = offsetof(bench_options, version),
     .help = "Print the version and exit"},
    {.name = NULL}};

/* Google Benchmark parses them: for the help and for suggestions. */
static const char *const others[] = {"--benchmark_list_tests",
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

enum { OTHER_COUNT = sizeof others / sizeof *others };

static void print_other_options(void) {
    printf("\nOptions of Google Benchmark (see its user guide):\n");
    for (int i = 0; i < OTHER_COUNT; ++i) {
        printf("  %s\n", others[i]);
    }
    printf("\ndocs/guide/bench.md explains the names and what is counted.\n"
           "Exit codes: 0 success, 1 failed (a wrong result too), 2 wrong usage, 3 bad input "
           "file.\n");
}

/* ---- Arguments ---- */

/* What follows "NAME=" in an argument; "" for NAME alone; NULL: another option. */
static const char *option_value(const char *argument, const char *name) {
    const size_t length = strlen(name);
    if (strncmp(argument, name, length) != 0 ||
        (argument[length] != '\0' && argument[length] != '=')) {
        return NULL;
    }
    return argument + length + (argument[length] == '=');
}

/* Notes what Google Benchmark will make of one of its own options. */
static void note_other(const char *argument, bench_options *options) {
    const char *value;
    if ((value = option_value(argument, "--benchmark_list_tests")) != NULL) {
        options->list_tests = strcmp(value, "false") != 0;
    } else if ((value = option_value(argument, "--benchmark_filter")) != NULL) {
        options->filter = value;
    } else if ((value = option_value(argument, "--benchmark_min_time")) != NULL) {
        options->min_time = strtod(value, NULL);
    } else if ((value = option_value(argument, "--benchmark_repetitions")) != NULL) {
        options->repetitions = (int)strtol(value, NULL, 10);
    }
}

/* Leaves Google Benchmark's options in argv, and ours in `own`. */
static int split_arguments(int *argc, char **argv, const char **own, bench_options *options) {
    int left = 1, count = 1;
    own[0] = argv[0];
    for (int i = 1; i < *argc; ++i) {
        if (strncmp(argv[i], "--benchmark_", 12) == 0) {
            note_other(argv[i], options);
            argv[left++] = argv[i];
        } else {
            own[count++] = argv[i];
        }
    }
    own[count] = NULL;
    argv[left] = NULL;
    *argc = left;
    return count;
}

/* What is measured if nothing was named. */
static void fill_in_defaults(bench_options *options) {
    if (options->list_count == 0 && options->step_count == 0) {
        options->lists[options->list_count++] = "small";
        options->steps[options->step_count++] = cm_variant_find("bn-3");
    }
}

cm_status bench_options_parse(int *argc, char **argv, bench_options *options, cm_error *error) {
    *options = (bench_options){.warm = true, .min_time = 0.5, .repetitions = 1};
    options->isas[cm_isa_resolve(CM_ISA_BEST)] = true;
    const char **own = calloc((size_t)*argc + 1, sizeof *own);
    if (own == NULL) {
        return cm_fail(error, CM_FAILED, "out of memory; close other programs");
    }
    const int count = split_arguments(argc, argv, own, options);
    const cm_option_group group = {table, options};
    const cm_status status =
        cm_arguments_parse(&usage, count, own, &group, 1, 0, &options->arguments, error);
    free(own); /* popt has copied it */
    options->help = options->arguments.help;
    if (status == CM_OK && options->help) {
        print_other_options();
    }
    fill_in_defaults(options);
    return status;
}

void bench_options_free(bench_options *options) {
    cm_arguments_free(&options->arguments);
}

cm_status bench_options_unknown(const char *argument, cm_error *error) {
    char word[64];
    snprintf(word, sizeof word, "%.*s", (int)strcspn(argument, "="), argument);
    const char *nearest = cm_suggest_name(word, others, OTHER_COUNT);
    return cm_fail(error, CM_USAGE, "unknown option '%s'; %s%s%s", argument,
                   nearest != NULL ? "did you mean " : "'convmark-bench --help' lists the options",
                   nearest != NULL ? nearest : "", nearest != NULL ? "?" : "");
}

void bench_options_default_teams(bench_options *options, int all) {
    options->teams[options->team_count++] = 1;
    if (all > 1) {
        options->teams[options->team_count++] = all;
    }
}
