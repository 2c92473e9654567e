#include "convmark/team.h"

#include "convmark/trace.h"

#include <assert.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdint.h>
#include <string.h>

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

/* A thread's share of a loop's items: the loop's number and how many are left, in one word, so that
 * whoever takes some takes them from the right loop. */
typedef struct share_slot {
    _Alignas(64) _Atomic uint64_t share;
    uint32_t loop; /* its own thread's newest */
} share_slot;

/* A central counter of arrivals and a phase number that the last thread to arrive moves on. Two
 * cache lines, so that waiting does not slow down the arrivals; and a line for each thread's share.
 */
struct cm_barrier {
    _Alignas(64) atomic_int arrived;
    _Alignas(64) atomic_uint phase;
    share_slot slots[CM_MAX_TEAM];
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

static cm_range share_of(int index, int count, ptrdiff_t items) {
    const ptrdiff_t each = items / count;
    const ptrdiff_t rest = items % count;
    const ptrdiff_t begin = index * each + (index < rest ? index : rest);
    return (cm_range){begin, begin + each + (index < rest ? 1 : 0)};
}

cm_range cm_team_share(const cm_team *team, ptrdiff_t items) {
    assert(items >= 0);
    return share_of(team->index, team->count, items);
}

cm_deal cm_team_deal(const cm_team *team, ptrdiff_t items) {
    assert(items >= 0 && (uint64_t)items <= UINT32_MAX);
    cm_deal deal = {.team = team, .items = items, .from = team->index};
    if (team->count > 1) {
        deal.loop = ++team->barrier->slots[team->index].loop;
    }
    return deal;
}

/* Takes a part of what is left of a share. A thread leaves a loop when all of its items are given
 * out. So in loop n a share is of loop n; or of an earlier one, and then loop n's is whole; or of a
 * later one, and then nothing is left of n's. What items read and write goes from thread to thread
 * by way of the barriers, so that no order is asked for here.
 *
 * A quarter of what is left: few atomic operations, which also wait for all earlier stores (one for
 * each vector of channels made the transforms of small maps 1.7 times as long), and single items at
 * the end. */
static cm_range take_share(share_slot *slot, uint32_t loop, cm_range whole) {
    uint64_t share = atomic_load_explicit(&slot->share, memory_order_relaxed), rest;
    ptrdiff_t left, part;
    do {
        const int32_t ahead = (int32_t)((uint32_t)(share >> 32) - loop);
        left = ahead == 0  ? (ptrdiff_t)(share & UINT32_MAX)
               : ahead < 0 ? whole.end - whole.begin
                           : 0;
        part = (left + 3) / 4;
        rest = (uint64_t)loop << 32 | (uint64_t)(left - part);
    } while (left > 0 &&
             !atomic_compare_exchange_weak_explicit(&slot->share, &share, rest,
                                                    memory_order_relaxed, memory_order_relaxed));
    return (cm_range){whole.end - left, whole.end - left + part};
}

bool cm_deal_range(cm_deal *deal, cm_range *items) {
    const cm_team *team = deal->team;
    if (team->count == 1) {
        *items = (cm_range){0, deal->items};
        deal->items = 0;
        return items->end > 0;
    }
    for (int tried = 0; tried < team->count; ++tried) {
        *items = take_share(&team->barrier->slots[deal->from], deal->loop,
                            share_of(deal->from, team->count, deal->items));
        if (items->begin < items->end) {
            return true;
        }
        deal->from = (deal->from + 1) % team->count;
    }
    return false;
}

void cm_team_run(int threads, cm_team_body *body, void *context) {
    cm_team_run_traced(threads, body, context, NULL);
}

void cm_team_run_traced(int threads, cm_team_body *body, void *context, cm_trace *trace) {
    assert(threads >= 1 && (trace == NULL || trace->threads >= threads));
#ifdef _OPENMP
    cm_barrier barrier;
    const int most = threads < CM_MAX_TEAM ? threads : CM_MAX_TEAM;
    memset(&barrier, 0, offsetof(cm_barrier, slots) + (size_t)most * sizeof *barrier.slots);
#pragma omp parallel num_threads(most) if (threads > 1)
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
