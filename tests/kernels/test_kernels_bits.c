/* The same bits from every instruction set and team size, and proof that the checks find what they
 * are for: kernels broken on purpose. $CONVMARK_CHECK_CASES: cases per kernel (4 under emulation).
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "convmark/kernels.h"
#include "harness/verify/kernel_checks.h"

/* AddressSanitizer ends the program at a write outside an array: nothing is left to report. */
#if defined(__has_feature)
#if __has_feature(address_sanitizer)
#define CM_HAVE_ASAN 1
#endif
#elif defined(__SANITIZE_ADDRESS__)
#define CM_HAVE_ASAN 1
#endif

enum { DEFAULT_CASES = 30, SEED = 20251 };

static int cases_wanted(void) {
    const char *text = getenv("CONVMARK_CHECK_CASES");
    const int cases = text != NULL ? atoi(text) : DEFAULT_CASES;
    return cases >= 1 ? cases : DEFAULT_CASES;
}

static void every_instruction_set_and_team(void **state) {
    (void)state;
    static const int threads[] = {1, 2, 3, 7};
    const int cases = cases_wanted();
    cm_check_report report = {0, 0, 0};
    int64_t expected = 0;
    for (cm_isa isa = 0; isa < CM_ISA_COUNT; ++isa) {
        const cm_kernels *kernels = cm_kernels_of(isa);
        if (kernels == NULL) {
            print_message("%s: not on this machine\n", cm_isa_name(isa));
            continue;
        }
        for (size_t i = 0; i < sizeof threads / sizeof threads[0]; ++i) {
            cm_error error = {""};
            /* Other cases for each team size: they are all compared with scalar on one thread. */
            const cm_status status =
                cm_check_kernels(kernels, threads[i], SEED + (uint64_t)i, cases, &report, &error);
            if (status != CM_OK) {
                fail_msg("%s", error.message);
            }
            expected += (int64_t)cases * cm_check_kernel_count();
        }
        print_message("%s: same bits\n", kernels->name);
    }
    assert_int_equal(report.cases, expected);
    /* Outputs that are all zero or NaN would prove nothing. */
    assert_true(report.telling > report.elements / 4);
}

/* Cases of one kernel of a broken table, until one fails; its message. */
static cm_error first_failure(const cm_kernels *broken, int threads, const char *kernel) {
    cm_error error = {""};
    for (int i = 0; i < cm_check_kernel_count(); ++i) {
        if (strcmp(cm_check_kernel_name(i), kernel) != 0) {
            continue;
        }
        for (int number = 0; number < 30; ++number) {
            const cm_status status =
                cm_check_kernel_case(broken, threads, SEED, i, number, NULL, &error);
            if (status == CM_FAILED) {
                return error;
            }
            assert_int_equal(status, CM_OK);
        }
    }
    fail_msg("a broken %s was not found", kernel);
    return error;
}

static const cm_kernels *scalar(void) {
    return cm_kernels_of(CM_ISA_SCALAR);
}

static void flips_last_bit(const cm_team *team, size_t count, const float *x, float *y) {
    scalar()->relu_forward(team, count, x, y);
    cm_team_barrier(team);
    if (team->index == 0) {
        uint32_t bits;
        memcpy(&bits, &y[count - 1], sizeof bits);
        bits ^= 1;
        memcpy(&y[count - 1], &bits, sizeof bits);
    }
}

static void leaves_last_element(const cm_team *team, size_t count, const float *x, float *y) {
    scalar()->relu_forward(team, count - 1, x, y);
}

static void flips_sign_of_zero(const cm_team *team, size_t count, const float *x, float *y) {
    const cm_range range = cm_team_share(team, (ptrdiff_t)count);
    for (ptrdiff_t i = range.begin; i < range.end; ++i) {
        y[i] = x[i] > 0.0F || x[i] != x[i] ? x[i] : 0.0F;
    }
}

#ifdef _OPENMP
static void wrong_on_teams(const cm_team *team, size_t count, const float *x, float *y) {
    const cm_team alone = {0, 1, NULL, NULL};
    if (team->count == 1 || team->index == 1) {
        scalar()->relu_forward(&alone, count - (team->count > 1 ? 1 : 0), x, y);
    }
}
#endif

static void writes_input(const cm_team *team, size_t count, const float *dy, const float *y,
                         float *dx) {
    scalar()->relu_backward(team, count, dy, y, dx);
    cm_team_barrier(team);
    if (team->index == 0) {
        memset((void *)(uintptr_t)y, 0x11, sizeof *y);
    }
}

static void forgets_argmax(const cm_team *team, const cm_max_pool2d_forward_args *args) {
    cm_max_pool2d_forward_args others = *args;
    others.argmax = NULL;
    scalar()->max_pool2d_forward(team, &others);
}

