/**
 * Registers benchmarks and measures them, with Google Benchmark.
 */
#ifndef CM_BENCH_MEASURE_H
#define CM_BENCH_MEASURE_H

#include <stdbool.h>

#include "bench/jobs.h"
#include "bench/options.h"
#include "core/system/topology.h"

/** Registers all jobs and all steps of variants with the options' instruction sets, teams and
 * caches. All arguments must stay until bench_measure_end(). */
cm_status bench_measure_register(const bench_options *options, const cm_topology *topology,
                                 bench_jobs *jobs, cm_error *error);

/** True when no benchmark failed. Frees everything. */
bool bench_measure_end(void);

#endif
