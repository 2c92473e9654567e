#include "harness/studies/sweep/work.h"

#include <math.h>
#include <stddef.h>

#include "core/system/clock.h"

cm_work cm_work_new(cm_work_observer *observer, void *context, const volatile sig_atomic_t *stop) {
    return (cm_work){.observer = observer, .context = context, .stop = stop};
}

void cm_work_plan(cm_work *work, int count, int done, double amount) {
    work->all += count * amount;
    work->done += done * amount;
    work->progress.all += count;
    work->progress.done += done;
}

void cm_work_start(cm_work *work) {
    work->done_before = work->done;
    work->started_ns = cm_clock_ns();
}

static void report(cm_work *work, const char *doing, bool advanced) {
    const double here = work->done - work->done_before;
    const double seconds = (double)(cm_clock_ns() - work->started_ns) * 1e-9;
    work->progress.eta_seconds =
        here > 0.0 ? (work->all - work->done) * seconds / here : (double)NAN;
    work->progress.doing = doing;
    work->progress.advanced = advanced;
    if (work->observer != NULL) {
        work->observer(&work->progress, work->context);
    }
}

void cm_work_say(cm_work *work, const char *doing) {
    report(work, doing, false);
}

void cm_work_advance(cm_work *work, double amount, const char *doing) {
    work->done += amount;
    ++work->progress.done;
    report(work, doing, true);
}

bool cm_work_stopped(const cm_work *work) {
    return work->stop != NULL && *work->stop != 0;
}
