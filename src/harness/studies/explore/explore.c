/* Measures and trains what the grid needs, and keeps explore.json up to date. */
#include "harness/studies/explore/explore.h"

#include <stdio.h>
#include <stdlib.h>

#include "harness/measure/conditions.h"
#include "harness/measure/throughput.h"
#include "harness/record/folder.h"
#include "harness/record/machine.h"
#include "harness/record/train_json.h"

static cm_status plan(cm_explore *explore, cm_error *error) {
    const cm_status status = cm_explore_plan_grid(explore, error);
    if (status != CM_OK) {
        return status;
    }
    explore->data = cm_dataset_json(explore->dataset);
    explore->conditions = cm_conditions_json(explore->options.topology);
    if (explore->data == NULL || explore->conditions == NULL) {
        return cm_fail(error, CM_FAILED, "explore: out of memory; close other programs");
    }
    return cm_machine_json(explore->options.topology, &explore->machine, error);
}

/* ---- Files ---- */

static cm_status write_json(const cm_explore *explore, cm_error *error) {
    const char *folder = explore->options.output;
    return folder == NULL
               ? CM_OK
               : cm_folder_write_json(folder, "explore", cm_explore_to_json(explore, error), error);
}

static cm_status write_tables(const cm_explore *explore, cm_error *error) {
    const char *folder = explore->options.output;
    const cm_status status =
        cm_folder_write(folder, "explore.md", cm_explore_markdown(explore), error);
    return status == CM_OK ? cm_folder_write(folder, "explore.csv",
                                             cm_measurements_csv(&explore->measurements), error)
                           : status;
}

static cm_status take_earlier(void *explore, const json_t *earlier, const char *file,
                              cm_error *error) {
    return cm_explore_take_json(explore, earlier, file, error);
}

/* ---- Work ---- */

typedef struct explorer {
    cm_explore *explore;
    cm_block_data data;
    cm_work work;
} explorer;

/* A new model each time, so that the places of its memory are drawn anew as well. */
static cm_status open_model(const cm_explore *explore, int network, uint64_t seed, cm_model **model,
                            cm_error *error) {
    const cm_explore_options *o = &explore->options;
    const cm_model_options options = {
        .batch = o->train.batch, .threads = o->threads, .isa = o->isa, .training = true};
    const cm_status status =
        cm_model_create(explore->networks[network].network, &options, model, error);
    if (status == CM_OK) {
        cm_model_initialize(*model, seed);
    }
    return status;
}

static cm_status measure_network(void *context, int network, cm_error *error) {
    explorer *e = context;
    cm_measurement *m = &e->explore->measurements.items[network];
    cm_model *model = NULL;
    const cm_status status = open_model(e->explore, network, 0, &model, error);
    if (status == CM_OK) {
        m->samples[m->n++] =
            cm_throughput_sample(model, CM_MODE_TRAIN, &e->data, e->explore->options.seconds);
    }
    cm_model_free(model);
    return status;
}

static cm_status keep_round(void *context, cm_error *error) {
    return write_json(((explorer *)context)->explore, error);
}

static cm_rounds rounds_of(explorer *e) {
    const cm_explore_options *o = &e->explore->options;
    return (cm_rounds){.measurements = &e->explore->measurements,
                       .cells = e->explore->network_count,
                       .rounds = o->rounds,
                       .seed = o->order_seed,
                       .seconds = o->seconds,
                       .measure = measure_network,
                       .keep = keep_round,
                       .context = e};
}

static cm_status measure_rounds(explorer *e, cm_error *error) {
    const cm_rounds rounds = rounds_of(e);
    cm_status status = cm_block_data_create(&e->explore->dataset->train,
                                            e->explore->options.train.batch, &e->data, error);
    if (status == CM_OK) {
        status = cm_rounds_measure(&rounds, &e->work, error);
    }
    cm_block_data_free(&e->data);
    return status;
}

static double run_work(const cm_explore *explore, int point) {
    const cm_explore_options *o = &explore->options;
    return cm_training_work(explore->networks[point / o->schedule_count].network, &o->train,
                            o->threads);
}

