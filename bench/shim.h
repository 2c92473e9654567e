/**
 * Google Benchmark from C: the few calls that convmark-bench needs. shim.cpp is the only C++ file.
 */
#ifndef CM_BENCH_SHIM_H
#define CM_BENCH_SHIM_H

#include <stdbool.h>

#ifdef __cplusplus
extern "C" {
#endif

/** A run that is under way: benchmark::State. */
typedef struct bench_state bench_state;
typedef void bench_function(bench_state *state, void *context);

/** Takes the flags that Google Benchmark knows out of the arguments; wrong values of them end the
 * program. */
void bench_initialize(int *argc, char **argv);
/** A line of the context that results carry. */
void bench_context(const char *key, const char *value);
/** Registers a benchmark of wall time; `context` is passed to `function`, which is called several
 * times for each repetition. */
void bench_register(const char *name, bench_function *function, void *context);
/** Runs (or lists) what the filter selects; how many benchmarks that are. */
int bench_run(void);
void bench_shutdown(void);

/** for (; bench_keep_running(state);): one turn per iteration. */
bool bench_keep_running(bench_state *state);
/** `amount` of something each iteration, reported as a rate per second. */
void bench_rate(bench_state *state, const char *name, double amount);
/** A figure that is reported as it is. */
void bench_value(bench_state *state, const char *name, double value);
/** Ends the benchmark with an error, before its first iteration. */
void bench_skip(bench_state *state, const char *message);

#ifdef __cplusplus
}
#endif

#endif
