#include "harness/measure/capability.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "core/files/json.h"
#include "core/system/clock.h"

enum { REPETITIONS = 7, TARGET_NS = 5000000, HUGE_PAGE = 2 << 20, MAX_THREADS = 1024 };

/* One measurement: every thread does `rounds` of the work between two barriers. */
typedef struct probe_job {
    const cm_probes *probes;
    bool reads;
    float **buffers; /* [threads] */
    size_t floats;   /* of a buffer */
    size_t rounds;
    int64_t ns; /* from the first barrier to the last */
    float sink[MAX_THREADS];
} probe_job;

static void probe_body(const cm_team *team, void *context) {
    probe_job *job = context;
    float *buffer = job->reads ? job->buffers[team->index] : NULL;
    cm_team_barrier(team);
    const int64_t start = cm_clock_ns();
    float sum = 0.0F;
    if (job->reads) {
        for (size_t round = 0; round < job->rounds; ++round) {
            sum += job->probes->read(buffer, job->floats);
        }
    } else {
        sum = job->probes->fma(job->rounds);
    }
    job->sink[team->index] = sum;
    cm_team_barrier(team);
    if (team->index == 0) {
        job->ns = cm_clock_ns() - start;
    }
}

/* Rounds per second of one thread, the best of the repetitions; each has as many rounds as fill the
 * target time. */
static double best_rate(probe_job *job, int threads) {
    double best = 0.0;
    job->rounds = 1;
    for (int repetition = 0; repetition < REPETITIONS;) {
        cm_team_run(threads, probe_body, job);
        if (job->ns < TARGET_NS / 2 && job->rounds < SIZE_MAX / 16) {
            const int64_t ns = job->ns > 1000 ? job->ns : 1000;
            const size_t factor = (size_t)(TARGET_NS / ns) + 1;
            job->rounds *= factor < 16 ? factor : 16;
            continue;
        }
        const double rate = (double)job->rounds * 1e9 / (double)job->ns;
        best = rate > best ? rate : best;
        ++repetition;
    }
    return best;
}

/* ---- Memory ---- */

static size_t cache_size(const cm_topology *topology, int level, int *count) {
    for (int i = 0; i < topology->cache_count; ++i) {
        const cm_cache *cache = &topology->caches[i];
        if (cache->level == level && cache->kind != 'i') {
            *count = cache->count > 0 ? cache->count : 1;
            return cache->size;
        }
    }
    return 0;
}

static size_t whole_blocks(size_t bytes) {
    const size_t block = CM_PROBE_BLOCK * sizeof(float);
    return bytes < block ? block : bytes / block * block;
}

/* A buffer is half of a thread's share of a cache, where threads are spread evenly over the caches
 * of a level. For DRAM, all buffers together are four times the last-level cache, at least 64 MiB.
 */
static void plan_levels(const cm_topology *topology, cm_capability *capability) {
    size_t last = 0;
    for (int level = 1; level <= 3; ++level) {
        int count = 1;
        const size_t size = cache_size(topology, level, &count);
        if (size == 0) {
            continue;
        }
        const int sharers = (capability->threads + count - 1) / count;
        cm_level *to = &capability->levels[capability->level_count++];
        snprintf(to->name, sizeof to->name, "L%d", level);
        to->size = size;
        to->buffer = whole_blocks(size / 2 / (size_t)sharers);
        last = size * (size_t)(count < capability->threads ? count : capability->threads);
    }
    cm_level *memory = &capability->levels[capability->level_count++];
    const size_t least = (size_t)64 << 20;
    const size_t all = 4 * last > least ? 4 * last : least;
    snprintf(memory->name, sizeof memory->name, "DRAM");
    memory->buffer = whole_blocks(all / (size_t)capability->threads);
}

typedef struct touch_job {
    float **buffers;
    size_t bytes;
    bool failed;
} touch_job;

/* Each thread makes its own buffer, so that it lies on the thread's memory node. */
static void touch_body(const cm_team *team, void *context) {
    touch_job *job = context;
    const size_t bytes = (job->bytes + HUGE_PAGE - 1) / HUGE_PAGE * HUGE_PAGE;
    float *buffer = aligned_alloc(HUGE_PAGE, bytes);
    if (buffer == NULL) {
        job->failed = true;
    } else {
        (void)madvise(buffer, bytes, MADV_HUGEPAGE);
        memset(buffer, 0, bytes);
    }
    job->buffers[team->index] = buffer;
}

static cm_status measure_levels(const cm_kernels *kernels, cm_capability *capability,
                                cm_error *error) {
    const int threads = capability->threads;
    float *buffers[MAX_THREADS] = {NULL};
    touch_job touch = {buffers, capability->levels[capability->level_count - 1].buffer, false};
    cm_team_run(threads, touch_body, &touch);
    probe_job *job = calloc(1, sizeof *job);
    const bool failed = touch.failed || job == NULL;
    for (int i = 0; !failed && i < capability->level_count; ++i) {
        cm_level *level = &capability->levels[i];
        *job = (probe_job){.probes = kernels->probes,
                           .reads = true,
                           .buffers = buffers,
                           .floats = level->buffer / sizeof(float)};
        level->bytes_per_second = best_rate(job, threads) * (double)level->buffer * threads;
    }
    free(job);
    for (int i = 0; i < threads; ++i) {
        free(buffers[i]);
    }
    return failed ? cm_fail(error, CM_FAILED,
                            "out of memory for measuring memory; close other programs")
                  : CM_OK;
}

cm_status cm_capability_measure(const cm_topology *topology, int threads, cm_isa isa,
                                cm_capability *capability, cm_error *error) {
    *capability = (cm_capability){.threads = threads < MAX_THREADS ? threads : MAX_THREADS};
    probe_job *job = calloc(1, sizeof *job);
    if (job == NULL) {
        return cm_fail(error, CM_FAILED, "out of memory; close other programs");
    }
    for (cm_isa i = 0; i < CM_ISA_COUNT; ++i) {
        const cm_kernels *kernels = cm_kernels_of(i);
        if (kernels != NULL) {
            *job = (probe_job){.probes = kernels->probes};
            capability->flops[i] = best_rate(job, capability->threads) *
                                   kernels->probes->flops_per_round * capability->threads;
        }
    }
    free(job);
    plan_levels(topology, capability);
    return measure_levels(cm_kernels_of(isa), capability, error);
}

static json_t *flops_json(const cm_capability *capability, cm_error *error) {
    json_t *flops = json_object();
    for (cm_isa isa = 0; isa < CM_ISA_COUNT; ++isa) {
        if (capability->flops[isa] > 0.0 &&
            !cm_json_set(flops, cm_isa_name(isa), json_real(capability->flops[isa]), error)) {
            json_decref(flops);
            return NULL;
        }
    }
    return flops;
}

json_t *cm_capability_json(const cm_capability *capability, cm_error *error) {
    json_t *levels = json_array();
    for (int i = 0; i < capability->level_count; ++i) {
        const cm_level *level = &capability->levels[i];
        cm_json_append(&levels,
                       json_pack("{s:s, s:I, s:I, s:f}", "name", level->name, "bytes",
                                 (json_int_t)level->size, "buffer_bytes", (json_int_t)level->buffer,
                                 "bytes_per_second", level->bytes_per_second));
    }
    return json_pack("{s:i, s:o, s:o}", "threads", capability->threads, "flops_per_second",
                     flops_json(capability, error), "levels", levels);
}
