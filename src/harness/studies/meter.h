/**
 * Progress of long work in parts: how many are done, and how much time is left.
 */
#ifndef CM_HARNESS_STUDIES_METER_H
#define CM_HARNESS_STUDIES_METER_H

#include <stdbool.h>
#include <stdint.h>

#include "convmark/trainer.h"

#ifdef __cplusplus
extern "C" {
#endif

/** What an observer is called with. */
typedef struct cm_study_progress {
    int done, all;      /* parts: samples of the rounds, and training runs */
    double eta_seconds; /* of all that is left; NAN: not known yet */
    const char *doing;  /* "round 2/9", "training bn-3 on 2 cores" */
    bool advanced;      /* a part was just done */
    int run;            /* the training run it is about, from 0; -1: a round */
    /* Where inside the run; NULL: at its beginning or end, or the study does not report steps. */
    const cm_train_progress *train;
} cm_study_progress;

typedef void cm_study_observer(const cm_study_progress *progress, void *context);

/** Counts parts and amounts of work. Amounts are in any unit: only their ratios are used. */
typedef struct cm_meter {
    cm_study_observer *observer; /* may be NULL */
    void *context;
    double all, done;           /* amounts */
    double done_before;         /* by an earlier call */
    int64_t started_ns, run_ns; /* when the work began, and the current training run */
    double run_amount;
    cm_study_progress progress;
} cm_meter;

cm_meter cm_meter_new(cm_study_observer *observer, void *context);

/** Plans `count` parts of this amount each, of which an earlier call did `done`. */
void cm_meter_plan(cm_meter *meter, int count, int done, double amount);

/** Starts the clock, after everything is planned. */
void cm_meter_start(cm_meter *meter);

/** Reports that a training run of this amount begins. */
void cm_meter_begin_run(cm_meter *meter, int run, double amount, const char *doing);

/** A cm_train_observer that reports the steps of the current run; `context` is the meter. */
void cm_meter_observe_step(const cm_train_progress *train, const cm_epoch_result *epoch,
                           void *context);

/** Reports that another part of this amount is done. */
void cm_meter_advance(cm_meter *meter, double amount, const char *doing);

#ifdef __cplusplus
}
#endif

#endif
