#include "cli/study.h"

#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "cli/data.h"
#include "cli/training_options.h"
#include "core/escape.h"
#include "core/files/json.h"

/* ---- Results ---- */

static cm_status fail_study_interrupted(const cm_study_run *run, const cm_study_result *result,
                                        cm_error *error) {
    const char *name = run->command->usage.command;
    if (result->done == 0) {
        return cm_fail(error, CM_INTERRUPTED,
                       "interrupted in the first %s; there is nothing to resume from",
                       result->unit);
    }
    return cm_fail(error, CM_INTERRUPTED,
                   "interrupted after %d of %d %ss; the same command%s resumes from %s/%s.json",
                   result->done, result->all, result->unit,
                   run->options.restart ? " without --restart" : "", run->options.output, name);
}

cm_status cm_study_show(const cm_study_run *run, const cm_study_result *result, cm_error *error) {
    cm_status status = CM_OK;
    if (run->options.json != NULL && (result->json != NULL || result->done > 0)) {
        const bool told = result->json == NULL && error->message[0] != '\0';
        status = told ? CM_FAILED : cm_json_write(run->options.json, result->json, error);
    }
    if (run->text != NULL && result->tables != NULL) {
        fprintf(run->text, "\n%s", result->tables);
        if (result->complete) {
            fprintf(run->text, "\nwritten to %s: %s\n", CM_SHOW(run->options.output),
                    result->files);
        }
    }
    json_decref(result->json);
    free(result->tables);
    return status == CM_OK && !result->complete ? fail_study_interrupted(run, result, error)
                                                : status;
}

/* ---- The run ---- */

cm_study_settings cm_study_settings_of(const cm_study_run *run) {
    return (cm_study_settings){.output = run->options.output,
                               .restart = run->options.restart,
                               .allow_synthetic = run->options.allow_synthetic,
                               .argc = run->argc,
                               .argv = run->argv,
                               .topology = run->machine.topology};
}

/* Whether the message is about the value of one of the options: "NAME: ...". */
static bool is_about_option(const cm_study_command *study, const char *message) {
    for (int g = 0; g < study->group_count; ++g) {
        for (const cm_option *option = study->groups[g].options; option->name != NULL; ++option) {
            const size_t length = strlen(option->name);
            if (strncmp(message, option->name, length) == 0 && message[length] == ':') {
                return true;
            }
        }
    }
    return false;
}

/* Adds option names to the message of a study that failed, by the step in which it did. */
static cm_status explain_study(const cm_study_command *study, cm_study_step step, cm_status status,
                               cm_error *error) {
    const cm_error cause = *error;
    if (step == CM_STUDY_DATA && status == CM_USAGE) {
        return cm_fail(error, status, "%s, or give %s", cause.message, study->without_real_data);
    }
    if (step == CM_STUDY_PLAN && is_about_option(study, cause.message)) {
        return cm_fail(error, status, "--%s", cause.message);
    }
    if (step == CM_STUDY_FOLDER && status == CM_USAGE) {
        return cm_fail(error, status, "--output: %s", cause.message);
    }
    if (step == CM_STUDY_RESUME && status == CM_BAD_INPUT) {
        return cm_fail(error, status,
                       "%s; give --restart to start over, or another folder with --output",
                       cause.message);
    }
    return status;
}

/* --json and the files of the folder are different ones, and none that is read. */
static cm_status check_study_outputs(const cm_study_command *study, const cm_study_run *run,
                                     const char *data, cm_error *error) {
    static const char *const suffixes[] = {".json", ".csv", ".md", ".lock"};
    enum { FILES = sizeof suffixes / sizeof *suffixes };
    const char *name = run->command->usage.command;
    const char *inputs[CM_STUDY_MAX_LIST + 2] = {NULL};
    char paths[FILES][PATH_MAX];
    cm_output outputs[FILES + 1];
    for (int i = 0; i < FILES; ++i) {
        snprintf(paths[i], sizeof paths[i], "%s/%s%s", run->options.output, name, suffixes[i]);
        outputs[i] = (cm_output){.option = "output", .path = paths[i], .later = true};
    }
    outputs[FILES] = (cm_output){.option = "json", .path = run->options.json, .allow_stdout = true};
    int count = 0;
    for (int i = 0; study->networks != NULL && *study->networks != NULL && i < CM_STUDY_MAX_LIST &&
                    i < *study->network_count;
         ++i) {
        inputs[count++] = (*study->networks)[i];
    }
    inputs[count] = data;
    return cm_check_outputs(name, outputs, FILES + 1, inputs, error);
}

static cm_status prepare_and_make(const cm_study_command *study, cm_study_run *run,
                                  const char *data, cm_error *error) {
    cm_status status = study->check(study->values, error);
    if (status == CM_OK) {
        status = check_study_outputs(study, run, data, error);
    }
    if (status == CM_OK) {
        status = cm_machine_prepare(&run->machine, error);
    }
    cm_dataset_shape shape = {1, 28, 28, 10};
    if (status == CM_OK && study->shape != NULL) {
        status = study->shape(study->values, &shape, error);
        if (status == CM_USAGE && is_about_option(study, error->message)) {
            const cm_error cause = *error;
            status = cm_fail(error, status, "--%s", cause.message);
        }
    }
    if (status == CM_OK) {
        status = cm_data_open(data, shape, &run->dataset, error);
    }
    if (status == CM_OK) {
        run->text = run->machine.quiet ? NULL : cm_is_stdout(run->options.json) ? stderr : stdout;
        run->progress =
            cm_progress_start(run->text != NULL ? run->text : stdout, run->text == NULL);
        status = study->make(study->values, run, error);
        if (status != CM_OK && status != CM_INTERRUPTED) {
            status = explain_study(study, run->step, status, error);
        }
    }
    cm_dataset_close(run->dataset);
    return status;
}

cm_status cm_study_command_run(const cm_study_command *study, const cm_command *command, int argc,
                               const char **argv, cm_error *error) {
    cm_study_run run = {.command = command,
                        .argc = argc,
                        .argv = argv,
                        .options = {.output = study->output},
                        .machine = cm_machine_options_default()};
    const char *data = NULL;
    cm_option_group groups[CM_STUDY_GROUPS + 3];
    memcpy(groups, study->groups, (size_t)study->group_count * sizeof *groups);
    cm_option_group *shared = groups + study->group_count;
    shared[0] = (cm_option_group){study->study_options, &run.options};
    shared[1] = (cm_option_group){cm_data_option_table, &data};
    shared[2] = (cm_option_group){study->machine_options, &run.machine};
    cm_arguments arguments;
    cm_status status = cm_arguments_parse(&command->usage, argc, argv, groups,
                                          study->group_count + 3, 0, &arguments, error);
    if (status == CM_OK && !arguments.help) {
        status = prepare_and_make(study, &run, data, error);
    }
    cm_machine_release(&run.machine);
    cm_arguments_free(&arguments);
    return status;
}
