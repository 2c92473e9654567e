/* convmark describe: the layers of a network. */
#include <stdio.h>

#include "cli/cli.h"
#include "cli/data.h"
#include "core/files/json.h"
#include "harness/record/network_listing.h"

typedef struct describe_options {
    const char *json;
} describe_options;

static const cm_option option_table[] = {
    {"json", CM_OPTION_STRING, offsetof(describe_options, json), "FILE",
     "Write JSON to FILE instead of printing the listing ('-': standard output)", 0, 0, NULL},
    {0}};

static json_t *shape_json(cm_layer_shape shape) {
    return json_pack("[iii]", shape.channels, shape.height, shape.width);
}

static json_t *layer_json(const cm_layer *layer, cm_error *error) {
    json_t *row = json_object();
    const bool ok =
        cm_json_set(row, "name", json_string(layer->name), error) &&
        cm_json_set(row, "kind", json_string(cm_layer_kind_name(layer->kind)), error) &&
        cm_json_set(row, "output_shape", shape_json(layer->out), error) &&
        cm_json_set(row, "params", json_integer(cm_layer_parameter_count(layer)), error) &&
        cm_json_set(row, "macs", json_integer(cm_layer_macs(layer)), error);
    if (!ok) {
        json_decref(row);
        return NULL;
    }
    return row;
}

static cm_status write_description(const char *path, const cm_network *network, cm_error *error) {
    json_t *root = json_object();
    json_t *rows = json_array();
    for (int i = 0; i < network->layer_count; ++i) {
        cm_json_append(&rows, layer_json(&network->layers[i], error));
    }
    const bool ok =
        cm_json_set(root, "schema_version", json_integer(1), error) &&
        cm_json_set(root, "kind", json_string("describe"), error) &&
        cm_json_set(root, "network", cm_json_string(network->name), error) &&
        cm_json_set(root, "input_shape", shape_json(network->input), error) &&
        cm_json_set(root, "classes", json_integer(network->classes), error) &&
        cm_json_set(root, "params", json_integer(cm_network_parameter_count(network)), error) &&
        cm_json_set(root, "macs", json_integer(cm_network_macs(network)), error) &&
        cm_json_set(root, "layers", rows, error);
    const cm_status status = ok ? cm_json_write(path, root, error) : CM_FAILED;
    json_decref(root);
    return status;
}

cm_status cm_command_describe(const cm_command *command, int argc, const char **argv,
                              cm_error *error) {
    describe_options options = {NULL};
    const cm_option_group groups[] = {{option_table, &options}};
    cm_arguments arguments;
    cm_network *network = NULL;
    cm_status status =
        cm_arguments_parse(&command->usage, argc, argv, groups, 1, 1, &arguments, error);
    if (status == CM_OK && !arguments.help) {
        const char *const inputs[] = {cm_network_file(arguments.words[0]), NULL};
        status = cm_check_output("describe", "json", options.json, inputs, error);
        if (status == CM_OK) {
            status = cm_network_open(arguments.words[0], &network, error);
        }
    }
    if (status == CM_OK && network != NULL) {
        if (options.json != NULL) {
            status = write_description(options.json, network, error);
        } else {
            cm_network_listing_print(stdout, network);
        }
    }
    cm_network_free(network);
    cm_arguments_free(&arguments);
    return status;
}
