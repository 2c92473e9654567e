#include "convmark/trainer.h"

cm_status cm_network_check_fits(const cm_network *network, const cm_images *images, int classes,
                                cm_error *error) {
    const cm_layer_shape *input = &network->input;
    if (input->channels != 1 || input->height != images->height || input->width != images->width) {
        return cm_fail(error, CM_USAGE,
                       "network %s takes %dx%dx%d images, not 1x%dx%d; begin it with 'input 1 %d "
                       "%d'",
                       network->name, input->channels, input->height, input->width, images->height,
                       images->width, images->height, images->width);
    }
    if (network->classes < classes) {
        return cm_fail(error, CM_USAGE,
                       "network %s has %d outputs, the data has %d classes; end it with 'linear "
                       "%d'",
                       network->name, network->classes, classes, classes);
    }
    return CM_OK;
}

cm_status cm_train_options_check(const cm_train_options *options, cm_error *error) {
    if (options->epochs < 0 || options->steps < 0 || options->valid_steps < 0 ||
        options->batch < 1) {
        return cm_fail(error, CM_USAGE,
                       "%d epochs, %d steps, %d validation steps, batch %d: give none that is "
                       "negative, and a batch of at least 1",
                       options->epochs, options->steps, options->valid_steps, options->batch);
    }
    if ((int64_t)options->epochs * options->steps > CM_MAX_TRAIN_STEPS) {
        return cm_fail(error, CM_USAGE,
                       "--epochs %d times --steps %d is more than %d steps in all; give fewer of "
                       "one of them",
                       options->epochs, options->steps, CM_MAX_TRAIN_STEPS);
    }
    if (options->schedule >= CM_SCHEDULE_COUNT || options->schedule_step < 1 ||
        !(options->schedule_factor > 0.0 && options->schedule_factor <= 1.0)) {
        return cm_fail(error, CM_USAGE,
                       "schedule %d with step %d and factor %g: give a schedule that there is, a "
                       "step of at least 1, and a factor above 0 and at most 1",
                       (int)options->schedule, options->schedule_step, options->schedule_factor);
    }
    if (options->until_accuracy > 0.0 &&
        (options->epochs == 0 || options->steps == 0 || options->valid_steps == 0)) {
        return cm_fail(error, CM_USAGE,
                       "--until-accuracy needs training and validation; give --epochs, --steps and "
                       "--valid-steps of at least 1");
    }
    return CM_OK;
}
