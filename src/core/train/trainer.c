#include "convmark/trainer.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "convmark/schedule.h"
#include "convmark/stream.h"
#include "core/system/clock.h"
#include "core/system/energy.h"
#include "core/train/checkpointer.h"

/* A run under way. */
typedef struct trainer_run {
    cm_model *model;
    const cm_train_options *options;
    cm_train_watch watch;
    cm_stream *train_stream, *valid_stream;
    float *images;
    uint8_t *labels;
    cm_train_state state;
    bool counts_joules; /* since `joules` */
    double joules;
    cm_train_result *result;
    int64_t start;
    double done_before; /* batches that were done when this call began */
    const cm_checkpoint_options *checkpoint_options; /* NULL: none are written */
    cm_checkpointer checkpointer;
    cm_train_state written; /* where the last checkpoint is */
} trainer_run;

static bool stopped(const trainer_run *run) {
    return run->watch.stop != NULL && *run->watch.stop != 0;
}

/* Batches done of both kinds. */
static double batches_done(const trainer_run *run) {
    const cm_train_options *options = run->options;
    const cm_train_state *state = &run->state;
    return (double)state->epoch * (options->steps + options->valid_steps) + state->step +
           state->valid_step;
}

static void observe(const trainer_run *run, bool validating, double loss,
                    const cm_epoch_result *finished) {
    if (run->watch.observer == NULL) {
        return;
    }
    const cm_train_options *options = run->options;
    const cm_train_state *state = &run->state;
    const double trained = (double)run->result->step_count * options->batch;
    const double elapsed = (double)(cm_clock_ns() - run->start) * 1e-9;
    const double done = batches_done(run), here = done - run->done_before;
    const double all = (double)options->epochs * (options->steps + options->valid_steps);
    const cm_train_progress progress = {
        .epoch = state->epoch,
        .epochs = options->epochs,
        .step = validating ? state->valid_step : state->step,
        .steps = validating ? options->valid_steps : options->steps,
        .validating = validating,
        .loss = loss,
        .accuracy = state->current.accuracy,
        .images_per_second = state->train_seconds > 0.0 ? trained / state->train_seconds : 0.0,
        .eta_seconds = here > 0.0 ? elapsed / here * (all - done) : 0.0,
    };
    run->watch.observer(&progress, finished, run->watch.observer_context);
}

static cm_status not_finite(trainer_run *run, bool validating, double loss, cm_error *error) {
    const cm_train_state *state = &run->state;
    const char *kind = "output that is not finite is that of layer";
    const char *name =
        cm_model_layer_not_finite(run->model, run->options->batch, validating ? run->images : NULL);
    if (name == NULL) {
        kind = "tensor that is not finite is";
        name = cm_model_tensor_not_finite(run->model);
    }
    return cm_fail(error, CM_FAILED,
                   "the %s is %f in epoch %d at step %d; the first %s %s; use a smaller learning "
                   "rate",
                   validating ? "validation loss" : "loss", loss, state->epoch + 1,
                   validating ? state->valid_step : state->step, kind,
                   name != NULL ? name : "unknown");
}

static double joules_now(const trainer_run *run) {
    return run->options->energy != NULL ? cm_energy_read(run->options->energy) : (double)NAN;
}

/* Training batches follow one another under one count of joules. */
static void begin_counting_joules(trainer_run *run) {
    if (!run->counts_joules) {
        run->counts_joules = true;
        run->joules = joules_now(run);
    }
}

/* Ends the count: something else than training comes next. */
static void settle_joules(trainer_run *run) {
    if (run->counts_joules) {
        run->counts_joules = false;
        run->state.current.joules += joules_now(run) - run->joules;
    }
}

/* A checkpoint of the run as it is, unless that is there already. */
static cm_status write_checkpoint(trainer_run *run, cm_error *error) {
    const cm_train_state *now = &run->state, *last = &run->written;
    if (run->checkpoint_options == NULL || (now->epoch == last->epoch && now->step == last->step &&
                                            now->valid_step == last->valid_step)) {
        return CM_OK;
    }
    settle_joules(run);
    const cm_status status = cm_checkpointer_write(&run->checkpointer, error);
    if (status == CM_OK) {
        run->written = *now;
    }
    return status;
}

