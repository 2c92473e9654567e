/* Trains what the report needs, run after run, and keeps report.json up to date. */
#include "harness/studies/report/report.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/files/sha256.h"
#include "core/system/clock.h"
#include "harness/record/folder.h"
#include "harness/record/machine.h"
#include "harness/record/train_json.h"

const char *cm_measure_key(cm_measure measure) {
    static const char *const keys[CM_MEASURE_COUNT] = {"train_loss", "test_loss", "accuracy"};
    return keys[measure];
}

static cm_status out_of_memory(cm_error *error) {
    return cm_fail(error, CM_FAILED, "report: out of memory; close other programs");
}

/* The usual run: a new model with the seed's initial values. */
static cm_status train_model(const cm_network *network, const cm_dataset *dataset,
                             const cm_model_options *model_options, const cm_train_options *options,
                             cm_train_observer *observer, void *observer_context,
                             const volatile sig_atomic_t *stop, cm_train_result *result,
                             cm_error *error) {
    cm_model *model = NULL;
    cm_status status = cm_model_create(network, model_options, &model, error);
    if (status != CM_OK) {
        return status;
    }
    cm_model_initialize(model, options->seed);
    status = cm_train(model, dataset, options, observer, observer_context, stop, result, error);
    cm_model_free(model);
    return status;
}

cm_report_options cm_report_options_default(void) {
    return (cm_report_options){
        .seeds = 3,
        .train = cm_train_options_default(),
        .model = {.threads = 1, .isa = CM_ISA_BEST},
        .run = train_model,
    };
}

/* ---- The plan ---- */

static cm_status hash_network(const cm_network *network, char hex[65], cm_error *error) {
    char *text = NULL;
    const cm_status status = cm_network_to_text(network, &text, error);
    if (status == CM_OK) {
        cm_sha256_buffer(text, strlen(text), hex);
        free(text);
    }
    return status;
}

static cm_status plan_variant(cm_report *report, const char *name, cm_error *error) {
    cm_report_variant *variant = &report->variants[report->variant_count];
    cm_status status = cm_network_open(name, &variant->network, error);
    if (status != CM_OK) {
        return status;
    }
    const cm_network *network = variant->network;
    const bool repeated = cm_report_find(report, network->name) != NULL;
    ++report->variant_count; /* from here on cm_report_free() frees it */
    if (repeated) {
        return cm_fail(error, CM_USAGE, "--variants: '%s' is there twice; name each one once",
                       network->name);
    }
    /* A user's own network may be made for other images. */
    status =
        cm_network_check_fits(network, &report->dataset->train, report->dataset->classes, error);
    if (status != CM_OK) {
        return status;
    }
    variant->published = cm_published_figures_of(name);
    variant->params = cm_network_parameter_count(network);
    for (int i = 0; i < network->layer_count; ++i) {
        variant->macs += (double)cm_layer_macs(&network->layers[i]);
    }
    variant->runs = calloc((size_t)report->options.seeds, sizeof *variant->runs);
    if (variant->runs == NULL) {
        return out_of_memory(error);
    }
    return hash_network(network, variant->network_sha256, error);
}

static cm_status plan_variants(cm_report *report, cm_error *error) {
    const cm_report_options *options = &report->options;
    int table_count = 0;
    const cm_variant *table = cm_variants(&table_count);
    const int count = options->variants == NULL ? table_count : options->variant_count;
    if (count < 1 || count > CM_REPORT_MAX_VARIANTS) {
        return cm_fail(error, CM_USAGE, "--variants: %d of them; give 1 to %d", count,
                       CM_REPORT_MAX_VARIANTS);
    }
    report->variants = calloc((size_t)count, sizeof *report->variants);
    if (report->variants == NULL) {
        return out_of_memory(error);
    }
    cm_status status = CM_OK;
    for (int i = 0; status == CM_OK && i < count; ++i) {
        status = plan_variant(
            report, options->variants == NULL ? table[i].id : options->variants[i], error);
    }
    return status;
}

static cm_status plan(cm_report *report, cm_error *error) {
    cm_report_options *options = &report->options;
    const cm_dataset *dataset = report->dataset;
    if (!dataset->real && !options->allow_synthetic) {
        return cm_fail(
            error, CM_USAGE,
            "report: accuracies on %s data say nothing; install the package "
            "dataset-fashion-mnist or run scripts/get-data.sh for the real data, or give "
            "--allow-synthetic to try the report out",
            dataset->name);
    }
    if (options->seeds < 1 || options->seeds > CM_REPORT_MAX_SEEDS) {
        return cm_fail(error, CM_USAGE, "--seeds: %d is not accepted; give 1 to %d", options->seeds,
                       CM_REPORT_MAX_SEEDS);
    }
    cm_status status = cm_train_options_check(&options->train, error);
    if (status != CM_OK) {
        return status;
    }
    if (options->run == NULL) {
        options->run = train_model;
    }
    options->model.isa = cm_isa_resolve(options->model.isa);
    options->model.batch = options->train.batch;
    options->model.training = true;
    status = plan_variants(report, error);
    if (status == CM_OK) {
        cm_dataset_sha256(dataset, report->data_sha256);
        report->data = cm_dataset_json(dataset);
        status = report->data == NULL ? out_of_memory(error)
                                      : cm_machine_json(options->topology, &report->machine, error);
    }
    return status;
}

