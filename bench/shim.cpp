#include "bench/shim.h"

#include <benchmark/benchmark.h>

struct bench_state {
    benchmark::State &state;
};

void bench_initialize(int *argc, char **argv) {
    benchmark::Initialize(argc, argv);
}

void bench_context(const char *key, const char *value) {
    benchmark::AddCustomContext(key, value);
}

void bench_register(const char *name, bench_function *function, void *context) {
    benchmark::RegisterBenchmark(name, [function, context](benchmark::State &state) {
        bench_state wrapped{state};
        function(&wrapped, context);
    })->UseRealTime();
}

int bench_run(void) {
    return static_cast<int>(benchmark::RunSpecifiedBenchmarks());
}

void bench_shutdown(void) {
    benchmark::Shutdown();
}

bool bench_keep_running(bench_state *state) {
    return state->state.KeepRunning();
}

void bench_rate(bench_state *state, const char *name, double amount) {
    state->state.counters[name] =
        benchmark::Counter(amount, benchmark::Counter::kIsIterationInvariantRate);
}

void bench_value(bench_state *state, const char *name, double value) {
    state->state.counters[name] = benchmark::Counter(value);
}

void bench_skip(bench_state *state, const char *message) {
    state->state.SkipWithError(message);
}
