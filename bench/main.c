/* convmark-bench: kernels and whole steps as Google Benchmark's benchmarks. */
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "bench/measure.h"
#include "bench/shim.h"
#include "convmark/convmark.h"
#include "core/system/threads.h"
#include "harness/measure/conditions.h"
#include "harness/record/machine.h"

/* share/convmark/shapes of the tree that this program is in, installed or built. */
static const char *shapes_folder(char *path, size_t size) {
    const char *const place = "../share/convmark/shapes";
    const ssize_t length = readlink("/proc/self/exe", path, size - 1);
    path[length > 0 ? length : 0] = '\0';
    char *slash = strrchr(path, '/');
    const size_t used = slash == NULL ? 0 : (size_t)(slash + 1 - path);
    snprintf(path + used, size - used, "%s", place);
    return path;
}

static cm_status load_shapes(const bench_options *options, bench_shapes *shapes, cm_error *error) {
    char path[PATH_MAX];
    const char *const folders[] = {shapes_folder(path, sizeof path), NULL};
    cm_status status = CM_OK;
    for (int i = 0; status == CM_OK && i < options->list_count; ++i) {
        status = bench_shapes_open(options->lists[i], folders, shapes, error);
    }
    return status;
}

/* What results say of the machine and the build. */
static void add_context(const cm_topology *topology) {
    json_t *machine = NULL;
    bench_context("cpu", topology->cpu_model);
    bench_context("convmark_version", CM_VERSION);
    if (cm_machine_json(topology, &machine, NULL) == CM_OK) {
        static const char *const keys[] = {"commit", "compiler", "flags", "type"};
        const json_t *build = json_object_get(machine, "build");
        for (size_t i = 0; i < sizeof keys / sizeof *keys; ++i) {
            const char *value = json_string_value(json_object_get(build, keys[i]));
            char key[32];
            snprintf(key, sizeof key, "convmark_%s", keys[i]);
            bench_context(key, value != NULL ? value : "unknown");
        }
        json_decref(machine);
    }
}

static void warn_of_conditions(const bench_options *options, const cm_topology *topology) {
    cm_condition found[CM_MAX_CONDITIONS];
    const int count = options->list_tests ? 0 : cm_conditions_find("", topology, found);
    for (int i = 0; i < count; ++i) {
        fprintf(stderr, "convmark-bench: warning: %s\n", found[i].message);
    }
    for (int i = 0; !options->list_tests && i < options->team_count; ++i) {
        if (options->teams[i] > topology->usable_cores) {
            fprintf(stderr,
                    "convmark-bench: warning: %d threads are more than the %d cores this process "
                    "may use; they will be slower\n",
                    options->teams[i], topology->usable_cores);
        }
    }
}

/* How long it will take, before Google Benchmark's first row, which is long in coming. */
static void announce(const bench_options *options) {
    double seconds = 0;
    const int count = options->list_tests ? 0 : bench_measure_estimate(options, &seconds);
    if (count > 0) {
        fprintf(stderr, "convmark-bench: %d %s, about %.0f %s\n", count,
                count == 1 ? "benchmark" : "benchmarks", seconds < 100 ? seconds : seconds / 60,
                seconds < 100 ? "seconds" : "minutes");
    }
}

static cm_status measure_all(bench_options *options, const cm_topology *topology, cm_error *error) {
    bench_shapes shapes = {0};
    bench_jobs jobs = {0};
    if (options->team_count == 0) {
        bench_options_default_teams(options, topology->default_threads);
    }
    cm_status status = load_shapes(options, &shapes, error);
    if (status == CM_OK) {
        status = bench_jobs_create(&shapes, &jobs, error);
    }
    if (status == CM_OK) {
        status = bench_measure_register(options, topology, &jobs, error);
    }
    if (status == CM_OK) {
        warn_of_conditions(options, topology);
        announce(options);
        add_context(topology);
        if (bench_run() == 0) {
            status = cm_fail(error, CM_FAILED,
                             "no benchmark was run; --benchmark_list_tests lists their names");
        }
    }
    if (!bench_measure_end() && status == CM_OK) {
        status = cm_fail(error, CM_FAILED, "benchmarks failed: see their errors in the results");
    }
    bench_shutdown();
    bench_jobs_free(&jobs);
    bench_shapes_free(&shapes);
    return status;
}

static cm_status run_selected(int argc, char **argv, bench_options *options, cm_error *error) {
    bench_initialize(&argc, argv);
    if (argc > 1) {
        return bench_options_unknown(argv[1], error);
    }
    cm_topology *topology = NULL;
    cm_threads_unbind();
    cm_status status = cm_topology_load(&topology, error);
    if (status == CM_OK) {
        status = cm_topology_check_own(topology, error);
    }
    if (status == CM_OK) {
        status = measure_all(options, topology, error);
    }
    cm_topology_free(topology);
    return status;
}

static cm_status run_benchmarks(int argc, char **argv, cm_error *error) {
    bench_options options;
    cm_status status = bench_options_parse(&argc, argv, &options, error);
    if (status == CM_OK && options.version && !options.help) {
        printf("convmark-bench %s\n", CM_VERSION);
    } else if (status == CM_OK && !options.help) {
        status = run_selected(argc, argv, &options, error);
    }
    bench_options_free(&options);
    return status;
}

int main(int argc, char **argv) {
    /* The teams' sizes are options. LLVM's runtime aborts the process if this is empty or huge. */
    unsetenv("OMP_NUM_THREADS");
    cm_error error = {""};
    cm_status status = cm_stack_check(&error);
    if (status == CM_OK) {
        status = run_benchmarks(argc, argv, &error);
    }
    if (fflush(stdout) != 0 && status == CM_OK) {
        status = cm_fail(&error, CM_FAILED, "cannot write to standard output; it is incomplete");
    }
    if (status != CM_OK) {
        fprintf(stderr, "convmark-bench: %s\n", error.message);
    }
    return (int)status;
}
