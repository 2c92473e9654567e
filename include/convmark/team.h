/**
 * Teams: how the kernels are parallel.
 *
 * Every kernel is SPMD code: all threads of a team call it with the same arguments, each does the
 * part of the outputs it owns, and none returns a different bit for another team size. A kernel
 * does not wait at its end: outputs written by the other threads may be read after the caller's
 * next cm_team_barrier(). So a whole training step runs in one parallel region.
 */
#ifndef CM_KERNELS_TEAM_H
#define CM_KERNELS_TEAM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct cm_barrier cm_barrier;
typedef struct cm_trace cm_trace;

/** One thread's place in its team. A team of one needs no barrier: {0, 1, NULL, NULL}. */
typedef struct cm_team {
    int index; /* 0 .. count-1 */
    int count;
    cm_barrier *barrier;
    cm_trace *trace; /* NULL, or where the threads put down what they do: trace.h */
} cm_team;

/** Half-open range of work items. */
typedef struct cm_range {
    ptrdiff_t begin, end;
} cm_range;

enum { CM_MAX_TEAM = 1024 };

/** Body of a parallel region; `context` is what cm_team_run() was given. */
typedef void cm_team_body(const cm_team *team, void *context);

/**
 * Runs `body` on `threads` threads (one OpenMP parallel region) and returns when all are done. The
 * team may be smaller where the OpenMP runtime gives fewer threads, and has CM_MAX_TEAM at most;
 * results do not depend on it.
 */
void cm_team_run(int threads, cm_team_body *body, void *context);

/** The same, putting down marks in `trace`, which has room for this many threads. */
void cm_team_run_traced(int threads, cm_team_body *body, void *context, cm_trace *trace);

/** Waits until every thread of the team is here; what they wrote before is then visible. */
void cm_team_barrier(const cm_team *team);

/** Splits `items` into team->count contiguous ranges whose sizes differ by one at most. */
cm_range cm_team_share(const cm_team *team, ptrdiff_t items);

/** A thread's place in a loop whose items are dealt out while it runs. */
typedef struct cm_deal {
    const cm_team *team;
    ptrdiff_t items;
    uint32_t loop; /* the team's loops are numbered */
    int from;      /* whose share is taken from */
    cm_range now;  /* taken, and not yet given by cm_deal_next() */
} cm_deal;

/**
 * Begins a loop over `items` (fewer than 2^32) that all threads of the team run. A thread is given
 * the items of its cm_team_share() first, in order, then what slower threads have left of theirs:
 * cores differ, by make or by what else they do, and a barrier waits for the slowest.
 *
 * Any thread may do any item: it must not matter which one does, and what an earlier loop wrote can
 * be read after a barrier only, also what was the thread's own share of that loop. All threads run
 * the same loops in the same order, none inside another, and each asks until all is given out.
 */
cm_deal cm_team_deal(const cm_team *team, ptrdiff_t items);

/** Takes the next items of the loop, some at a time; false when all are given out. */
bool cm_deal_range(cm_deal *deal, cm_range *items);

/** The same, one at a time: the next item, or -1. */
static inline ptrdiff_t cm_deal_next(cm_deal *deal) {
    if (deal->now.begin == deal->now.end && !cm_deal_range(deal, &deal->now)) {
        return -1;
    }
    return deal->now.begin++;
}

#ifdef __cplusplus
}
#endif

#endif
