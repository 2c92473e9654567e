#include "harness/studies/report/claims.h"

#include <math.h>
#include <stdio.h>

const char *cm_verdict_name(cm_verdict verdict) {
    static const char *const names[] = {[CM_SUPPORTED] = "supported",
                                        [CM_NOT_SUPPORTED] = "not supported",
                                        [CM_CANNOT_TELL] = "cannot tell at this number of seeds"};
    return names[verdict];
}

cm_verdict cm_judge_difference(cm_relation relation, const cm_mean_difference *difference) {
    static const struct {
        double sign, bound; /* claimed: sign * d > bound */
    } rules[] = {[CM_HIGHER] = {1, 0},
                 [CM_LOWER] = {-1, 0},
                 [CM_NOT_HIGHER] = {-1, -CM_NEGLIGIBLE_ACCURACY}};
    const cm_interval interval = difference->interval;
    if (!interval.known) {
        return CM_CANNOT_TELL;
    }
    const double low = rules[relation].sign * interval.low;
    const double high = rules[relation].sign * interval.high;
    if (fmin(low, high) > rules[relation].bound) {
        return CM_SUPPORTED;
    }
    return fmax(low, high) < rules[relation].bound ? CM_NOT_SUPPORTED : CM_CANNOT_TELL;
}

cm_verdict cm_combine_verdicts(const cm_part_result *parts, int count) {
    cm_verdict verdict = CM_SUPPORTED;
    for (int i = 0; i < count; ++i) {
        if (parts[i].verdict == CM_NOT_SUPPORTED) {
            return CM_NOT_SUPPORTED;
        }
        if (parts[i].verdict == CM_CANNOT_TELL) {
            verdict = CM_CANNOT_TELL;
        }
    }
    return verdict;
}

/* Mean of a measure over a group of variants at one seed; NAN where one of them has no such run. */
static double claim_group_value(const cm_report *report, const char *const group[CM_GROUP_MAX],
                                cm_measure measure, int seed) {
    double sum = 0;
    int size = 0;
    for (; size < CM_GROUP_MAX && group[size] != NULL; ++size) {
        const cm_report_variant *variant = cm_report_find(report, group[size]);
        const cm_report_run *run = variant == NULL ? NULL : &variant->runs[seed];
        sum += run == NULL || !run->done ? NAN : run->values[measure];
    }
    return sum / size;
}

cm_mean_difference cm_report_difference(const cm_report *report, const char *const a[CM_GROUP_MAX],
                                        const char *const b[CM_GROUP_MAX], cm_measure measure,
                                        int *pairs) {
    double values_a[CM_STUDY_MAX_SEEDS], values_b[CM_STUDY_MAX_SEEDS];
    *pairs = 0;
    for (int seed = 0; seed < report->options.seeds; ++seed) {
        const double value_a = claim_group_value(report, a, measure, seed);
        const double value_b = claim_group_value(report, b, measure, seed);
        if (!isnan(value_a) && !isnan(value_b)) {
            values_a[*pairs] = value_a;
            values_b[(*pairs)++] = value_b;
        }
    }
    return cm_paired_difference(values_a, values_b, *pairs, CM_RESULTS_LEVEL);
}

static cm_summary variant_summary(const cm_report *report, const char *id, cm_measure measure) {
    double values[CM_STUDY_MAX_SEEDS];
    const cm_report_variant *variant = cm_report_find(report, id);
    return cm_summarize(values,
                        variant == NULL ? 0 : cm_report_values(report, variant, measure, values));
}

static void remark_dropout(const cm_report *report, cm_claim_result *result) {
    (void)report;
    int lowered = 0;
    for (int i = 0; i < 3; ++i) {
        lowered += cm_judge_difference(CM_LOWER, &result->parts[i].accuracy) == CM_SUPPORTED;
    }
    snprintf(result->remark, sizeof result->remark,
             "Dropout lowered accuracy (interval wholly below 0) in %d of 3 variants.", lowered);
}

