/**
 * Long work in parts, as `sweep` and `explore` do it: how far it is, when it will be done, and
 * whether it was told to stop.
 */
#ifndef CM_SWEEP_WORK_H
#define CM_SWEEP_WORK_H

#include <signal.h>
#include <stdbool.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/** Parts done of all, seconds left (NAN: not known yet), and what is being done. */
typedef struct cm_work_progress {
    int done, all;
    double eta_seconds;
    const char *doing;
    bool advanced; /* another part is done */
} cm_work_progress;

typedef void cm_work_observer(const cm_work_progress *progress, void *context);

/** Amounts of work are in any unit, since only their ratios are used. */
typedef struct cm_work {
    cm_work_observer *observer; /* may be NULL */
    void *context;
    const volatile sig_atomic_t *stop; /* may be NULL */
    double all, done, done_before;     /* amounts; done_before: by an earlier call */
    int64_t started_ns;
    cm_work_progress progress;
} cm_work;

cm_work cm_work_new(cm_work_observer *observer, void *context, const volatile sig_atomic_t *stop);

/** Plans `count` parts of this amount each, of which `done` were done before. */
void cm_work_plan(cm_work *work, int count, int done, double amount);

/** Everything is planned: time runs from now on. */
void cm_work_start(cm_work *work);

/** Says what is being done. */
void cm_work_say(cm_work *work, const char *doing);

/** Another part of this amount is done. */
void cm_work_advance(cm_work *work, double amount, const char *doing);

bool cm_work_stopped(const cm_work *work);

#ifdef __cplusplus
}
#endif

#endif
