/* The learning rate and its schedule, of the commands that train. */
#include "cli/cli.h"

#define MEMBER(name) offsetof(cm_rate_options, name)
const cm_option cm_rate_option_table[] = {
    {"lr", CM_OPTION_DOUBLE, MEMBER(learning_rate), "X",
     "Adam's learning rate, the first or of one-cycle the highest (default: 0.001)", 0, 1000},
    {"schedule", CM_OPTION_STRING, MEMBER(schedule), "NAME",
     "plateau, constant, step, cosine or one-cycle (default: plateau)", 0, 0},
    {"schedule-step", CM_OPTION_INT, MEMBER(step), "N",
     "of step: epochs between reductions (default: 1)", 1, CM_MAX_EPOCHS},
    {"schedule-factor", CM_OPTION_DOUBLE, MEMBER(factor), "X",
     "of plateau and step: a reduction multiplies by it (default: 0.1)", 1e-6, 1},
    {0}};
#undef MEMBER

cm_rate_options cm_rate_options_default(void) {
    return (cm_rate_options){.learning_rate = cm_train_options_default().optimizer.learning_rate};
}

cm_status cm_rate_options_apply(const cm_rate_options *options, cm_train_options *train,
                                cm_error *error) {
    if (options->schedule != NULL) {
        train->schedule = cm_schedule_from_name(options->schedule);
        if (train->schedule == CM_SCHEDULE_COUNT) {
            return cm_fail(error, CM_USAGE,
                           "--schedule '%s' is no schedule; choose plateau, constant, step, cosine "
                           "or one-cycle",
                           options->schedule);
        }
    }
    train->optimizer.learning_rate = options->learning_rate;
    if (options->step > 0) {
        if (train->schedule != CM_SCHEDULE_STEP) {
            return cm_fail(error, CM_USAGE,
                           "--schedule-step is of --schedule step; give that, too");
        }
        train->schedule_step = options->step;
    }
    if (options->factor > 0.0) {
        if (train->schedule != CM_SCHEDULE_STEP && train->schedule != CM_SCHEDULE_PLATEAU) {
            return cm_fail(error, CM_USAGE,
                           "--schedule-factor is of --schedule plateau and step, not of %s; leave "
                           "it out",
                           cm_schedule_name(train->schedule));
        }
        double *factor =
            train->schedule == CM_SCHEDULE_STEP ? &train->schedule_factor : &train->plateau_factor;
        *factor = options->factor;
    }
    return CM_OK;
}
