/* convmark profile: where the time of a step goes. */
#include <stdio.h>

#include "cli/cli.h"
#include "cli/data.h"
#include "cli/machine.h"
#include "cli/training_options.h"
#include "core/files/json.h"
#include "harness/measure/conditions.h"
#include "harness/profile/profile.h"
#include "harness/record/machine.h"
#include "harness/record/train_json.h"

typedef struct profile_options {
    bool infer, memory, compare;
    int steps, batch, block;
    const char *json, *trace, *flamegraph;
    cm_conv2d_algorithm algorithm;
} profile_options;

#define MEMBER(name) offsetof(profile_options, name)
static const cm_option option_table[] = {
    {"train", CM_OPTION_FALSE, MEMBER(infer), NULL, "Profile training steps (default)", 0, 0, NULL},
    {"infer", CM_OPTION_TRUE, MEMBER(infer), NULL, "Profile inference steps", 0, 0, NULL},
    {"steps", CM_OPTION_INT, MEMBER(steps), "N",
     "Trace N steps, in turn with N untraced steps (default: 30)", 1, CM_PROFILE_MAX_STEPS, NULL},
    {"batch", CM_OPTION_INT, MEMBER(batch), "N", "Use N images per batch (default: 64)", 1,
     CM_MAX_BATCH, NULL},
    {"block", CM_OPTION_INT, MEMBER(block), "N",
     "Sum gradients in blocks of N images (default: 64)", 1, CM_MAX_BATCH, NULL},
    {"compare", CM_OPTION_TRUE, MEMBER(compare), NULL,
     "Compare two profiles written by --json, given in place of the variant", 0, 0, NULL},
    {"memory", CM_OPTION_TRUE, MEMBER(memory), NULL, "Print the memory plan as well", 0, 0, NULL},
    {"json", CM_OPTION_STRING, MEMBER(json), "FILE",
     "Write all of it as JSON to FILE ('-': standard output)", 0, 0, NULL},
    {"trace", CM_OPTION_STRING, MEMBER(trace), "FILE",
     "Write the last step as Chrome trace events to FILE, for Perfetto", 0, 0, NULL},
    {"flamegraph", CM_OPTION_STRING, MEMBER(flamegraph), "FILE",
     "Write folded stacks to FILE, for flamegraph.pl or speedscope", 0, 0, NULL},
    {0}};
#undef MEMBER

static cm_status check_profile_outputs(const profile_options *options, const char *network,
                                       const char *data, cm_error *error) {
    const cm_output outputs[] = {{.option = "json", .path = options->json, .allow_stdout = true},
                                 {.option = "trace", .path = options->trace},
                                 {.option = "flamegraph", .path = options->flamegraph}};
    const char *inputs[] = {cm_network_file(network), cm_data_folder(data), NULL};
    cm_inputs_pack(inputs, 2);
    return cm_check_outputs("profile", outputs, 3, inputs, error);
}

static cm_status write_profile_json(const profile_options *options, const cm_profile *profile,
                                    const cm_topology *topology, int argc, const char **argv,
                                    cm_error *error) {
    json_t *machine = NULL;
    cm_status status = cm_machine_json(topology, &machine, error);
    if (status != CM_OK) {
        return status;
    }
    json_t *json = cm_profile_json(profile, machine, cm_conditions_json(topology),
                                   cm_command_json(argc, argv), error);
    status = json == NULL ? CM_FAILED : cm_json_write(options->json, json, error);
    json_decref(json);
    return status;
}

static cm_status show_profile(const profile_options *options, const cm_machine_options *machine,
                              const cm_profile *profile, int argc, const char **argv,
                              cm_error *error) {
    cm_status status = CM_OK;
    if (!machine->quiet) {
        FILE *out = cm_is_stdout(options->json) ? stderr : stdout;
        cm_profile_print(profile, out);
        if (options->memory) {
            cm_profile_print_memory(profile, out);
        }
    }
    if (options->json != NULL) {
        status = write_profile_json(options, profile, machine->topology, argc, argv, error);
    }
    if (status == CM_OK && options->trace != NULL) {
        status = cm_profile_write_trace(profile, options->trace, error);
    }
    if (status == CM_OK && options->flamegraph != NULL) {
        status = cm_profile_write_folded(profile, options->flamegraph, error);
    }
    return status;
}