static cm_status train_model(const explorer *e, int point, int seed, cm_explore_run *run,
                             cm_error *error) {
    const cm_explore_options *o = &e->explore->options;
    cm_train_options train = o->train;
    train.schedule = o->schedules[point % o->schedule_count];
    train.seed = (uint64_t)seed;
    cm_model *model = NULL;
    cm_train_result result = {0};
    cm_error cause = {""};
    cm_status status =
        open_model(e->explore, point / o->schedule_count, train.seed, &model, &cause);
    if (status == CM_OK) {
        status =
            cm_train(model, e->explore->dataset, &train, NULL, NULL, e->work.stop, &result, &cause);
    }
    if (status == CM_OK) {
        run->result = cm_training_run_of(&result, &train, o->until_accuracy);
    } else if (status == CM_FAILED && result.step_count > 0) {
        /* A loss that is not finite: a result of this run, not an end of all of them. */
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

static cm_status train_run(explorer *e, int point, int seed, cm_error *error) {
    cm_explore *explore = e->explore;
    const cm_explore_options *o = &explore->options;
    cm_explore_run *run = &explore->runs[(size_t)point * (size_t)o->seeds + (size_t)seed];
    if (run->result.done) {
        return CM_OK;
    }
    if (cm_work_stopped(&e->work)) {
        return CM_INTERRUPTED;
    }
    char doing[128];
    snprintf(doing, sizeof doing, "training %s, %s, seed %d",
             explore->networks[point / o->schedule_count].name,
             cm_schedule_name(o->schedules[point % o->schedule_count]), seed);
    cm_work_say(&e->work, doing);
    const cm_status status = train_model(e, point, seed, run, error);
    if (status != CM_OK) {
        return status;
    }
    cm_work_advance(&e->work, run_work(explore, point), doing);
    return write_json(explore, error);
}

/* Seeds outside, points inside: what is done at any moment compares points. */
static cm_status train_runs(explorer *e, cm_error *error) {
    cm_status status = CM_OK;
    for (int seed = 0; status == CM_OK && seed < e->explore->options.seeds; ++seed) {
        for (int point = 0; status == CM_OK && point < e->explore->point_count; ++point) {
            status = train_run(e, point, seed, error);
        }
    }
    return status;
}

static void plan_work(explorer *e) {
    const cm_explore *explore = e->explore;
    const cm_rounds rounds = rounds_of(e);
    const int seeds = explore->options.seeds;
    cm_rounds_plan(&rounds, &e->work);
    for (int i = 0; i < explore->point_count * seeds; ++i) {
        cm_work_plan(&e->work, 1, explore->runs[i].result.done, run_work(explore, i / seeds));
    }
    cm_work_start(&e->work);
}

cm_status cm_explore_make(const cm_explore_options *options, const cm_dataset *dataset,
                          cm_work_observer *observer, void *observer_context,
                          const volatile sig_atomic_t *stop, cm_explore *explore, cm_error *error) {
    *explore = (cm_explore){.options = *options, .dataset = dataset};
    cm_status status = plan(explore, error);
    if (status == CM_OK && options->output != NULL) {
        status = cm_folder_prepare(explore->options.output, "explore", explore->options.restart,
                                   take_earlier, explore, error);
    }
    if (status != CM_OK) {
        return status;
    }
    explorer e = {.explore = explore, .work = cm_work_new(observer, observer_context, stop)};
    plan_work(&e);
    status = measure_rounds(&e, error);
    if (status == CM_OK) {
        status = train_runs(&e, error);
    }
    explore->complete = status == CM_OK;
    if (options->output != NULL && status == CM_OK) {
        status = write_json(explore, error);
        status = status == CM_OK ? write_tables(explore, error) : status;
    }
    return status;
}

static void free_networks(cm_explore_network *networks, int count) {
    for (int i = 0; i < count; ++i) {
        cm_network_free(networks[i].network);
    }
    free(networks);
}

void cm_explore_free(cm_explore *explore) {
    cm_measurements_free(&explore->measurements);
    free(explore->runs);
    free_networks(explore->networks, explore->network_count);
    free_networks(explore->skipped, explore->skipped_count);
    json_decref(explore->machine);
    json_decref(explore->data);
    json_decref(explore->conditions);
    *explore = (cm_explore){.complete = false};
}
