/* convmark report: the published tables and claims beside our results. */
#include "cli/study.h"
#include "cli/training_options.h"
#include "core/escape.h"
#include "harness/studies/report/report_json.h"
#include "harness/studies/report/report_study.h"
#include "harness/studies/report/report_text.h"

typedef struct report_options {
    cm_report_options report;
    const char *variants[CM_STUDY_MAX_LIST];
} report_options;

static cm_status parse_report_variants(char *text, void *values, cm_error *error) {
    report_options *options = values;
    options->report.variants = options->variants;
    return cm_parse_list(text, options->variants, CM_STUDY_MAX_LIST, &options->report.variant_count,
                         error);
}

#define MEMBER(name) offsetof(report_options, report.name)
static const cm_option option_table[] = {
    {"seeds", CM_OPTION_INT, MEMBER(seeds), "N",
     "Train each variant with seeds 0 to N - 1 (default: 3)", 1, CM_STUDY_MAX_SEEDS, NULL},
    {"variants", CM_OPTION_PARSED, 0, "LIST",
     "Train these variants or network files (default: all eight)", 0, 0, parse_report_variants},
    {0}};
#undef MEMBER

static const cm_option study_option_table[] = {
    CM_STUDY_OPTION_ROWS("report", "report.json and .md")};

static cm_status check_report(void *values, cm_error *error) {
    return cm_check_training("report", &((report_options *)values)->report.train, error);
}

/* ---- Progress ---- */

/* The context of the observer. */
typedef struct report_watch {
    cm_progress *progress;
    const cm_report *report;
} report_watch;

static void show_step(const report_watch *watch, const cm_study_progress *at) {
    const cm_report_place place = cm_report_place_of(watch->report, at->run);
    char eta[32], text[200];
    cm_progress_format_eta(at->eta_seconds, eta, sizeof eta);
    snprintf(text, sizeof text, "run %d/%d  %s seed %d  epoch %d/%d  %s %d/%d  ETA %s",
             at->done + 1, at->all, place.variant->network->name, place.seed, at->train->epoch + 1,
             at->train->epochs, at->train->validating ? "validation" : "step", at->train->step,
             at->train->steps, eta);
    cm_progress_rewrite(watch->progress, text);
}

static void show_run(const report_watch *watch, const cm_study_progress *at) {
    const cm_report_place place = cm_report_place_of(watch->report, at->run);
    FILE *out = watch->progress->out;
    char eta[32];
    cm_progress_format_eta(at->eta_seconds, eta, sizeof eta);
    cm_progress_end(watch->progress);
    fprintf(out,
            "run %d/%d  %-16s seed %d  train loss %.4f  test loss %.4f  accuracy %.4f  %.1f s  "
            "ETA %s\n",
            at->done, at->all, CM_SHOW(place.variant->network->name), place.seed,
            place.run->values[CM_MEASURE_TRAIN_LOSS], place.run->values[CM_MEASURE_TEST_LOSS],
            place.run->values[CM_MEASURE_ACCURACY], place.run->seconds, eta);
    fflush(out);
}

static void observe_report(const cm_study_progress *at, void *context) {
    const report_watch *watch = context;
    if (watch->progress->quiet) {
        return;
    }
    if (at->advanced) {
        show_run(watch, at);
    } else if (at->train != NULL && watch->progress->terminal) {
        show_step(watch, at);
    }
}

/* ---- The command ---- */

static cm_status make_report(void *values, cm_study_run *run, cm_error *error) {
    cm_report_options *options = &((report_options *)values)->report;
    options->model.threads = run->machine.threads;
    options->model.isa = run->machine.chosen_isa;
    options->study = cm_study_settings_of(run);
    cm_report report;
    const report_watch watch = {&run->progress, &report};
    const cm_study_control control = {observe_report, (void *)&watch, cm_interrupt_flag()};
    const cm_status made = cm_report_make(options, run->dataset, &control, &report, error);
    run->step = report.study.step;
    cm_progress_end(&run->progress);
    cm_status status = made;
    if (made == CM_OK || made == CM_INTERRUPTED) {
        const int done = cm_report_run_count(&report);
        const cm_study_result result = {
            .complete = made == CM_OK,
            .done = done,
            .all = report.variant_count * options->seeds,
            .unit = "run",
            .files = "report.json, report.md",
            .json =
                run->options.json != NULL && done > 0 ? cm_report_to_json(&report, error) : NULL,
            .tables = run->text != NULL && done > 0 ? cm_report_text(&report) : NULL};
        status = cm_study_show(run, &result, error);
    }
    cm_report_free(&report);
    return status;
}

cm_status cm_command_report(const cm_command *command, int argc, const char **argv,
                            cm_error *error) {
    report_options options = {.report = cm_report_options_default()};
    const cm_option_group groups[] = {{option_table, &options},
                                      {cm_protocol_option_table, &options.report.train}};
    const cm_study_command study = {.values = &options,
                                    .groups = groups,
                                    .group_count = 2,
                                    .study_options = study_option_table,
                                    .networks = &options.report.variants,
                                    .network_count = &options.report.variant_count,
                                    .machine_options = cm_machine_option_table,
                                    .output = "convmark-report",
                                    .check = check_report,
                                    .without_real_data = "--allow-synthetic to try the report out",
                                    .make = make_report};
    return cm_study_command_run(&study, command, argc, argv, error);
}
