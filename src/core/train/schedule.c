#include "convmark/schedule.h"

#include <math.h>
#include <string.h>

#include "convmark/trainer.h"
#include "kernels/elementwise/elementary.h"

cm_plateau cm_plateau_init(double factor, int patience) {
    return (cm_plateau){.factor = factor, .patience = patience, .best = INFINITY};
}

void cm_plateau_observe(cm_plateau *plateau, double value, double *learning_rate) {
    const double threshold = 1e-4;
    /* PyTorch's _ReduceLROnPlateau ignores a change whose size is 1e-8 or less. */
    const double smallest_change = 1e-8;
    if (value < plateau->best * (1.0 - threshold)) {
        plateau->best = value;
        plateau->bad_epochs = 0;
        plateau->since_best = 0;
        return;
    }
    ++plateau->bad_epochs;
    ++plateau->since_best;
    if (plateau->bad_epochs > plateau->patience) {
        const double reduced = *learning_rate * plateau->factor;
        if (*learning_rate - reduced > smallest_change) {
            *learning_rate = reduced;
        }
        plateau->bad_epochs = 0;
    }
}

/* ---- The table ---- */

static double keep_rate(const cm_schedule *s) {
    return s->rate;
}

static double step_rate(const cm_schedule *s) {
    const int64_t epoch = s->step / s->epoch_steps;
    const bool begins = s->step % s->epoch_steps == 0;
    const bool falls = begins && epoch > 0 && epoch % s->step_epochs == 0;
    return falls ? s->rate * s->step_factor : s->rate;
}

static double cosine_rate(const cm_schedule *s) {
    const double done = (double)s->step / (double)s->total_steps;
    return s->base * (1.0 + cm_cos_pi(done)) / 2.0;
}

/* PyTorch's defaults: pct_start 0.3, div_factor 25, final_div_factor 1e4, anneal_strategy "cos",
 * two phases. The first ends at a step that need not be whole. */
static double one_cycle_rate(const cm_schedule *s) {
    const double first = s->base / 25.0, last = first / 1e4;
    const double peak = 0.3 * (double)s->total_steps - 1.0, step = (double)s->step;
    const bool rises = step <= peak;
    const double from = rises ? first : s->base, to = rises ? s->base : last;
    const double begin = rises ? 0.0 : peak;
    const double end = rises ? peak : (double)(s->total_steps - 1);
    return to + (from - to) / 2.0 * (1.0 + cm_cos_pi((step - begin) / (end - begin)));
}

typedef struct schedule_row {
    const char *name;
    double (*rate)(const cm_schedule *); /* of batch number `step` */
    bool follows_loss, knows_end;
} schedule_row;

static const schedule_row rows[CM_SCHEDULE_COUNT] = {
    [CM_SCHEDULE_PLATEAU] = {"plateau", keep_rate, true, false},
    [CM_SCHEDULE_CONSTANT] = {"constant", keep_rate, false, false},
    [CM_SCHEDULE_STEP] = {"step", step_rate, false, false},
    [CM_SCHEDULE_COSINE] = {"cosine", cosine_rate, false, true},
    [CM_SCHEDULE_ONE_CYCLE] = {"one-cycle", one_cycle_rate, false, true},
};

const char *cm_schedule_name(cm_schedule_kind kind) {
    return rows[kind].name;
}

bool cm_schedule_knows_end(cm_schedule_kind kind) {
    return rows[kind].knows_end;
}

cm_schedule_kind cm_schedule_from_name(const char *name) {
    cm_schedule_kind kind = 0;
    while (kind < CM_SCHEDULE_COUNT && strcmp(rows[kind].name, name) != 0) {
        ++kind;
    }
    return kind;
}

cm_schedule cm_schedule_init(const cm_train_options *options) {
    return (cm_schedule){
        .kind = options->schedule,
        .base = options->optimizer.learning_rate,
        .rate = options->optimizer.learning_rate,
        .total_steps = (int64_t)options->epochs * options->steps,
        .epoch_steps = options->steps,
        .step_epochs = options->schedule_step,
        .step_factor = options->schedule_factor,
        .plateau = cm_plateau_init(options->plateau_factor, options->plateau_patience),
    };
}

double cm_schedule_next(cm_schedule *schedule) {
    schedule->rate = rows[schedule->kind].rate(schedule);
    ++schedule->step;
    return schedule->rate;
}

void cm_schedule_observe(cm_schedule *schedule, double validation_loss) {
    double rate = schedule->rate;
    cm_plateau_observe(&schedule->plateau, validation_loss, &rate);
    if (rows[schedule->kind].follows_loss) {
        schedule->rate = rate;
    }
}
