#include "harness/studies/sweep/sweep_study.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/system/threads.h"
#include "harness/studies/sweep/sweep_json.h"
#include "harness/studies/sweep/sweep_text.h"

/* A sweep under way. */
typedef struct sweep_maker {
    cm_sweep *sweep;
    cm_topology places; /* the options' topology, with its PUs in the order of the pinning */
    cm_block_data data[CM_STUDY_MAX_LIST]; /* by batch size */
} sweep_maker;

static cm_status plan_sweep(void *self, cm_error *error) {
    return cm_sweep_plan(((sweep_maker *)self)->sweep, error);
}

static json_t *sweep_to_json(const void *self, cm_error *error) {
    return cm_sweep_to_json(((const sweep_maker *)self)->sweep, error);
}

static cm_status sweep_take_json(void *self, const json_t *earlier, const char *file,
                                 cm_error *error) {
    return cm_sweep_take_json(((sweep_maker *)self)->sweep, earlier, file, error);
}

static char *sweep_markdown(const void *self) {
    return cm_sweep_markdown(((const sweep_maker *)self)->sweep);
}

static char *sweep_csv(const void *self) {
    return cm_measurements_csv(&((const sweep_maker *)self)->sweep->measurements);
}

/* ---- Threads and models ---- */

static cm_status open_sweep(void *self, cm_error *error) {
    sweep_maker *maker = self;
    const cm_sweep_options *options = &maker->sweep->options;
    maker->places = *options->study.topology;
    maker->places.pu_order = calloc((size_t)maker->places.usable_pus, sizeof(int));
    return maker->places.pu_order == NULL ? cm_study_out_of_memory("sweep", error)
                                          : cm_topology_order(options->study.topology, options->pin,
                                                              maker->places.pu_order, error);
}

static void close_sweep(void *self) {
    free(((sweep_maker *)self)->places.pu_order);
}

static cm_status use_sweep_threads(const sweep_maker *maker, int threads, cm_error *error) {
    const bool pin =
        maker->sweep->options.pin != CM_PIN_NONE && threads <= maker->places.usable_pus;
    bool pinned;
    cm_error warning;
    const cm_status status =
        cm_threads_start(threads, pin, &maker->places, &pinned, &warning, error);
    if (status != CM_OK || pinned == pin) {
        return status;
    }
    /* The results would say where the threads were. */
    return cm_fail(error, CM_FAILED, "sweep: %s; choose not to pin them", warning.message);
}

static cm_status open_sweep_model(const sweep_maker *maker, int variant, int batch, int threads,
                                  cm_model **model, cm_error *error) {
    const cm_sweep *sweep = maker->sweep;
    const cm_model_options options = {.batch = batch,
                                      .threads = threads,
                                      .isa = sweep->options.isa,
                                      .training = true,
                                      .block = sweep->options.train.block};
    const cm_status status = use_sweep_threads(maker, threads, error);
    return status == CM_OK ? cm_study_open_model(sweep->networks.items[variant], &options,
                                                 sweep->options.train.seed, model, error)
                           : status;
}

/* ---- Rounds ---- */

static cm_rounds sweep_rounds(const void *self) {
    cm_sweep *sweep = ((const sweep_maker *)self)->sweep;
    return (cm_rounds){.measurements = &sweep->measurements,
                       .cells = sweep->measurements.count / CM_MODE_COUNT,
                       .rounds = sweep->options.rounds,
                       .seed = sweep->options.order_seed,
                       .seconds = sweep->options.seconds};
}

static cm_status open_sweep_rounds(void *self, cm_error *error) {
    sweep_maker *maker = self;
    const cm_sweep *sweep = maker->sweep;
    cm_status status = CM_OK;
    for (int i = 0; status == CM_OK && i < sweep->options.batch_count; ++i) {
        status = cm_block_data_create(&sweep->study.dataset->train, sweep->options.batches[i],
                                      &maker->data[i], error);
    }
    return status;
}

static void close_sweep_rounds(void *self) {
    sweep_maker *maker = self;
    for (int i = 0; i < maker->sweep->options.batch_count; ++i) {
        cm_block_data_free(&maker->data[i]);
    }
}

