#include "harness/studies/report/variants_table.h"

#include <stdint.h>
#include <stdlib.h>

#include "convmark/network.h"
#include "harness/record/fitted_table.h"
#include "harness/studies/report/published.h"

/* Columns of the table of variants. */
enum {
    VARIANT_ID,
    VARIANT_TITLE,
    VARIANT_PARAMETERS,
    VARIANT_MACS,
    VARIANT_ACCURACY,
    VARIANT_COLUMNS
};

static const cm_fitted_layout variant_table = {
    VARIANT_COLUMNS,
    {"id", "variant", "parameters ", "MACs", "accuracy"},
    {false, false, true, true, true},
};

typedef struct variant_rows {
    int count;
    cm_fitted_row *rows;
    int64_t *parameters; /* the networks' own counts */
} variant_rows;

static cm_status fill_variant_row(const cm_variant *variant, cm_fitted_row *row,
                                  int64_t *parameters, cm_error *error) {
    const cm_published_figures *published = cm_published_figures_of(variant->id);
    char digits[CM_FITTED_CELL];
    cm_network *network = NULL;
    const cm_status status = cm_network_from_variant(variant, &network, error);
    if (status != CM_OK) {
        return status;
    }
    *parameters = cm_network_parameter_count(network);
    snprintf(row->cells[VARIANT_ID], CM_FITTED_CELL, "%s", variant->id);
    snprintf(row->cells[VARIANT_TITLE], CM_FITTED_CELL, "%s", variant->title);
    cm_fitted_format_count(*parameters, digits);
    snprintf(row->cells[VARIANT_PARAMETERS], CM_FITTED_CELL, "%.32s%c", digits,
             published == NULL || *parameters == published->parameters ? ' ' : '*');
    cm_fitted_format_count(cm_network_macs(network), row->cells[VARIANT_MACS]);
    if (published != NULL) {
        snprintf(row->cells[VARIANT_ACCURACY], CM_FITTED_CELL, "%.2f %%",
                 100.0 * published->accuracy);
    }
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

static void write_variant_rows(FILE *out, const variant_rows *rows) {
    cm_fitted_table table = cm_fitted_table_begin(out, &variant_table);
    for (int i = 0; i < rows->count; ++i) {
        cm_fitted_table_measure(&table, &rows->rows[i]);
    }
    cm_fitted_table_titles(&table);
    cm_fitted_table_rule(&table);
    for (int i = 0; i < rows->count; ++i) {
        cm_fitted_table_row(&table, &rows->rows[i]);
    }
    fputs("\nMACs: multiply-accumulates of one image, forward. Accuracy: as published.\n", out);
}

static void write_slips(FILE *out, const variant_rows *table) {
    int count = 0;
    const cm_variant *variants = cm_variants(&count);
    for (int i = 0; i < count; ++i) {
        const cm_published_figures *figures = cm_published_figures_of(variants[i].id);
        if (figures != NULL && table->parameters[i] != figures->parameters) {
            char published[CM_FITTED_CELL];
            char counted[CM_FITTED_CELL];
            cm_fitted_format_count(figures->parameters, published);
            cm_fitted_format_count(table->parameters[i], counted);
            fprintf(out,
                    "* The report prints %s parameters for %s: a copy slip, that is the listing\n"
                    "  of the network without batch norm. This network has %s.\n",
                    published, variants[i].id, counted);
        }
    }
}

cm_status cm_variants_table_print(FILE *out, cm_error *error) {
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
