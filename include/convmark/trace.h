/**
 * Per-thread timeline of phases. A thread is always in one phase of one task; a mark records the
 * time at which it enters another one. So the times of all phases add up to the whole.
 *
 * Without a trace a mark costs one comparison with NULL. With one it costs a reading of the clock
 * and a store to memory that was allocated before.
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

/** Phases of a task, with their names in results. Planes and panels are those of
 * docs/design/algorithms.md. */
#define CM_PHASE_LIST(ROW)                                                     \
    ROW(WORK, "work")           /* the operation, where it has no parts */     \
    ROW(BIAS, "bias")           /* gradient of a convolution's bias */         \
    ROW(TRANSFORM, "transform") /* from maps to planes */                      \
    ROW(KERNELS, "kernels")     /* filters to columns or panels */             \
    ROW(MULTIPLY, "multiply")   /* multiply-adds, forward and backward-data */ \
    ROW(RESTORE, "restore")     /* from planes to maps */                      \
    ROW(WEIGHTS, "weights")     /* multiply-adds, backward-weights */          \
    ROW(BARRIER, "barrier")     /* waiting for the others */

typedef enum cm_phase {
#define CM_PHASE_ENUM(name, text) CM_PHASE_##name,
    CM_PHASE_LIST(CM_PHASE_ENUM)
#undef CM_PHASE_ENUM
        CM_PHASE_COUNT
} cm_phase;

/** From `ns` on (monotonic clock, nanoseconds) a thread is in phase `phase` of task `task`. The
 * caller numbers the tasks. */
typedef struct cm_trace_mark {
    int64_t ns;
    int32_t task;
    int32_t phase;
} cm_trace_mark;

/** The marks of one thread, which only that thread writes. */
typedef struct cm_trace_thread {
    _Alignas(64) cm_trace_mark *marks;
    size_t count, capacity;
    bool full;           /* marks were lost */
    int32_t task, phase; /* of the last mark */
} cm_trace_thread;

struct cm_trace {
    int threads;
    cm_trace_thread *thread; /* [threads] */
};

/** A trace for teams of up to `threads`, with room for `marks` marks per thread; NULL when memory
 * runs out. The caller frees it. */
cm_trace *cm_trace_create(int threads, size_t marks);
/** Frees a trace; NULL is allowed. */
void cm_trace_free(cm_trace *trace);
/** Removes all marks. No team may use the trace meanwhile. */
void cm_trace_clear(cm_trace *trace);

/** Records a mark; call the two functions below instead. */
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
