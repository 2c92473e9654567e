/**
 * convmark-bench's own options. Those of Google Benchmark are its own matter.
 */
#ifndef CM_BENCH_OPTIONS_H
#define CM_BENCH_OPTIONS_H

#include <stdbool.h>

#include "cli/options/options.h"
#include "convmark/kernels.h"
#include "convmark/network.h"
#include "convmark/status.h"

enum { BENCH_MAX_LISTS = 32, BENCH_MAX_TEAMS = 32, BENCH_MAX_THREADS = 1024, BENCH_MAX_STEPS = 32 };

typedef struct bench_options {
    int list_count; /* of --shapes */
    const char *lists[BENCH_MAX_LISTS];
    int step_count; /* variants whose whole steps are measured */
    const cm_variant *steps[BENCH_MAX_STEPS];
    bool isas[CM_ISA_COUNT];
    int team_count; /* 0: 1 and all usable cores */
    int teams[BENCH_MAX_TEAMS];
    bool warm, cold;
    bool help, version;
    /* Google Benchmark's, which decide how much is measured. */
    bool list_tests; /* nothing will be measured */
    const char *filter;
    double min_time; /* seconds per repetition */
    int repetitions;
    cm_arguments arguments; /* owns the texts */
} bench_options;

/** Parses our options and takes them out of the arguments; Google Benchmark's stay, in order.
 * "--help" prints the help. CM_USAGE, with one line, for a wrong value and for a word that is no
 * option. Free with bench_options_free(), whatever the status. */
cm_status bench_options_parse(int *argc, char **argv, bench_options *options, cm_error *error);
void bench_options_free(bench_options *options);

/** CM_USAGE for one of Google Benchmark's options that it did not take, with the nearest name. */
cm_status bench_options_unknown(const char *argument, cm_error *error);

/** Fills in the teams 1 and `all`. */
void bench_options_default_teams(bench_options *options, int all);

#endif
