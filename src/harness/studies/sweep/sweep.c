/* Measures what the sweep needs, round after round, and keeps sweep.json up to date. */
#include "harness/studies/sweep/sweep.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/statistics/samples.h"
#include "harness/measure/conditions.h"
#include "harness/record/folder.h"
#include "harness/record/machine.h"
#include "harness/record/train_json.h"

static cm_status out_of_memory(cm_error *error) {
    return cm_fail(error, CM_FAILED, "sweep: out of memory; close other programs");
}

cm_sweep_options cm_sweep_options_default(void) {
    return (cm_sweep_options){
        .pin = CM_PIN_COMPACT,
        .isa = CM_ISA_BEST,
        .rounds = 9,
        .seconds = 0.25,
        .accuracy = true,
        .train = cm_train_options_default(),
    };
}

cm_sweep_place cm_sweep_place_of(const cm_sweep *sweep, int index) {
    const int cell = index / CM_MODE_COUNT;
    const int row = cell / sweep->options.core_count;
    return (cm_sweep_place){.variant = row / sweep->options.batch_count,
                            .batch = row % sweep->options.batch_count,
                            .cores = cell % sweep->options.core_count,
                            .mode = (cm_mode)(index % CM_MODE_COUNT)};
}

cm_measurement *cm_sweep_at(const cm_sweep *sweep, cm_sweep_place at) {
    const size_t row = (size_t)at.variant * (size_t)sweep->options.batch_count + (size_t)at.batch;
    const size_t cell = row * (size_t)sweep->options.core_count + (size_t)at.cores;
    return &sweep->measurements.items[cell * CM_MODE_COUNT + (size_t)at.mode];
}

double cm_sweep_efficiency(const cm_sweep *sweep, cm_sweep_place at) {
    const cm_measurement *here = cm_sweep_at(sweep, at);
    const double times = (double)sweep->options.cores[at.cores] / sweep->options.cores[0];
    at.cores = 0;
    const cm_measurement *first = cm_sweep_at(sweep, at);
    return cm_median(here->samples, here->n) / cm_median(first->samples, first->n) / times;
}

/* ---- The plan ---- */

/* 1, 2, 4 ... and all that may be used. */
static void choose_cores(cm_sweep_options *options) {
    const int all = options->topology->default_threads;
    for (int cores = 1; cores < all && options->core_count < CM_SWEEP_MAX_LIST - 1; cores *= 2) {
        options->cores[options->core_count++] = cores;
    }
    options->cores[options->core_count++] = all;
}

static cm_status plan_options(cm_sweep *sweep, cm_error *error) {
    cm_sweep_options *options = &sweep->options;
    options->isa = cm_isa_resolve(options->isa);
    if (options->core_count == 0) {
        choose_cores(options);
    }
    if (options->batch_count == 0) {
        options->batches[options->batch_count++] = options->train.batch;
    }
    if (options->accuracy && !sweep->dataset->real && !options->allow_synthetic) {
        return cm_fail(error, CM_USAGE,
                       "sweep: accuracies on %s data say nothing; install the package "
                       "dataset-fashion-mnist or run scripts/get-data.sh for the real data, or "
                       "give --no-accuracy",
                       sweep->dataset->name);
    }
    cm_status status =
        cm_check_list("cores", options->cores, options->core_count, options->topology->usable_pus,
                      ": the CPUs that this process may use", error);
    if (status == CM_OK) {
        status = cm_check_list("batch", options->batches, options->batch_count, CM_SWEEP_MAX_BATCH,
                               "", error);
    }
    return status == CM_OK ? cm_train_options_check(&options->train, error) : status;
}