static cm_status measure_sweep_cell(void *self, int cell, cm_error *error) {
    sweep_maker *maker = self;
    const cm_sweep_options *options = &maker->sweep->options;
    cm_sweep_place at = cm_sweep_place_of(maker->sweep, cell * CM_MODE_COUNT);
    cm_model *model = NULL;
    const cm_status status = open_sweep_model(maker, at.variant, options->batches[at.batch],
                                              options->cores[at.cores], &model, error);
    for (; status == CM_OK && at.mode < CM_MODE_COUNT; ++at.mode) {
        cm_measurement *m = cm_sweep_at(maker->sweep, at);
        m->samples[m->n++] =
            cm_throughput_sample(model, at.mode, &maker->data[at.batch], options->seconds);
    }
    cm_model_free(model);
    return status;
}

/* ---- Accuracy ---- */

static int sweep_run_count(const void *self) {
    return ((const sweep_maker *)self)->sweep->run_count;
}

static cm_study_task sweep_run_at(const void *self, int index) {
    const cm_sweep *sweep = ((const sweep_maker *)self)->sweep;
    const cm_sweep_run *run = &sweep->runs[index];
    const cm_network *network = sweep->networks.items[run->variant];
    const int cores = sweep->options.cores[run->cores];
    cm_study_task planned = {.done = run->result.done,
                             .amount =
                                 cm_study_training_seconds(network, &sweep->options.train, cores)};
    snprintf(planned.doing, sizeof planned.doing, "training %s on %d core%s", network->name, cores,
             cores == 1 ? "" : "s");
    return planned;
}

static cm_status do_sweep_run(void *self, int index, const cm_study_train_hooks *hooks,
                              cm_error *error) {
    sweep_maker *maker = self;
    const cm_sweep *sweep = maker->sweep;
    const cm_train_options *options = &sweep->options.train;
    cm_sweep_run *run = &sweep->runs[index];
    cm_model *model = NULL;
    cm_train_result result = {0};
    cm_status status = open_sweep_model(maker, run->variant, options->batch,
                                        sweep->options.cores[run->cores], &model, error);
    if (status == CM_OK) {
        status =
            cm_train(model, sweep->study.dataset, options, NULL, NULL, hooks->stop, &result, error);
    }
    if (status == CM_OK && result.epoch_count > 0) {
        run->result = cm_training_run_of(&result, options, options->until_accuracy);
    }
    cm_train_result_free(&result);
    cm_model_free(model);
    return status;
}

/* Checks that bits are the same at every number of cores, also where an earlier call trained. */
static cm_status check_sweep_run(const void *self, int index, cm_error *error) {
    const cm_sweep *sweep = ((const sweep_maker *)self)->sweep;
    const cm_sweep_run *run = &sweep->runs[index];
    for (int i = 0; i < sweep->run_count; ++i) {
        const cm_sweep_run *other = &sweep->runs[i];
        if (other->result.done && other->variant == run->variant &&
            strcmp(other->result.sha256, run->result.sha256) != 0) {
            return cm_fail(error, CM_FAILED,
                           "sweep: %s gives other bits on %d cores (%.12s) than on %d (%.12s): "
                           "report this line as a bug",
                           sweep->networks.items[run->variant]->name,
                           sweep->options.cores[run->cores], run->result.sha256,
                           sweep->options.cores[other->cores], other->result.sha256);
        }
    }
    return CM_OK;
}

/* ---- The study ---- */

static const cm_study_kind sweep_kind = {
    .name = "sweep",
    .plan = plan_sweep,
    .to_json = sweep_to_json,
    .take_json = sweep_take_json,
    .tables = {{".md", sweep_markdown}, {".csv", sweep_csv}},
    .open = open_sweep,
    .close = close_sweep,
    .rounds = sweep_rounds,
    .open_rounds = open_sweep_rounds,
    .close_rounds = close_sweep_rounds,
    .measure = measure_sweep_cell,
    .run_count = sweep_run_count,
    .run_at = sweep_run_at,
    .train = do_sweep_run,
    .check_run = check_sweep_run,
};

cm_status cm_sweep_make(const cm_sweep_options *options, const cm_dataset *dataset,
                        const cm_study_control *control, cm_sweep *sweep, cm_error *error) {
    *sweep = (cm_sweep){.study = {.dataset = dataset}, .options = *options};
    sweep_maker maker = {.sweep = sweep};
    const cm_study_call call = {.kind = &sweep_kind,
                                .self = &maker,
                                .study = &sweep->study,
                                .options = &options->study,
                                .accuracy = options->accuracy};
    const cm_status status = cm_study_make(&call, control, error);
    /* What was borrowed may end with this call. */
    sweep->options.study = (cm_study_settings){.output = NULL};
    sweep->options.variants = NULL;
    return status;
}
