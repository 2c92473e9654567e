/* convmark evaluate: a saved model on the whole test set. */
#include <stdio.h>

#include "cli/cli.h"
#include "cli/data.h"
#include "cli/loaded_model.h"
#include "cli/machine.h"
#include "cli/training_options.h"
#include "convmark/model_file.h"
#include "convmark/trainer.h"
#include "core/files/json.h"
#include "harness/record/machine.h"
#include "harness/record/train_json.h"

/* Images per call. It divides the test set and does not change the results of any image. */
enum { EVALUATION_BATCH = 100 };

typedef struct evaluate_options {
    const char *network, *json;
    cm_conv2d_algorithm algorithm;
} evaluate_options;

static const cm_option option_table[] = {
    {"network", CM_OPTION_STRING, offsetof(evaluate_options, network), "NAME|FILE",
     "Name the network. Needed for a model file that another program wrote.", 0, 0, NULL},
    {"json", CM_OPTION_STRING, offsetof(evaluate_options, json), "FILE",
     "Write the results as JSON to FILE ('-': standard output)", 0, 0, NULL},
    {0}};

/* Images with this label, and how many of them the model classified correctly. */
typedef struct class_count {
    int64_t images, correct;
} class_count;

static class_count count_class(const cm_evaluation *evaluation, int label) {
    const int64_t *row = evaluation->confusion + (ptrdiff_t)label * evaluation->classes;
    class_count count = {0, row[label]};
    for (int answer = 0; answer < evaluation->classes; ++answer) {
        count.images += row[answer];
    }
    return count;
}

static double class_accuracy(class_count count) {
    return count.images > 0 ? (double)count.correct / (double)count.images : 0.0;
}

static void print_text(const cm_evaluation *evaluation, bool fashion) {
    char name[32];
    printf("images    %lld\nloss      %.6f\naccuracy  %.4f\n\n%-14s%9s%9s\n",
           (long long)evaluation->images, evaluation->loss, evaluation->accuracy, "class", "images",
           "accuracy");
    for (int label = 0; label < evaluation->classes; ++label) {
        const class_count count = count_class(evaluation, label);
        printf("%-14s%9lld", cm_label_text(fashion, label, name, sizeof name),
               (long long)count.images);
        if (count.images > 0) {
            printf("%9.4f\n", class_accuracy(count));
        } else {
            printf("%9s\n", "-");
        }
    }
    printf("\nconfusion matrix: one row per label, one column per answer\n%-14s", "");
    for (int answer = 0; answer < evaluation->classes; ++answer) {
        printf("%6d", answer);
    }
    for (int label = 0; label < evaluation->classes; ++label) {
        printf("\n%-14s", cm_label_text(fashion, label, name, sizeof name));
        for (int answer = 0; answer < evaluation->classes; ++answer) {
            printf(
                "%6lld",
                (long long)evaluation->confusion[(ptrdiff_t)label * evaluation->classes + answer]);
        }
    }
    printf("\n");
}

static bool set_classes(json_t *root, const cm_evaluation *evaluation, bool fashion,
                        cm_error *error) {
    json_t *rows = json_array();
    json_t *matrix = json_array();
    for (int label = 0; label < evaluation->classes; ++label) {
        char name[32];
        const class_count count = count_class(evaluation, label);
        cm_json_append(
            &rows,
            json_pack("{s:s, s:I, s:o}", "name", cm_label_text(fashion, label, name, sizeof name),
                      "images", (json_int_t)count.images, "accuracy",
                      count.images > 0 ? json_real(class_accuracy(count)) : json_null()));
        json_t *row = json_array();
        for (int answer = 0; answer < evaluation->classes; ++answer) {
            const ptrdiff_t at = (ptrdiff_t)label * evaluation->classes + answer;
            cm_json_append(&row, json_integer(evaluation->confusion[at]));
        }
        cm_json_append(&matrix, row);
    }
    const bool set = cm_json_set(root, "classes", rows, error);
    return cm_json_set(root, "confusion", matrix, error) && set;
}

/* A command line and its results. */
typedef struct evaluate_run {
    const char *file; /* of the model */
    const evaluate_options *given;
    const cm_machine_options *machine;
    int argc;
    const char *const *argv;
    cm_loaded_model loaded;
    cm_dataset *dataset;
    cm_evaluation evaluation;
} evaluate_run;

static bool has_fashion_labels(const evaluate_run *run) {
    return cm_labels_are_fashion(run->loaded.network, run->dataset->name);
}