static cm_status stop_here(trainer_run *run, cm_error *error) {
    const cm_train_state *state = &run->state;
    const bool validating = state->valid_step > 0;
    const cm_status status = write_checkpoint(run, error);
    return status != CM_OK
               ? status
               : cm_fail(error, CM_INTERRUPTED, "interrupted in %sepoch %d after step %d",
                         validating ? "the validation of " : "", state->epoch + 1,
                         validating ? state->valid_step : state->step);
}

static cm_status train_step(trainer_run *run, cm_error *error) {
    const cm_train_options *options = run->options;
    cm_train_state *state = &run->state;
    cm_optimizer optimizer = options->optimizer;
    optimizer.learning_rate = cm_schedule_next(&state->schedule);
    if (state->step == 0) {
        state->current.learning_rate = optimizer.learning_rate;
    }
    begin_counting_joules(run);
    cm_energy_keep_up(options->energy);
    const int64_t begin = cm_clock_ns();
    cm_stream_next(run->train_stream, run->images, run->labels);
    const double loss = cm_model_train_step(run->model, options->batch, run->images, run->labels,
                                            &optimizer, options->seed)
                            .loss;
    const double seconds = (double)(cm_clock_ns() - begin) * 1e-9;
    state->current.train_seconds += seconds;
    state->train_seconds += seconds;
    run->result->step_losses[run->result->step_count++] = loss;
    state->loss_sum += loss;
    ++state->step;
    state->current.train_loss = state->loss_sum / state->step;
    if (!isfinite(loss)) {
        return not_finite(run, false, loss, error);
    }
    observe(run, false, loss, NULL);
    const bool due = run->checkpoint_options != NULL &&
                     run->result->step_count % run->checkpoint_options->every == 0;
    return due ? write_checkpoint(run, error) : CM_OK;
}

static cm_status valid_step(trainer_run *run, cm_error *error) {
    const cm_train_options *options = run->options;
    cm_train_state *state = &run->state;
    settle_joules(run);
    cm_energy_keep_up(options->energy);
    const int64_t begin = cm_clock_ns();
    cm_stream_next(run->valid_stream, run->images, run->labels);
    const cm_batch_result batch =
        cm_model_evaluate(run->model, options->batch, run->images, run->labels);
    state->current.valid_seconds += (double)(cm_clock_ns() - begin) * 1e-9;
    state->valid_loss_sum += batch.loss;
    state->correct += batch.correct;
    ++state->valid_step;
    state->current.test_loss = state->valid_loss_sum / state->valid_step;
    state->current.accuracy = (double)state->correct / ((double)state->valid_step * options->batch);
    if (!isfinite(batch.loss)) {
        return not_finite(run, true, batch.loss, error);
    }
    observe(run, true, batch.loss, NULL);
    return CM_OK;
}

/* Whether the run has come to its end in one of the ways that there are. */
static bool finished(const trainer_run *run) {
    const cm_train_state *state = &run->state;
    return state->epoch == run->options->epochs || state->early_stopped || state->reached_accuracy;
}

/* The epoch's result, and what follows from it: the next rate, or the end of the run. Looks at all
 * tensors, and at what the last training step kept of its forward pass: once per epoch costs
 * nothing. */
static cm_status end_epoch(trainer_run *run, cm_error *error) {
    const cm_train_options *options = run->options;
    cm_train_state *state = &run->state;
    settle_joules(run);
    const cm_status sound = cm_model_check_finite(run->model, options->batch, NULL, error);
    if (sound != CM_OK) {
        return sound;
    }
    const cm_epoch_result result = state->current;
    run->result->epochs[run->result->epoch_count++] = result;
    observe(run, true, 0.0, &result);
    if (options->until_accuracy > 0.0 && options->valid_steps > 0 &&
        result.accuracy >= options->until_accuracy) {
        state->reached_accuracy = true;
    } else if (options->valid_steps > 0) {
        cm_schedule_observe(&state->schedule, result.test_loss);
        const int since_best = state->schedule.plateau.since_best;
        state->early_stopped = since_best > 0 && since_best >= options->early_stopping_patience;
    }
    ++state->epoch;
    state->step = 0;
    state->valid_step = 0;
    state->loss_sum = 0.0;
    state->valid_loss_sum = 0.0;
    state->correct = 0;
    state->current = (cm_epoch_result){.learning_rate = state->schedule.rate};
    return CM_OK;
}

