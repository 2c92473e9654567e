#include "harness/studies/study.h"

#include <stdio.h>
#include <stdlib.h>

#include "core/system/clock.h"
#include "harness/measure/conditions.h"
#include "harness/record/folder.h"
#include "harness/record/machine.h"
#include "harness/record/results_json.h"

/* A call under way. */
typedef struct study_driver {
    const cm_study_call *call;
    const volatile sig_atomic_t *stop;
    cm_meter meter;
} study_driver;

cm_status cm_study_out_of_memory(const char *name, cm_error *error) {
    return cm_fail(error, CM_FAILED, "%s: out of memory; close other programs", name);
}

static bool is_stopped(const study_driver *driver) {
    return driver->stop != NULL && *driver->stop != 0;
}

/* ---- Before the work ---- */

static cm_status check_data(const cm_study_call *call, cm_error *error) {
    const cm_dataset *dataset = call->study->dataset;
    if (call->fashion_mnist && dataset->real && !dataset->verified) {
        char sha256[65];
        cm_dataset_sha256(dataset, sha256);
        return cm_fail(error, CM_BAD_INPUT,
                       "%s: %s: not Fashion-MNIST (SHA-256 %.16s...), of which the report's claims "
                       "are; run scripts/get-data.sh for it, or use train or explore on this set",
                       call->kind->name, dataset->source, sha256);
    }
    if (!call->accuracy || dataset->real || call->options->allow_synthetic) {
        return CM_OK;
    }
    return cm_fail(error, CM_USAGE,
                   "%s: accuracies on %s data say nothing; install the package "
                   "dataset-fashion-mnist or run scripts/get-data.sh for the real data",
                   call->kind->name, dataset->name);
}

/* What the study's file says of command, data set and machine. */
static cm_status describe_surroundings(const cm_study_call *call, cm_error *error) {
    cm_study *study = call->study;
    const cm_topology *topology = call->options->topology;
    study->data = cm_dataset_json(study->dataset);
    study->command = cm_command_json(call->options->argc, call->options->argv);
    char now[24];
    cm_clock_utc(now);
    study->started = json_string(now);
    study->conditions = topology == NULL ? json_array() : cm_conditions_json(topology);
    if (study->data == NULL || study->command == NULL || study->conditions == NULL ||
        study->started == NULL) {
        return cm_study_out_of_memory(call->kind->name, error);
    }
    return cm_machine_json(topology, &study->machine, error);
}

static cm_status take_earlier_results(const cm_study_call *call, cm_error *error) {
    char path[CM_FOLDER_PATH_SIZE];
    json_t *earlier = NULL;
    cm_status status =
        cm_folder_read_json(call->options->output, call->kind->name, &earlier, path, error);
    if (status == CM_OK && earlier != NULL) {
        status = call->kind->take_json(call->self, earlier, path, error);
        json_t *started = json_object_get(earlier, "started");
        if (status == CM_OK && json_is_string(started)) {
            json_decref(call->study->started);
            call->study->started = json_incref(started);
        }
    }
    json_decref(earlier);
    return status;
}

static cm_status prepare_study(const cm_study_call *call, cm_error *error) {
    cm_study *study = call->study;
    const cm_study_settings *options = call->options;
    study->step = CM_STUDY_DATA;
    cm_status status = check_data(call, error);
    if (status == CM_OK) {
        study->step = CM_STUDY_PLAN;
        status = call->kind->plan(call->self, error);
    }
    if (status == CM_OK) {
        status = describe_surroundings(call, error);
    }
    if (status == CM_OK && options->output != NULL) {
        study->step = CM_STUDY_FOLDER;
        status = cm_folder_prepare(options->output, call->kind->name, &study->lock, error);
    }
    if (status == CM_OK && options->output != NULL && !options->restart) {
        study->step = CM_STUDY_RESUME;
        status = take_earlier_results(call, error);
    }
    return status;
}

/* ---- Files ---- */

static cm_status write_study_json(const cm_study_call *call, cm_error *error) {
    const char *folder = call->options->output;
    return folder == NULL ? CM_OK
                          : cm_folder_write_json(folder, call->kind->name,
                                                 call->kind->to_json(call->self, error), error);
}

static cm_status write_study_tables(const cm_study_call *call, cm_error *error) {
    cm_status status = CM_OK;
    const cm_study_table *table = call->kind->tables;
    for (; status == CM_OK && table->suffix != NULL; ++table) {
        char name[64];
        snprintf(name, sizeof name, "%s%s", call->kind->name, table->suffix);
        status = cm_folder_write(call->options->output, name, table->text(call->self), error);
    }
    return status;
}

static bool any_run_done(const cm_study_call *call) {
    bool any = false;
    const int count = call->kind->run_count(call->self);
    for (int run = 0; !any && run < count; ++run) {
        any = call->kind->run_at(call->self, run).done;
    }
    return any;
}

/* The files of a study that ended with `status`. */
static cm_status write_study(const cm_study_call *call, cm_status status, cm_error *error) {
    const bool partly =
        status == CM_INTERRUPTED && call->kind->tables_when_interrupted && any_run_done(call);
    if (call->options->output == NULL || (status != CM_OK && !partly)) {
        return status;
    }
    cm_status written = write_study_json(call, error);
    if (written == CM_OK) {
        written = write_study_tables(call, error);
    }
    return written == CM_OK ? status : written;
}

/* ---- Rounds ---- */

