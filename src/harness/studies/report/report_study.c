#include "harness/studies/report/report_study.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/system/clock.h"
#include "harness/studies/report/report_json.h"
#include "harness/studies/report/report_text.h"

static cm_status plan_report(void *self, cm_error *error) {
    return cm_report_plan(self, error);
}

static json_t *report_to_json(const void *self, cm_error *error) {
    return cm_report_to_json(self, error);
}

static cm_status report_take_json(void *self, const json_t *earlier, const char *file,
                                  cm_error *error) {
    return cm_report_take_json(self, earlier, file, error);
}

static char *report_markdown(const void *self) {
    return cm_report_markdown(self);
}

/* ---- Runs: seeds outside, variants inside, so that what is done at any moment compares variants
 * ---- */

cm_report_place cm_report_place_of(const cm_report *report, int run) {
    const cm_report_variant *variant = &report->variants[run % report->variant_count];
    const int seed = run / report->variant_count;
    return (cm_report_place){variant, seed, &variant->runs[seed]};
}

static int report_run_count(const void *self) {
    const cm_report *report = self;
    return report->variant_count * report->options.seeds;
}

static cm_study_task report_run_at(const void *self, int index) {
    const cm_report_place at = cm_report_place_of(self, index);
    cm_study_task planned = {.done = at.run->done, .amount = at.variant->macs};
    snprintf(planned.doing, sizeof planned.doing, "training %s, seed %d", at.variant->network->name,
             at.seed);
    return planned;
}

static cm_status train_new_model(const cm_report_train_args *args, cm_train_result *result,
                                 cm_error *error) {
    cm_model *model = NULL;
    cm_status status =
        cm_study_open_model(args->network, args->model, args->train->seed, &model, error);
    if (status == CM_OK) {
        status = cm_train(model, args->dataset, args->train, args->hooks->observer,
                          args->hooks->observer_context, args->hooks->stop, result, error);
    }
    cm_model_free(model);
    return status;
}

/* The result as the report keeps it; false: no memory. */
static bool keep_report_run(const cm_report *report, const cm_train_result *result, double seconds,
                            cm_report_run *run) {
    cm_report_epoch *epochs = calloc((size_t)result->epoch_count + 1, sizeof *epochs);
    if (epochs == NULL) {
        return false;
    }
    *run = (cm_report_run){
        .done = true,
        .epoch_count = result->epoch_count,
        .epochs = epochs,
        .images_per_second = isfinite(result->images_per_second) ? result->images_per_second : 0,
        .seconds = seconds,
        .threads = report->options.model.threads,
    };
    for (int i = 0; i < result->epoch_count; ++i) {
        for (cm_measure m = 0; m < CM_MEASURE_COUNT; ++m) {
            epochs[i].values[m] = cm_measure_of_epoch(m, &result->epochs[i]);
        }
        memcpy(run->values, epochs[i].values, sizeof run->values);
    }
    memcpy(run->sha256, result->sha256, sizeof run->sha256);
    snprintf(run->isa, sizeof run->isa, "%s", cm_isa_name(report->options.model.isa));
    return true;
}

static cm_status do_report_run(void *self, int index, const cm_study_train_hooks *hooks,
                               cm_error *error) {
    const cm_report *report = self;
    const cm_report_place at = cm_report_place_of(report, index);
    cm_train_options train = report->options.train;
    train.seed = (uint64_t)at.seed;
    const cm_report_train_args args = {.network = at.variant->network,
                                       .dataset = report->study.dataset,
                                       .model = &report->options.model,
                                       .train = &train,
                                       .hooks = hooks};
    cm_report_train_fn *run = report->options.run == NULL ? train_new_model : report->options.run;
    cm_train_result result = {.step_count = 0};
    cm_error cause = {""};
    const int64_t start = cm_clock_ns();
    cm_status status = run(&args, &result, &cause);
    const double seconds = (double)(cm_clock_ns() - start) * 1e-9;
    if (status == CM_OK && !keep_report_run(report, &result, seconds, at.run)) {
        status = cm_study_out_of_memory("report", error);
    } else if (status != CM_OK && status != CM_INTERRUPTED) {
        cm_fail(error, status, "%s, seed %d: %s", at.variant->network->name, at.seed,
                cause.message);
    }
    cm_train_result_free(&result);
    return status;
}

/* ---- The study ---- */

static const cm_study_kind report_kind = {
    .name = "report",
    .plan = plan_report,
    .to_json = report_to_json,
    .take_json = report_take_json,
    .tables = {{".md", report_markdown}},
    .tables_when_interrupted = true,
    .run_count = report_run_count,
    .run_at = report_run_at,
    .train = do_report_run,
};

cm_status cm_report_make(const cm_report_options *options, const cm_dataset *dataset,
                         const cm_study_control *control, cm_report *report, cm_error *error) {
    *report = (cm_report){.study = {.dataset = dataset}, .options = *options};
    const cm_study_call call = {.kind = &report_kind,
                                .self = report,
                                .study = &report->study,
                                .options = &options->study,
                                .accuracy = true,
                                .fashion_mnist = true};
    const cm_status status = cm_study_make(&call, control, error);
    /* What was borrowed may end with this call. */
    report->options.study = (cm_study_settings){.output = NULL};
    report->options.variants = NULL;
    return status;
}
