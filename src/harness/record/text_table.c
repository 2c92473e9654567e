#include "harness/record/text_table.h"
#include "core/escape.h"

#include <stdlib.h>
#include <string.h>

void cm_table_print_row(const cm_text_table *table, char cells[][CM_TABLE_CELL]) {
    for (int i = 0; i < table->count; ++i) {
        const cm_table_column *column = &table->columns[i];
        const cm_shown cell =
            cm_show(table->markdown ? CM_SINK_MARKDOWN : CM_SINK_TERMINAL, cells[i]);
        if (table->markdown) {
            fprintf(table->out, "| %s ", cell.text);
        } else if (i + 1 == table->count && !column->right) {
            fprintf(table->out, "  %s", cell.text); /* no spaces at the end of a line */
        } else {
            fprintf(table->out, "%s%*s", i == 0 ? "" : "  ",
                    column->right ? column->width : -column->width, cell.text);
        }
    }
    fputs(table->markdown ? "|\n" : "\n", table->out);
}

void cm_table_print_head(const cm_text_table *table) {
    char cells[CM_TABLE_MAX_COLUMNS][CM_TABLE_CELL];
    int width = 0;
    for (int i = 0; i < table->count; ++i) {
        snprintf(cells[i], CM_TABLE_CELL, "%s", table->columns[i].head);
        width += table->columns[i].width + (i > 0 ? 2 : 0);
    }
    cm_table_print_row(table, cells);
    for (int i = 0; table->markdown && i < table->count; ++i) {
        fputs(table->columns[i].right ? "|---:" : "|---", table->out);
    }
    for (int i = 0; !table->markdown && i < width; ++i) {
        fputc('-', table->out);
    }
    fputs(table->markdown ? "|\n" : "\n", table->out);
}

void cm_group_digits(const char *digits, char *text, size_t size) {
    const size_t length = strlen(digits);
    size_t to = 0;
    for (size_t i = 0; i < length && to + 2 < size; ++i) {
        if (i > 0 && (length - i) % 3 == 0 && digits[i - 1] != '-') {
            text[to++] = ',';
        }
        text[to++] = digits[i];
    }
    text[to] = '\0';
}

void cm_table_format_count(double value, char *text, size_t size) {
    char digits[40];
    snprintf(digits, sizeof digits, "%.0f", value);
    cm_group_digits(digits, text, size);
}

char *cm_table_text(void (*print)(FILE *out, const void *context, bool markdown),
                    const void *context, bool markdown) {
    char *text = NULL;
    size_t size = 0;
    FILE *out = open_memstream(&text, &size);
    if (out == NULL) {
        return NULL;
    }
    print(out, context, markdown);
    const bool failed = ferror(out) != 0;
    if (fclose(out) != 0 || failed) {
        free(text);
        return NULL;
    }
    return text;
}