/* From where the state is to the end. */
static cm_status run_epochs(trainer_run *run, cm_error *error) {
    const cm_train_options *options = run->options;
    const cm_train_state *state = &run->state;
    while (!finished(run)) {
        const bool training = state->step < options->steps;
        const bool validating = !training && state->valid_step < options->valid_steps;
        cm_status status = CM_OK;
        if (stopped(run) && (training || validating)) {
            status = stop_here(run, error);
        } else if (training) {
            status = train_step(run, error);
        } else if (validating) {
            status = valid_step(run, error);
        } else {
            status = end_epoch(run, error);
        }
        if (status != CM_OK) {
            return status;
        }
    }
    return write_checkpoint(run, error);
}

static cm_status prepare_training(trainer_run *run, const cm_dataset *dataset, cm_error *error) {
    const cm_train_options *options = run->options;
    const cm_images *train = &dataset->train;
    cm_status status = cm_train_options_check(options, error);
    if (status == CM_OK) {
        status =
            cm_network_check_fits(cm_model_network(run->model), train, dataset->classes, error);
    }
    if (status == CM_OK) {
        status = cm_network_check_batch(cm_model_network(run->model), options->batch, error);
    }
    if (status != CM_OK) {
        return status;
    }
    if (options->batch > cm_model_batch(run->model)) {
        return cm_fail(error, CM_USAGE,
                       "batch %d is larger than the %d that the model was made for; choose one",
                       options->batch, cm_model_batch(run->model));
    }
    if (options->block != cm_model_block(run->model)) {
        return cm_fail(error, CM_USAGE,
                       "block %d is not the %d that the model was made for; use that one",
                       options->block, cm_model_block(run->model));
    }
    const size_t batch = (size_t)options->batch;
    const size_t pixels = cm_images_size(train);
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

/* Opens the checkpoints, if there are to be any; the run may then be somewhere else. */
static cm_status open_checkpoints(trainer_run *run, const cm_dataset *dataset, cm_error *error) {
    if (run->checkpoint_options == NULL) {
        return CM_OK;
    }
    const cm_checkpoint parts = {.model = run->model,
                                 .state = &run->state,
                                 .train_stream = run->train_stream,
                                 .valid_stream = run->valid_stream,
                                 .result = run->result};
    run->written.epoch = -1; /* none */
    const cm_status status = cm_checkpointer_open(&run->checkpointer, run->checkpoint_options,
                                                  &parts, run->options, dataset, error);
    if (status == CM_OK && run->checkpoint_options->resume != NULL &&
        run->checkpointer.path == run->checkpoint_options->resume && !run->checkpointer.damaged) {
        run->written = run->state;
    }
    return status;
}

static cm_status run_and_summarize(trainer_run *run, cm_error *error) {
    cm_train_result *result = run->result;
    run->done_before = batches_done(run);
    const cm_status status = run_epochs(run, error);
    const double seconds = run->state.train_seconds;
    result->images_per_second =
        seconds > 0.0 ? (double)result->step_count * run->options->batch / seconds : 0.0;
    result->early_stopped = run->state.early_stopped;
    result->reached_accuracy = run->state.reached_accuracy;
    cm_model_sha256(run->model, result->sha256);
    return status;
}

cm_status cm_train_with_checkpoints(cm_model *model, const cm_dataset *dataset,
                                    const cm_train_options *options,
                                    const cm_checkpoint_options *checkpoints,
                                    const cm_train_watch *watch, cm_train_result *result,
                                    cm_error *error) {
    *result = (cm_train_result){0};
    trainer_run run = {
        .model = model,
        .options = options,
        .watch = *watch,
        .state = {.current.learning_rate = options->optimizer.learning_rate,
                  .schedule = cm_schedule_init(options)},
        .result = result,
        .start = cm_clock_ns(),
        .checkpoint_options = checkpoints,
    };
    cm_status status = prepare_training(&run, dataset, error);
    if (status == CM_OK) {
        status = open_checkpoints(&run, dataset, error);
    }
    if (status == CM_OK) {
        status = run_and_summarize(&run, error);
    }
    cm_checkpointer_close(&run.checkpointer);
    cm_stream_free(run.train_stream);
    cm_stream_free(run.valid_stream);
    free(run.images);
    free(run.labels);
    return status;
}

cm_status cm_train(cm_model *model, const cm_dataset *dataset, const cm_train_options *options,
                   cm_train_observer *observer, void *observer_context,
                   const volatile sig_atomic_t *stop, cm_train_result *result, cm_error *error) {
    const cm_train_watch watch = {observer, observer_context, stop};
    return cm_train_with_checkpoints(model, dataset, options, NULL, &watch, result, error);
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
