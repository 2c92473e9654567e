#include "harness/studies/report/report_text.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "convmark/convmark.h"
#include "core/escape.h"
#include "core/files/json.h"
#include "harness/record/machine_text.h"
#include "harness/studies/report/claims.h"
#include "harness/studies/report/report_cells.h"

/* Prints the command line as it is typed into a shell, without the program: a block of code, in
 * which nothing is Markdown. */
static void print_command_line(FILE *out, const json_t *command) {
    for (size_t i = 0; i < json_array_size(command); ++i) {
        fputs(i > 0 ? " " : "", out);
        cm_print_escaped(out, CM_SINK_SHELL, json_string_value(json_array_get(command, i)));
    }
}

static void print_markdown_variants(FILE *out, const cm_report *report) {
    fputs("| variant | parameters | | published | mean | sd | min | max | 95 % prediction | inside "
          "|\n|---|--:|---|--:|--:|--:|--:|--:|:-:|:-:|\n",
          out);
    for (int i = 0; i < report->variant_count; ++i) {
        const cm_report_variant *variant = &report->variants[i];
        for (cm_measure measure = 0; measure < CM_MEASURE_COUNT; ++measure) {
            const cm_report_row row = cm_report_row_of(report, variant, measure);
            fputs("| ", out);
            if (measure == 0) {
                cm_print_escaped(out, CM_SINK_MARKDOWN, variant->network->name);
                fputs(" | ", out);
                cm_print_escaped(out, CM_SINK_MARKDOWN, cm_format_params(variant).text);
            } else {
                fputs("|", out);
            }
            fprintf(out, " | %s | %s | %s | %s | %s | %s | %s | %s |\n", cm_measure_title(measure),
                    cm_format_value(row.published).text, cm_format_value(row.ours.mean).text,
                    cm_format_value(row.ours.sd).text, cm_format_value(row.ours.min).text,
                    cm_format_value(row.ours.max).text, cm_format_range(row.prediction).text,
                    cm_format_inside(&row));
        }
    }
    for (int i = 0; i < report->variant_count; ++i) {
        const cm_published_figures *published = report->variants[i].published;
        const char *slip = published == NULL ? NULL : published->slip;
        if (slip != NULL) {
            fprintf(out, "\n\\* %s\n", slip);
        }
    }
    fprintf(out, "\n%s\n", cm_text_of_table);
}

static void print_markdown_claim(FILE *out, const cm_report *report, int claim) {
    const cm_claim_result result = cm_judge_claim(report, claim);
    fprintf(out,
            "\n### %d. %s\n\nVerdict: **%s**\n\n"
            "| part | difference | 95 %% confidence | pairs | verdict |\n|---|--:|:-:|--:|---|\n",
            claim + 1, cm_claims[claim].text, cm_format_verdict(&result));
    for (int i = 0; i < cm_claims[claim].part_count; ++i) {
        const cm_part_result *part = &result.parts[i];
        fprintf(out, "| %s | %s | %s | %d | %s |\n", cm_claims[claim].parts[i].text,
                cm_format_value(part->accuracy.difference).text,
                cm_format_range(part->accuracy.interval).text, part->pairs,
                cm_format_part_verdict(part));
    }
    if (result.remark[0] != '\0') {
        fprintf(out, "\n%s\n", result.remark);
    }
}

static void print_markdown_runs(FILE *out, const cm_report *report) {
    fputs("| variant | seed | Loss/train | Loss/test | Accuracy | images/s | threads | isa "
          "| SHA-256 of the final parameters and buffers |\n"
          "|---|--:|--:|--:|--:|--:|--:|---|---|\n",
          out);
    for (int i = 0; i < report->variant_count; ++i) {
        const cm_report_variant *variant = &report->variants[i];
        for (int seed = 0; seed < report->options.seeds; ++seed) {
            const cm_report_run *run = &variant->runs[seed];
            if (!run->done) {
                continue;
            }
            fputs("| ", out);
            cm_print_escaped(out, CM_SINK_MARKDOWN, variant->network->name);
            fprintf(out, " | %d | %.6f | %.6f | %.6f | %.0f | %d | %s | `%s` |\n", seed,
                    run->values[CM_MEASURE_TRAIN_LOSS], run->values[CM_MEASURE_TEST_LOSS],
                    run->values[CM_MEASURE_ACCURACY], run->images_per_second, run->threads,
                    CM_SHOW_IN(true, run->isa), run->sha256);
        }
    }
}

char *cm_report_markdown(const cm_report *report) {
    char *text = NULL;
    size_t size = 0;
    FILE *out = open_memstream(&text, &size);
    if (out == NULL) {
        return NULL;
    }
    cm_machine_print_title(out, "convmark report", report->study.machine, report->study.started);
    if (!report->study.dataset->real) {
        fprintf(out, "**%s**\n\n", cm_text_of_synthetic);
    }
    if (!cm_report_follows_protocol(report)) {
        fprintf(out, "**%s**\n\n", cm_text_of_other_options);
    }
    fprintf(out, "%s%s. convmark %s, numeric contract %d.\n\n    convmark ",
            cm_format_run_count(report).text, report->study.complete ? "" : " (not complete)",
            CM_VERSION, CM_NUMERIC_CONTRACT);
    print_command_line(out, report->study.command);
    fprintf(out, "\n\nData: %s, SHA-256 `%s`.\n\n## Variants\n\n",
            CM_SHOW_IN(true, report->study.dataset->name), cm_report_data_sha256(report));
    print_markdown_variants(out, report);
    fprintf(out, "\n## Claims\n\n%s\n", cm_text_of_claims);
    for (int i = 0; i < CM_CLAIM_COUNT; ++i) {
        print_markdown_claim(out, report, i);
    }
    fputs("\n## Runs\n\nThe hash of a run is the same on every machine, instruction set and number "
          "of threads: `convmark train VARIANT --seed SEED --json FILE` gives it again (with the "
          "options of report.json, where they are not the defaults).\n\n",
          out);
    print_markdown_runs(out, report);
    fputs("\n## Machine\n\n", out);
    cm_machine_print_table(out, report->study.machine);
    const bool failed = ferror(out) != 0;
    if (fclose(out) != 0 || failed) {
        free(text);
        return NULL;
    }
    return text;
}
