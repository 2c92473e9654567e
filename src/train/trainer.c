#include "train/trainer.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "system/clock.h"
#include "system/energy.h"
#include "train/stream.h"

cm_train_options cm_train_options_default(void) {
    return (cm_train_options){
        .seed = 0,
        .epochs = 3,
        .steps = 100,
        .valid_steps = 100,
        .batch = 64,
        .shuffle = true,
        .optimizer = {.learning_rate = 1e-3,
                      .beta1 = 0.9,
                      .beta2 = 0.999,
                      .epsilon = 1e-8,
                      .weight_decay = 1e-5},
        .schedule = CM_SCHEDULE_PLATEAU,
        .schedule_step = 1,
        .schedule_factor = 0.1,
        .plateau_factor = 0.1,
        .plateau_patience = 10,
        .early_stopping_patience = 10,
    };
}

/* A run under way. */
typedef struct train_run {
    cm_model *model;
    const cm_train_options *options;
    cm_train_observer *observer;
    void *observer_context;
    const volatile sig_atomic_t *stop;
    cm_stream *train_stream, *valid_stream;
    float *images;
    uint8_t *labels;
    cm_optimizer optimizer; /* its learning rate moves */
    cm_schedule schedule;
    cm_train_result *result;
    double train_seconds; /* of all steps so far */
    int64_t start;
} train_run;

static bool stopped(const train_run *run) {
    return run->stop != NULL && *run->stop != 0;
}

static void observe(const train_run *run, int epoch, int step, bool validating, double loss,
                    double accuracy, const cm_epoch_result *finished) {
    if (run->observer == NULL) {
        return;
    }
    const cm_train_options *options = run->options;
    const double trained = (double)run->result->step_count * options->batch;
    const double elapsed = (double)(cm_clock_ns() - run->start) * 1e-9;
    const double done = (double)epoch * (options->steps + options->valid_steps) +
                        (validating ? options->steps : 0) + step;
    const double all = (double)options->epochs * (options->steps + options->valid_steps);
    const cm_train_progress progress = {
        .epoch = epoch,
        .epochs = options->epochs,
        .step = step,
        .steps = validating ? options->valid_steps : options->steps,
        .validating = validating,
        .loss = loss,
        .accuracy = accuracy,
        .images_per_second = run->train_seconds > 0.0 ? trained / run->train_seconds : 0.0,
        .eta_seconds = done > 0.0 ? elapsed / done * (all - done) : 0.0,
    };
    run->observer(&progress, finished, run->observer_context);
}

static cm_status not_finite(const char *what, double loss, int epoch, int step, cm_error *error) {
    return cm_fail(error, CM_FAILED,
                   "the %s is %f in epoch %d at step %d; use a smaller learning rate (--lr)", what,
                   loss, epoch + 1, step + 1);
}

static double joules_now(const train_run *run) {
    return run->options->energy != NULL ? cm_energy_read(run->options->energy) : (double)NAN;
}

/* The epoch's training steps; *mean is the mean of the losses of those that were done. */
static cm_status train_epoch(train_run *run, int epoch, cm_epoch_result *result, cm_error *error) {
    const cm_train_options *options = run->options;
    const double joules = joules_now(run);
    double sum = 0.0;
    for (int step = 0; step < options->steps; ++step) {
        cm_energy_keep_up(options->energy);
        if (stopped(run)) {
            return cm_fail(error, CM_INTERRUPTED, "interrupted in epoch %d after step %d",
                           epoch + 1, step);
        }
        run->optimizer.learning_rate = cm_schedule_next(&run->schedule);
        result->learning_rate = step == 0 ? run->optimizer.learning_rate : result->learning_rate;
        const int64_t begin = cm_clock_ns();
        cm_stream_next(run->train_stream, run->images, run->labels);
        const double loss = cm_model_train_step(run->model, options->batch, run->images,
                                                run->labels, &run->optimizer, options->seed)
                                .loss;
        const double seconds = (double)(cm_clock_ns() - begin) * 1e-9;
        result->train_seconds += seconds;
        run->train_seconds += seconds;
        run->result->step_losses[run->result->step_count++] = loss;
        sum += loss;
        result->train_loss = sum / (step + 1);
        if (!isfinite(loss)) {
            return not_finite("loss", loss, epoch, step, error);
        }
        observe(run, epoch, step + 1, false, loss, 0.0, NULL);
    }
    result->joules = joules_now(run) - joules;
    return CM_OK;
}

static cm_status validate_epoch(train_run *run, int epoch, cm_epoch_result *result,
                                cm_error *error) {
    const cm_train_options *options = run->options;
    double sum = 0.0;
    int64_t correct = 0;
    for (int step = 0; step < options->valid_steps; ++step) {
        cm_energy_keep_up(options->energy);
        if (stopped(run)) {
            return cm_fail(error, CM_INTERRUPTED, "interrupted in the validation of epoch %d",
                           epoch + 1);
        }
        const int64_t begin = cm_clock_ns();
        cm_stream_next(run->valid_stream, run->images, run->labels);
        const cm_batch_result batch =
            cm_model_evaluate(run->model, options->batch, run->images, run->labels);
        result->valid_seconds += (double)(cm_clock_ns() - begin) * 1e-9;
        sum += batch.loss;
        correct += batch.correct;
        result->test_loss = sum / (step + 1);
        result->accuracy = (double)correct / ((double)(step + 1) * options->batch);
        if (!isfinite(batch.loss)) {
            return not_finite("validation loss", batch.loss, epoch, step, error);
        }
        observe(run, epoch, step + 1, true, batch.loss, result->accuracy, NULL);
    }
    return CM_OK;
}

