#include "bench/measure.h"

#include <regex.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench/shim.h"
#include "bench/steps.h"
#include "core/system/threads.h"
#include "harness/measure/capability.h"

/* One name that Google Benchmark knows. */
typedef struct entry {
    bench_job *job;   /* a kernel, or */
    bench_step *step; /* a whole step */
    cm_isa isa;
    int threads;
    bool cold;
    bool checked, wrong;
    char *name;
} entry;

/* Google Benchmark calls a function with no more than one pointer, and several times for each
 * figure, so what was made for an entry is kept until another one is measured. */
static struct {
    const cm_topology *topology;
    entry *entries;
    int count;
    bench_step *steps;
    bool failed;
    int team; /* threads are pinned for this size */
    const entry *ready;
    bench_arrays arrays;
    bench_stepper stepper;
    int next; /* copy of the arrays */
    int capability_count;
    struct measured {
        cm_isa isa;
        cm_capability capability;
    } * capabilities;
} all;

static void release(void) {
    bench_arrays_free(&all.arrays);
    bench_stepper_free(&all.stepper);
    all.ready = NULL;
}

static cm_status prepare_team(int threads, cm_error *error) {
    if (all.team == threads) {
        return CM_OK;
    }
    cm_error warning;
    bool pinned;
    const bool pin = threads <= all.topology->usable_pus;
    const cm_status status = cm_threads_start(threads, pin, all.topology, &pinned, &warning, error);
    if (status == CM_OK && warning.message[0] != '\0') {
        fprintf(stderr, "convmark-bench: warning: %s\n", warning.message);
    }
    all.team = status == CM_OK ? threads : 0;
    return status;
}

/* Of this instruction set and team, measured when it is first wanted; NULL: no memory. */
static const cm_capability *capability_of(cm_isa isa, int threads) {
    for (int i = 0; i < all.capability_count; ++i) {
        const struct measured *m = &all.capabilities[i];
        if (m->isa == isa && m->capability.threads == threads) {
            return &m->capability;
        }
    }
    struct measured *list =
        realloc(all.capabilities, ((size_t)all.capability_count + 1) * sizeof *list);
    if (list == NULL) {
        return NULL;
    }
    all.capabilities = list;
    struct measured *m = &list[all.capability_count];
    m->isa = isa;
    if (cm_capability_measure(all.topology, threads, isa, &m->capability, NULL) != CM_OK) {
        return NULL;
    }
    ++all.capability_count;
    return &m->capability;
}

/* Twice the size of the team's last-level caches: that many bytes are read before a copy of the
 * operands is used again. */
static size_t more_than_caches(int threads) {
    size_t most = (size_t)32 << 20;
    for (int i = 0; i < all.topology->cache_count; ++i) {
        const cm_cache *cache = &all.topology->caches[i];
        const int used = cache->count < threads ? cache->count : threads;
        const size_t size = cache->size * (size_t)(used > 0 ? used : 1);
        most = size > most ? size : most;
    }
    return 2 * most;
}

static cm_status make_ready(entry *e, cm_error *error) {
    cm_status status = prepare_team(e->threads, error);
    if (status == CM_OK && !e->checked) {
        release();
        status = e->job != NULL ? bench_job_check(e->job, cm_kernels_of(CM_ISA_SCALAR),
                                                  cm_kernels_of(e->isa), e->threads, error)
                                : bench_step_check(e->step, e->isa, e->threads, error);
        e->checked = true;
        e->wrong = status != CM_OK;
    }
    if (status != CM_OK || all.ready == e) {
        return status;
    }
    release();
    if (e->job != NULL) {
        status = bench_arrays_create(e->job, e->threads, e->cold ? more_than_caches(e->threads) : 0,
                                     &all.arrays, error);
        if (status == CM_OK) {
            bench_job_prepare(e->job, cm_kernels_of(e->isa), e->threads, &all.arrays);
        }
        all.next = 0;
    } else {
        status = bench_stepper_create(e->step, e->isa, e->threads, &all.stepper, error);
        for (int i = 0; status == CM_OK && i < 2; ++i) {
            bench_stepper_run(e->step, &all.stepper);
        }
    }
    all.ready = status == CM_OK ? e : NULL;
    return status;
}

static void add_rates(bench_state *state, const bench_work *work) {
    const struct {
        const char *name;
        double amount;
    } rates[] = {{"images/s", work->images}, {"FLOP/s", work->flops}, {"bytes/s", work->bytes}};
    for (size_t i = 0; i < sizeof rates / sizeof *rates; ++i) {
        if (rates[i].amount > 0) {
            bench_rate(state, rates[i].name, rates[i].amount);
        }
    }
}

/* Percent of what the machine can do, and what that is. */
static void add_percents(bench_state *state, const entry *e, const bench_work *work,
                         const cm_capability *can) {
    if (work->flops > 0) {
        const double peak = can->flops[e->isa];
        bench_rate(state, "fma_peak%", 100.0 * work->flops / peak);
        bench_value(state, "fma_peak_FLOP/s", peak);
    }
    if (work->bytes > 0) {
        const double memory = can->levels[can->level_count - 1].bytes_per_second;
        bench_rate(state, "dram%", 100.0 * work->bytes / memory);
        bench_value(state, "dram_bytes/s", memory);
    }
}

static void iterate(bench_state *state, const entry *e) {
    const cm_kernels *kernels = cm_kernels_of(e->isa);
    while (bench_keep_running(state)) {
        if (e->step != NULL) {
            bench_stepper_run(e->step, &all.stepper);
        } else {
            bench_job_run(e->job, kernels, e->threads, &all.arrays, all.next);
            all.next = all.next + 1 < all.arrays.count ? all.next + 1 : 0;
        }
    }
}

