/* convmark train: one training run. */
#include <stdio.h>

#include "cli/cli.h"
#include "cli/data.h"
#include "cli/loaded_model.h"
#include "cli/machine.h"
#include "cli/progress.h"
#include "cli/training_options.h"
#include "convmark/model_file.h"
#include "convmark/trainer.h"
#include "core/escape.h"
#include "core/files/json.h"
#include "core/system/clock.h"
#include "core/system/energy.h"
#include "harness/record/train_json.h"
#include "harness/record/training_run.h"

enum { DEFAULT_EVERY = 100 }; /* batches between checkpoints */

typedef struct train_options {
    cm_train_options train;
    const char *save, *load, *json;
    cm_conv2d_algorithm algorithm;
    cm_rate_options rate;
    cm_checkpoint_options checkpoint;
} train_options;

#define MEMBER(name) offsetof(train_options, name)
static const cm_option option_table[] = {
    {"seed", CM_OPTION_SEED, MEMBER(train.seed), "N",
     "Seed initial values, order of images and dropout (default: 0)", 0, 0, NULL},
    {"epochs", CM_OPTION_INT, MEMBER(train.epochs), "N", "Train for N epochs (default: 3)", 0,
     CM_MAX_EPOCHS, NULL},
    {"steps", CM_OPTION_INT, MEMBER(train.steps), "N",
     "Train on N batches per epoch; 0: keep the initial values (default: 100)", 0, CM_MAX_STEPS,
     NULL},
    {"valid-steps", CM_OPTION_INT, MEMBER(train.valid_steps), "N",
     "Validate on N batches after each epoch (default: 100)", 0, CM_MAX_STEPS, NULL},
    {"batch", CM_OPTION_INT, MEMBER(train.batch), "N", "Use N images per batch (default: 64)", 1,
     CM_MAX_BATCH, NULL},
    {"block", CM_OPTION_INT, MEMBER(train.block), "N",
     "Sum gradients in blocks of N images; decides bits (default: 64)", 1, CM_MAX_BATCH, NULL},
    {"weight-decay", CM_OPTION_DOUBLE, MEMBER(train.optimizer.weight_decay), "X",
     "Add an L2 penalty of X to the gradient (default: 1e-05)", 0, 1000, NULL},
    {"shuffle", CM_OPTION_TRUE, MEMBER(train.shuffle), NULL,
     "Take images in random order (default)", 0, 0, NULL},
    {"no-shuffle", CM_OPTION_FALSE, MEMBER(train.shuffle), NULL,
     "Take images in the order of the data set", 0, 0, NULL},
    {"until-accuracy", CM_OPTION_DOUBLE, MEMBER(train.until_accuracy), "X",
     "End after the epoch that reaches accuracy X (0 to 1); exit code 1 if none", 0, 1, NULL},
    {"save", CM_OPTION_STRING, MEMBER(save), "FILE", "Write the model as safetensors to FILE", 0, 0,
     NULL},
    {"load", CM_OPTION_STRING, MEMBER(load), "FILE",
     "Start from the safetensors file FILE instead of random values", 0, 0, NULL},
    {"checkpoint", CM_OPTION_STRING, MEMBER(checkpoint.path), "FILE",
     "Save resumable state to FILE", 0, 0, NULL},
    {"every", CM_OPTION_INT, MEMBER(checkpoint.every), "N",
     "Save resumable state every N batches (default: 100)", 1, CM_MAX_TRAIN_STEPS, NULL},
    {"resume", CM_OPTION_STRING, MEMBER(checkpoint.resume), "FILE",
     "Resume bit-identically from FILE; repeat the options (--epochs may be more)", 0, 0, NULL},
    {"json", CM_OPTION_STRING, MEMBER(json), "FILE",
     "Write the results as JSON to FILE ('-': standard output)", 0, 0, NULL},
    {0}};
#undef MEMBER

/* What one call of the command opens, fills and frees. */
typedef struct training {
    const train_options *options;
    const cm_machine_options *machine;
    cm_network *network;
    cm_dataset *dataset; /* NULL: nothing is trained, and no JSON describes it */
    cm_model *model;
    cm_train_result result;
    FILE *text; /* for people; NULL: quiet */
    bool complete;
} training;

static bool trains(const train_options *options) {
    return options->train.steps > 0 && options->train.epochs > 0;
}

/* The file to which checkpoints are written; NULL: none. */
static const char *checkpoint_path(const train_options *options) {
    return options->checkpoint.path != NULL ? options->checkpoint.path : options->checkpoint.resume;
}

static cm_status check_train_outputs(const train_options *options, const char *network,
                                     const char *data, cm_error *error) {
    const cm_output outputs[] = {
        {.option = "save", .path = options->save},
        {.option = options->checkpoint.path != NULL ? "checkpoint" : "resume",
         .path = checkpoint_path(options),
         .checkpoint = true},
        {.option = "json", .path = options->json, .allow_stdout = true}};
    const char *inputs[] = {cm_network_file(network), cm_data_folder(data), options->load, NULL};
    cm_inputs_pack(inputs, 3);
    return cm_check_outputs("train", outputs, 3, inputs, error);
}

