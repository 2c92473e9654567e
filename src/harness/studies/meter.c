#include "harness/studies/meter.h"

#include <math.h>
#include <stddef.h>

#include "core/system/clock.h"

cm_meter cm_meter_new(cm_study_observer *observer, void *context) {
    return (cm_meter){.observer = observer, .context = context, .progress = {.run = -1}};
}

void cm_meter_plan(cm_meter *meter, int count, int done, double amount) {
    meter->all += count * amount;
    meter->done += done * amount;
    meter->progress.all += count;
    meter->progress.done += done;
}

void cm_meter_start(cm_meter *meter) {
    meter->done_before = meter->done;
    meter->started_ns = cm_clock_ns();
}

static double meter_seconds_since(int64_t start_ns) {
    return (double)(cm_clock_ns() - start_ns) * 1e-9;
}

static void call_observer(cm_meter *meter, const char *doing, bool advanced) {
    meter->progress.doing = doing;
    meter->progress.advanced = advanced;
    if (meter->observer != NULL) {
        meter->observer(&meter->progress, meter->context);
    }
}

/* Seconds per amount of the work that this call has done; NAN before there is any. */
static double meter_pace(const cm_meter *meter) {
    const double here = meter->done - meter->done_before;
    return here > 0.0 ? meter_seconds_since(meter->started_ns) / here : (double)NAN;
}

void cm_meter_begin_run(cm_meter *meter, int run, double amount, const char *doing) {
    meter->progress.run = run;
    meter->run_amount = amount;
    meter->run_ns = cm_clock_ns();
    meter->progress.eta_seconds = (meter->all - meter->done) * meter_pace(meter);
    call_observer(meter, doing, false);
}

void cm_meter_observe_step(const cm_train_progress *train, const cm_epoch_result *epoch,
                           void *context) {
    cm_meter *meter = context;
    if (epoch != NULL) {
        return;
    }
    /* Finished parts give the best estimate of the pace; before there are any, this run does. */
    double pace = meter_pace(meter);
    if (isnan(pace)) {
        pace = (meter_seconds_since(meter->run_ns) + train->eta_seconds) / meter->run_amount;
    }
    const double after = meter->all - meter->done - meter->run_amount;
    meter->progress.eta_seconds = train->eta_seconds + after * pace;
    meter->progress.train = train;
    call_observer(meter, meter->progress.doing, false);
    meter->progress.train = NULL;
}

void cm_meter_advance(cm_meter *meter, double amount, const char *doing) {
    meter->done += amount;
    ++meter->progress.done;
    meter->progress.eta_seconds = (meter->all - meter->done) * meter_pace(meter);
    call_observer(meter, doing, true);
}