static cm_status open_model(const profile_options *options, const cm_machine_options *machine,
                            const cm_network *network, cm_model **model, cm_error *error) {
    const cm_model_options wanted = {.batch = options->batch,
                                     .threads = machine->threads,
                                     .isa = machine->chosen_isa,
                                     .training = !options->infer,
                                     .conv_algorithm = options->algorithm,
                                     .block = options->block};
    const cm_status status = cm_model_create(network, &wanted, model, error);
    if (status == CM_OK) {
        cm_model_initialize(*model, 0);
    }
    return status;
}

static cm_status run_profile(const profile_options *options, cm_machine_options *machine,
                             const char *name, const char *data, int argc, const char **argv,
                             cm_error *error) {
    cm_network *network = NULL;
    cm_model *model = NULL;
    cm_dataset *dataset = NULL;
    cm_profile profile = {.row_count = 0};
    cm_status status = check_profile_outputs(options, name, data, error);
    if (status == CM_OK) {
        status = cm_machine_prepare(machine, error);
    }
    if (status == CM_OK) {
        status = cm_network_open(name, &network, error);
    }
    if (status == CM_OK) {
        status = cm_data_open(data, cm_network_data_shape(network), &dataset, error);
    }
    if (status == CM_OK) {
        status = cm_network_check_fits(network, &dataset->train, dataset->classes, error);
    }
    if (status == CM_OK) {
        status = open_model(options, machine, network, &model, error);
    }
    if (status == CM_OK) {
        cm_warn_of_conditions(machine);
        const cm_profile_args args = {.model = model,
                                      .mode = options->infer ? CM_MODE_INFER : CM_MODE_TRAIN,
                                      .dataset = dataset,
                                      .batch = options->batch,
                                      .steps = options->steps,
                                      .topology = machine->topology,
                                      .counters = &cm_counter_kernel};
        status = cm_profile_make(&args, cm_interrupt_flag(), &profile, error);
    }
    if (status == CM_OK) {
        status = show_profile(options, machine, &profile, argc, argv, error);
    }
    cm_profile_free(&profile);
    cm_model_free(model);
    cm_dataset_close(dataset);
    cm_network_free(network);
    return status;
}

cm_status cm_command_profile(const cm_command *command, int argc, const char **argv,
                             cm_error *error) {
    profile_options options = {.steps = 30, .batch = 64, .algorithm = CM_CONV2D_AUTO};
    const char *data = NULL;
    cm_machine_options machine = cm_machine_options_default();
    const cm_option_group groups[] = {{option_table, &options},
                                      {cm_conv_algorithm_option_table, &options.algorithm},
                                      {cm_data_option_table, &data},
                                      {cm_machine_option_table, &machine}};
    cm_arguments arguments;
    cm_status status =
        cm_arguments_parse(&command->usage, argc, argv, groups, 4, CM_ANY_WORDS, &arguments, error);
    if (status == CM_OK && !arguments.help && options.compare) {
        status = cm_compare_paths(arguments.words, arguments.count, error);
    } else if (status == CM_OK && !arguments.help && arguments.count != 1) {
        status = cm_fail(error, CM_USAGE,
                         "profile: %d arguments given; usage: convmark profile VARIANT|FILE, or "
                         "convmark profile --compare BEFORE.json NOW.json",
                         arguments.count);
    } else if (status == CM_OK && !arguments.help) {
        status = run_profile(&options, &machine, arguments.words[0], data, argc, argv, error);
    }
    cm_machine_release(&machine);
    cm_arguments_free(&arguments);
    return status;
}
