/* convmark variants: the table of the report's variants. */
#include <stdio.h>

#include "cli/cli.h"
#include "convmark/network.h"
#include "core/files/json.h"
#include "harness/studies/report/published.h"
#include "harness/studies/report/variants_table.h"

typedef struct variants_options {
    const char *json;
} variants_options;

static const cm_option option_table[] = {
    {"json", CM_OPTION_STRING, offsetof(variants_options, json), "FILE",
     "Write JSON to FILE instead of printing the table ('-': standard output)", 0, 0, NULL},
    {0}};

static json_t *variant_json(const cm_variant *variant, const cm_network *network, cm_error *error) {
    json_t *row = json_object();
    const cm_published_figures *published = cm_published_figures_of(variant->id);
    bool ok = cm_json_set(row, "id", json_string(variant->id), error) &&
              cm_json_set(row, "title", json_string(variant->title), error) &&
              cm_json_set(row, "params", json_integer(cm_network_parameter_count(network)), error);
    if (ok && published != NULL) {
        ok = cm_json_set(row, "published_params", json_integer(published->parameters), error) &&
             cm_json_set(row, "published_train_loss", json_real(published->train_loss), error) &&
             cm_json_set(row, "published_test_loss", json_real(published->test_loss), error) &&
             cm_json_set(row, "published_accuracy", json_real(published->accuracy), error);
    }
    if (!ok) {
        json_decref(row);
        return NULL;
    }
    return row;
}

static cm_status write_variants_json(const char *path, cm_error *error) {
    json_t *root = json_object();
    json_t *rows = json_array();
    cm_status status = CM_OK;
    int count;
    const cm_variant *variants = cm_variants(&count);
    for (int i = 0; status == CM_OK && i < count; ++i) {
        cm_network *network = NULL;
        status = cm_network_from_variant(&variants[i], &network, error);
        if (status == CM_OK) {
            cm_json_append(&rows, variant_json(&variants[i], network, error));
        }
        cm_network_free(network);
    }
    const bool ok = cm_json_set(root, "schema_version", json_integer(1), error) &&
                    cm_json_set(root, "kind", json_string("variants"), error) &&
                    cm_json_set(root, "variants", rows, error);
    if (status == CM_OK) {
        status = ok ? cm_json_write(path, root, error) : CM_FAILED;
    }
    json_decref(root);
    return status;
}

cm_status cm_command_variants(const cm_command *command, int argc, const char **argv,
                              cm_error *error) {
    variants_options options = {NULL};
    const cm_option_group groups[] = {{option_table, &options}};
    cm_arguments arguments;
    cm_status status =
        cm_arguments_parse(&command->usage, argc, argv, groups, 1, 0, &arguments, error);
    if (status == CM_OK && !arguments.help) {
        status = cm_check_output("variants", "json", options.json, NULL, error);
        if (status == CM_OK) {
            status = options.json != NULL ? write_variants_json(options.json, error)
                                          : cm_variants_table_print(stdout, error);
        }
    }
    cm_arguments_free(&arguments);
    return status;
}