static void remark_stability(const cm_report *report, cm_claim_result *result) {
    static const char *const ids[] = {"baseline", "bn-3", "plain-8", "bn-8"};
    double sd[4], loss[4];
    for (int i = 0; i < 4; ++i) {
        sd[i] = variant_summary(report, ids[i], CM_MEASURE_ACCURACY).sd;
        loss[i] = variant_summary(report, ids[i], CM_MEASURE_TRAIN_LOSS).mean;
        if (isnan(sd[i])) {
            return;
        }
    }
    snprintf(result->remark, sizeof result->remark,
             "Judged by accuracy: the report has no figure for stability. Without and with batch "
             "norm, 3 conv: sd of accuracy over seeds %.4f and %.4f, Loss/train %.4f and %.4f; "
             "8 conv: sd %.4f and %.4f, Loss/train %.4f and %.4f.",
             sd[0], sd[1], loss[0], loss[1], sd[2], sd[3], loss[2], loss[3]);
}

/* Over-fitting would show as a Loss/train below the baseline's with a Loss/test above it. */
static void remark_under_training(const cm_report *report, cm_claim_result *result) {
    static const char *const plain[CM_GROUP_MAX] = {"plain-8"}, *const base[CM_GROUP_MAX] = {
                                                                    "baseline"};
    int pairs;
    const cm_mean_difference excess =
        cm_report_difference(report, plain, base, CM_MEASURE_TRAIN_LOSS, &pairs);
    if (pairs == 0) {
        return;
    }
    const double train = variant_summary(report, "plain-8", CM_MEASURE_TRAIN_LOSS).mean;
    const double test = variant_summary(report, "plain-8", CM_MEASURE_TEST_LOSS).mean;
    const cm_verdict verdict = cm_judge_difference(CM_HIGHER, &excess);
    static const char *const words[] = {
        [CM_SUPPORTED] = "so this is under-training, not over-fitting",
        [CM_NOT_SUPPORTED] = "so this is not under-training",
        [CM_CANNOT_TELL] = "whether this is under-training cannot be told at this number of seeds"};
    char interval[64] = "";
    if (excess.interval.known) {
        snprintf(interval, sizeof interval, " [%+.4f, %+.4f]", excess.interval.low,
                 excess.interval.high);
    }
    snprintf(
        result->remark, sizeof result->remark,
        "The report calls it over-fitting. plain-8 has Loss/train %.4f and Loss/test %.4f; its "
        "Loss/train is %+.4f%s against baseline's: %s.",
        train, test, excess.difference, interval, words[verdict]);
}

static void remark_best(const cm_report *report, cm_claim_result *result) {
    const cm_summary ours = variant_summary(report, "bn-3", CM_MEASURE_ACCURACY);
    const cm_interval mean = cm_mean_interval(&ours, CM_RESULTS_LEVEL);
    const cm_interval single = cm_prediction_interval(&ours, CM_RESULTS_LEVEL);
    const cm_published_figures *published = cm_published_figures_of("bn-3");
    if (!mean.known || published == NULL) {
        return;
    }
    const double value = published->accuracy;
    snprintf(result->remark, sizeof result->remark,
             "Mean accuracy of bn-3: %.2f %% [%.2f, %.2f]; the published run's %.2f %% is %s what "
             "one run of ours gives [%.2f, %.2f].",
             100 * ours.mean, 100 * mean.low, 100 * mean.high, 100 * value,
             value >= single.low && value <= single.high ? "within" : "outside", 100 * single.low,
             100 * single.high);
}

cm_claim_result cm_judge_claim(const cm_report *report, int claim) {
    typedef void remark_fn(const cm_report *report, cm_claim_result *result);
    static remark_fn *const remarks[CM_CLAIM_COUNT] = {remark_dropout, remark_stability,
                                                       remark_under_training, NULL, remark_best};
    const cm_claim *published = &cm_claims[claim];
    cm_claim_result result = {.missing = false};
    for (int i = 0; i < published->part_count; ++i) {
        const cm_claim_part *part = &published->parts[i];
        cm_part_result *judged = &result.parts[i];
        judged->accuracy =
            cm_report_difference(report, part->a, part->b, CM_MEASURE_ACCURACY, &judged->pairs);
        judged->verdict = cm_judge_difference(part->relation, &judged->accuracy);
        result.missing = result.missing || judged->pairs == 0;
    }
    result.verdict = cm_combine_verdicts(result.parts, published->part_count);
    if (remarks[claim] != NULL && !result.missing) {
        remarks[claim](report, &result);
    }
    return result;
}