/* ---- Files ---- */

static cm_status take_earlier(void *report, const json_t *earlier, const char *file,
                              cm_error *error) {
    return cm_report_take_json(report, earlier, file, error);
}

static cm_status write_json(const cm_report *report, cm_error *error) {
    json_t *json = cm_report_to_json(report);
    return json == NULL ? out_of_memory(error)
                        : cm_folder_write_json(report->options.output, "report", json, error);
}

static cm_status write_markdown(const cm_report *report, cm_error *error) {
    return cm_folder_write(report->options.output, "report.md", cm_report_markdown(report), error);
}

/* ---- Runs ---- */

/* A report under way, and what the estimate of the time left is made from. */
typedef struct maker {
    cm_report *report;
    cm_report_observer *observer;
    void *observer_context;
    cm_report_progress progress;
    double done_seconds, done_macs; /* of the runs trained by this call */
    double macs_left;               /* of the runs after the current one */
    double macs;                    /* of the current one */
    int64_t started_ns;             /* the current one */
} maker;

static double seconds_since(int64_t start_ns) {
    return (double)(cm_clock_ns() - start_ns) * 1e-9;
}

static void observe_step(const cm_train_progress *train, const cm_epoch_result *epoch,
                         void *context) {
    maker *make = context;
    if (make->observer == NULL || epoch != NULL) {
        return;
    }
    /* Finished runs tell the speed best; before there are any, the current one does. */
    const double speed = make->done_macs > 0
                             ? make->done_seconds / make->done_macs
                             : (seconds_since(make->started_ns) + train->eta_seconds) / make->macs;
    make->progress.train = train;
    make->progress.eta_seconds = train->eta_seconds + make->macs_left * speed;
    make->observer(&make->progress, make->observer_context);
}

/* The run as the report keeps it; false: no memory. */
static bool record_run(const cm_report *report, int seed, const cm_train_result *result,
                       double seconds, cm_report_run *run) {
    *run = (cm_report_run){
        .seed = seed,
        .epoch_count = result->epoch_count,
        .epochs = calloc((size_t)result->epoch_count + 1, sizeof *run->epochs),
        .images_per_second = isfinite(result->images_per_second) ? result->images_per_second : 0,
        .seconds = seconds,
        .threads = report->options.model.threads,
    };
    if (run->epochs == NULL) {
        return false;
    }
    for (int i = 0; i < result->epoch_count; ++i) {
        const cm_epoch_result *epoch = &result->epochs[i];
        run->epochs[i] = (cm_report_epoch){{epoch->train_loss, epoch->test_loss, epoch->accuracy}};
        memcpy(run->values, run->epochs[i].values, sizeof run->values);
    }
    memcpy(run->sha256, result->sha256, sizeof run->sha256);
    snprintf(run->isa, sizeof run->isa, "%s", cm_isa_name(report->options.model.isa));
    return true;
}

static cm_status make_run(maker *make, cm_report_variant *variant, int seed,
                          const volatile sig_atomic_t *stop, cm_error *error) {
    cm_report *report = make->report;
    cm_train_options options = report->options.train;
    options.seed = (uint64_t)seed;
    make->macs = variant->macs;
    make->macs_left -= variant->macs;
    make->progress.variant = variant->network->name;
    make->progress.seed = seed;
    make->started_ns = cm_clock_ns();

    cm_train_result result = {.step_count = 0};
    cm_error cause = {""};
    cm_status status =
        report->options.run(variant->network, report->dataset, &report->options.model, &options,
                            observe_step, make, stop, &result, &cause);
    cm_report_run run = {.epochs = NULL};
    const double seconds = seconds_since(make->started_ns);
    if (status == CM_FAILED || status == CM_USAGE || status == CM_BAD_INPUT) {
        cm_fail(error, status, "%s, seed %d: %s", variant->network->name, seed, cause.message);
    } else if (status == CM_OK && result.epoch_count < 1) {
        status = cm_fail(error, CM_USAGE, "report: no epoch was trained; give at least one");
    } else if (status == CM_OK && !record_run(report, seed, &result, seconds, &run)) {
        status = out_of_memory(error);
    }
    cm_train_result_free(&result);
    if (status != CM_OK) {
        return status;
    }
    cm_report_add_run(report, variant, &run);
    make->done_seconds += seconds;
    make->done_macs += variant->macs;
    ++make->progress.run;
    make->progress.train = NULL;
    make->progress.done = cm_report_find_run(variant, seed);
    make->progress.eta_seconds = make->macs_left * make->done_seconds / make->done_macs;
    if (make->observer != NULL) {
        make->observer(&make->progress, make->observer_context);
    }
    make->progress.done = NULL;
    return report->options.output == NULL ? CM_OK : write_json(report, error);
}