static cm_status plan_variants(cm_sweep *sweep, cm_error *error) {
    const cm_sweep_options *options = &sweep->options;
    int table_count = 0;
    const cm_variant *table = cm_variants(&table_count);
    const int count = options->variants == NULL ? table_count : options->variant_count;
    if (count < 1 || count > CM_SWEEP_MAX_LIST) {
        return cm_fail(error, CM_USAGE, "--variants: %d of them; give 1 to %d", count,
                       CM_SWEEP_MAX_LIST);
    }
    for (int i = 0; i < count; ++i) {
        const char *name = options->variants == NULL ? table[i].id : options->variants[i];
        cm_status status = cm_network_open(name, &sweep->networks[i], error);
        if (status != CM_OK) {
            return status;
        }
        ++sweep->variant_count;
        for (int k = 0; k < i; ++k) {
            if (strcmp(sweep->networks[k]->name, sweep->networks[i]->name) == 0) {
                return cm_fail(error, CM_USAGE,
                               "--variants: '%s' is there twice; name each one once", name);
            }
        }
        status = cm_network_check_fits(sweep->networks[i], &sweep->dataset->train,
                                       sweep->dataset->classes, error);
        if (status != CM_OK) {
            return status;
        }
    }
    return CM_OK;
}

static bool plan_measurement(const cm_sweep *sweep, int index) {
    const cm_sweep_options *options = &sweep->options;
    const cm_sweep_place at = cm_sweep_place_of(sweep, index);
    return cm_measurement_plan_throughput(&sweep->measurements.items[index], cm_mode_name(at.mode),
                                          sweep->networks[at.variant]->name,
                                          options->batches[at.batch], options->cores[at.cores],
                                          cm_isa_name(options->isa), options->rounds);
}

static bool plan_measurements(cm_sweep *sweep) {
    const cm_sweep_options *options = &sweep->options;
    const int count =
        sweep->variant_count * options->batch_count * options->core_count * CM_MODE_COUNT;
    sweep->measurements.items = calloc((size_t)count, sizeof(cm_measurement));
    sweep->run_count = options->accuracy ? sweep->variant_count * options->core_count : 0;
    sweep->runs = calloc((size_t)sweep->run_count + 1, sizeof *sweep->runs);
    if (sweep->measurements.items == NULL || sweep->runs == NULL) {
        return false;
    }
    sweep->measurements.count = count;
    bool ok = true;
    for (int i = 0; i < count; ++i) {
        ok = ok && plan_measurement(sweep, i);
    }
    for (int i = 0; i < sweep->run_count; ++i) {
        sweep->runs[i].variant = i / options->core_count;
        sweep->runs[i].cores = i % options->core_count;
    }
    return ok;
}

static cm_status plan(cm_sweep *sweep, cm_error *error) {
    cm_status status = plan_options(sweep, error);
    if (status == CM_OK) {
        status = plan_variants(sweep, error);
    }
    if (status != CM_OK) {
        return status;
    }
    sweep->data = cm_dataset_json(sweep->dataset);
    sweep->conditions = cm_conditions_json(sweep->options.topology);
    if (!plan_measurements(sweep) || sweep->data == NULL || sweep->conditions == NULL) {
        return out_of_memory(error);
    }
    return cm_machine_json(sweep->options.topology, &sweep->machine, error);
}

/* ---- Files ---- */

static cm_status write_json(const cm_sweep *sweep, cm_error *error) {
    const char *folder = sweep->options.output;
    return folder == NULL
               ? CM_OK
               : cm_folder_write_json(folder, "sweep", cm_sweep_to_json(sweep, error), error);
}

static cm_status write_tables(const cm_sweep *sweep, cm_error *error) {
    const char *folder = sweep->options.output;
    const cm_status status = cm_folder_write(folder, "sweep.md", cm_sweep_markdown(sweep), error);
    return status == CM_OK ? cm_folder_write(folder, "sweep.csv",
                                             cm_measurements_csv(&sweep->measurements), error)
                           : status;
}

static cm_status take_earlier(void *sweep, const json_t *earlier, const char *file,
                              cm_error *error) {
    return cm_sweep_take_json(sweep, earlier, file, error);
}

/* ---- Measuring ---- */

typedef struct sweeper {
    cm_sweep *sweep;
    cm_topology places; /* the options' topology, with its PUs in the order of --pin */
    cm_block_data data[CM_SWEEP_MAX_LIST]; /* by batch size */
    cm_work work;
} sweeper;

