#include "kernels/team.h"

#include "kernels/trace.h"

#include <assert.h>
#include <sched.h>
#include <stdatomic.h>

#ifdef _OPENMP
#include <omp.h>
#endif

#if defined(__x86_64__) || defined(__i386__)
#include <immintrin.h>
#define CM_PAUSE() _mm_pause()
#elif defined(__aarch64__)
#define CM_PAUSE() __asm__ volatile("yield")
#else
#define CM_PAUSE() ((void)0)
#endif

/* Spinning this often takes some 10 us: longer than the wait of a balanced phase, far shorter than
 * a time slice that a waiting thread would steal from a team larger than the machine. */
enum { CM_SPINS_BEFORE_YIELD = 400 };

/* A central counter of arrivals and a phase number that the last thread to arrive moves on. Two
 * cache lines, so that waiting does not slow down the arrivals. */
struct cm_barrier {
    _Alignas(64) atomic_int arrived;
    _Alignas(64) atomic_uint phase;
};

static void wait_for_all(const cm_team *team) {
    cm_barrier *barrier = team->barrier;
    const unsigned phase = atomic_load_explicit(&barrier->phase, memory_order_relaxed);
    if (atomic_fetch_add_explicit(&barrier->arrived, 1, memory_order_acq_rel) == team->count - 1) {
        atomic_store_explicit(&barrier->arrived, 0, memory_order_relaxed);
        atomic_store_explicit(&barrier->phase, phase + 1, memory_order_release);
        return;
    }
    int spins = 0;
    while (atomic_load_explicit(&barrier->phase, memory_order_acquire) == phase) {
        if (++spins < CM_SPINS_BEFORE_YIELD) {
            CM_PAUSE();
        } else {
            sched_yield();
        }
    }
}

void cm_team_barrier(const cm_team *team) {
    if (team->count == 1) {
        return;
    }
    if (team->trace == NULL) {
        wait_for_all(team);
        return;
    }
    const cm_trace_thread before = team->trace->thread[team->index];
    cm_trace_put(team, before.task, CM_PHASE_BARRIER);
    wait_for_all(team);
    cm_trace_put(team, before.task, before.phase);
}

cm_range cm_team_share(const cm_team *team, ptrdiff_t items) {
    assert(items >= 0);
    const ptrdiff_t each = items / team->count;
    const ptrdiff_t rest = items % team->count;
    const ptrdiff_t index = team->index;
    const ptrdiff_t begin = index * each + (index < rest ? index : rest);
    return (cm_range){begin, begin + each + (index < rest ? 1 : 0)};
}

void cm_team_run(int threads, cm_team_body *body, void *context) {
    cm_team_run_traced(threads, body, context, NULL);
}

void cm_team_run_traced(int threads, cm_team_body *body, void *context, cm_trace *trace) {
    assert(threads >= 1 && (trace == NULL || trace->threads >= threads));
#ifdef _OPENMP
    cm_barrier barrier = {0};
#pragma omp parallel num_threads(threads) if (threads > 1)
    {
        const cm_team team = {omp_get_thread_num(), omp_get_num_threads(), &barrier, trace};
        body(&team, context);
    }
#else
    (void)threads;
    const cm_team team = {0, 1, NULL, trace};
    body(&team, context);
#endif
}