/* Seeds outside, variants inside: what is done at any moment compares variants. */
static cm_status make_runs(maker *make, const volatile sig_atomic_t *stop, cm_error *error) {
    cm_report *report = make->report;
    for (int seed = 0; seed < report->options.seeds; ++seed) {
        for (int i = 0; i < report->variant_count; ++i) {
            if (cm_report_find_run(&report->variants[i], seed) != NULL) {
                continue;
            }
            const cm_status status = stop != NULL && *stop
                                         ? CM_INTERRUPTED
                                         : make_run(make, &report->variants[i], seed, stop, error);
            if (status != CM_OK) {
                return status;
            }
        }
    }
    return CM_OK;
}

static maker start(cm_report *report, cm_report_observer *observer, void *observer_context) {
    maker make = {.report = report, .observer = observer, .observer_context = observer_context};
    make.progress.runs = report->variant_count * report->options.seeds;
    make.progress.eta_seconds = NAN;
    for (int i = 0; i < report->variant_count; ++i) {
        const cm_report_variant *variant = &report->variants[i];
        make.macs_left += variant->macs * (report->options.seeds - variant->run_count);
    }
    make.progress.run = cm_report_run_count(report);
    return make;
}

cm_status cm_report_make(const cm_report_options *options, const cm_dataset *dataset,
                         cm_report_observer *observer, void *observer_context,
                         const volatile sig_atomic_t *stop, cm_report *report, cm_error *error) {
    *report = (cm_report){.options = *options, .dataset = dataset};
    cm_status status = plan(report, error);
    if (status == CM_OK && options->output != NULL) {
        status = cm_folder_prepare(report->options.output, "report", report->options.restart,
                                   take_earlier, report, error);
    }
    if (status != CM_OK) {
        return status;
    }
    maker make = start(report, observer, observer_context);
    status = make_runs(&make, stop, error);
    report->complete = status == CM_OK;
    if (options->output != NULL && (status == CM_OK || status == CM_INTERRUPTED) &&
        make.progress.run > 0) {
        cm_status written = write_json(report, error);
        if (written == CM_OK) {
            written = write_markdown(report, error);
        }
        status = written == CM_OK ? status : written;
    }
    return status;
}

void cm_report_free(cm_report *report) {
    for (int i = 0; i < report->variant_count; ++i) {
        cm_report_variant *variant = &report->variants[i];
        for (int j = 0; j < variant->run_count; ++j) {
            free(variant->runs[j].epochs);
        }
        free(variant->runs);
        cm_network_free(variant->network);
    }
    free(report->variants);
    json_decref(report->data);
    json_decref(report->machine);
    *report = (cm_report){.complete = false};
}

/* ---- What is in it ---- */

const cm_report_variant *cm_report_find(const cm_report *report, const char *id) {
    for (int i = 0; i < report->variant_count; ++i) {
        if (strcmp(report->variants[i].network->name, id) == 0) {
            return &report->variants[i];
        }
    }
    return NULL;
}

int cm_report_run_count(const cm_report *report) {
    int count = 0;
    for (int i = 0; i < report->variant_count; ++i) {
        count += report->variants[i].run_count;
    }
    return count;
}

const cm_report_run *cm_report_find_run(const cm_report_variant *variant, int seed) {
    for (int i = 0; i < variant->run_count; ++i) {
        if (variant->runs[i].seed == seed) {
            return &variant->runs[i];
        }
    }
    return NULL;
}

void cm_report_add_run(const cm_report *report, cm_report_variant *variant,
                       const cm_report_run *run) {
    if (variant->run_count >= report->options.seeds) {
        return; /* should not happen: every seed is there once */
    }
    int place = variant->run_count++;
    for (; place > 0 && variant->runs[place - 1].seed > run->seed; --place) {
        variant->runs[place] = variant->runs[place - 1];
    }
    variant->runs[place] = *run;
}

int cm_report_values(const cm_report_variant *variant, cm_measure measure, double *values) {
    for (int i = 0; i < variant->run_count; ++i) {
        values[i] = variant->runs[i].values[measure];
    }
    return variant->run_count;
}

bool cm_report_follows_protocol(const cm_report *report) {
    const cm_train_options published = cm_train_options_default();
    json_t *ours = cm_train_options_json(&report->options.train);
    json_t *theirs = cm_train_options_json(&published);
    const bool same = json_equal(ours, theirs);
    json_decref(ours);
    json_decref(theirs);
    return same;
}

cm_report_row cm_report_row_of(const cm_report_variant *variant, cm_measure measure) {
    double values[CM_REPORT_MAX_SEEDS];
    cm_report_row row = {.published = NAN};
    row.ours = cm_summarize(values, cm_report_values(variant, measure, values));
    row.prediction = cm_prediction_interval(&row.ours, CM_REPORT_LEVEL);
    if (variant->published != NULL) {
        const double published[CM_MEASURE_COUNT] = {variant->published->train_loss,
                                                    variant->published->test_loss,
                                                    variant->published->accuracy};
        row.published = published[measure];
        row.inside = row.published >= row.prediction.low && row.published <= row.prediction.high;
    }
    return row;
}