static cm_status use_threads(const sweeper *s, int threads, cm_error *error) {
    const cm_status status = cm_threads_check(threads, error);
    if (status != CM_OK) {
        return status;
    }
    const int given =
        cm_threads_prepare(threads, s->sweep->options.pin != CM_PIN_NONE, &s->places, NULL);
    return given == threads ? CM_OK
                            : cm_fail(error, CM_FAILED,
                                      "the OpenMP runtime gave %d of %d threads; unset "
                                      "OMP_THREAD_LIMIT",
                                      given, threads);
}

/* A new model each time, so that the places of its memory are drawn anew as well. */
static cm_status open_model(const sweeper *s, int variant, int batch, int threads, cm_model **model,
                            cm_error *error) {
    const cm_model_options options = {
        .batch = batch, .threads = threads, .isa = s->sweep->options.isa, .training = true};
    cm_status status = use_threads(s, threads, error);
    if (status == CM_OK) {
        status = cm_model_create(s->sweep->networks[variant], &options, model, error);
    }
    if (status == CM_OK) {
        cm_model_initialize(*model, s->sweep->options.train.seed);
    }
    return status;
}

static cm_status measure_cell(void *context, int cell, cm_error *error) {
    sweeper *s = context;
    cm_sweep *sweep = s->sweep;
    const cm_sweep_options *options = &sweep->options;
    cm_sweep_place at = cm_sweep_place_of(sweep, cell * CM_MODE_COUNT);
    cm_model *model = NULL;
    const cm_status status = open_model(s, at.variant, options->batches[at.batch],
                                        options->cores[at.cores], &model, error);
    for (; status == CM_OK && at.mode < CM_MODE_COUNT; ++at.mode) {
        cm_measurement *m = cm_sweep_at(sweep, at);
        m->samples[m->n++] =
            cm_throughput_sample(model, at.mode, &s->data[at.batch], options->seconds);
    }
    cm_model_free(model);
    return status;
}

static cm_status keep_round(void *context, cm_error *error) {
    return write_json(((sweeper *)context)->sweep, error);
}

static cm_rounds rounds_of(sweeper *s) {
    return (cm_rounds){.measurements = &s->sweep->measurements,
                       .cells = s->sweep->measurements.count / CM_MODE_COUNT,
                       .rounds = s->sweep->options.rounds,
                       .seed = s->sweep->options.order_seed,
                       .seconds = s->sweep->options.seconds,
                       .measure = measure_cell,
                       .keep = keep_round,
                       .context = s};
}

static cm_status measure_rounds(sweeper *s, cm_error *error) {
    const cm_sweep_options *options = &s->sweep->options;
    const cm_rounds rounds = rounds_of(s);
    cm_status status = CM_OK;
    for (int i = 0; status == CM_OK && i < options->batch_count; ++i) {
        status = cm_block_data_create(&s->sweep->dataset->train, options->batches[i], &s->data[i],
                                      error);
    }
    if (status == CM_OK) {
        status = cm_rounds_measure(&rounds, &s->work, error);
    }
    for (int i = 0; i < options->batch_count; ++i) {
        cm_block_data_free(&s->data[i]);
    }
    return status;
}

/* ---- Accuracy ---- */

/* The same bits at every number of cores, also where an earlier call trained. */
static cm_status compare_runs(const cm_sweep *sweep, const cm_sweep_run *run, cm_error *error) {
    for (int i = 0; i < sweep->run_count; ++i) {
        const cm_sweep_run *other = &sweep->runs[i];
        if (other->result.done && other->variant == run->variant &&
            strcmp(other->result.sha256, run->result.sha256) != 0) {
            return cm_fail(error, CM_FAILED,
                           "sweep: %s gives other bits on %d cores (%.12s) than on %d (%.12s): "
                           "report this line as a bug",
                           sweep->networks[run->variant]->name, sweep->options.cores[run->cores],
                           run->result.sha256, sweep->options.cores[other->cores],
                           other->result.sha256);
        }
    }
    return CM_OK;
}

static double run_work(const cm_sweep *sweep, const cm_sweep_run *run) {
    return cm_training_work(sweep->networks[run->variant], &sweep->options.train,
                            sweep->options.cores[run->cores]);
}