/* A sum in another order: what vectorising along the reduction would do. */
static void sums_backwards(const cm_team *team, const cm_conv2d_forward_args *args) {
    const cm_conv2d_shape *shape = &args->plan->shape;
    scalar()->conv2d_forward(team, args);
    cm_team_barrier(team);
    if (team->index != 0 || shape->kernel_h * shape->kernel_w != 1 || args->relu ||
        args->bias != NULL || shape->padding_h + shape->padding_w > 0) {
        return;
    }
    for (int k = 0; k < shape->out_channels; ++k) {
        float sum = 0.0F;
        for (int c = shape->in_channels - 1; c >= 0; --c) {
            sum += args->x[c] * args->weight[c * shape->out_channels + k];
        }
        args->y[k] = sum;
    }
}

static void finds_broken_kernels(void **state) {
    (void)state;
    cm_relu_forward_fn *const broken[] = {
        flips_last_bit, leaves_last_element, flips_sign_of_zero,
#ifdef _OPENMP
        wrong_on_teams, /* without OpenMP there is no team to be wrong on */
#endif
    };
    for (size_t i = 0; i < sizeof broken / sizeof broken[0]; ++i) {
        cm_kernels kernels = *scalar();
        kernels.relu_forward = broken[i];
        const cm_error error = first_failure(&kernels, 2, "relu_forward");
        assert_non_null(strstr(error.message, "kernel relu_forward, isa scalar, threads 2, seed"));
        assert_non_null(strstr(error.message, ": y["));
    }
    cm_kernels kernels = *scalar();
    kernels.relu_backward = writes_input;
    kernels.max_pool2d_forward = forgets_argmax;
    kernels.conv2d_forward = sums_backwards;
    assert_non_null(strstr(first_failure(&kernels, 2, "relu_backward").message,
                           "the kernel wrote outside array y, or into it"));
    assert_non_null(strstr(first_failure(&kernels, 2, "max_pool2d_forward").message, ": argmax["));
    /* Sums of small integers are exact in any order: only reals can show another one. */
    assert_null(strstr(first_failure(&kernels, 2, "conv2d_forward").message, "integers"));
}

#ifndef CM_HAVE_ASAN
static void writes_behind(const cm_team *team, size_t count, const float *x, float *y) {
    scalar()->relu_forward(team, count, x, y);
    if (team->index == 0) {
        y[count] = 1.0F;
    }
}

static void finds_writes_outside(void **state) {
    (void)state;
    cm_kernels kernels = *scalar();
    kernels.relu_forward = writes_behind;
    assert_non_null(strstr(first_failure(&kernels, 1, "relu_forward").message,
                           "the kernel wrote outside array y, or into it"));
}
#endif

/* The cases that the fuzz target makes of bytes: of every instruction set here, and small ones
 * where it says so. */
static void bytes_decide_a_case(void **state) {
    (void)state;
    enum { INPUTS = 8, WORDS = 32, SMALL_WORK = 20 * 1000 };
    int sets = 0;
    for (cm_isa isa = 0; isa < CM_ISA_COUNT; ++isa) {
        sets += cm_kernels_of(isa) != NULL;
    }
    cm_check_report small = {0, 0, 0}, any = {0, 0, 0};
    for (int kernel = 0; kernel < cm_check_kernel_count(); ++kernel) {
        for (uint32_t input = 0; input < INPUTS; ++input) {
            uint32_t words[WORDS];
            const cm_random_key key = {SEED, CM_RANDOM_TEST, (uint32_t)kernel, input};
            for (uint32_t i = 0; i < WORDS / 4; ++i) {
                cm_philox4x32(&key, i, words + 4 * i);
            }
            const cm_check_report before = any;
            cm_error error = {""};
            if (cm_check_kernel_bytes(2, kernel, (const uint8_t *)words, sizeof words, SMALL_WORK,
                                      &small, &error) != CM_OK ||
                cm_check_kernel_bytes(2, kernel, (const uint8_t *)words, sizeof words, 0, &any,
                                      &error) != CM_OK) {
                fail_msg("%s", error.message);
            }
            assert_true(any.elements > before.elements);
            assert_int_equal((any.elements - before.elements) % sets, 0);
        }
    }
    assert_int_equal(small.cases, INPUTS * cm_check_kernel_count());
    assert_true(small.elements > 0 && small.elements < any.elements / 4);
}

static void refuses_wrong_arguments(void **state) {
    (void)state;
    cm_error error = {""};
    assert_int_equal(cm_check_kernels(NULL, 1, SEED, 1, NULL, &error), CM_USAGE);
    assert_int_equal(cm_check_kernels(scalar(), 0, SEED, 1, NULL, &error), CM_USAGE);
    assert_int_equal(cm_check_kernels(scalar(), 1, SEED, 0, NULL, &error), CM_USAGE);
    assert_int_equal(
        cm_check_kernel_case(scalar(), 1, SEED, cm_check_kernel_count(), 0, NULL, &error),
        CM_USAGE);
    assert_true(strlen(error.message) > 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_instruction_set_and_team),
        cmocka_unit_test(finds_broken_kernels),
#ifndef CM_HAVE_ASAN
        cmocka_unit_test(finds_writes_outside),
#endif
        cmocka_unit_test(bytes_decide_a_case),
        cmocka_unit_test(refuses_wrong_arguments),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
