/**
 * Tables for people whose columns are as wide as their widest cell. text_table.h has those of
 * fixed widths.
 */
#ifndef CM_HARNESS_RECORD_FITTED_TABLE_H
#define CM_HARNESS_RECORD_FITTED_TABLE_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#ifdef __cplusplus
extern "C" {
#endif

enum { CM_FITTED_MAX_COLUMNS = 5, CM_FITTED_CELL = 128 };

/** Titles, and whether a column's cells are aligned to its right edge. */
typedef struct cm_fitted_layout {
    int columns;
    const char *titles[CM_FITTED_MAX_COLUMNS];
    bool right[CM_FITTED_MAX_COLUMNS];
} cm_fitted_layout;

typedef struct cm_fitted_row {
    char cells[CM_FITTED_MAX_COLUMNS][CM_FITTED_CELL];
} cm_fitted_row;

/** A table under way: its layout, and the widths of what it has seen. */
typedef struct cm_fitted_table {
    FILE *out;
    const cm_fitted_layout *layout;
    int widths[CM_FITTED_MAX_COLUMNS];
} cm_fitted_table;

/** Begins a table with the widths of its titles. `layout` must outlive it. */
cm_fitted_table cm_fitted_table_begin(FILE *out, const cm_fitted_layout *layout);
/** Widens the columns for a row; call it for every row before the first line is written. */
void cm_fitted_table_measure(cm_fitted_table *table, const cm_fitted_row *row);
/** Write the titles, a row, a horizontal rule. */
void cm_fitted_table_titles(const cm_fitted_table *table);
void cm_fitted_table_row(const cm_fitted_table *table, const cm_fitted_row *row);
void cm_fitted_table_rule(const cm_fitted_table *table);

/** Writes a count with commas, 1,234,567, exactly; `value` is not negative. */
void cm_fitted_format_count(int64_t value, char text[CM_FITTED_CELL]);

#ifdef __cplusplus
}
#endif

#endif
