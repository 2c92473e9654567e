#include "core/network/describe.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/network/build.h"

enum { MAX_COLUMNS = 5, CELL_SIZE = CM_LAYER_TEXT_SIZE };

/* How a table looks: titles, and whether a column's cells stand at its right. */
typedef struct table_layout {
    int columns;
    const char *titles[MAX_COLUMNS];
    bool right[MAX_COLUMNS];
} table_layout;

typedef struct table_row {
    char cells[MAX_COLUMNS][CELL_SIZE];
} table_row;

/* 1234567 -> "1,234,567"; counts are never negative. */
static void group_digits(int64_t value, char text[CELL_SIZE]) {
    char digits[32];
    const int length = snprintf(digits, sizeof digits, "%" PRId64, value);
    int out = 0;
    for (int i = 0; i < length; ++i) {
        if (i > 0 && (length - i) % 3 == 0) {
            text[out++] = ',';
        }
        text[out++] = digits[i];
    }
    text[out] = '\0';
}

static void measure(const table_layout *layout, const table_row *row, int widths[MAX_COLUMNS]) {
    for (int c = 0; c < layout->columns; ++c) {
        const int width = (int)strlen(row->cells[c]);
        widths[c] = width > widths[c] ? width : widths[c];
    }
}

static void measure_titles(const table_layout *layout, int widths[MAX_COLUMNS]) {
    for (int c = 0; c < layout->columns; ++c) {
        widths[c] = (int)strlen(layout->titles[c]);
    }
}

/* No blanks at the end of a line, so that listings can be compared and pasted. */
static void write_cells(FILE *out, const table_layout *layout, const int widths[MAX_COLUMNS],
                        const char *const cells[MAX_COLUMNS]) {
    int blanks = 0;
    for (int c = 0; c < layout->columns; ++c) {
        const int length = (int)strlen(cells[c]);
        const int rest = widths[c] - length;
        if (length > 0) {
            fprintf(out, "%*s%s", blanks + (layout->right[c] ? rest : 0), "", cells[c]);
            blanks = layout->right[c] ? 0 : rest;
        } else {
            blanks += rest;
        }
        blanks += 2;
    }
    fputc('\n', out);
}

static void write_row(FILE *out, const table_layout *layout, const int widths[MAX_COLUMNS],
                      const table_row *row) {
    const char *cells[MAX_COLUMNS];
    for (int c = 0; c < MAX_COLUMNS; ++c) {
        cells[c] = row->cells[c];
    }
    write_cells(out, layout, widths, cells);
}

static void write_rule(FILE *out, const table_layout *layout, const int widths[MAX_COLUMNS]) {
    int length = 2 * (layout->columns - 1);
    for (int c = 0; c < layout->columns; ++c) {
        length += widths[c];
    }
    for (int i = 0; i < length; ++i) {
        fputc('-', out);
    }
    fputc('\n', out);
}

static int64_t network_macs(const cm_network *network) {
    int64_t macs = 0;
    for (int i = 0; i < network->layer_count; ++i) {
        macs += cm_layer_macs(&network->layers[i]);
    }
    return macs;
}

/* Columns of the layer listing. */
enum { LAYER_NAME, LAYER_TEXT, LAYER_SHAPE, LAYER_PARAMETERS, LAYER_MACS, LAYER_COLUMNS };

static const table_layout layer_table = {
    LAYER_COLUMNS,
    {"name", "layer", "output shape", "parameters", "MACs"},
    {false, false, true, true, true},
};

static void format_shape(cm_layer_shape shape, bool flat, char text[CELL_SIZE]) {
    if (flat) {
        snprintf(text, CELL_SIZE, "%d", shape.channels);
    } else {
        snprintf(text, CELL_SIZE, "%d x %d x %d", shape.channels, shape.height, shape.width);
    }
}

static table_row layer_row(const cm_layer *layer) {
    table_row row = {{""}};
    const bool flat = strncmp(layer->name, "dense", 5) == 0;
    snprintf(row.cells[LAYER_NAME], CELL_SIZE, "%s", layer->name);
    cm_layer_text(layer, row.cells[LAYER_TEXT]);
    format_shape(layer->out, flat, row.cells[LAYER_SHAPE]);
    group_digits(cm_layer_parameter_count(layer), row.cells[LAYER_PARAMETERS]);
    group_digits(cm_layer_macs(layer), row.cells[LAYER_MACS]);
    return row;
}

static table_row input_row(const cm_network *network) {
    table_row row = {{""}};
    snprintf(row.cells[LAYER_TEXT], CELL_SIZE, "input");
    format_shape(network->input, false, row.cells[LAYER_SHAPE]);
    return row;
}

static table_row total_row(const cm_network *network) {
    table_row row = {{""}};
    snprintf(row.cells[LAYER_NAME], CELL_SIZE, "total");
    group_digits(cm_network_parameter_count(network), row.cells[LAYER_PARAMETERS]);
    group_digits(network_macs(network), row.cells[LAYER_MACS]);
    return row;
}