static cm_status check_checkpoint(train_options *options, cm_error *error) {
    cm_checkpoint_options *checkpoint = &options->checkpoint;
    if (checkpoint->every > 0 && checkpoint_path(options) == NULL) {
        return cm_fail(error, CM_USAGE,
                       "train: --every needs --checkpoint FILE or --resume FILE; give one of "
                       "them");
    }
    if (checkpoint_path(options) != NULL && !trains(options)) {
        return cm_fail(error, CM_USAGE,
                       "train: a run without steps has nothing to resume from; leave out --%s",
                       checkpoint->resume != NULL ? "resume" : "checkpoint");
    }
    checkpoint->every = checkpoint->every > 0 ? checkpoint->every : DEFAULT_EVERY;
    return CM_OK;
}

static void warn_of_damage(const char *message, void *context) {
    (void)context;
    cm_warn("%s", message);
}

/* Opens and checks all inputs, so that no error in them can interrupt training. */
static cm_status open_run(training *run, const char *network, const char *data, cm_error *error) {
    const train_options *options = run->options;
    cm_status status = cm_network_open(network, &run->network, error);
    if (status == CM_OK && options->load != NULL) {
        status = cm_model_file_check(options->load, run->network, error);
    }
    if (status == CM_OK) {
        const cm_model_options model_options = {.batch = options->train.batch,
                                                .threads = run->machine->threads,
                                                .isa = run->machine->chosen_isa,
                                                .training = true,
                                                .conv_algorithm = options->algorithm,
                                                .block = options->train.block};
        status = cm_model_create(run->network, &model_options, &run->model, error);
    }
    if (status == CM_OK) {
        cm_model_initialize(run->model, options->train.seed);
        status = options->load != NULL ? cm_load_weights(run->model, options->load, error) : CM_OK;
    }
    if (status == CM_OK && (trains(options) || options->json != NULL)) {
        status = cm_data_open(data, cm_network_data_shape(run->network), &run->dataset, error);
        if (status == CM_OK) {
            status = cm_network_check_fits(run->network, &run->dataset->train,
                                           run->dataset->classes, error);
        }
    }
    return status;
}

static void print_head(const training *run) {
    const cm_train_options *train = &run->options->train;
    fprintf(run->text, "%s: %lld parameters, seed %llu, %s, %d %s%s%s\n",
            CM_SHOW(run->network->name), (long long)cm_network_parameter_count(run->network),
            (unsigned long long)train->seed, cm_isa_name(run->machine->chosen_isa),
            run->machine->threads, run->machine->threads == 1 ? "thread" : "threads",
            run->dataset != NULL ? ", " : "",
            run->dataset != NULL ? CM_SHOW(run->dataset->name) : "");
    if (run->dataset != NULL && !run->dataset->real) {
        fprintf(run->text, "generated pictures: losses and accuracy mean nothing for the real "
                           "data set\n");
    } else if (run->dataset != NULL && !run->dataset->verified) {
        char sha256[65];
        cm_dataset_sha256(run->dataset, sha256);
        fprintf(run->text, "unverified: this is not Fashion-MNIST; sha256 %s\n", sha256);
    }
    fflush(run->text);
}

/* Trains and shows progress. After CM_INTERRUPTED the results so far are valid. */
static cm_status train(training *run, cm_error *error) {
    const train_options *options = run->options;
    if (!trains(options)) {
        cm_model_sha256(run->model, run->result.sha256);
        return CM_OK;
    }
    const volatile sig_atomic_t *stop = cm_interrupt_flag();
    cm_progress progress =
        cm_progress_start(run->text != NULL ? run->text : stdout, run->text == NULL);
    const cm_train_watch watch = {cm_progress_observe, &progress, stop};
    const cm_status status =
        cm_train_with_checkpoints(run->model, run->dataset, &options->train,
                                  checkpoint_path(options) != NULL ? &options->checkpoint : NULL,
                                  &watch, &run->result, error);
    cm_progress_end(&progress);
    return status;
}

static cm_status write_train_json(const training *run, const char *started, int argc,
                                  const char **argv, cm_error *error) {
    const cm_train_record record = {.model = run->model,
                                    .dataset = run->dataset,
                                    .options = &run->options->train,
                                    .result = &run->result,
                                    .complete = run->complete,
                                    .pinned = run->machine->pin,
                                    .loaded_from = run->options->load,
                                    .started = started,
                                    .argc = argc,
                                    .argv = argv,
                                    .topology = run->machine->topology};
    json_t *json = NULL;
    cm_status status = cm_train_json(&record, &json, error);
    if (status == CM_OK) {
        status = cm_json_write(run->options->json, json, error);
    }
    json_decref(json);
    return status;
}

