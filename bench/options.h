/**
 * convmark-bench's own options. Those of Google Benchmark are its own matter.
 */
#ifndef CM_BENCH_OPTIONS_H
#define CM_BENCH_OPTIONS_H

#include <stdbool.h>

#include "convmark/kernels.h"
#include "convmark/status.h"

enum { BENCH_MAX_LISTS = 32, BENCH_MAX_TEAMS = 32, BENCH_MAX_THREADS = 1024 };

typedef struct bench_options {
    int list_count; /* of --shapes */
    const char *lists[BENCH_MAX_LISTS];
    bool isas[CM_ISA_COUNT];
    int team_count; /* 0: 1, 2, 4 ... all usable cores */
    int teams[BENCH_MAX_TEAMS];
    bool warm, cold;
    bool help, version;
    bool list_tests; /* Google Benchmark's: nothing will be measured */
} bench_options;

/** Takes our options out of the arguments; the rest stays, in order. CM_USAGE, with one line, for a
 * wrong value. */
cm_status bench_options_parse(int *argc, char **argv, bench_options *options, cm_error *error);

/** CM_USAGE for an argument that nobody took, with the nearest name. */
cm_status bench_options_unknown(const char *argument, cm_error *error);

/** Fills in the teams 1, 2, 4 ... `all`. */
void bench_options_default_teams(bench_options *options, int all);

void bench_options_help(void);

#endif
