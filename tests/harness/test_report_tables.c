/* What the report says of its runs: intervals and verdicts against scipy, tables, Markdown. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "harness/studies/report/claims.h"
#include "harness/studies/report/report_cells.h"
#include "support/fake_trainer.h"

static int setup(void **state) {
    (void)state;
    fake_reset();
    return 0;
}

/* Two variants without files. */
static cm_report_options two_variants(void) {
    static const char *const variants[] = {"baseline", "bn-8"};
    cm_report_options options = cm_report_options_default();
    options.variants = variants;
    options.variant_count = 2;
    options.run = fake_train;
    return options;
}

/* The report of all eight variants without files. */
static void make_all(int seeds, cm_report *report) {
    cm_report_options options = cm_report_options_default();
    options.seeds = seeds;
    options.run = fake_train;
    cm_error error = {""};
    if (cm_report_make(&options, &dataset, NULL, report, &error) != CM_OK) {
        fail_msg("%s", error.message);
    }
}

/* ---- Figures and verdicts ---- */

static void assert_close(double actual, double expected) {
    if (!(fabs(actual - expected) <= 1e-9 * fabs(expected))) {
        fail_msg("%.17g is not %.17g", actual, expected);
    }
}

static void test_against_scipy(void **state) {
    (void)state;
    cm_report report;
    make_all(GOLDEN_SEEDS, &report);
    assert_int_equal(report.variant_count, 8);
    int outside = 0;
    for (size_t i = 0; i < COUNT(golden_variants); ++i) {
        const cm_report_variant *variant = cm_report_find(&report, golden_variants[i].variant);
        for (cm_measure m = 0; m < CM_MEASURE_COUNT; ++m) {
            const cm_report_row row = cm_report_row_of(&report, variant, m);
            assert_close(row.prediction.low, golden_variants[i].low[m]);
            assert_close(row.prediction.high, golden_variants[i].high[m]);
            const bool inside = row.published >= golden_variants[i].low[m] &&
                                row.published <= golden_variants[i].high[m];
            assert_string_equal(cm_format_inside(&row), inside ? "yes" : "no");
            outside += !inside;
        }
    }
    assert_int_equal(outside, 1); /* baseline's accuracy: one of 24 at 95 % is to be expected */
    for (size_t i = 0; i < COUNT(golden_parts); ++i) {
        const cm_claim_result claim = cm_judge_claim(&report, golden_parts[i].claim);
        const cm_mean_difference *d = &claim.parts[golden_parts[i].part].accuracy;
        assert_close(d->difference, golden_parts[i].difference);
        assert_close(d->interval.low, golden_parts[i].low);
        assert_close(d->interval.high, golden_parts[i].high);
        assert_close(d->p, golden_parts[i].p);
    }
    size_t parts = 0;
    for (int i = 0; i < CM_CLAIM_COUNT; ++i) {
        assert_int_equal(cm_judge_claim(&report, i).verdict, CM_SUPPORTED);
        parts += (size_t)cm_claims[i].part_count;
    }
    assert_int_equal(parts, COUNT(golden_parts)); /* none was left out above */
    assert_non_null(strstr(cm_judge_claim(&report, 2).remark, "under-training, not over-fitting"));
    cm_report_free(&report);
}

static void test_published_outside(void **state) {
    (void)state;
    cm_report report;
    make_all(3, &report);
    cm_report_variant *variant = &report.variants[0];
    for (int i = 0; i < 3; ++i) { /* narrow, and far from the published 0.8053 */
        variant->runs[i].values[CM_MEASURE_ACCURACY] = 0.5 + 0.001 * i;
    }
    const cm_report_row row = cm_report_row_of(&report, variant, CM_MEASURE_ACCURACY);
    assert_string_equal(cm_format_inside(&row), "no");
    cm_report_free(&report);
}

