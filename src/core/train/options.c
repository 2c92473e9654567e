#include "convmark/trainer.h"

cm_train_options cm_train_options_default(void) {
    return (cm_train_options){
        .seed = 0,
        .epochs = 3,
        .steps = 100,
        .valid_steps = 100,
        .batch = 64,
        .block = CM_DEFAULT_BLOCK,
        .shuffle = true,
        .optimizer = cm_optimizer_default(),
        .schedule = CM_SCHEDULE_PLATEAU,
        .schedule_step = 1,
        .schedule_factor = 0.1,
        .plateau_factor = 0.1,
        .plateau_patience = 10,
        .early_stopping_patience = 10,
    };
}

static cm_status check_counts(const cm_train_options *options, cm_error *error) {
    if (options->epochs < 0 || options->steps < 0 || options->valid_steps < 0 ||
        options->batch < 1 || options->block < 1) {
        return cm_fail(error, CM_USAGE,
                       "%d epochs of %d training and %d validation batches of %d images in blocks "
                       "of %d: counts must be at least 0, batch and block at least 1",
                       options->epochs, options->steps, options->valid_steps, options->batch,
                       options->block);
    }
    if ((int64_t)options->epochs * options->steps > CM_MAX_TRAIN_STEPS) {
        return cm_fail(error, CM_USAGE,
                       "%d epochs of %d training batches are more than %d training batches in all; "
                       "use fewer epochs or batches",
                       options->epochs, options->steps, CM_MAX_TRAIN_STEPS);
    }
    return CM_OK;
}

cm_status cm_train_options_check(const cm_train_options *options, cm_error *error) {
    const cm_status status = check_counts(options, error);
    if (status != CM_OK) {
        return status;
    }
    if (options->schedule >= CM_SCHEDULE_COUNT || options->schedule_step < 1 ||
        !(options->schedule_factor > 0.0 && options->schedule_factor <= 1.0)) {
        return cm_fail(error, CM_USAGE,
                       "schedule %d with step %d and factor %g: the schedule must be known, the "
                       "step at least 1, the factor above 0 and at most 1",
                       (int)options->schedule, options->schedule_step, options->schedule_factor);
    }
    if (options->until_accuracy > 0.0 &&
        (options->epochs == 0 || options->steps == 0 || options->valid_steps == 0)) {
        return cm_fail(error, CM_USAGE,
                       "an accuracy to stop at needs training and validation: at least 1 epoch, 1 "
                       "training batch and 1 validation batch");
    }
    return CM_OK;
}
