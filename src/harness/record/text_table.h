/**
 * Tables for people whose columns have fixed widths: aligned text, or Markdown. fitted_table.h has
 * those whose columns are as wide as their widest cell.
 */
#ifndef CM_HARNESS_RECORD_TEXT_TABLE_H
#define CM_HARNESS_RECORD_TEXT_TABLE_H

#include <stdbool.h>
#include <stdio.h>

#ifdef __cplusplus
extern "C" {
#endif

enum { CM_TABLE_CELL = 200, CM_TABLE_MAX_COLUMNS = 12 };

/** One column: its head, its width as text (a longer cell shifts the cells after it), and whether
 * its cells are aligned to the right edge. */
typedef struct cm_table_column {
    const char *head;
    int width;
    bool right;
} cm_table_column;

typedef struct cm_text_table {
    FILE *out;
    bool markdown;
    const cm_table_column *columns;
    int count;
} cm_text_table;

void cm_table_print_head(const cm_text_table *table);
void cm_table_print_row(const cm_text_table *table, char cells[][CM_TABLE_CELL]);

/** What `print` writes, as text; free() it. NULL: no memory. */
char *cm_table_text(void (*print)(FILE *out, const void *context, bool markdown),
                    const void *context, bool markdown);

/** Copies decimal digits, a '-' before them allowed, with commas: 1,234,567. */
void cm_group_digits(const char *digits, char *text, size_t size);

/** A count with commas, rounded to a whole number. */
void cm_table_format_count(double value, char *text, size_t size);

#ifdef __cplusplus
}
#endif

#endif