static void print_tail(const training *run) {
    if (run->result.step_count > 0) {
        fprintf(run->text, "%d steps, %.0f images/s\n", run->result.step_count,
                run->result.images_per_second);
    }
    if (run->result.reached_accuracy) {
        const cm_train_options *train = &run->options->train;
        const cm_training_run reached =
            cm_training_run_of(&run->result, train, train->until_accuracy);
        char text[160];
        cm_training_run_describe(&reached, train->until_accuracy, text, sizeof text);
        fprintf(run->text, "accuracy %s\n", text);
        if (train->energy->note[0] != '\0') {
            fprintf(run->text, "%s\n", CM_SHOW(train->energy->note));
        }
    }
    if (run->result.early_stopped) {
        fprintf(run->text, "stopped early: the validation loss no longer decreased\n");
    }
    fprintf(run->text, "sha256 %s\n", run->result.sha256);
}

/* Fails if a complete run did not reach the accuracy of --until-accuracy. */
static cm_status check_accuracy(const training *run, cm_error *error) {
    const double until = run->options->train.until_accuracy;
    if (until <= 0.0 || run->result.reached_accuracy) {
        return CM_OK;
    }
    return cm_fail(error, CM_FAILED, "accuracy %.2f %% was not reached in %d epochs; %s",
                   100 * until, run->result.epoch_count,
                   run->result.early_stopped
                       ? "the validation loss no longer decreased: try another --lr or --schedule"
                       : "train longer with --epochs");
}

static cm_status fail_train_interrupted(const training *run, cm_error *error) {
    const train_options *options = run->options;
    const char *checkpoint = checkpoint_path(options);
    const bool written = options->save != NULL || options->json != NULL;
    return cm_fail(error, CM_INTERRUPTED, "interrupted after %d steps; %s%s",
                   run->result.step_count,
                   checkpoint != NULL ? "the same command resumes with --resume "
                   : written          ? "the results so far are written"
                                      : "nothing is written",
                   checkpoint != NULL ? checkpoint : "");
}

static cm_status run_training(training *run, const char *network, const char *data, int argc,
                              const char **argv, cm_error *error) {
    char started[24];
    cm_clock_utc(started);
    cm_status status = open_run(run, network, data, error);
    if (status != CM_OK) {
        return status;
    }
    if (run->text != NULL) {
        print_head(run);
    }
    const cm_status trained = train(run, error);
    if (trained != CM_OK && trained != CM_INTERRUPTED) {
        return trained;
    }
    run->complete = trained == CM_OK;
    if (run->options->save != NULL) {
        status = cm_model_save_as(run->model, run->dataset != NULL ? run->dataset->name : NULL,
                                  run->options->save, error);
    }
    if (status == CM_OK && run->options->json != NULL) {
        status = write_train_json(run, started, argc, argv, error);
    }
    if (status == CM_OK && run->text != NULL) {
        print_tail(run);
    }
    if (status != CM_OK) {
        return status;
    }
    return run->complete ? check_accuracy(run, error) : fail_train_interrupted(run, error);
}

cm_status cm_command_train(const cm_command *command, int argc, const char **argv,
                           cm_error *error) {
    train_options options = {.train = cm_train_options_default(),
                             .algorithm = CM_CONV2D_AUTO,
                             .rate = cm_rate_options_default(),
                             .checkpoint.notice = warn_of_damage};
    const char *data = NULL;
    cm_machine_options machine = cm_machine_options_default();
    cm_energy energy;
    const cm_option_group groups[] = {{option_table, &options},
                                      {cm_rate_option_table, &options.rate},
                                      {cm_conv_algorithm_option_table, &options.algorithm},
                                      {cm_data_option_table, &data},
                                      {cm_machine_option_table, &machine}};
    cm_arguments arguments;
    cm_status status =
        cm_arguments_parse(&command->usage, argc, argv, groups, 5, 1, &arguments, error);
    if (status == CM_OK && !arguments.help) {
        training run = {.options = &options, .machine = &machine};
        if (!machine.quiet) {
            run.text = cm_is_stdout(options.json) ? stderr : stdout;
        }
        cm_energy_open("", &energy);
        options.train.energy = &energy;
        status = cm_rate_options_apply("train", &options.rate, &options.train, error);
        if (status == CM_OK) {
            status = cm_check_training("train", &options.train, error);
        }
        if (status == CM_OK) {
            status = check_checkpoint(&options, error);
        }
        if (status == CM_OK) {
            status = check_train_outputs(&options, arguments.words[0], data, error);
        }
        if (status == CM_OK) {
            status = cm_machine_prepare(&machine, error);
        }
        if (status == CM_OK) {
            status = run_training(&run, arguments.words[0], data, argc, argv, error);
        }
        cm_train_result_free(&run.result);
        cm_model_free(run.model);
        cm_dataset_close(run.dataset);
        cm_network_free(run.network);
    }
    cm_machine_release(&machine);
    cm_arguments_free(&arguments);
    return status;
}
