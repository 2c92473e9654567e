/**
 * Teams: how the kernels are parallel.
 *
 * Every kernel is SPMD code: all threads of a team call it with the same arguments, and each
 * computes the outputs that it owns. Results have the same bits for every team size. A kernel does
 * not wait at its end: read what other threads wrote after the next cm_team_barrier(). This is why
 * a whole training step runs in one parallel region.
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
    cm_trace *trace; /* NULL, or where the threads record what they do: trace.h */
} cm_team;

/** Half-open range of items. */
typedef struct cm_range {
    ptrdiff_t begin, end;
} cm_range;

/** Threads of a team at most. */
enum { CM_MAX_TEAM = 1024 };

/** Body of a parallel region; `context` is what cm_team_run() was given. */
typedef void cm_team_body(const cm_team *team, void *context);

/**
 * Runs `body` on `threads` threads (one OpenMP parallel region) and returns when all are done. The
 * team may be smaller where the OpenMP runtime gives fewer threads, and has CM_MAX_TEAM at most;
 * results do not depend on it.
 */
void cm_team_run(int threads, cm_team_body *body, void *context);

/** The same, recording marks in `trace`, which must have room for this many threads. */
void cm_team_run_traced(int threads, cm_team_body *body, void *context, cm_trace *trace);

/** Waits until every thread of the team has called it; what they wrote before is then visible. */
void cm_team_barrier(const cm_team *team);

/** Splits `items` into team->count contiguous ranges whose sizes differ by one at most. */
cm_range cm_team_share(const cm_team *team, ptrdiff_t items);

/** A thread's place in a loop whose items are dealt out while it runs. All fields are private. */
typedef struct cm_deal {
    const cm_team *team;
    ptrdiff_t items;
    uint32_t loop; /* the team's loops are numbered */
    int from;      /* the thread whose share items are taken from */
    cm_range now;  /* items taken, and not yet returned by cm_deal_next() */
} cm_deal;

/**
 * Begins a loop over `items` (fewer than 2^32) that all threads of the team run. A thread first
 * gets the items of its cm_team_share(), in order, then what slower threads have left of theirs:
 * cores differ in speed and load, and a barrier waits for the slowest.
 *
 * Any thread may get any item, so results must not depend on which one does. What an earlier loop
 * wrote may be read only after a barrier, even what lies in the thread's own share. All threads run
 * the same loops in the same order, none inside another, and each asks until no items are left.
 */
cm_deal cm_team_deal(const cm_team *team, ptrdiff_t items);

/** Sets *items to the next items of the loop, one or more; false when none are left. */
bool cm_deal_range(cm_deal *deal, cm_range *items);

/** The same, one at a time: the next item, or -1 when none are left. */
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
