#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "core/name_suggestion.h"

static const char *const WORDS[] = {"conv2d",  "batch_norm", "relu",  "max_pool2d",
                                    "dropout", "flatten",    "linear"};
enum { WORD_COUNT = sizeof WORDS / sizeof WORDS[0] };

static void test_finds_each_kind_of_edit(void **state) {
    (void)state;
    static const char *const rows[][2] = {
        {"conv2d", "conv2d"},         /* the word itself */
        {"relus", "relu"},            /* deletion */
        {"rel", "relu"},              /* insertion */
        {"linaar", "linear"},         /* substitution */
        {"erlu", "relu"},             /* swap: one edit, two substitutions would be too far */
        {"CONV2D", "conv2d"},         /* case */
        {"maxpool", "max_pool2d"},    /* three edits in ten letters */
        {"BatchNorm2d", "batch_norm"} /* PyTorch's name */
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; ++i) {
        const char *nearest = cm_suggest_name(rows[i][0], WORDS, WORD_COUNT);
        assert_non_null(nearest);
        assert_string_equal(nearest, rows[i][1]);
    }
}

static void test_says_nothing_when_all_are_far(void **state) {
    (void)state;
    static const char *const far[] = {"", "x", "softmax", "re", "rxyu", "pool"};
    for (size_t i = 0; i < sizeof far / sizeof far[0]; ++i) {
        assert_null(cm_suggest_name(far[i], WORDS, WORD_COUNT));
    }
    assert_null(cm_suggest_name("relu", WORDS, 0));
}

static void test_takes_the_nearest_then_the_first(void **state) {
    (void)state;
    static const char *const names[] = {"bn-16x", "bn-8", "bn-3"};
    assert_ptr_equal(cm_suggest_name("bn-3", names, 3), names[2]);
    assert_ptr_equal(cm_suggest_name("bn-9", names, 3), names[1]);
    assert_ptr_equal(cm_suggest_name("bn-16", names, 3), names[0]);
}

static void test_long_names_are_left_alone(void **state) {
    (void)state;
    char longest[65];
    char too_long[66];
    memset(longest, 'a', sizeof longest);
    memset(too_long, 'a', sizeof too_long);
    longest[64] = '\0';
    too_long[65] = '\0';
    const char *const names[] = {too_long, longest};
    assert_ptr_equal(cm_suggest_name(longest, names, 2), longest);
    assert_null(cm_suggest_name(longest, names, 1));
    assert_null(cm_suggest_name(too_long, names, 2));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_finds_each_kind_of_edit),
        cmocka_unit_test(test_says_nothing_when_all_are_far),
        cmocka_unit_test(test_takes_the_nearest_then_the_first),
        cmocka_unit_test(test_long_names_are_left_alone),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
