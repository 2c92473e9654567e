/* ReduceLROnPlateau against PyTorch's, and the count that early stopping looks at. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "oracles/plateau_golden.h"
#include "train/schedule.h"

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

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_rates_are_those_of_pytorch),
        cmocka_unit_test(test_counts_epochs_since_the_best),
    };
    return cmocka_run_group_tests_name("schedule", tests, NULL, NULL);
}
