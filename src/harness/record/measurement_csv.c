/* Measurements as CSV, one line per sample. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/escape.h"
#include "core/files/json.h"
#include "harness/record/measurement.h"

/* Attributes with a column of their own, after name, metric and unit. */
static const char *const attribute_columns[] = {"variant", "mode",      "batch",
                                                "threads", "framework", "isa"};

enum { COLUMN_COUNT = sizeof attribute_columns / sizeof *attribute_columns };

/* Prints an attribute that is text or a whole number; an empty field without it. */
static void print_csv_attribute(FILE *out, const json_t *attributes, const char *key) {
    const json_t *value = json_object_get(attributes, key);
    if (json_is_string(value)) {
        cm_print_escaped(out, CM_SINK_CSV, json_string_value(value));
    } else if (json_is_integer(value)) {
        fprintf(out, "%lld", (long long)json_integer_value(value));
    }
}

/* Prints a number as in JSON: with '.', whatever the locale. False: no memory. */
static bool print_csv_number(FILE *out, double value) {
    json_t *number = json_real(value);
    size_t size = 0;
    char *text = cm_json_text(number, JSON_ENCODE_ANY | JSON_REAL_PRECISION(17), &size);
    fputs(text != NULL ? text : "", out);
    const bool printed = text != NULL;
    free(text);
    json_decref(number);
    return printed;
}

char *cm_measurements_csv(const cm_measurements *list) {
    char *text = NULL;
    size_t size = 0;
    bool printed = true;
    FILE *out = open_memstream(&text, &size);
    if (out == NULL) {
        return NULL;
    }
    fputs("name,metric,unit", out);
    for (size_t k = 0; k < COLUMN_COUNT; ++k) {
        fprintf(out, ",%s", attribute_columns[k]);
    }
    fputs(",sample,value\r\n", out);
    for (int i = 0; i < list->count; ++i) {
        const cm_measurement *m = &list->items[i];
        for (int sample = 0; sample < m->n; ++sample) {
            cm_print_escaped(out, CM_SINK_CSV, m->name);
            fputc(',', out);
            cm_print_escaped(out, CM_SINK_CSV, m->metric);
            fputc(',', out);
            cm_print_escaped(out, CM_SINK_CSV, m->unit);
            for (size_t k = 0; k < COLUMN_COUNT; ++k) {
                fputc(',', out);
                print_csv_attribute(out, m->attributes, attribute_columns[k]);
            }
            fprintf(out, ",%d,", sample);
            printed = print_csv_number(out, m->samples[sample]) && printed;
            fputs("\r\n", out);
        }
    }
    printed = ferror(out) == 0 && printed;
    if (fclose(out) != 0 || !printed) {
        free(text);
        return NULL;
    }
    return text;
}
