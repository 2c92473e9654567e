/**
 * What the report published, as data: the figures of its tables by variant, and its claims.
 */
#ifndef CM_HARNESS_STUDIES_REPORT_PUBLISHED_H
#define CM_HARNESS_STUDIES_REPORT_PUBLISHED_H

#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/** The figures of one variant, as the report prints them. */
typedef struct cm_published_figures {
    const char *variant_id;
    int64_t parameters;
    double train_loss, test_loss, accuracy;
    const char *slip; /* footnote, where the printed parameter count is a slip; else NULL */
} cm_published_figures;

/** NULL where the report has none of this id. */
const cm_published_figures *cm_published_figures_of(const char *variant_id);

enum { CM_CLAIM_COUNT = 5, CM_PART_MAX = 7, CM_GROUP_MAX = 3 };

/** What a part says of the difference d = mean accuracy of a - mean accuracy of b. */
typedef enum cm_relation {
    CM_HIGHER,    /* d > 0 */
    CM_LOWER,     /* d < 0 */
    CM_NOT_HIGHER /* d < CM_NEGLIGIBLE_ACCURACY */
} cm_relation;

/** A gain below this counts as none: it is one standard error of an accuracy measured on a run's
 * 6,400 validation images, sqrt(0.8 * 0.2 / 6400). */
#define CM_NEGLIGIBLE_ACCURACY 0.005

/** One comparison; a group of several variants stands for their mean. */
typedef struct cm_claim_part {
    const char *text;
    const char *a[CM_GROUP_MAX]; /* variant ids; the rest NULL */
    const char *b[CM_GROUP_MAX];
    cm_relation relation;
} cm_claim_part;

typedef struct cm_claim {
    const char *text; /* as published, in one line */
    int part_count;
    cm_claim_part parts[CM_PART_MAX];
} cm_claim;

/** The five claims, in the report's order. */
extern const cm_claim cm_claims[CM_CLAIM_COUNT];

#ifdef __cplusplus
}
#endif

#endif
