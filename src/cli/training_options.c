#include "cli/training_options.h"

/* ---- Data set and convolutions ---- */

const cm_option cm_data_option_table[] = {
    {"data", CM_OPTION_STRING, 0, "DIR|synthetic",
     "Read the IDX files in DIR, or generate pictures (default: search)", 0, 0, NULL},
    {0}};

static cm_status parse_conv_algorithm(char *text, void *values, cm_error *error) {
    const char *names[CM_CONV2D_ALGORITHM_COUNT];
    int choice = 0;
    for (cm_conv2d_algorithm a = 0; a < CM_CONV2D_ALGORITHM_COUNT; ++a) {
        names[a] = cm_conv2d_algorithm_name(a);
    }
    const cm_status status =
        cm_parse_choice(text, "an algorithm", names, CM_CONV2D_ALGORITHM_COUNT, &choice, error);
    *(cm_conv2d_algorithm *)values = (cm_conv2d_algorithm)choice;
    return status;
}

const cm_option cm_conv_algorithm_option_table[] = {
    {"conv-algorithm", CM_OPTION_PARSED, 0, "NAME",
     "Use auto (default), direct, t4, dft10, winograd3 or winograd4 where it fits", 0, 0,
     parse_conv_algorithm},
    {0}};

/* ---- Length of training ---- */

#define MEMBER(name) offsetof(cm_train_options, name)
const cm_option cm_protocol_option_table[] = {
    {"epochs", CM_OPTION_INT, MEMBER(epochs), "N",
     "Train each run for N epochs (protocol and default: 3)", 1, CM_MAX_EPOCHS, NULL},
    {"steps", CM_OPTION_INT, MEMBER(steps), "N",
     "Train on N batches per epoch (protocol and default: 100)", 1, CM_MAX_STEPS, NULL},
    {"valid-steps", CM_OPTION_INT, MEMBER(valid_steps), "N",
     "Validate on N batches after each epoch (protocol and default: 100)", 1, CM_MAX_STEPS, NULL},
    {"block", CM_OPTION_INT, MEMBER(block), "N",
     "Sum gradients in blocks of N images; decides bits (default: 64)", 1, CM_MAX_BATCH, NULL},
    {0}};
#undef MEMBER

/* ---- Learning rate ---- */

cm_status cm_parse_schedule(const char *text, cm_schedule_kind *kind, cm_error *error) {
    const char *names[CM_SCHEDULE_COUNT];
    int choice = 0;
    for (cm_schedule_kind k = 0; k < CM_SCHEDULE_COUNT; ++k) {
        names[k] = cm_schedule_name(k);
    }
    const cm_status status =
        cm_parse_choice(text, "a schedule", names, CM_SCHEDULE_COUNT, &choice, error);
    *kind = (cm_schedule_kind)choice;
    return status;
}

static cm_status parse_rate_schedule(char *text, void *values, cm_error *error) {
    return cm_parse_schedule(text, &((cm_rate_options *)values)->schedule, error);
}

#define MEMBER(name) offsetof(cm_rate_options, name)
const cm_option cm_rate_option_table[] = {
    {"lr", CM_OPTION_DOUBLE, MEMBER(learning_rate), "X",
     "Set Adam's first learning rate, or one-cycle's highest (default: 0.001)", 0, 1000, NULL},
    {"schedule", CM_OPTION_PARSED, 0, "NAME",
     "Change the rate by plateau (default), constant, step, cosine or one-cycle", 0, 0,
     parse_rate_schedule},
    {"schedule-step", CM_OPTION_INT, MEMBER(step), "N",
     "Reduce the rate every N epochs; step only (default: 1)", 1, CM_MAX_EPOCHS, NULL},
    {"schedule-factor", CM_OPTION_DOUBLE, MEMBER(factor), "X",
     "Multiply the rate by X at each reduction; plateau and step (default: 0.1)", 1e-6, 1, NULL},
    {0}};
#undef MEMBER

cm_rate_options cm_rate_options_default(void) {
    const cm_train_options train = cm_train_options_default();
    return (cm_rate_options){.learning_rate = train.optimizer.learning_rate,
                             .schedule = train.schedule};
}

cm_status cm_rate_options_apply(const char *command, const cm_rate_options *options,
                                cm_train_options *train, cm_error *error) {
    train->schedule = options->schedule;
    train->optimizer.learning_rate = options->learning_rate;
    if (options->step > 0) {
        if (train->schedule != CM_SCHEDULE_STEP) {
            return cm_fail(error, CM_USAGE,
                           "%s: --schedule-step needs --schedule step; add that, or leave out "
                           "--schedule-step",
                           command);
        }
        train->schedule_step = options->step;
    }
    if (options->factor > 0.0) {
        if (train->schedule != CM_SCHEDULE_STEP && train->schedule != CM_SCHEDULE_PLATEAU) {
            return cm_fail(error, CM_USAGE,
                           "%s: --schedule-factor needs --schedule plateau or step, not %s; leave "
                           "--schedule-factor out",
                           command, cm_schedule_name(train->schedule));
        }
        double *factor =
            train->schedule == CM_SCHEDULE_STEP ? &train->schedule_factor : &train->plateau_factor;
        *factor = options->factor;
    }
    return CM_OK;
}

cm_status cm_check_training(const char *command, const cm_train_options *train, cm_error *error) {
    if ((int64_t)train->epochs * train->steps > CM_MAX_TRAIN_STEPS) {
        return cm_fail(error, CM_USAGE,
                       "%s: --epochs %d times --steps %d is more than %d batches in total; reduce "
                       "one of them",
                       command, train->epochs, train->steps, CM_MAX_TRAIN_STEPS);
    }
    if (train->until_accuracy > 0.0 &&
        (train->epochs == 0 || train->steps == 0 || train->valid_steps == 0)) {
        return cm_fail(error, CM_USAGE,
                       "%s: --until-accuracy needs training and validation; give --epochs, --steps "
                       "and --valid-steps of at least 1",
                       command);
    }
    return cm_train_options_check(train, error);
}
