#include "harness/record/fitted_table.h"

#include <inttypes.h>
#include <string.h>

#include "core/escape.h"
#include "harness/record/text_table.h"

void cm_fitted_format_count(int64_t value, char text[CM_FITTED_CELL]) {
    char digits[32];
    snprintf(digits, sizeof digits, "%" PRId64, value);
    cm_group_digits(digits, text, CM_FITTED_CELL);
}

cm_fitted_table cm_fitted_table_begin(FILE *out, const cm_fitted_layout *layout) {
    cm_fitted_table table = {.out = out, .layout = layout};
    for (int c = 0; c < layout->columns; ++c) {
        table.widths[c] = (int)strlen(layout->titles[c]);
    }
    return table;
}

void cm_fitted_table_measure(cm_fitted_table *table, const cm_fitted_row *row) {
    for (int c = 0; c < table->layout->columns; ++c) {
        const int width = (int)strlen(row->cells[c]);
        table->widths[c] = width > table->widths[c] ? width : table->widths[c];
    }
}

/* No blanks at the end of a line, so that listings can be compared and pasted. */
static void write_cells(const cm_fitted_table *table,
                        const char *const cells[CM_FITTED_MAX_COLUMNS]) {
    const cm_fitted_layout *layout = table->layout;
    int blanks = 0;
    for (int c = 0; c < layout->columns; ++c) {
        const int length = (int)strlen(cells[c]);
        const int rest = table->widths[c] - length;
        if (length > 0) {
            fprintf(table->out, "%*s%s", blanks + (layout->right[c] ? rest : 0), "",
                    CM_SHOW(cells[c]));
            blanks = layout->right[c] ? 0 : rest;
        } else {
            blanks += rest;
        }
        blanks += 2;
    }
    fputc('\n', table->out);
}

void cm_fitted_table_titles(const cm_fitted_table *table) {
    write_cells(table, table->layout->titles);
}

void cm_fitted_table_row(const cm_fitted_table *table, const cm_fitted_row *row) {
    const char *cells[CM_FITTED_MAX_COLUMNS];
    for (int c = 0; c < CM_FITTED_MAX_COLUMNS; ++c) {
        cells[c] = row->cells[c];
    }
    write_cells(table, cells);
}

void cm_fitted_table_rule(const cm_fitted_table *table) {
    int length = 2 * (table->layout->columns - 1);
    for (int c = 0; c < table->layout->columns; ++c) {
        length += table->widths[c];
    }
    for (int i = 0; i < length; ++i) {
        fputc('-', table->out);
    }
    fputc('\n', table->out);
}
