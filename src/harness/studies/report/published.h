/**
 * The report's claims as data, and where its tables have a slip. The tables themselves are in
 * cm_variants().
 */
#ifndef CM_REPORT_PUBLISHED_H
#define CM_REPORT_PUBLISHED_H

#ifdef __cplusplus
extern "C" {
#endif

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

/** The footnote of a variant whose published parameter count is a slip; NULL for the others. */
const char *cm_published_slip(const char *variant_id);

#ifdef __cplusplus
}
#endif

#endif