static void measure_job(bench_state *state, void *context) {
    entry *e = context;
    cm_error error = {"the result was wrong"};
    if (e->wrong || make_ready(e, &error) != CM_OK) {
        all.failed = true;
        bench_skip(state, error.message);
        return;
    }
    const bench_work work =
        e->job != NULL
            ? bench_job_work(e->job, &all.arrays)
            : (bench_work){BENCH_STEP_BATCH, bench_stepper_flops(e->step, &all.stepper), 0};
    const cm_capability *can = capability_of(e->isa, e->threads);
    iterate(state, e);
    add_rates(state, &work);
    if (can != NULL) {
        add_percents(state, e, &work, can);
    }
}

/* ---- Names ---- */

static void add_entry(const char *name, entry e) {
    char full[BENCH_NAME_SIZE + 64];
    entry *to = &all.entries[all.count++];
    *to = e;
    snprintf(full, sizeof full, "%s/%s%s/threads:%d", name, cm_isa_name(e.isa),
             e.step != NULL ? ""
             : e.cold       ? "/cold"
                            : "/warm",
             e.threads);
    to->name = strdup(full);
    bench_register(full, measure_job, to);
}

/* All that the options ask for of a job or a step. */
static void add_entries(const bench_options *options, const char *name, bench_job *job,
                        bench_step *step) {
    for (cm_isa isa = 0; isa < CM_ISA_COUNT; ++isa) {
        for (int team = 0; options->isas[isa] && team < options->team_count; ++team) {
            const int threads = options->teams[team];
            if (step != NULL || options->warm) {
                add_entry(name, (entry){job, step, isa, threads, .cold = false});
            }
            if (step == NULL && options->cold) {
                add_entry(name, (entry){job, step, isa, threads, .cold = true});
            }
        }
    }
}

cm_status bench_measure_register(const bench_options *options, const cm_topology *topology,
                                 bench_jobs *jobs, cm_error *error) {
    const int step_count = options->step_count * CM_MODE_COUNT;
    const size_t things = (size_t)jobs->count + (size_t)step_count;
    all.topology = topology;
    all.entries =
        calloc(things * CM_ISA_COUNT * (size_t)options->team_count * 2 + 1, sizeof *all.entries);
    all.steps = calloc((size_t)step_count + 1, sizeof *all.steps);
    if (all.entries == NULL || all.steps == NULL) {
        return cm_fail(error, CM_FAILED, "out of memory; give fewer shapes");
    }
    for (int i = 0; i < jobs->count; ++i) {
        add_entries(options, jobs->items[i].name, &jobs->items[i], NULL);
    }
    for (int i = 0; i < step_count; ++i) {
        char name[BENCH_NAME_SIZE];
        bench_step *step = &all.steps[i];
        step->variant = options->steps[i / CM_MODE_COUNT];
        step->mode = (cm_mode)(i % CM_MODE_COUNT);
        snprintf(name, sizeof name, "%s/%s/n%d", cm_mode_name(step->mode), step->variant->id,
                 (int)BENCH_STEP_BATCH);
        add_entries(options, name, NULL, step);
    }
    return CM_OK;
}

/* ---- How long it will take ---- */

/* Whether the filter of Google Benchmark selects a name: an extended regular expression that occurs
 * in it, or with a '-' before it does not. */
static bool selects(const regex_t *pattern, bool negative, const char *name) {
    char full[BENCH_NAME_SIZE + 80];
    snprintf(full, sizeof full, "%s/real_time", name);
    return (regexec(pattern, full, 0, NULL, 0) == 0) != negative;
}

/* Floating-point operations of the scalar kernels that compute the reference of an entry. */
static double reference_flops(const entry *e) {
    if (e->step != NULL) {
        return 1.2e9; /* a training step of bn-3, by bench_stepper_flops() */
    }
    const cm_conv2d_shape *s = &e->job->shape.conv;
    return 2.0 * s->batch * s->out_height * s->out_width * s->out_channels * s->in_channels *
           s->kernel_h * s->kernel_w;
}

int bench_measure_estimate(const bench_options *options, double *seconds) {
    /* Google Benchmark runs a benchmark with growing counts of iterations until one takes the
     * least time: about 1.6 times that for all of them. */
    enum { SCALAR_FLOPS = 400000000 };
    const double runs = 1.6 * options->min_time * options->repetitions, setup = 0.05;
    const char *filter = options->filter != NULL ? options->filter : getenv("BENCHMARK_FILTER");
    filter = filter == NULL || strcmp(filter, "all") == 0 ? "" : filter;
    const bool negative = filter[0] == '-';
    regex_t pattern;
    if (regcomp(&pattern, filter[negative] == '\0' ? "." : filter + negative,
                REG_EXTENDED | REG_NOSUB) != 0) {
        return 0;
    }
    int count = 0;
    const void *reference = NULL;
    *seconds = 0;
    for (int i = 0; i < all.count; ++i) {
        const entry *e = &all.entries[i];
        if (e->name != NULL && selects(&pattern, negative, e->name)) {
            const void *thing = e->step != NULL ? (const void *)e->step : (const void *)e->job;
            *seconds += runs + setup;
            *seconds += thing != reference ? reference_flops(e) / SCALAR_FLOPS : 0;
            reference = thing;
            ++count;
        }
    }
    regfree(&pattern);
    return count;
}

bool bench_measure_end(void) {
    release();
    for (int i = 0; i < all.count; ++i) {
        free(all.entries[i].name);
    }
    all.count = 0;
    free(all.entries);
    free(all.steps);
    free(all.capabilities);
    all.entries = NULL;
    all.steps = NULL;
    all.capabilities = NULL;
    return !all.failed;
}