static void test_judge(void **state) {
    (void)state;
    static const struct {
        cm_relation relation;
        double low, high;
        cm_verdict verdict;
    } cases[] = {
        {CM_HIGHER, 0.01, 0.02, CM_SUPPORTED},
        {CM_HIGHER, -0.02, -0.01, CM_NOT_SUPPORTED},
        {CM_HIGHER, -0.01, 0.02, CM_CANNOT_TELL},
        {CM_HIGHER, 0, 0.02, CM_CANNOT_TELL}, /* 0 itself is within */
        {CM_LOWER, -0.02, -0.01, CM_SUPPORTED},
        {CM_LOWER, 0.01, 0.02, CM_NOT_SUPPORTED},
        {CM_LOWER, -0.01, 0.02, CM_CANNOT_TELL},
        {CM_NOT_HIGHER, -0.02, 0.004, CM_SUPPORTED}, /* a gain too small to count */
        {CM_NOT_HIGHER, -0.02, 0.006, CM_CANNOT_TELL},
        {CM_NOT_HIGHER, 0.004, 0.02, CM_CANNOT_TELL},
        {CM_NOT_HIGHER, 0.006, 0.02, CM_NOT_SUPPORTED},
    };
    for (size_t i = 0; i < COUNT(cases); ++i) {
        const cm_mean_difference d = {.interval = {true, cases[i].low, cases[i].high}};
        assert_int_equal(cm_judge_difference(cases[i].relation, &d), cases[i].verdict);
    }
    const cm_mean_difference unknown = {.difference = 1, .interval = {false, NAN, NAN}};
    assert_int_equal(cm_judge_difference(CM_HIGHER, &unknown), CM_CANNOT_TELL);
}

static void test_combine(void **state) {
    (void)state;
    const cm_part_result yes = {.verdict = CM_SUPPORTED}, no = {.verdict = CM_NOT_SUPPORTED},
                         open = {.verdict = CM_CANNOT_TELL};
    const cm_part_result mixed[] = {yes, open, no}, unclear[] = {yes, open, yes};
    assert_int_equal(cm_combine_verdicts(&yes, 1), CM_SUPPORTED);
    assert_int_equal(cm_combine_verdicts(mixed, 3), CM_NOT_SUPPORTED);
    assert_int_equal(cm_combine_verdicts(unclear, 3), CM_CANNOT_TELL);
}

/* One seed has figures and no interval: no verdict, no number that is not one in JSON. */
static void test_one_seed(void **state) {
    (void)state;
    cm_report report;
    make_all(1, &report);
    for (int i = 0; i < CM_CLAIM_COUNT; ++i) {
        const cm_claim_result result = cm_judge_claim(&report, i);
        assert_string_equal(cm_format_verdict(&result), "cannot tell at this number of seeds");
        assert_int_equal(result.parts[0].pairs, 1);
    }
    const cm_report_row row = cm_report_row_of(&report, &report.variants[0], CM_MEASURE_ACCURACY);
    assert_string_equal(cm_format_inside(&row), "?");
    json_t *json = cm_report_to_json(&report, NULL);
    assert_non_null(json);
    const json_t *claim = json_array_get(json_object_get(json, "claims"), 2);
    const json_t *part = json_array_get(json_object_get(claim, "parts"), 0);
    assert_true(json_is_null(json_object_get(part, "confidence_interval")));
    assert_true(json_is_null(json_object_get(part, "p")));
    json_decref(json);
    char *text = cm_report_text(&report);
    assert_null(strstr(text, "nan"));
    free(text);
    cm_report_free(&report);
}

/* Pairs are made of the seeds that both sides have, whatever the order they were done in. */
static void test_unequal_seeds(void **state) {
    (void)state;
    cm_report report;
    make_all(4, &report);
    const cm_report_variant *bn3 = cm_report_find(&report, "bn-3");
    bn3->runs[0].done = false; /* bn-3 loses seed 0 */
    const cm_report_variant *base = cm_report_find(&report, "baseline");
    const cm_claim_result claim = cm_judge_claim(&report, 1);
    assert_int_equal(claim.parts[0].pairs, 3);
    double expected = 0;
    for (int seed = 1; seed < 4; ++seed) {
        expected += (bn3->runs[seed].values[2] - base->runs[seed].values[2]) / 3;
    }
    assert_close(claim.parts[0].accuracy.difference, expected);
    cm_report_free(&report);
}

static void test_missing_variants(void **state) {
    (void)state;
    cm_report_options options = two_variants();
    cm_report report;
    assert_int_equal(cm_report_make(&options, &dataset, NULL, &report, NULL), CM_OK);
    const cm_claim_result claim = cm_judge_claim(&report, 2);
    assert_true(claim.missing);
    assert_string_equal(cm_format_verdict(&claim),
                        "cannot tell: not all of its variants were trained");
    assert_string_equal(cm_format_part_verdict(&claim.parts[0]), "not trained");
    cm_report_free(&report);
}

