/**
 * Files of measurements side by side: what is faster, what is slower, and what is no difference.
 * docs/guide/compare.md says how it judges.
 */
#ifndef CM_COMPARE_COMPARE_H
#define CM_COMPARE_COMPARE_H

#include <jansson.h>
#include <stdbool.h>

#include "convmark/status.h"
#include "core/statistics/samples.h"
#include "harness/compare/results_file.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef enum cm_speed_verdict {
    CM_SPEED_SAME, /* no difference was shown */
    CM_SPEED_FASTER,
    CM_SPEED_SLOWER,
    CM_SPEED_UNKNOWN, /* too few samples, or values that are not > 0 */
    CM_SPEED_COUNT
} cm_speed_verdict;

/** "not shown", "faster", "slower", "too few samples". */
const char *cm_speed_verdict_name(cm_speed_verdict verdict);

typedef struct cm_compare_options {
    double threshold;   /* a smaller difference counts as none: 0.05 */
    double level;       /* of the test and the intervals, over all rows together: 0.95 */
    const char *metric; /* NULL: all */
    const char *filter; /* a part of the name; NULL: all */
    bool force;         /* compare what is not comparable */
} cm_compare_options;

cm_compare_options cm_compare_options_default(void);

/** One metric of one piece of work in the first file and in another one. */
typedef struct cm_comparison {
    const cm_measurement *base, *other;
    int file;       /* index of the other file */
    double speedup; /* > 1: the other file is better; NAN: unknown */
    cm_interval interval;
    double p, p_adjusted; /* of the rank test, and after Holm's correction over all rows */
    cm_speed_verdict verdict;
} cm_comparison;

typedef struct cm_comparisons {
    int count;
    cm_comparison *items;  /* in the order of the first file, then of the files */
    int unmatched;         /* measurements of either side that the other one lacks */
    double geometric_mean; /* of all speedups that are known */
} cm_comparisons;

/**
 * Compares files[1] .. files[count - 1] with files[0] by (name, metric). CM_BAD_INPUT, with the
 * reason: they are not comparable (another kind, machine, build type, compiler or data set), unless
 * options->force; or have nothing in common. Free with cm_comparisons_free(), whatever the status.
 */
cm_status cm_compare(const cm_compare_options *options, const cm_results_file *files, int count,
                     cm_comparisons *result, cm_error *error);
void cm_comparisons_free(cm_comparisons *result);

/** The table as text of at most 100 columns or as Markdown; free() it. NULL: no memory. */
char *cm_compare_text(const cm_results_file *files, const cm_comparisons *result, bool markdown);

#ifdef __cplusplus
}
#endif

#endif
