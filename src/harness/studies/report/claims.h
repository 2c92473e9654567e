/**
 * Judges the published claims by a report's runs.
 *
 * Variants are compared in pairs of equal seed: the two runs of a seed see the same training
 * batches and are scored on the same validation images, so they are not independent, which Welch's
 * test would need; the paired interval needs neither independence nor equal spread.
 */
#ifndef CM_HARNESS_STUDIES_REPORT_CLAIMS_H
#define CM_HARNESS_STUDIES_REPORT_CLAIMS_H

#include "core/statistics/statistics.h"
#include "harness/studies/report/published.h"
#include "harness/studies/report/report.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef enum cm_verdict { CM_SUPPORTED, CM_NOT_SUPPORTED, CM_CANNOT_TELL } cm_verdict;

/** "supported", "not supported", "cannot tell at this number of seeds". */
const char *cm_verdict_name(cm_verdict verdict);

typedef struct cm_part_result {
    int pairs; /* seeds that both sides have; 0 when a variant is missing */
    cm_mean_difference accuracy;
    cm_verdict verdict;
} cm_part_result;

enum { CM_REMARK_SIZE = 512 };

typedef struct cm_claim_result {
    cm_part_result parts[CM_PART_MAX];
    cm_verdict verdict;
    bool missing;                /* a variant that the verdict needs was not trained */
    char remark[CM_REMARK_SIZE]; /* a sentence with further figures; "" when there is none */
} cm_claim_result;

/** The verdict on a difference: by the side of the relation's bound that its interval is on. */
cm_verdict cm_judge_difference(cm_relation relation, const cm_mean_difference *difference);

/** The verdict on a claim: supported when all its parts are, not supported when one is not,
 * otherwise cannot tell. */
cm_verdict cm_combine_verdicts(const cm_part_result *parts, int count);

/** a - b of a measure, over the seeds that both groups of variants have; *pairs of them. */
cm_mean_difference cm_report_difference(const cm_report *report, const char *const a[CM_GROUP_MAX],
                                        const char *const b[CM_GROUP_MAX], cm_measure measure,
                                        int *pairs);

/** Judges claim 0 .. CM_CLAIM_COUNT-1. */
cm_claim_result cm_judge_claim(const cm_report *report, int claim);

#ifdef __cplusplus
}
#endif

#endif