static void test_text(void **state) {
    (void)state;
    cm_report report;
    make_all(3, &report);
    char *text = cm_report_text(&report);
    int lines = 0;
    for (const char *line = text; *line != '\0'; ++lines) {
        const size_t length = strcspn(line, "\n");
        if (length > 100) {
            fail_msg("%zu columns: %.*s", length, (int)length, line);
        }
        line += length + 1;
    }
    assert_true(lines > 8 * 3 + 17);
    assert_non_null(strstr(text, "24 runs: 8 variants, seeds 0 to 2\n"));
    assert_non_null(strstr(text, "1,054,218* "));
    assert_non_null(strstr(text, "\n* The report prints 1,052,170"));
    assert_null(strstr(text, "1,052,170*"));
    assert_null(strstr(text, cm_text_of_synthetic));
    assert_null(strstr(text, cm_text_of_other_options));
    report.options.train.steps = 5;
    char *other = cm_report_text(&report);
    assert_non_null(strstr(other, cm_text_of_other_options));
    free(text);
    free(other);
    cm_report_free(&report);
}

/* Words of the command line cannot break out of their place in the Markdown. */
static void test_markdown_command(void **state) {
    (void)state;
    cm_report_options options = two_variants();
    static const char *const argv[] = {"report", "it's\n# mine", "a b", ""};
    options.study.argc = COUNT(argv);
    options.study.argv = argv;
    cm_report report;
    assert_int_equal(cm_report_make(&options, &dataset, NULL, &report, NULL), CM_OK);
    char *markdown = cm_report_markdown(&report);
    assert_non_null(strstr(markdown, "\n    convmark report 'it'\\''s?# mine' 'a b' ''\n"));
    free(markdown);
    cm_report_free(&report);
}

/* What is not known of the machine has no row, rather than an empty one; the rest stays. */
static void test_markdown_without_a_field(void **state) {
    (void)state;
    const cm_report_options options = two_variants();
    cm_report report;
    assert_int_equal(cm_report_make(&options, &dataset, NULL, &report, NULL), CM_OK);
    char *whole = cm_report_markdown(&report);
    assert_non_null(strstr(whole, "\n| CPU | "));
    assert_int_equal(json_object_del(report.study.machine, "cpu"), 0);
    char *markdown = cm_report_markdown(&report);
    assert_null(strstr(markdown, "\n| CPU | "));
    assert_null(strstr(strstr(markdown, "\n## Machine\n"), "|  |"));
    assert_non_null(strstr(markdown, "\n| memory | "));
    free(whole);
    free(markdown);
    cm_report_free(&report);
}

static void test_format(void **state) {
    (void)state;
    assert_string_equal(cm_format_count(0).text, "0");
    assert_string_equal(cm_format_count(999).text, "999");
    assert_string_equal(cm_format_count(314250).text, "314,250");
    assert_string_equal(cm_format_count(1054218).text, "1,054,218");
    assert_string_equal(cm_format_value(NAN).text, "-");
    assert_string_equal(cm_format_value(0.80531).text, "0.8053");
}

static void test_synthetic(void **state) {
    (void)state;
    cm_report_options options = two_variants();
    dataset.real = false;
    cm_report report;
    cm_error error = {""};
    assert_int_equal(cm_report_make(&options, &dataset, NULL, &report, &error), CM_USAGE);
    assert_non_null(strstr(error.message, "scripts/get-data.sh"));
    assert_int_equal(trainer.calls, 0);
    cm_report_free(&report);
    options.study.allow_synthetic = true;
    assert_int_equal(cm_report_make(&options, &dataset, NULL, &report, NULL), CM_OK);
    char *text = cm_report_text(&report), *markdown = cm_report_markdown(&report);
    assert_non_null(strstr(text, cm_text_of_synthetic));
    assert_non_null(strstr(markdown, cm_text_of_synthetic));
    free(text);
    free(markdown);
    cm_report_free(&report);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(test_against_scipy, setup),
        cmocka_unit_test_setup(test_published_outside, setup),
        cmocka_unit_test_setup(test_judge, setup),
        cmocka_unit_test_setup(test_combine, setup),
        cmocka_unit_test_setup(test_one_seed, setup),
        cmocka_unit_test_setup(test_unequal_seeds, setup),
        cmocka_unit_test_setup(test_missing_variants, setup),
        cmocka_unit_test_setup(test_text, setup),
        cmocka_unit_test_setup(test_markdown_command, setup),
        cmocka_unit_test_setup(test_markdown_without_a_field, setup),
        cmocka_unit_test_setup(test_format, setup),
        cmocka_unit_test_setup(test_synthetic, setup),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
