/* Golden hashes of short runs: every instruction set of this machine, 1, 2, 3 and 7 threads.
 * `test_golden --print` prints the table for src/harness/verify/verify.c; `test_golden --quick`
 * (for slow emulators) runs all team sizes of one variant, and the others once an instruction set.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "convmark/network.h"
#include "harness/verify/verify.h"

static bool quick;

static void check_golden(void **state) {
    static const int team_sizes[] = {1, 2, 3, 7};
    const cm_golden *golden = *state;
    /* bn-3 has every kind of layer but dropout. */
    const bool one_size = quick && strcmp(golden->variant, "bn-3") != 0;
    for (cm_isa isa = 0; isa < CM_ISA_COUNT; ++isa) {
        if (cm_kernels_of(isa) == NULL || (quick && isa == CM_ISA_SCALAR)) {
            continue;
        }
        for (size_t i = one_size ? 1 : 0; i < (one_size ? 2 : 4); ++i) {
            cm_error error = {""};
            if (cm_verify_golden(golden, isa, team_sizes[i], &error) != CM_OK) {
                fail_msg("%s", error.message);
            }
        }
    }
}

/* A run that differs must be noticed: the hash of another variant is not accepted. */
static void check_refusal(void **state) {
    (void)state;
    int count = 0;
    const cm_golden *goldens = cm_goldens(&count);
    const cm_golden wrong = {goldens[0].variant, goldens[1].sha256};
    cm_error error = {""};
    assert_int_equal(cm_verify_golden(&wrong, cm_kernels_best()->isa, 1, &error), CM_FAILED);
    assert_non_null(strstr(error.message, goldens[1].sha256));
}

static void check_table(void **state) {
    (void)state;
    int goldens = 0, variants = 0;
    const cm_golden *golden = cm_goldens(&goldens);
    const cm_variant *variant = cm_variants(&variants);
    assert_int_equal(goldens, variants);
    for (int i = 0; i < goldens; ++i) {
        assert_string_equal(golden[i].variant, variant[i].id);
    }
}

static int print_table(void) {
    int count = 0;
    const cm_golden *goldens = cm_goldens(&count);
    for (int i = 0; i < count; ++i) {
        char hex[65];
        cm_error error = {""};
        if (cm_golden_run(goldens[i].variant, cm_kernels_best()->isa, 1, hex, &error) != CM_OK) {
            fprintf(stderr, "%s\n", error.message);
            return 1;
        }
        printf("    {\"%s\", \"%s\"},\n", goldens[i].variant, hex);
    }
    return 0;
}

enum { MAX_TESTS = 32 };

int main(int argc, char **argv) {
    if (argc > 1 && strcmp(argv[1], "--print") == 0) {
        return print_table();
    }
    quick = argc > 1 && strcmp(argv[1], "--quick") == 0;
    int count = 0;
    const cm_golden *goldens = cm_goldens(&count);
    struct CMUnitTest tests[MAX_TESTS] = {cmocka_unit_test(check_table),
                                          cmocka_unit_test(check_refusal)};
    assert_true(count + 2 <= MAX_TESTS);
    for (int i = 0; i < count; ++i) {
        tests[i + 2] = (struct CMUnitTest){goldens[i].variant, check_golden, NULL, NULL,
                                           (void *)(uintptr_t)&goldens[i]};
    }
    return _cmocka_run_group_tests("golden", tests, (size_t)count + 2, NULL, NULL);
}
