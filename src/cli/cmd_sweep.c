/* convmark sweep: throughput and accuracy over variants, cores and batch sizes. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "cli/cli.h"
#include "cli/progress.h"
#include "core/system/energy.h"
#include "harness/studies/sweep/sweep_json.h"
#include "harness/studies/sweep/sweep_study.h"
#include "harness/studies/sweep/sweep_text.h"

typedef struct sweep_options {
    cm_sweep_options sweep;
    const char *variants, *cores, *batches, *pin, *json; /* as given; NULL: the default */
} sweep_options;

#define MEMBER(name) offsetof(sweep_options, name)
static const cm_option option_table[] = {
    {"variants", CM_OPTION_STRING, MEMBER(variants), "LIST",
     "variants or network files, with commas (default: all eight)", 0, 0},
    {"cores", CM_OPTION_STRING, MEMBER(cores), "LIST",
     "numbers of threads, each on a core of its own (default: 1, 2, 4 ... all)", 0, 0},
    {"batch", CM_OPTION_STRING, MEMBER(batches), "LIST", "batch sizes (default: 64)", 0, 0},
    {"pin", CM_OPTION_STRING, MEMBER(pin), "ORDER",
     "compact, scatter (packages in turn) or none (default: compact)", 0, 0},
    {"rounds", CM_OPTION_INT, MEMBER(sweep.rounds), "N", "samples of each measurement (default: 9)",
     1, CM_STUDY_MAX_ROUNDS},
    {"seconds", CM_OPTION_DOUBLE, MEMBER(sweep.seconds), "X",
     "length of a sample, at least (default: 0.25)", 0, 3600},
    {"order-seed", CM_OPTION_SEED, MEMBER(sweep.order_seed), "N",
     "seed of the order in which a round measures (default: 0)", 0, 0},
    {"no-accuracy", CM_OPTION_FALSE, MEMBER(sweep.accuracy), NULL,
     "leave out the training runs under the protocol", 0, 0},
    {"until-accuracy", CM_OPTION_DOUBLE, MEMBER(sweep.train.until_accuracy), "X",
     "end a training run after the epoch whose validation reaches this share", 0, 1},
    {"epochs", CM_OPTION_INT, MEMBER(sweep.train.epochs), "N",
     "epochs of a training run (protocol and default: 3)", 1, CM_MAX_EPOCHS},
    {"steps", CM_OPTION_INT, MEMBER(sweep.train.steps), "N",
     "training batches an epoch (protocol: 100)", 1, CM_MAX_STEPS},
    {"valid-steps", CM_OPTION_INT, MEMBER(sweep.train.valid_steps), "N",
     "validation batches after each epoch (protocol: 100)", 1, CM_MAX_STEPS},
    {"allow-synthetic", CM_OPTION_TRUE, MEMBER(sweep.study.allow_synthetic), NULL,
     "accept generated pictures for accuracies, to try the sweep out", 0, 0},
    {"output", CM_OPTION_STRING, MEMBER(sweep.study.output), "DIR",
     "folder of sweep.json, sweep.csv and sweep.md (default: convmark-sweep)", 0, 0},
    {"json", CM_OPTION_STRING, MEMBER(json), "FILE",
     "write sweep.json here as well ('-': standard output)", 0, 0},
    {"restart", CM_OPTION_TRUE, MEMBER(sweep.study.restart), NULL,
     "begin anew, not where sweep.json in DIR ends", 0, 0},
    {0}};
#undef MEMBER

static cm_status choose_pin(const char *name, cm_pin *pin, cm_error *error) {
    for (cm_pin p = 0; name != NULL && p < CM_PIN_COUNT; ++p) {
        if (strcmp(name, cm_pin_name(p)) == 0) {
            *pin = p;
            return CM_OK;
        }
    }
    return name == NULL ? CM_OK
                        : cm_fail(error, CM_USAGE,
                                  "--pin '%s' is no order; choose compact, scatter or none", name);
}

