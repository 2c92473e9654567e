#include "harness/studies/report/report_text.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/escape.h"
#include "harness/studies/report/claims.h"
#include "harness/studies/report/report_cells.h"

enum { COLUMNS = 100 };

/* Words of `text` in lines of at most COLUMNS, every line after `indent` spaces. */
static void print_wrapped_text(FILE *out, int indent, const char *text) {
    int column = 0;
    while (*text != '\0') {
        const int length = (int)strcspn(text, " ");
        if (column > 0 && column + 1 + length > COLUMNS) {
            fputc('\n', out);
            column = 0;
        }
        column += column == 0 ? fprintf(out, "%*s%.*s", indent, "", length, text)
                              : fprintf(out, " %.*s", length, text);
        text += length + (text[length] == ' ');
    }
    fputc('\n', out);
}

/* Variant, parameters with a place for "*", measure, published; ours; prediction, inside. */
#define ROW_FORMAT "%-16s %10s %-10s %9s %6s %6s %6s %6s %16s %s\n"

static void print_text_variant(FILE *out, const cm_report *report,
                               const cm_report_variant *variant) {
    cm_cell params = cm_format_params(variant);
    if (strchr(params.text, '*') == NULL) {
        strcat(params.text, " ");
    }
    for (cm_measure measure = 0; measure < CM_MEASURE_COUNT; ++measure) {
        const cm_report_row row = cm_report_row_of(report, variant, measure);
        const bool first = measure == 0;
        fprintf(out, ROW_FORMAT, first ? CM_SHOW(variant->network->name) : "",
                first ? params.text : "", cm_measure_title(measure),
                cm_format_value(row.published).text, cm_format_value(row.ours.mean).text,
                cm_format_value(row.ours.sd).text, cm_format_value(row.ours.min).text,
                cm_format_value(row.ours.max).text, cm_format_range(row.prediction).text,
                cm_format_inside(&row));
    }
}

static void print_text_variants(FILE *out, const cm_report *report) {
    fprintf(out, ROW_FORMAT, "variant", "params ", "", "published", "mean", "sd", "min", "max",
            "95 % prediction", "inside");
    for (int i = 0; i < report->variant_count; ++i) {
        print_text_variant(out, report, &report->variants[i]);
    }
    for (int i = 0; i < report->variant_count; ++i) {
        const cm_published_figures *published = report->variants[i].published;
        const char *slip = published == NULL ? NULL : published->slip;
        if (slip != NULL) {
            fputs("* ", out);
            print_wrapped_text(out, 0, slip);
        }
    }
    print_wrapped_text(out, 0, cm_text_of_table);
}

static void print_text_claim(FILE *out, const cm_report *report, int claim) {
    const cm_claim_result result = cm_judge_claim(report, claim);
    fprintf(out, "\n%d. %s\n   Verdict: %s\n", claim + 1, cm_claims[claim].text,
            cm_format_verdict(&result));
    for (int i = 0; i < cm_claims[claim].part_count; ++i) {
        fprintf(out, "   %-51s %-26s  %s\n", cm_claims[claim].parts[i].text,
                cm_format_difference(&result.parts[i].accuracy).text,
                cm_format_part_verdict(&result.parts[i]));
    }
    if (result.remark[0] != '\0') {
        print_wrapped_text(out, 3, result.remark);
    }
}

char *cm_report_text(const cm_report *report) {
    char *text = NULL;
    size_t size = 0;
    FILE *out = open_memstream(&text, &size);
    if (out == NULL) {
        return NULL;
    }
    if (!report->study.dataset->real) {
        fprintf(out, "%s\n", cm_text_of_synthetic);
    }
    if (!cm_report_follows_protocol(report)) {
        fprintf(out, "%s\n", cm_text_of_other_options);
    }
    fprintf(out, "%s%s\n\n", cm_format_run_count(report).text,
            report->study.complete ? "" : " (not complete)");
    print_text_variants(out, report);
    fputs("\nClaims\n", out);
    print_wrapped_text(out, 0, cm_text_of_claims);
    for (int i = 0; i < CM_CLAIM_COUNT; ++i) {
        print_text_claim(out, report, i);
    }
    const bool failed = ferror(out) != 0;
    if (fclose(out) != 0 || failed) {
        free(text);
        return NULL;
    }
    return text;
}
