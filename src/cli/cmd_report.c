/* convmark report: the published tables and claims beside ours. */
#include <stdlib.h>
#include <string.h>

#include "cli/cli.h"
#include "cli/progress.h"
#include "core/files/json.h"
#include "harness/studies/report/report_json.h"
#include "harness/studies/report/report_study.h"
#include "harness/studies/report/report_text.h"

typedef struct report_options {
    cm_report_options report;
    const char *variants; /* with commas; NULL: all of the table */
    const char *json;
} report_options;

#define MEMBER(name) offsetof(report_options, name)
static const cm_option option_table[] = {
    {"seeds", CM_OPTION_INT, MEMBER(report.seeds), "N", "runs of each variant (default: 3)", 1,
     CM_STUDY_MAX_SEEDS},
    {"variants", CM_OPTION_STRING, MEMBER(variants), "LIST",
     "variants or network files, with commas (default: all eight)", 0, 0},
    {"output", CM_OPTION_STRING, MEMBER(report.study.output), "DIR",
     "folder of report.json and report.md (default: convmark-report)", 0, 0},
    {"json", CM_OPTION_STRING, MEMBER(json), "FILE",
     "write report.json here as well ('-': standard output)", 0, 0},
    {"restart", CM_OPTION_TRUE, MEMBER(report.study.restart), NULL,
     "begin anew, not where report.json in DIR ends", 0, 0},
    {"allow-synthetic", CM_OPTION_TRUE, MEMBER(report.study.allow_synthetic), NULL,
     "accept generated pictures, to try the report out", 0, 0},
    {"epochs", CM_OPTION_INT, MEMBER(report.train.epochs), "N",
     "epochs (published protocol and default: 3)", 1, CM_MAX_EPOCHS},
    {"steps", CM_OPTION_INT, MEMBER(report.train.steps), "N",
     "training batches an epoch (protocol: 100)", 1, CM_MAX_STEPS},
    {"valid-steps", CM_OPTION_INT, MEMBER(report.train.valid_steps), "N",
     "validation batches after each epoch (protocol: 100)", 1, CM_MAX_STEPS},
    {0}};
#undef MEMBER

/* What the observer is given: progress of which report. */
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
            at->done, at->all, place.variant->network->name, place.seed,
            place.run->values[CM_MEASURE_TRAIN_LOSS], place.run->values[CM_MEASURE_TEST_LOSS],
            place.run->values[CM_MEASURE_ACCURACY], place.run->seconds, eta);
    fflush(out);
}

static void observe(const cm_study_progress *at, void *context) {
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

/* What the command gives out besides the files of --output. */
static cm_status show(const report_options *options, const cm_report *report, FILE *text,
                      cm_error *error) {
    cm_status status = CM_OK;
    if (options->json != NULL) {
        json_t *json = cm_report_to_json(report, error);
        status = json == NULL ? CM_FAILED : cm_json_write(options->json, json, error);
        json_decref(json);
    }
    char *tables = text != NULL ? cm_report_text(report) : NULL;
    if (tables != NULL) {
        fprintf(text, "\n%s\nwritten: %s/report.md, %s/report.json\n", tables,
                options->report.study.output, options->report.study.output);
    }
    free(tables);
    return status;
}

/* Makes the report and shows it; `text`: for people, NULL when quiet. */
static cm_status make_report(const report_options *options, const cm_dataset *dataset, FILE *text,
                             cm_error *error) {
    cm_report report;
    cm_progress progress = cm_progress_start(text != NULL ? text : stdout, text == NULL);
    report_watch watch = {&progress, &report};
    const cm_study_control control = {observe, &watch, cm_interrupt_flag()};
    const cm_status made = cm_report_make(&options->report, dataset, &control, &report, error);
    cm_progress_end(&progress);
    cm_status status = made;
    if (made == CM_OK || made == CM_INTERRUPTED) {
        const int runs = cm_report_run_count(&report);
        status = runs > 0 ? show(options, &report, text, error) : CM_OK;
        if (status == CM_OK && made == CM_INTERRUPTED) {
            status = cm_fail(error, CM_INTERRUPTED, "interrupted after %d finished runs; %s%s%s",
                             runs, runs > 0 ? "the same command" : "nothing is written",
                             runs > 0 && options->report.study.restart ? " without --restart" : "",
                             runs > 0 ? " goes on from there" : "");
        }
    } else {
        status = cm_explain_study(&report.study, option_table,
                                  "--allow-synthetic to try the report out", status, error);
    }
    cm_report_free(&report);
    return status;
}

static cm_status run(report_options *options, const char *data, cm_machine_options *machine,
                     cm_error *error) {
    cm_dataset *dataset = NULL;
    cm_status status = cm_train_options_check(&options->report.train, error);
    if (status == CM_OK) {
        status = cm_check_output("json", options->json, true, error);
    }
    if (status == CM_OK) {
        status = cm_machine_prepare(machine, error);
    }
    if (status == CM_OK) {
        status = cm_dataset_open(data, &dataset, error);
    }
    if (status == CM_OK) {
        FILE *text = cm_is_stdout(options->json) ? stderr : stdout;
        options->report.model.threads = machine->threads;
        options->report.model.isa = machine->chosen_isa;
        options->report.study.topology = machine->topology;
        status = make_report(options, dataset, machine->quiet ? NULL : text, error);
    }
    cm_dataset_close(dataset);
    return status;
}

cm_status cm_command_report(const cm_command *command, int argc, const char **argv,
                            cm_error *error) {
    report_options options = {.report = cm_report_options_default()};
    options.report.study.output = "convmark-report";
    options.report.study.argc = argc;
    options.report.study.argv = argv;
    cm_data_options data = {NULL};
    cm_machine_options machine = cm_machine_options_default();
    const cm_option_group groups[] = {{option_table, &options},
                                      {cm_data_option_table, &data},
                                      {cm_machine_option_table, &machine}};
    cm_arguments arguments;
    const char *names[CM_STUDY_MAX_LIST];
    char *list = NULL;
    cm_status status = cm_arguments_parse(command, argc, argv, groups, 3, 0, &arguments, error);
    if (status == CM_OK && !arguments.help) {
        if (options.variants != NULL) {
            options.report.variants = names;
            status = cm_split_list("variants", options.variants, &list, names, CM_STUDY_MAX_LIST,
                                   &options.report.variant_count, error);
        }
        if (status == CM_OK) {
            status = run(&options, data.data, &machine, error);
        }
    }
    free(list);
    cm_machine_release(&machine);
    cm_arguments_free(&arguments);
    return status;
}
