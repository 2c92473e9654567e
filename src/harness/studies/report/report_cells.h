/**
 * The cells and sentences that the report's text and Markdown share.
 */
#ifndef CM_HARNESS_STUDIES_REPORT_REPORT_CELLS_H
#define CM_HARNESS_STUDIES_REPORT_REPORT_CELLS_H

#include "harness/studies/report/claims.h"
#include "harness/studies/report/report.h"

#ifdef __cplusplus
extern "C" {
#endif

enum { CM_CELL_SIZE = 128 };

typedef struct cm_cell {
    char text[CM_CELL_SIZE];
} cm_cell;

/** 314250 as "314,250". */
cm_cell cm_format_count(int64_t count);
/** Four decimals; "-" for NAN. */
cm_cell cm_format_value(double value);
/** "0.7912 .. 0.8201"; "-" when unknown. */
cm_cell cm_format_range(cm_interval interval);
/** "-0.0191 [-0.0250, -0.0132]", both in columns; "-" for what is unknown. */
cm_cell cm_format_difference(const cm_mean_difference *difference);
/** Whether the published value lies inside: "yes", "no", "-" (nothing published), "?" (too few
 * seeds). */
const char *cm_format_inside(const cm_report_row *row);
/** The verdict in words; says so where variants are missing. */
const char *cm_format_verdict(const cm_claim_result *result);
/** A verdict in a table of parts: the same words, short. */
const char *cm_format_part_verdict(const cm_part_result *part);
/** The parameters as convmark counts them, with "*" where the published count is a slip. */
cm_cell cm_format_params(const cm_report_variant *variant);
/** How many runs there are: "24 runs: 8 variants, seeds 0 to 2" or, of an incomplete report, "5 of
 * 24 runs: ...". */
cm_cell cm_format_run_count(const cm_report *report);

/** The sentence below the table of variants, and the one above the claims. */
extern const char cm_text_of_table[];
extern const char cm_text_of_claims[];
/** The first line when the data are not real, and when the options are not the protocol's. */
extern const char cm_text_of_synthetic[], cm_text_of_other_options[];

#ifdef __cplusplus
}
#endif

#endif