static cm_status write_evaluation(const evaluate_run *run, cm_error *error) {
    const cm_loaded_model *loaded = &run->loaded;
    const cm_evaluation *evaluation = &run->evaluation;
    char sha256[65];
    json_t *machine = NULL;
    const cm_status described = cm_machine_json(run->machine->topology, &machine, error);
    if (described != CM_OK) {
        return described;
    }
    cm_model_sha256(loaded->model, sha256);
    json_t *root = json_object();
    const bool ok =
        cm_json_set(root, "schema_version", json_integer(CM_RESULTS_SCHEMA_VERSION), error) &&
        cm_json_set(root, "kind", json_string("evaluate"), error) &&
        cm_json_set(root, "file", cm_json_string(run->file), error) &&
        cm_json_set(root, "network", cm_json_string(loaded->network->name), error) &&
        cm_json_set(root, "sha256", json_string(sha256), error) &&
        cm_json_set(root, "data", cm_dataset_json(run->dataset), error) &&
        cm_json_set(root, "isa", json_string(cm_isa_name(cm_model_isa(loaded->model))), error) &&
        cm_json_set(root, "threads", json_integer(cm_model_threads(loaded->model)), error) &&
        cm_json_set(root, "conv_algorithm",
                    json_string(cm_conv2d_algorithm_name(cm_model_conv_algorithm(loaded->model))),
                    error) &&
        cm_json_set(root, "images", json_integer(evaluation->images), error) &&
        cm_json_set(root, "loss", json_real(evaluation->loss), error) &&
        cm_json_set(root, "accuracy", json_real(evaluation->accuracy), error) &&
        set_classes(root, evaluation, has_fashion_labels(run), error) &&
        cm_json_set(root, "command", cm_command_json(run->argc, run->argv), error) &&
        cm_json_set(root, "machine", json_incref(machine), error);
    const cm_status status = ok ? cm_json_write(run->given->json, root, error)
                                : cm_fail(error, CM_FAILED,
                                          "%s: not written: out of memory, or a loss that is not "
                                          "finite; check the model file",
                                          run->given->json);
    json_decref(root);
    json_decref(machine);
    return status;
}

static cm_status evaluate(evaluate_run *run, const char *data, cm_error *error) {
    cm_model_options options = {.batch = EVALUATION_BATCH,
                                .threads = run->machine->threads,
                                .isa = run->machine->chosen_isa,
                                .conv_algorithm = run->given->algorithm};
    cm_status status =
        cm_loaded_model_open(run->file, run->given->network, &options, &run->loaded, error);
    if (status == CM_OK) {
        status =
            cm_data_open(data, cm_network_data_shape(run->loaded.network), &run->dataset, error);
    }
    if (status == CM_OK) {
        status = cm_evaluate(run->loaded.model, &run->dataset->validation,
                             cm_model_batch(run->loaded.model), &run->evaluation, error);
    }
    if (status == CM_OK && !run->machine->quiet && !cm_is_stdout(run->given->json)) {
        print_text(&run->evaluation, has_fashion_labels(run));
    }
    if (status == CM_OK && run->given->json != NULL) {
        status = write_evaluation(run, error);
    }
    cm_evaluation_free(&run->evaluation);
    cm_dataset_close(run->dataset);
    cm_loaded_model_close(&run->loaded);
    return status;
}

cm_status cm_command_evaluate(const cm_command *command, int argc, const char **argv,
                              cm_error *error) {
    evaluate_options options = {.algorithm = CM_CONV2D_AUTO};
    const char *data = NULL;
    cm_machine_options machine = cm_machine_options_default();
    const cm_option_group groups[] = {{option_table, &options},
                                      {cm_conv_algorithm_option_table, &options.algorithm},
                                      {cm_data_option_table, &data},
                                      {cm_machine_option_table, &machine}};
    cm_arguments arguments;
    cm_status status =
        cm_arguments_parse(&command->usage, argc, argv, groups, 4, 1, &arguments, error);
    if (status == CM_OK && !arguments.help) {
        const char *inputs[] = {arguments.words[0], cm_data_folder(data),
                                cm_network_file(options.network), NULL};
        cm_inputs_pack(inputs, 3);
        status = cm_check_output("evaluate", "json", options.json, inputs, error);
        if (status == CM_OK) {
            status = cm_machine_prepare(&machine, error);
        }
        if (status == CM_OK) {
            evaluate_run run = {.file = arguments.words[0],
                                .given = &options,
                                .machine = &machine,
                                .argc = argc,
                                .argv = argv};
            status = evaluate(&run, data, error);
        }
    }
    cm_machine_release(&machine);
    cm_arguments_free(&arguments);
    return status;
}
