#include "harness/studies/explore/explore_study.h"

#include <stdio.h>

#include "harness/measure/throughput.h"
#include "harness/studies/explore/explore_json.h"
#include "harness/studies/explore/explore_text.h"
#include "harness/studies/explore/grid.h"
#include "harness/studies/networks.h"

/* An exploration under way. */
typedef struct explore_maker {
    cm_explore *explore;
    cm_block_data data;
} explore_maker;

static cm_status plan_explore(void *self, cm_error *error) {
    return cm_explore_plan_grid(((explore_maker *)self)->explore, error);
}

static json_t *explore_to_json(const void *self, cm_error *error) {
    return cm_explore_to_json(((const explore_maker *)self)->explore, error);
}

static cm_status explore_take_json(void *self, const json_t *earlier, const char *file,
                                   cm_error *error) {
    return cm_explore_take_json(((explore_maker *)self)->explore, earlier, file, error);
}

static char *explore_markdown(const void *self) {
    return cm_explore_markdown(((const explore_maker *)self)->explore);
}

static char *explore_csv(const void *self) {
    return cm_measurements_csv(&((const explore_maker *)self)->explore->measurements);
}

static cm_status open_explore_model(const cm_explore *explore, const cm_network *network,
                                    uint64_t seed, cm_model **model, cm_error *error) {
    const cm_explore_options *o = &explore->options;
    const cm_model_options options = {.batch = o->train.batch,
                                      .threads = o->threads,
                                      .isa = o->isa,
                                      .training = true,
                                      .block = o->train.block};
    return cm_study_open_model(network, &options, seed, model, error);
}

/* ---- Rounds ---- */

static cm_rounds explore_rounds(const void *self) {
    cm_explore *explore = ((const explore_maker *)self)->explore;
    return (cm_rounds){.measurements = &explore->measurements,
                       .cells = explore->network_count,
                       .rounds = explore->options.rounds,
                       .seed = explore->options.order_seed,
                       .seconds = explore->options.seconds};
}

static cm_status open_explore_rounds(void *self, cm_error *error) {
    explore_maker *maker = self;
    const cm_explore *explore = maker->explore;
    return cm_block_data_create(&explore->study.dataset->train, explore->options.train.batch,
                                &maker->data, error);
}

static void close_explore_rounds(void *self) {
    cm_block_data_free(&((explore_maker *)self)->data);
}

static cm_status measure_explore_network(void *self, int network, cm_error *error) {
    explore_maker *maker = self;
    const cm_explore *explore = maker->explore;
    cm_measurement *m = &explore->measurements.items[network];
    cm_model *model = NULL;
    const cm_status status =
        open_explore_model(explore, explore->networks[network].network, 0, &model, error);
    if (status == CM_OK) {
        m->samples[m->n++] =
            cm_throughput_sample(model, CM_MODE_TRAIN, &maker->data, explore->options.seconds);
    }
    cm_model_free(model);
    return status;
}

/* ---- Training: seeds outside, points inside, so that what is done at any moment compares points
 * ---- */

static int explore_run_count(const void *self) {
    const cm_explore *explore = ((const explore_maker *)self)->explore;
    return explore->point_count * explore->options.seeds;
}

static cm_study_task explore_run_at(const void *self, int index) {
    const cm_explore *explore = ((const explore_maker *)self)->explore;
    const cm_explore_options *o = &explore->options;
    const int point = index % explore->point_count, seed = index / explore->point_count;
    const cm_explore_network *network = cm_explore_network_of(explore, point);
    cm_study_task planned = {
        .done = cm_explore_run_of(explore, point, seed)->result.done,
        .amount = cm_study_training_seconds(network->network, &o->train, o->threads)};
    snprintf(planned.doing, sizeof planned.doing, "training %s, %s, seed %d", network->name,
             cm_schedule_name(cm_explore_schedule_of(explore, point)), seed);
    return planned;
}

static cm_status do_explore_run(void *self, int index, const cm_study_train_hooks *hooks,
                                cm_error *error) {
    const cm_explore *explore = ((explore_maker *)self)->explore;
    const int point = index % explore->point_count, seed = index / explore->point_count;
    cm_explore_run *run = cm_explore_run_of(explore, point, seed);
    cm_train_options train = explore->options.train;
    train.schedule = cm_explore_schedule_of(explore, point);
    train.seed = (uint64_t)seed;
    cm_model *model = NULL;
    cm_train_result result = {0};
    cm_error cause = {""};
    cm_status status = open_explore_model(explore, cm_explore_network_of(explore, point)->network,
                                          train.seed, &model, &cause);
    if (status == CM_OK) {
        status = cm_train(model, explore->study.dataset, &train, NULL, NULL, hooks->stop, &result,
                          &cause);
    }
    if (status == CM_OK) {
        run->result = cm_training_run_of(&result, &train, explore->options.until_accuracy);
    } else if (status == CM_FAILED && result.step_count > 0) {
        /* A loss that is not finite: a result of this run, not the end of all of them. */
        snprintf(run->failure, sizeof run->failure, "%.*s", (int)sizeof run->failure - 1,
                 cause.message);
        run->result = (cm_training_run){.done = true};
        status = CM_OK;
    } else {
        cm_fail(error, status, "%s", cause.message);
    }
    cm_train_result_free(&result);
    cm_model_free(model);
    return status;
}

/* ---- The study ---- */

static const cm_study_kind explore_kind = {
    .name = "explore",
    .plan = plan_explore,
    .to_json = explore_to_json,
    .take_json = explore_take_json,
    .tables = {{".md", explore_markdown}, {".csv", explore_csv}},
    .rounds = explore_rounds,
    .open_rounds = open_explore_rounds,
    .close_rounds = close_explore_rounds,
    .measure = measure_explore_network,
    .run_count = explore_run_count,
    .run_at = explore_run_at,
    .train = do_explore_run,
};

cm_status cm_explore_make(const cm_explore_options *options, const cm_dataset *dataset,
                          const cm_study_control *control, cm_explore *explore, cm_error *error) {
    *explore = (cm_explore){.study = {.dataset = dataset}, .options = *options};
    explore_maker maker = {.explore = explore};
    const cm_study_call call = {.kind = &explore_kind,
                                .self = &maker,
                                .study = &explore->study,
                                .options = &options->study,
                                .accuracy = true};
    const cm_status status = cm_study_make(&call, control, error);
    explore->options.study = (cm_study_settings){.output = NULL}; /* it may end with this call */
    return status;
}
