/**
 * What the threads of a team do when: marks in time. A thread is always in one phase of one task; a
 * mark says that from now on it is in another one. So the times of all phases add up to the whole.
 *
 * Without a trace a mark is one comparison with NULL. With one it is a reading of the clock and a
 * store to memory that was allocated before.
 */
#ifndef CM_KERNELS_TRACE_H
#define CM_KERNELS_TRACE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "convmark/team.h"

#ifdef __cplusplus
extern "C" {
#endif

/** What a thread does inside a task: name in results. */
#define CM_PHASE_LIST(ROW)                                                  \
    ROW(WORK, "work")           /* the operation, where it has no parts */  \
    ROW(BIAS, "bias")           /* gradient of a convolution's bias */      \
    ROW(TRANSFORM, "transform") /* maps to planes */                        \
    ROW(KERNELS, "kernels")     /* weights to columns, or to panels */      \
    ROW(MULTIPLY, "multiply")   /* products; forward or backward by data */ \
    ROW(RESTORE, "restore")     /* planes to maps */                        \
    ROW(WEIGHTS, "weights")     /* products of backward by weights */       \
    ROW(BARRIER, "barrier")     /* waiting for the others */

typedef enum cm_phase {
#define CM_PHASE_ENUM(name, text) CM_PHASE_##name,
    CM_PHASE_LIST(CM_PHASE_ENUM)
#undef CM_PHASE_ENUM
        CM_PHASE_COUNT
} cm_phase;

/** From `ns` on: phase `phase` of task `task`; tasks are numbered by whoever runs them. */
typedef struct cm_trace_mark {
    int64_t ns;
    int32_t task;
    int32_t phase;
} cm_trace_mark;

/** The marks of one thread; it alone writes them. */
typedef struct cm_trace_thread {
    _Alignas(64) cm_trace_mark *marks;
    size_t count, capacity;
    bool full; /* marks were lost */
    int32_t task, phase;
} cm_trace_thread;

struct cm_trace {
    int threads;
    cm_trace_thread *thread; /* [threads] */
};

/** A trace for teams of up to `threads`, with room for `marks` marks each; NULL: no memory. */
cm_trace *cm_trace_create(int threads, size_t marks);
void cm_trace_free(cm_trace *trace);
/** Forgets all marks. */
void cm_trace_clear(cm_trace *trace);

/** Puts down a mark; use the two below. */
void cm_trace_put(const cm_team *team, int32_t task, int32_t phase);

/** From now on this thread does phase WORK of this task. */
static inline void cm_trace_task(const cm_team *team, int32_t task) {
    if (team->trace != NULL) {
        cm_trace_put(team, task, CM_PHASE_WORK);
    }
}

/** From now on this thread is in another phase of the same task. */
static inline void cm_trace_phase(const cm_team *team, cm_phase phase) {
    if (team->trace != NULL) {
        cm_trace_put(team, team->trace->thread[team->index].task, (int32_t)phase);
    }
}

#ifdef __cplusplus
}
#endif

#endif
