#include "harness/studies/report/report_cells.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "harness/record/text_table.h"

const char cm_text_of_table[] =
    "sd, min, max: over seeds. 95 % prediction: where one further run of ours would lie (Student's "
    "t); inside: whether the published run does; \"?\": one seed gives no interval.";

const char cm_text_of_claims[] =
    "Differences of mean accuracy, paired by seed, with 95 % confidence interval. A claim is "
    "supported when all its parts are, not supported when one is not.";

const char cm_text_of_synthetic[] =
    "Synthetic data: these figures say nothing about the published report.";

const char cm_text_of_other_options[] = "Not the published protocol (see \"options\" in "
                                        "report.json): the published figures do not apply.";

cm_cell cm_format_count(int64_t count) {
    char digits[32];
    cm_cell cell;
    snprintf(digits, sizeof digits, "%" PRId64, count);
    cm_group_digits(digits, cell.text, sizeof cell.text);
    return cell;
}

cm_cell cm_format_value(double value) {
    cm_cell cell = {"-"};
    if (!isnan(value)) {
        snprintf(cell.text, sizeof cell.text, "%.4f", value);
    }
    return cell;
}

cm_cell cm_format_range(cm_interval interval) {
    cm_cell cell = {"-"};
    if (interval.known) {
        snprintf(cell.text, sizeof cell.text, "%.4f .. %.4f", interval.low, interval.high);
    }
    return cell;
}

cm_cell cm_format_difference(const cm_mean_difference *difference) {
    cm_cell cell = {"-"};
    if (difference->interval.known) {
        snprintf(cell.text, sizeof cell.text, "%+.4f [%+.4f, %+.4f]", difference->difference,
                 difference->interval.low, difference->interval.high);
    } else if (!isnan(difference->difference)) {
        snprintf(cell.text, sizeof cell.text, "%+.4f", difference->difference);
    }
    return cell;
}

const char *cm_format_inside(const cm_report_row *row) {
    if (isnan(row->published)) {
        return "-";
    }
    if (!row->prediction.known) {
        return "?";
    }
    return row->inside ? "yes" : "no";
}

const char *cm_format_verdict(const cm_claim_result *result) {
    return result->missing && result->verdict == CM_CANNOT_TELL
               ? "cannot tell: not all of its variants were trained"
               : cm_verdict_name(result->verdict);
}

const char *cm_format_part_verdict(const cm_part_result *part) {
    if (part->pairs == 0) {
        return "not trained";
    }
    return part->verdict == CM_CANNOT_TELL ? "cannot tell" : cm_verdict_name(part->verdict);
}

cm_cell cm_format_params(const cm_report_variant *variant) {
    cm_cell cell = cm_format_count(variant->params);
    if (variant->published != NULL && variant->published->slip != NULL) {
        strcat(cell.text, "*");
    }
    return cell;
}

cm_cell cm_format_run_count(const cm_report *report) {
    const int done = cm_report_run_count(report);
    cm_cell cell, part = {""};
    const int runs = report->variant_count * report->options.seeds;
    if (done < runs) {
        snprintf(part.text, sizeof part.text, "%d of ", done);
    }
    snprintf(cell.text, sizeof cell.text, "%.20s%d run%s: %d variant%s, seeds 0 to %d", part.text,
             runs, runs == 1 ? "" : "s", report->variant_count,
             report->variant_count == 1 ? "" : "s", report->options.seeds - 1);
    return cell;
}
