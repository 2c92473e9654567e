/* The schedules against PyTorch's, and the count that early stopping looks at. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "convmark/schedule.h"
#include "convmark/trainer.h"
#include "oracles/plateau_golden.h"
#include "oracles/schedules_golden.h"

static void test_rates_are_those_of_pytorch(void **state) {
    (void)state;
    const size_t count = sizeof plateau_golden / sizeof plateau_golden[0];
    cm_plateau plateau = {0};
    double rate = 0.0;
    int reductions = 0;
    for (size_t i = 0; i < count; ++i) {
        if (i == 0 || plateau_golden[i].sequence != plateau_golden[i - 1].sequence) {
            plateau = cm_plateau_init(plateau_golden[i].factor, plateau_golden[i].patience);
            rate = plateau_golden[i].first;
        }
        const double before = rate;
        cm_plateau_observe(&plateau, plateau_golden[i].value, &rate);
        reductions += rate < before;
        if (rate != plateau_golden[i].rate) {
            fail_msg("row %zu: the rate is %.17g, PyTorch's %.17g", i, rate,
                     plateau_golden[i].rate);
        }
    }
    assert_true(reductions > 10); /* the sequences do reduce it */
}

static void test_counts_epochs_since_the_best(void **state) {
    (void)state;
    static const struct {
        double value, best;
        int since_best;
    } rows[] = {{2.0, 2.0, 0}, {3.0, 2.0, 1},         {2.0, 2.0, 2}, {1.9999, 2.0, 3},
                {1.9, 1.9, 0}, {(double)NAN, 1.9, 1}, {1.8, 1.8, 0}};
    cm_plateau plateau = cm_plateau_init(0.1, 1);
    double rate = 1.0;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; ++i) {
        cm_plateau_observe(&plateau, rows[i].value, &rate);
        assert_true(plateau.best == rows[i].best);
        assert_int_equal(plateau.since_best, rows[i].since_best); /* reductions do not reset it */
    }
    assert_true(rate == 0.1);
}

/* Rates of the table, batch by batch: a reduction is one product, as PyTorch's; of the cosine's
 * last bits theirs differ. */
static void test_rates_are_those_of_the_formulas(void **state) {
    (void)state;
    const double allowed = 4 * 0x1p-53 * 1e-3;
    cm_schedule schedule = {.rate = 0.0};
    double highest = 0.0;
    for (size_t i = 0; i < sizeof schedules_golden / sizeof *schedules_golden; ++i) {
        if (schedules_golden[i].step == 0) {
            cm_train_options options = cm_train_options_default();
            options.schedule = schedules_golden[i].kind;
            options.epochs = schedules_golden[i].epochs;
            options.steps = schedules_golden[i].steps;
            options.schedule_step = schedules_golden[i].step_epochs;
            options.schedule_factor = schedules_golden[i].factor;
            schedule = cm_schedule_init(&options);
        }
        const double rate = cm_schedule_next(&schedule);
        const double difference = fabs(rate - schedules_golden[i].rate);
        highest = fmax(highest, difference);
        const bool exact = schedules_golden[i].kind <= CM_SCHEDULE_STEP;
        if (exact ? difference > 0.0 : difference > allowed) {
            fail_msg("row %zu: the rate is %.17g, PyTorch's %.17g", i, rate,
                     schedules_golden[i].rate);
        }
        cm_schedule_observe(&schedule, 1.0); /* no plateau reduces them */
    }
    assert_int_equal(schedule.step, schedule.total_steps);
    print_message("largest difference: %g of the first rate\n", highest / 1e-3);
}

/* The bits themselves: what every machine and compiler must give. */
static void test_rates_have_the_same_bits_everywhere(void **state) {
    (void)state;
    static const struct {
        cm_schedule_kind kind;
        double sum; /* of 300 rates */
    } expected[] = {{CM_SCHEDULE_PLATEAU, 0x1.3333333333337p-2},
                    {CM_SCHEDULE_CONSTANT, 0x1.3333333333337p-2},
                    {CM_SCHEDULE_STEP, 0x1.c6a7ef9db22cfp-4},
                    {CM_SCHEDULE_COSINE, 0x1.34395810624e2p-3},
                    {CM_SCHEDULE_ONE_CYCLE, 0x1.35dcfee2e3534p-3}};
    for (size_t i = 0; i < sizeof expected / sizeof *expected; ++i) {
        cm_train_options options = cm_train_options_default();
        options.schedule = expected[i].kind;
        cm_schedule schedule = cm_schedule_init(&options);
        double sum = 0.0;
        for (int step = 0; step < options.epochs * options.steps; ++step) {
            sum += cm_schedule_next(&schedule);
        }
        if (sum != expected[i].sum) {
            fail_msg("%s: %a, not %a", cm_schedule_name(expected[i].kind), sum, expected[i].sum);
        }
    }
}

static void test_plateau_is_the_only_one_that_follows_the_loss(void **state) {
    (void)state;
    for (cm_schedule_kind kind = 0; kind < CM_SCHEDULE_COUNT; ++kind) {
        cm_train_options options = cm_train_options_default();
        options.schedule = kind;
        options.plateau_patience = 0;
        cm_schedule schedule = cm_schedule_init(&options);
        cm_schedule_next(&schedule);
        const double before = schedule.rate;
        cm_schedule_observe(&schedule, 1.0);
        cm_schedule_observe(&schedule, 1.0);
        assert_int_equal(schedule.plateau.since_best, 1);
        assert_true((schedule.rate < before) == (kind == CM_SCHEDULE_PLATEAU));
    }
}

static void test_names(void **state) {
    (void)state;
    for (cm_schedule_kind kind = 0; kind < CM_SCHEDULE_COUNT; ++kind) {
        assert_int_equal(cm_schedule_from_name(cm_schedule_name(kind)), kind);
    }
    assert_int_equal(cm_schedule_from_name("linear"), CM_SCHEDULE_COUNT);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_rates_are_those_of_the_formulas),
        cmocka_unit_test(test_rates_have_the_same_bits_everywhere),
        cmocka_unit_test(test_plateau_is_the_only_one_that_follows_the_loss),
        cmocka_unit_test(test_names),
        cmocka_unit_test(test_rates_are_those_of_pytorch),
        cmocka_unit_test(test_counts_epochs_since_the_best),
    };
    return cmocka_run_group_tests_name("schedule", tests, NULL, NULL);
}