static cm_status run_epochs(train_run *run, cm_error *error) {
    const cm_train_options *options = run->options;
    for (int epoch = 0; epoch < options->epochs; ++epoch) {
        cm_epoch_result result = {.learning_rate = run->schedule.rate};
        cm_status status = train_epoch(run, epoch, &result, error);
        if (status == CM_OK) {
            status = validate_epoch(run, epoch, &result, error);
        }
        if (status != CM_OK) {
            return status;
        }
        run->result->epochs[run->result->epoch_count++] = result;
        observe(run, epoch, options->valid_steps, true, 0.0, result.accuracy, &result);
        if (options->until_accuracy > 0.0 && options->valid_steps > 0 &&
            result.accuracy >= options->until_accuracy) {
            run->result->reached_accuracy = true;
            return CM_OK;
        }
        if (options->valid_steps > 0) {
            cm_schedule_observe(&run->schedule, result.test_loss);
            const int since_best = run->schedule.plateau.since_best;
            if (since_best > 0 && since_best >= options->early_stopping_patience) {
                run->result->early_stopped = true;
                return CM_OK;
            }
        }
    }
    return CM_OK;
}

static cm_status prepare(train_run *run, const cm_dataset *dataset, cm_error *error) {
    const cm_train_options *options = run->options;
    const cm_images *train = &dataset->train;
    cm_status status = cm_train_options_check(options, error);
    if (status == CM_OK) {
        status =
            cm_network_check_fits(cm_model_network(run->model), train, dataset->classes, error);
    }
    if (status != CM_OK) {
        return status;
    }
    if (options->batch > cm_model_batch(run->model)) {
        return cm_fail(error, CM_USAGE,
                       "batch %d is larger than the %d that the model was made for; choose one",
                       options->batch, cm_model_batch(run->model));
    }
    const size_t batch = (size_t)options->batch;
    const size_t pixels = (size_t)train->height * (size_t)train->width;
    run->images = malloc(batch * pixels * sizeof *run->images);
    run->labels = malloc(batch);
    run->result->step_losses =
        calloc((size_t)options->epochs * (size_t)options->steps + 1, sizeof(double));
    run->result->epochs = calloc((size_t)options->epochs + 1, sizeof(cm_epoch_result));
    if (run->images == NULL || run->labels == NULL || run->result->step_losses == NULL ||
        run->result->epochs == NULL) {
        return cm_fail(error, CM_FAILED, "out of memory for a batch of %d", options->batch);
    }
    status = cm_stream_create(train, options->batch, options->shuffle, options->seed,
                              CM_RANDOM_TRAIN_ORDER, &run->train_stream, error);
    if (status == CM_OK) {
        status =
            cm_stream_create(&dataset->validation, options->batch, options->shuffle, options->seed,
                             CM_RANDOM_VALIDATION_ORDER, &run->valid_stream, error);
    }
    return status;
}

cm_status cm_train(cm_model *model, const cm_dataset *dataset, const cm_train_options *options,
                   cm_train_observer *observer, void *observer_context,
                   const volatile sig_atomic_t *stop, cm_train_result *result, cm_error *error) {
    *result = (cm_train_result){0};
    train_run run = {
        .model = model,
        .options = options,
        .observer = observer,
        .observer_context = observer_context,
        .stop = stop,
        .optimizer = options->optimizer,
        .schedule = cm_schedule_init(options),
        .result = result,
        .start = cm_clock_ns(),
    };
    cm_status status = prepare(&run, dataset, error);
    if (status == CM_OK) {
        status = run_epochs(&run, error);
        result->images_per_second = run.train_seconds > 0.0 ? (double)result->step_count *
                                                                  options->batch / run.train_seconds
                                                            : 0.0;
        cm_model_sha256(model, result->sha256);
    }
    cm_stream_free(run.train_stream);
    cm_stream_free(run.valid_stream);
    free(run.images);
    free(run.labels);
    return status;
}

cm_train_cost cm_train_cost_of(const cm_train_result *result, const cm_train_options *options,
                               int epochs) {
    cm_train_cost cost = {.images = (double)epochs * options->steps * options->batch,
                          .joules = epochs > 0 ? 0.0 : (double)NAN};
    for (int i = 0; i < epochs; ++i) {
        cost.seconds += result->epochs[i].train_seconds;
        cost.joules += result->epochs[i].joules;
    }
    return cost;
}

void cm_train_result_free(cm_train_result *result) {
    free(result->step_losses);
    free(result->epochs);
    *result = (cm_train_result){0};
}