static cm_status train_run(sweeper *s, cm_sweep_run *run, cm_error *error) {
    cm_sweep *sweep = s->sweep;
    const cm_train_options *options = &sweep->options.train;
    char doing[128];
    const int cores = sweep->options.cores[run->cores];
    snprintf(doing, sizeof doing, "training %s on %d core%s", sweep->networks[run->variant]->name,
             cores, cores == 1 ? "" : "s");
    cm_work_say(&s->work, doing);
    cm_model *model = NULL;
    cm_train_result result = {0};
    cm_status status = open_model(s, run->variant, options->batch, sweep->options.cores[run->cores],
                                  &model, error);
    if (status == CM_OK) {
        status = cm_train(model, sweep->dataset, options, NULL, NULL, s->work.stop, &result, error);
    }
    if (status == CM_OK && result.epoch_count > 0) {
        run->result = cm_training_run_of(&result, options, options->until_accuracy);
        cm_work_advance(&s->work, run_work(sweep, run), doing);
    }
    cm_train_result_free(&result);
    cm_model_free(model);
    return status == CM_OK ? write_json(sweep, error) : status;
}

static cm_status train_runs(sweeper *s, cm_error *error) {
    cm_status status = CM_OK;
    for (int i = 0; status == CM_OK && i < s->sweep->run_count; ++i) {
        cm_sweep_run *run = &s->sweep->runs[i];
        if (!run->result.done) {
            status = cm_work_stopped(&s->work) ? CM_INTERRUPTED : train_run(s, run, error);
        }
        if (status == CM_OK && run->result.done) {
            status = compare_runs(s->sweep, run, error);
        }
    }
    return status;
}

/* ---- All of it ---- */

static void plan_work(sweeper *s) {
    const cm_sweep *sweep = s->sweep;
    const cm_rounds rounds = rounds_of(s);
    cm_rounds_plan(&rounds, &s->work);
    for (int i = 0; i < sweep->run_count; ++i) {
        const cm_sweep_run *run = &sweep->runs[i];
        cm_work_plan(&s->work, 1, run->result.done, run_work(sweep, run));
    }
    cm_work_start(&s->work);
}

static cm_status measure(sweeper *s, cm_error *error) {
    cm_sweep *sweep = s->sweep;
    s->places = *sweep->options.topology;
    s->places.pu_order = calloc((size_t)s->places.usable_pus, sizeof(int));
    if (s->places.pu_order == NULL) {
        return out_of_memory(error);
    }
    cm_status status =
        cm_topology_order(sweep->options.topology, sweep->options.pin, s->places.pu_order, error);
    if (status == CM_OK) {
        plan_work(s);
        status = measure_rounds(s, error);
    }
    if (status == CM_OK) {
        status = train_runs(s, error);
    }
    free(s->places.pu_order);
    return status;
}

cm_status cm_sweep_make(const cm_sweep_options *options, const cm_dataset *dataset,
                        cm_work_observer *observer, void *observer_context,
                        const volatile sig_atomic_t *stop, cm_sweep *sweep, cm_error *error) {
    *sweep = (cm_sweep){.options = *options, .dataset = dataset};
    cm_status status = plan(sweep, error);
    if (status == CM_OK && options->output != NULL) {
        status = cm_folder_prepare(sweep->options.output, "sweep", sweep->options.restart,
                                   take_earlier, sweep, error);
    }
    if (status != CM_OK) {
        return status;
    }
    sweeper s = {.sweep = sweep, .work = cm_work_new(observer, observer_context, stop)};
    status = measure(&s, error);
    sweep->complete = status == CM_OK;
    if (options->output != NULL && status == CM_OK) {
        status = write_json(sweep, error);
        status = status == CM_OK ? write_tables(sweep, error) : status;
    }
    return status;
}

void cm_sweep_free(cm_sweep *sweep) {
    cm_measurements_free(&sweep->measurements);
    free(sweep->runs);
    for (int i = 0; i < sweep->variant_count; ++i) {
        cm_network_free(sweep->networks[i]);
    }
    json_decref(sweep->machine);
    json_decref(sweep->data);
    json_decref(sweep->conditions);
    *sweep = (cm_sweep){.complete = false};
}
