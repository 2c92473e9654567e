#include "harness/record/network_listing.h"

#include <string.h>

#include "core/escape.h"
#include "harness/record/fitted_table.h"

/* Columns of the layer listing. */
enum { LAYER_NAME, LAYER_TEXT, LAYER_SHAPE, LAYER_PARAMETERS, LAYER_MACS, LAYER_COLUMNS };

static const cm_fitted_layout layer_table = {
    LAYER_COLUMNS,
    {"name", "layer", "output shape", "parameters", "MACs"},
    {false, false, true, true, true},
};

static void format_shape(cm_layer_shape shape, bool flat, char text[CM_FITTED_CELL]) {
    if (flat) {
        snprintf(text, CM_FITTED_CELL, "%d", shape.channels);
    } else {
        snprintf(text, CM_FITTED_CELL, "%d x %d x %d", shape.channels, shape.height, shape.width);
    }
}

static cm_fitted_row layer_row(const cm_layer *layer) {
    cm_fitted_row row = {{""}};
    const bool flat = strncmp(layer->name, "dense", 5) == 0;
    snprintf(row.cells[LAYER_NAME], CM_FITTED_CELL, "%s", layer->name);
    cm_layer_text(layer, row.cells[LAYER_TEXT]);
    format_shape(layer->out, flat, row.cells[LAYER_SHAPE]);
    cm_fitted_format_count(cm_layer_parameter_count(layer), row.cells[LAYER_PARAMETERS]);
    cm_fitted_format_count(cm_layer_macs(layer), row.cells[LAYER_MACS]);
    return row;
}

static cm_fitted_row input_row(const cm_network *network) {
    cm_fitted_row row = {{""}};
    snprintf(row.cells[LAYER_TEXT], CM_FITTED_CELL, "input");
    format_shape(network->input, false, row.cells[LAYER_SHAPE]);
    return row;
}

static cm_fitted_row total_row(const cm_network *network) {
    cm_fitted_row row = {{""}};
    snprintf(row.cells[LAYER_NAME], CM_FITTED_CELL, "total");
    cm_fitted_format_count(cm_network_parameter_count(network), row.cells[LAYER_PARAMETERS]);
    cm_fitted_format_count(cm_network_macs(network), row.cells[LAYER_MACS]);
    return row;
}

void cm_network_listing_print(FILE *out, const cm_network *network) {
    cm_fitted_table table = cm_fitted_table_begin(out, &layer_table);
    const cm_fitted_row input = input_row(network);
    const cm_fitted_row total = total_row(network);
    cm_fitted_table_measure(&table, &input);
    cm_fitted_table_measure(&table, &total);
    for (int i = 0; i < network->layer_count; ++i) {
        const cm_fitted_row row = layer_row(&network->layers[i]);
        cm_fitted_table_measure(&table, &row);
    }
    fprintf(out, "network %s: %d layers, %d classes\n\n", CM_SHOW(network->name),
            network->layer_count, network->classes);
    cm_fitted_table_titles(&table);
    cm_fitted_table_rule(&table);
    cm_fitted_table_row(&table, &input);
    for (int i = 0; i < network->layer_count; ++i) {
        const cm_fitted_row row = layer_row(&network->layers[i]);
        cm_fitted_table_row(&table, &row);
    }
    cm_fitted_table_rule(&table);
    cm_fitted_table_row(&table, &total);
    fprintf(out, "\nOutput shape and MACs (multiply-accumulates, forward) are of one image.\n");
}
