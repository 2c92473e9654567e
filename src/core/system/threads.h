/**
 * The team's threads before work starts: floating-point modes and places.
 */
#ifndef CM_CORE_SYSTEM_THREADS_H
#define CM_CORE_SYSTEM_THREADS_H

#include <stdbool.h>

#include "convmark/status.h"
#include "core/system/topology.h"

#ifdef __cplusplus
extern "C" {
#endif

/** Stack that a thread must have: two and a half times what the deepest kernel uses. */
enum { CM_THREAD_STACK_BYTES = 512 * 1024 };

/** Whether this process's first thread has that much stack (ulimit -s); CM_FAILED if not. */
cm_status cm_stack_check(cm_error *error);

/**
 * Whether the system lets a team of `threads` start: the OpenMP runtime would end the process where
 * it does not, and a kernel where its stack is too small. Tries it with threads of its own, as many
 * as a team of this size adds to the one prepared last. CM_USAGE where a variable of the runtime
 * (OMP_STACKSIZE ...) makes stacks smaller than CM_THREAD_STACK_BYTES, CM_FAILED where limits of
 * the process or the machine do not allow so many threads. Call it before cm_threads_prepare().
 */
cm_status cm_threads_check(int threads, cm_error *error);

/**
 * On every thread of a team of `threads`: sets the floating-point modes of the C standard (round to
 * nearest, denormals kept), which the numeric contract needs and which threads do not always
 * inherit; then, if `pin`, binds thread i to topology->pu_order[i]; if not, to all PUs that the
 * process may use. Nothing here is an error: what did not work is one line in *warning ("" if all
 * did; may be NULL), for instance more threads than PUs, which are then not bound. `topology` may
 * be NULL (nothing is bound). Returns the team's real size.
 *
 * Call it again before a team of another size is used: new threads start where the first one is.
 */
int cm_threads_prepare(int threads, bool pin, const cm_topology *topology, cm_error *warning);

/**
 * Whether each thread of the team may run on one CPU only, and no two on the same one, as the
 * system says (sched_getaffinity): what another library or a setting undid is not pinned.
 */
bool cm_threads_pinned(int threads);

/**
 * Undoes the binding with which an OpenMP runtime began (OMP_PROC_BIND, OMP_PLACES, KMP_AFFINITY
 * ...): the calling thread may run on all CPUs of the runtime's places again. Call it before
 * cm_topology_load(), which otherwise finds the one CPU of the first thread.
 */
void cm_threads_unbind(void);

/**
 * Starts a team for measuring: checks that the system and the OpenMP runtime give all threads of
 * it, prepares them, and reads their places back. *pinned: `pin` was asked for and is true of every
 * thread. A doubt is a line in *warning ("" without one). CM_FAILED and CM_USAGE as
 * cm_threads_check(); CM_USAGE also where variables of the runtime make the team smaller.
 */
cm_status cm_threads_start(int threads, bool pin, const cm_topology *topology, bool *pinned,
                           cm_error *warning, cm_error *error);

/** Whether this thread's arithmetic is the standard's: denormals kept as operands and as results,
 * rounding to nearest. */
bool cm_float_modes_standard(void);

#ifdef __cplusplus
}
#endif

#endif