void cm_describe_network(FILE *out, const cm_network *network) {
    int widths[MAX_COLUMNS] = {0};
    const table_row input = input_row(network);
    const table_row total = total_row(network);
    measure_titles(&layer_table, widths);
    measure(&layer_table, &input, widths);
    measure(&layer_table, &total, widths);
    for (int i = 0; i < network->layer_count; ++i) {
        const table_row row = layer_row(&network->layers[i]);
        measure(&layer_table, &row, widths);
    }
    fprintf(out, "network %s: %d layers, %d classes\n\n", network->name, network->layer_count,
            network->classes);
    write_cells(out, &layer_table, widths, layer_table.titles);
    write_rule(out, &layer_table, widths);
    write_row(out, &layer_table, widths, &input);
    for (int i = 0; i < network->layer_count; ++i) {
        const table_row row = layer_row(&network->layers[i]);
        write_row(out, &layer_table, widths, &row);
    }
    write_rule(out, &layer_table, widths);
    write_row(out, &layer_table, widths, &total);
    fprintf(out, "\nOutput shape and MACs (multiply-accumulates, forward) are of one image.\n");
}

/* Columns of the table of variants. */
enum {
    VARIANT_ID,
    VARIANT_TITLE,
    VARIANT_PARAMETERS,
    VARIANT_MACS,
    VARIANT_ACCURACY,
    VARIANT_COLUMNS
};

static const table_layout variant_table = {
    VARIANT_COLUMNS,
    {"id", "variant", "parameters ", "MACs", "accuracy"},
    {false, false, true, true, true},
};

typedef struct variant_rows {
    int count;
    table_row *rows;
    int64_t *parameters; /* the networks' own counts */
} variant_rows;

static cm_status fill_variant_row(const cm_variant *variant, table_row *row, int64_t *parameters,
                                  cm_error *error) {
    char digits[CELL_SIZE];
    cm_network *network = NULL;
    const cm_status status = cm_network_from_variant(variant, &network, error);
    if (status != CM_OK) {
        return status;
    }
    *parameters = cm_network_parameter_count(network);
    snprintf(row->cells[VARIANT_ID], CELL_SIZE, "%s", variant->id);
    snprintf(row->cells[VARIANT_TITLE], CELL_SIZE, "%s", variant->title);
    group_digits(*parameters, digits);
    snprintf(row->cells[VARIANT_PARAMETERS], CELL_SIZE, "%.32s%c", digits,
             *parameters == variant->published_params ? ' ' : '*');
    group_digits(network_macs(network), row->cells[VARIANT_MACS]);
    snprintf(row->cells[VARIANT_ACCURACY], CELL_SIZE, "%.2f %%",
             100.0 * variant->published_accuracy);
    cm_network_free(network);
    return CM_OK;
}

static cm_status fill_variant_rows(variant_rows *table, cm_error *error) {
    const cm_variant *variants = cm_variants(&table->count);
    table->rows = calloc((size_t)table->count, sizeof *table->rows);
    table->parameters = calloc((size_t)table->count, sizeof *table->parameters);
    if (table->rows == NULL || table->parameters == NULL) {
        return cm_fail(error, CM_FAILED, "out of memory for the table of variants");
    }
    cm_status status = CM_OK;
    for (int i = 0; i < table->count && status == CM_OK; ++i) {
        status = fill_variant_row(&variants[i], &table->rows[i], &table->parameters[i], error);
    }
    return status;
}

static void write_variant_rows(FILE *out, const variant_rows *table) {
    int widths[MAX_COLUMNS] = {0};
    measure_titles(&variant_table, widths);
    for (int i = 0; i < table->count; ++i) {
        measure(&variant_table, &table->rows[i], widths);
    }
    write_cells(out, &variant_table, widths, variant_table.titles);
    write_rule(out, &variant_table, widths);
    for (int i = 0; i < table->count; ++i) {
        write_row(out, &variant_table, widths, &table->rows[i]);
    }
    fputs("\nMACs: multiply-accumulates of one image, forward. Accuracy: as published.\n", out);
}

static void write_slips(FILE *out, const variant_rows *table) {
    int count = 0;
    const cm_variant *variants = cm_variants(&count);
    for (int i = 0; i < count; ++i) {
        if (table->parameters[i] != variants[i].published_params) {
            char published[CELL_SIZE];
            char counted[CELL_SIZE];
            group_digits(variants[i].published_params, published);
            group_digits(table->parameters[i], counted);
            fprintf(out,
                    "* The report prints %s parameters for %s: a copy slip, that is the listing\n"
                    "  of the network without batch norm. This network has %s.\n",
                    published, variants[i].id, counted);
        }
    }
}

cm_status cm_describe_variants(FILE *out, cm_error *error) {
    variant_rows table = {0, NULL, NULL};
    const cm_status status = fill_variant_rows(&table, error);
    if (status == CM_OK) {
        write_variant_rows(out, &table);
        write_slips(out, &table);
    }
    free(table.rows);
    free(table.parameters);
    return status;
}