static cm_status measure_round(study_driver *driver, const cm_rounds *rounds, int round,
                               const int *cells, cm_error *error) {
    const cm_study_call *call = driver->call;
    char doing[64];
    snprintf(doing, sizeof doing, "round %d/%d", round + 1, rounds->rounds);
    for (int i = 0; i < rounds->cells; ++i) {
        const cm_status status =
            is_stopped(driver) ? CM_INTERRUPTED : call->kind->measure(call->self, cells[i], error);
        if (status != CM_OK) {
            cm_rounds_drop(rounds, round);
            return status;
        }
        cm_meter_advance(&driver->meter, cm_rounds_cell_seconds(rounds), doing);
    }
    return write_study_json(call, error);
}

static cm_status measure_rounds(study_driver *driver, cm_error *error) {
    const cm_study_call *call = driver->call;
    const cm_rounds rounds = call->kind->rounds(call->self);
    int *cells = calloc((size_t)rounds.cells, sizeof *cells);
    if (cells == NULL) {
        return cm_study_out_of_memory(call->kind->name, error);
    }
    cm_status status = call->kind->open_rounds(call->self, error);
    for (int round = cm_rounds_done(&rounds); status == CM_OK && round < rounds.rounds; ++round) {
        cm_rounds_order(&rounds, round, cells);
        status = measure_round(driver, &rounds, round, cells, error);
    }
    call->kind->close_rounds(call->self);
    free(cells);
    return status;
}

/* ---- Training runs ---- */

static cm_status do_run(study_driver *driver, int index, const cm_study_task *run,
                        cm_error *error) {
    const cm_study_call *call = driver->call;
    if (is_stopped(driver)) {
        return CM_INTERRUPTED;
    }
    const cm_study_train_hooks hooks = {.observer = cm_meter_observe_step,
                                        .observer_context = &driver->meter,
                                        .stop = driver->stop};
    cm_meter_begin_run(&driver->meter, index, run->amount, run->doing);
    const cm_status status = call->kind->train(call->self, index, &hooks, error);
    if (status != CM_OK) {
        return status;
    }
    if (call->kind->run_at(call->self, index).done) { /* not so after a training of no epochs */
        cm_meter_advance(&driver->meter, run->amount, run->doing);
    }
    return write_study_json(call, error);
}

static cm_status do_runs(study_driver *driver, cm_error *error) {
    const cm_study_call *call = driver->call;
    const int count = call->kind->run_count(call->self);
    cm_status status = CM_OK;
    for (int i = 0; status == CM_OK && i < count; ++i) {
        const cm_study_task run = call->kind->run_at(call->self, i);
        status = run.done ? CM_OK : do_run(driver, i, &run, error);
        if (status == CM_OK && call->kind->check_run != NULL &&
            call->kind->run_at(call->self, i).done) {
            status = call->kind->check_run(call->self, i, error);
        }
    }
    return status;
}

/* ---- All of it ---- */

static void plan_meter(study_driver *driver) {
    const cm_study_call *call = driver->call;
    if (call->kind->rounds != NULL) {
        const cm_rounds rounds = call->kind->rounds(call->self);
        cm_meter_plan(&driver->meter, rounds.cells * rounds.rounds,
                      rounds.cells * cm_rounds_done(&rounds), cm_rounds_cell_seconds(&rounds));
    }
    const int count = call->kind->run_count(call->self);
    for (int i = 0; i < count; ++i) {
        const cm_study_task run = call->kind->run_at(call->self, i);
        cm_meter_plan(&driver->meter, 1, run.done, run.amount);
    }
    cm_meter_start(&driver->meter);
}

static cm_status do_work(study_driver *driver, cm_error *error) {
    const cm_study_call *call = driver->call;
    const cm_study_kind *kind = call->kind;
    cm_status status = kind->open == NULL ? CM_OK : kind->open(call->self, error);
    if (status == CM_OK) {
        plan_meter(driver);
    }
    if (status == CM_OK && kind->rounds != NULL) {
        status = measure_rounds(driver, error);
    }
    if (status == CM_OK) {
        status = do_runs(driver, error);
    }
    if (kind->close != NULL) {
        kind->close(call->self);
    }
    return status;
}

cm_status cm_study_make(const cm_study_call *call, const cm_study_control *control,
                        cm_error *error) {
    static const cm_study_control uncontrolled = {.stop = NULL};
    control = control == NULL ? &uncontrolled : control;
    cm_status status = prepare_study(call, error);
    if (status != CM_OK) {
        return status;
    }
    study_driver driver = {.call = call,
                           .stop = control->stop,
                           .meter = cm_meter_new(control->observer, control->context)};
    call->study->step = CM_STUDY_WORK;
    status = do_work(&driver, error);
    call->study->complete = status == CM_OK;
    return write_study(call, status, error);
}

void cm_study_free(cm_study *study) {
    cm_lock_file_release(&study->lock);
    json_decref(study->machine);
    json_decref(study->data);
    json_decref(study->conditions);
    json_decref(study->command);
    json_decref(study->started);
    *study = (cm_study){.complete = false};
}

cm_status cm_study_check_list(const char *name, const int *values, int count, int limit,
                              const char *why, cm_error *error) {
    for (int i = 0; i < count; ++i) {
        if (values[i] < 1 || values[i] > limit) {
            return cm_fail(error, CM_USAGE, "%s: %d is not accepted; give 1 to %d%s", name,
                           values[i], limit, why);
        }
        for (int k = 0; k < i; ++k) {
            if (values[k] == values[i]) {
                return cm_fail(error, CM_USAGE, "%s: %d is there twice; name each one once", name,
                               values[i]);
            }
        }
    }
    return CM_OK;
}
