/* Measures what the sweep needs, round after round, and keeps sweep.json up to date. */
#include "sweep/sweep.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "files/atomic_file.h"
#include "files/json.h"
#include "kernels/philox.h"
#include "measure/conditions.h"
#include "results/machine.h"
#include "results/train_json.h"
#include "statistics/samples.h"
#include "system/clock.h"

enum { PATH_SIZE = 4096, MAX_SWEEP_JSON = 1 << 28 };

static cm_status out_of_memory(cm_error *error) {
    return cm_fail(error, CM_FAILED, "sweep: out of memory; close other programs");
}

cm_sweep_options cm_sweep_options_default(void) {
    return (cm_sweep_options){
        .pin = CM_PIN_COMPACT,
        .isa = CM_ISA_COUNT,
        .rounds = 9,
        .seconds = 0.25,
        .accuracy = true,
        .train = cm_train_options_default(),
    };
}

static size_t index_of(const cm_sweep *sweep, int variant, int batch, int cores, cm_mode mode) {
    const size_t row = (size_t)variant * (size_t)sweep->options.batch_count + (size_t)batch;
    return (row * (size_t)sweep->options.core_count + (size_t)cores) * CM_MODE_COUNT + (size_t)mode;
}

cm_measurement *cm_sweep_at(const cm_sweep *sweep, int variant, int batch, int cores,
                            cm_mode mode) {
    return &sweep->measurements.items[index_of(sweep, variant, batch, cores, mode)];
}