/* The options that are text, as numbers. */
static cm_status read_options(sweep_options *options, cm_error *error) {
    cm_sweep_options *sweep = &options->sweep;
    cm_status status = choose_pin(options->pin, &sweep->pin, error);
    if (status == CM_OK && options->cores != NULL) {
        status = cm_parse_int_list("cores", options->cores, sweep->cores, CM_STUDY_MAX_LIST,
                                   &sweep->core_count, error);
    }
    if (status == CM_OK && options->batches != NULL) {
        status = cm_parse_int_list("batch", options->batches, sweep->batches, CM_STUDY_MAX_LIST,
                                   &sweep->batch_count, error);
    }
    if (status == CM_OK && !sweep->accuracy && sweep->train.until_accuracy > 0.0) {
        status = cm_fail(error, CM_USAGE,
                         "sweep: --until-accuracy says nothing with --no-accuracy; leave one of "
                         "them out");
    }
    if (status == CM_OK) {
        status = cm_check_output("json", options->json, true, error);
    }
    return status;
}

static cm_status show(const sweep_options *options, const cm_sweep *sweep, FILE *text,
                      cm_error *error) {
    const cm_folder_output output = {.kind = "sweep",
                                     .folder = options->sweep.study.output,
                                     .json = options->json,
                                     .complete = sweep->study.complete,
                                     .restart = options->sweep.study.restart,
                                     .rounds = sweep->measurements.items[0].n,
                                     .all_rounds = options->sweep.rounds,
                                     .text = text};
    return cm_show_folder(&output, options->json != NULL ? cm_sweep_to_json(sweep, error) : NULL,
                          text != NULL ? cm_sweep_text(sweep) : NULL, error);
}

static cm_status make_sweep(const sweep_options *options, const cm_dataset *dataset,
                            const cm_machine_options *machine, cm_error *error) {
    FILE *text = machine->quiet ? NULL : cm_is_stdout(options->json) ? stderr : stdout;
    cm_sweep sweep;
    cm_progress progress = cm_progress_start(text != NULL ? text : stdout, text == NULL);
    progress.machine = machine;
    const cm_study_control control = {cm_progress_observe_study, &progress, cm_interrupt_flag()};
    cm_status status = cm_sweep_make(&options->sweep, dataset, &control, &sweep, error);
    cm_progress_end(&progress);
    if (status == CM_OK || status == CM_INTERRUPTED) {
        status = show(options, &sweep, text, error);
    } else {
        status = cm_explain_study(&sweep.study, option_table, "--no-accuracy", status, error);
    }
    cm_sweep_free(&sweep);
    return status;
}

static cm_status run(sweep_options *options, const char *data, cm_machine_options *machine,
                     cm_error *error) {
    cm_dataset *dataset = NULL;
    cm_status status = read_options(options, error);
    if (status == CM_OK) {
        status = cm_machine_prepare(machine, error);
    }
    if (status == CM_OK) {
        status = cm_dataset_open(data, &dataset, error);
    }
    if (status == CM_OK) {
        options->sweep.isa = machine->chosen_isa;
        options->sweep.study.topology = machine->topology;
        status = make_sweep(options, dataset, machine, error);
    }
    cm_dataset_close(dataset);
    return status;
}

cm_status cm_command_sweep(const cm_command *command, int argc, const char **argv,
                           cm_error *error) {
    sweep_options options = {.sweep = cm_sweep_options_default()};
    options.sweep.study.output = "convmark-sweep";
    options.sweep.study.argc = argc;
    options.sweep.study.argv = argv;
    cm_data_options data = {NULL};
    cm_machine_options machine = cm_machine_options_default();
    cm_rate_options rate = cm_rate_options_default();
    cm_energy energy;
    const cm_option_group groups[] = {{option_table, &options},
                                      {cm_rate_option_table, &rate},
                                      {cm_data_option_table, &data},
                                      {cm_isa_quiet_option_table, &machine}};
    cm_arguments arguments;
    const char *names[CM_STUDY_MAX_LIST];
    char *list = NULL;
    cm_status status = cm_arguments_parse(command, argc, argv, groups, 4, 0, &arguments, error);
    if (status == CM_OK && !arguments.help) {
        cm_energy_open("", &energy);
        options.sweep.train.energy = &energy;
        status = cm_rate_options_apply(&rate, &options.sweep.train, error);
        if (status == CM_OK && options.variants != NULL) {
            options.sweep.variants = names;
            status = cm_split_list("variants", options.variants, &list, names, CM_STUDY_MAX_LIST,
                                   &options.sweep.variant_count, error);
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
