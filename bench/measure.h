/**
 * Registers benchmarks and measures them, with Google Benchmark.
 */
#ifndef CM_BENCH_MEASURE_H
#define CM_BENCH_MEASURE_H

#include <stdbool.h>

#include "bench/jobs.h"
#include "bench/options.h"
#include "core/system/topology.h"

/** Registers all jobs, and the options' steps, with the options' instruction sets, teams and
 * caches. All arguments must stay until bench_measure_end(). */
cm_status bench_measure_register(const bench_options *options, const cm_topology *topology,
                                 bench_jobs *jobs, cm_error *error);

/** How many of the registered benchmarks the options' filter selects, and about how many seconds
 * they and their checks take. 0: none, or the filter is not a regular expression. */
int bench_measure_estimate(const bench_options *options, double *seconds);

/** True when no benchmark failed. Frees everything. */
bool bench_measure_end(void);

#endif