double cm_sweep_efficiency(const cm_sweep *sweep, int variant, int batch, int cores, cm_mode mode) {
    const cm_measurement *first = cm_sweep_at(sweep, variant, batch, 0, mode);
    const cm_measurement *here = cm_sweep_at(sweep, variant, batch, cores, mode);
    const double times = (double)sweep->options.cores[cores] / sweep->options.cores[0];
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

static cm_status check_list(const char *option, const int *values, int count, int limit,
                            const char *why, cm_error *error) {
    for (int i = 0; i < count; ++i) {
        if (values[i] < 1 || values[i] > limit) {
            return cm_fail(error, CM_USAGE, "--%s: %d is not accepted; give 1 to %d%s", option,
                           values[i], limit, why);
        }
        for (int k = 0; k < i; ++k) {
            if (values[k] == values[i]) {
                return cm_fail(error, CM_USAGE, "--%s: %d is there twice; name each one once",
                               option, values[i]);
            }
        }
    }
    return CM_OK;
}

static cm_status plan_options(cm_sweep *sweep, cm_error *error) {
    cm_sweep_options *options = &sweep->options;
    if (options->isa == CM_ISA_COUNT) {
        options->isa = cm_kernels_best()->isa;
    }
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
        check_list("cores", options->cores, options->core_count, options->topology->usable_pus,
                   ": the CPUs that this process may use", error);
    if (status == CM_OK) {
        status = check_list("batch", options->batches, options->batch_count, CM_SWEEP_MAX_BATCH, "",
                            error);
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

static bool plan_measurement(const cm_sweep *sweep, int variant, int batch, int cores,
                             cm_mode mode) {
    const cm_sweep_options *options = &sweep->options;
    const char *name = sweep->networks[variant]->name;
    cm_measurement *m = cm_sweep_at(sweep, variant, batch, cores, mode);
    snprintf(m->name, sizeof m->name, "%s/%s/n%d/threads:%d", cm_mode_name(mode), name,
             options->batches[batch], options->cores[cores]);
    snprintf(m->metric, sizeof m->metric, "images_per_second");
    snprintf(m->unit, sizeof m->unit, "images/s");
    m->higher_is_better = true;
    m->samples = calloc((size_t)options->rounds, sizeof *m->samples);
    m->attributes =
        json_pack("{s:s, s:o, s:i, s:i, s:s, s:s}", "mode", cm_mode_name(mode), "variant",
                  cm_json_string(name), "batch", options->batches[batch], "threads",
                  options->cores[cores], "isa", cm_isa_name(options->isa), "framework", "convmark");
    return m->samples != NULL && m->attributes != NULL;
}

static bool plan_measurements(cm_sweep *sweep) {
    const cm_sweep_options *options = &sweep->options;
    const int rows = sweep->variant_count * options->batch_count * options->core_count;
    sweep->measurements.items = calloc((size_t)rows * CM_MODE_COUNT, sizeof(cm_measurement));
    sweep->run_count = options->accuracy ? sweep->variant_count * options->core_count : 0;
    sweep->runs = calloc((size_t)sweep->run_count + 1, sizeof *sweep->runs);
    if (sweep->measurements.items == NULL || sweep->runs == NULL) {
        return false;
    }
    sweep->measurements.count = rows * CM_MODE_COUNT;
    bool ok = true;
    for (int row = 0; row < rows; ++row) {
        const int variant = row / options->core_count / options->batch_count;
        const int batch = row / options->core_count % options->batch_count;
        for (cm_mode mode = 0; mode < CM_MODE_COUNT; ++mode) {
            ok = ok && plan_measurement(sweep, variant, batch, row % options->core_count, mode);
        }
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

static cm_status write_file(const cm_sweep *sweep, const char *name, const char *text,
                            cm_error *error) {
    char path[PATH_SIZE];
    const int length = snprintf(path, sizeof path, "%s/%s", sweep->options.output, name);
    if (length < 0 || (size_t)length >= sizeof path) {
        return cm_fail(error, CM_USAGE, "--output: the path is too long; give a shorter one");
    }
    return text == NULL ? out_of_memory(error) : cm_file_write(path, text, strlen(text), error);
}

static cm_status write_json(const cm_sweep *sweep, cm_error *error) {
    if (sweep->options.output == NULL) {
        return CM_OK;
    }
    char *text = NULL;
    json_t *json = cm_sweep_to_json(sweep, error);
    cm_status status = json == NULL ? CM_FAILED : cm_json_dump(json, &text, NULL, error);
    if (status == CM_OK) {
        status = write_file(sweep, "sweep.json", text, error);
    }
    json_decref(json);
    free(text);
    return status;
}

static cm_status write_tables(const cm_sweep *sweep, cm_error *error) {
    char *markdown = cm_sweep_markdown(sweep), *csv = cm_measurements_csv(&sweep->measurements);
    cm_status status = write_file(sweep, "sweep.md", markdown, error);
    if (status == CM_OK) {
        status = write_file(sweep, "sweep.csv", csv, error);
    }
    free(markdown);
    free(csv);
    return status;
}

/* The folder is there and can be written; what an earlier sweep did in it is taken over. */
static cm_status prepare_output(cm_sweep *sweep, cm_error *error) {
    char path[PATH_SIZE];
    struct stat found;
    snprintf(path, sizeof path, "%s/sweep.json", sweep->options.output);
    if (mkdir(sweep->options.output, 0777) != 0 && errno != EEXIST) {
        return cm_fail(error, CM_USAGE, "--output: cannot make folder %s: %s",
                       sweep->options.output, strerror(errno));
    }
    cm_error cause;
    if (cm_path_check_writable(path, false, &cause) != CM_OK) {
        return cm_fail(error, CM_USAGE, "--output: %s", cause.message);
    }
    if (sweep->options.restart || stat(path, &found) != 0) {
        return CM_OK;
    }
    json_t *json = NULL;
    cm_status status = cm_json_load(path, MAX_SWEEP_JSON, &json, error);
    if (status == CM_OK) {
        status = cm_sweep_take_json(sweep, json, path, error);
    }
    json_decref(json);
    return status;
}

/* ---- Measuring ---- */

typedef struct sweeper {
    cm_sweep *sweep;
    cm_sweep_observer *observer;
    void *context;
    const volatile sig_atomic_t *stop;
    cm_topology places;     /* the options' topology, with its PUs in the order of --pin */
    double done_work, work; /* estimated seconds, in units that only ratios are taken of */
    double started_work;    /* done before this call */
    int64_t started_ns;
    cm_sweep_progress progress;
} sweeper;

static bool stopped(const sweeper *s) {
    return s->stop != NULL && *s->stop;
}

static double macs_of(const cm_network *network) {
    double macs = 0.0;
    for (int i = 0; i < network->layer_count; ++i) {
        macs += (double)cm_layer_macs(&network->layers[i]);
    }
    return macs;
}

/* Work of a sample (its seconds, and as much again around it) and of a training run, whose time is
 * guessed from a rate of 30 GMAC/s a core: only the estimate of the time left depends on it. */
static double sample_work(const cm_sweep *sweep) {
    return 2.0 * CM_MODE_COUNT * sweep->options.seconds;
}

static double run_work(const cm_sweep *sweep, const cm_sweep_run *run) {
    const cm_train_options *train = &sweep->options.train;
    const double images =
        (double)train->epochs * (3.0 * train->steps + train->valid_steps) * (double)train->batch;
    return images * macs_of(sweep->networks[run->variant]) / 30e9 /
           sweep->options.cores[run->cores];
}

static void report_progress(sweeper *s, double work, const char *doing) {
    s->done_work += work;
    s->progress.done += work > 0.0 ? 1 : 0;
    const double here = s->done_work - s->started_work;
    const double seconds = (double)(cm_clock_ns() - s->started_ns) * 1e-9;
    s->progress.eta_seconds = here > 0.0 ? (s->work - s->done_work) * seconds / here : NAN;
    s->progress.doing = doing;
    s->progress.advanced = work > 0.0;
    if (s->observer != NULL) {
        s->observer(&s->progress, s->context);
    }
}

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

static cm_status measure_cell(sweeper *s, const cm_block_data *data, int cell, cm_error *error) {
    cm_sweep *sweep = s->sweep;
    const cm_sweep_options *options = &sweep->options;
    const int cores = cell % options->core_count;
    const int batch = cell / options->core_count % options->batch_count;
    const int variant = cell / options->core_count / options->batch_count;
    cm_model *model = NULL;
    const cm_status status =
        open_model(s, variant, options->batches[batch], options->cores[cores], &model, error);
    for (cm_mode mode = 0; status == CM_OK && mode < CM_MODE_COUNT; ++mode) {
        cm_measurement *m = cm_sweep_at(sweep, variant, batch, cores, mode);
        m->samples[m->n++] = cm_throughput_sample(model, mode, &data[batch], options->seconds);
    }
    cm_model_free(model);
    return status;
}

/* The cells of a round in random order, so that drift of the machine spoils none. */
static void shuffle_cells(const cm_sweep *sweep, int round, int *cells, int count) {
    const cm_random_key key = {
        .seed = sweep->options.seed, .purpose = CM_RANDOM_SWEEP_ORDER, .index = (uint32_t)round};
    for (int i = 0; i < count; ++i) {
        cells[i] = i;
    }
    for (int i = count - 1; i > 0; --i) {
        const int k = (int)(cm_random_u32(&key, (uint64_t)i) % (uint32_t)(i + 1));
        const int cell = cells[i];
        cells[i] = cells[k];
        cells[k] = cell;
    }
}

/* Rounds are whole: an interrupted one is measured again, and its samples are dropped. */
static void forget_round(cm_sweep *sweep, int round) {
    for (int i = 0; i < sweep->measurements.count; ++i) {
        cm_measurement *m = &sweep->measurements.items[i];
        m->n = m->n > round ? round : m->n;
    }
}

static cm_status measure_round(sweeper *s, const cm_block_data *data, int round, int *cells,
                               cm_error *error) {
    const int count = s->sweep->measurements.count / CM_MODE_COUNT;
    shuffle_cells(s->sweep, round, cells, count);
    for (int i = 0; i < count; ++i) {
        char doing[64];
        snprintf(doing, sizeof doing, "round %d/%d", round + 1, s->sweep->options.rounds);
        const cm_status status =
            stopped(s) ? CM_INTERRUPTED : measure_cell(s, data, cells[i], error);
        if (status != CM_OK) {
            forget_round(s->sweep, round);
            return status;
        }
        report_progress(s, sample_work(s->sweep), doing);
    }
    return write_json(s->sweep, error);
}

static cm_status measure_rounds(sweeper *s, cm_error *error) {
    cm_sweep *sweep = s->sweep;
    const cm_sweep_options *options = &sweep->options;
    cm_block_data data[CM_SWEEP_MAX_LIST] = {{0}};
    cm_status status = CM_OK;
    for (int i = 0; status == CM_OK && i < options->batch_count; ++i) {
        status = cm_block_data_create(&sweep->dataset->train, options->batches[i], &data[i], error);
    }
    int *cells = calloc((size_t)sweep->measurements.count, sizeof *cells);
    if (status == CM_OK && cells == NULL) {
        status = out_of_memory(error);
    }
    for (int round = sweep->measurements.items[0].n; status == CM_OK && round < options->rounds;
         ++round) {
        status = measure_round(s, data, round, cells, error);
    }
    free(cells);
    for (int i = 0; i < options->batch_count; ++i) {
        cm_block_data_free(&data[i]);
    }
    return status;
}

/* ---- Accuracy ---- */

/* The same bits at every number of cores. */
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

static cm_status train_run(sweeper *s, cm_sweep_run *run, cm_error *error) {
    cm_sweep *sweep = s->sweep;
    const cm_train_options *options = &sweep->options.train;
    char doing[128];
    const int cores = sweep->options.cores[run->cores];
    snprintf(doing, sizeof doing, "training %s on %d core%s", sweep->networks[run->variant]->name,
             cores, cores == 1 ? "" : "s");
    report_progress(s, 0.0, doing);
    cm_model *model = NULL;
    cm_train_result result = {0};
    cm_status status = open_model(s, run->variant, options->batch, sweep->options.cores[run->cores],
                                  &model, error);
    if (status == CM_OK) {
        status = cm_train(model, sweep->dataset, options, NULL, NULL, s->stop, &result, error);
    }
    if (status == CM_OK && result.epoch_count > 0) {
        run->result = cm_training_run_of(&result, options, options->until_accuracy);
        report_progress(s, run_work(sweep, run), doing);
        status = compare_runs(sweep, run, error);
    }
    cm_train_result_free(&result);
    cm_model_free(model);
    const cm_status written = status == CM_INTERRUPTED ? CM_OK : write_json(sweep, error);
    return status != CM_OK ? status : written;
}

static cm_status train_runs(sweeper *s, cm_error *error) {
    cm_status status = CM_OK;
    for (int i = 0; status == CM_OK && i < s->sweep->run_count; ++i) {
        if (!s->sweep->runs[i].result.done) {
            status = stopped(s) ? CM_INTERRUPTED : train_run(s, &s->sweep->runs[i], error);
        }
    }
    return status;
}

/* ---- All of it ---- */

static void estimate(sweeper *s) {
    const cm_sweep *sweep = s->sweep;
    const int cells = sweep->measurements.count / CM_MODE_COUNT;
    const int rounds_done = sweep->measurements.items[0].n;
    s->work = cells * sweep->options.rounds * sample_work(sweep);
    s->done_work = cells * rounds_done * sample_work(sweep);
    s->progress.all = cells * sweep->options.rounds + sweep->run_count;
    s->progress.done = cells * rounds_done;
    for (int i = 0; i < sweep->run_count; ++i) {
        const double work = run_work(sweep, &sweep->runs[i]);
        s->work += work;
        s->done_work += sweep->runs[i].result.done ? work : 0.0;
        s->progress.done += sweep->runs[i].result.done ? 1 : 0;
    }
    s->started_work = s->done_work;
    s->started_ns = cm_clock_ns();
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
        estimate(s);
        status = measure_rounds(s, error);
    }
    if (status == CM_OK) {
        status = train_runs(s, error);
    }
    free(s->places.pu_order);
    return status;
}

cm_status cm_sweep_make(const cm_sweep_options *options, const cm_dataset *dataset,
                        cm_sweep_observer *observer, void *observer_context,
                        const volatile sig_atomic_t *stop, cm_sweep *sweep, cm_error *error) {
    *sweep = (cm_sweep){.options = *options, .dataset = dataset};
    cm_status status = plan(sweep, error);
    if (status == CM_OK && options->output != NULL) {
        status = prepare_output(sweep, error);
    }
    if (status != CM_OK) {
        return status;
    }
    sweeper s = {.sweep = sweep, .observer = observer, .context = observer_context, .stop = stop};
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
