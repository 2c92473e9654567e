/* Philox 4x32-10 against the known answers of Random123 (Salmon, Moraes, Dror & Shaw, SC'11; its
 * file kat_vectors), and what is made of its words. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "convmark/philox.h"

static void known_answers(void **state) {
    (void)state;
    static const struct {
        uint32_t counter[4], key[2], expected[4];
    } rows[] = {
        {{0, 0, 0, 0}, {0, 0}, {0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8}},
        {{0xffffffff, 0xffffffff, 0xffffffff, 0xffffffff},
         {0xffffffff, 0xffffffff},
         {0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd}},
        {{0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344},
         {0xa4093822, 0x299f31d0},
         {0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1}},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; ++i) {
        const cm_random_key key = {.seed = (uint64_t)rows[i].key[1] << 32 | rows[i].key[0],
                                   .step = rows[i].counter[1],
                                   .index = rows[i].counter[2],
                                   .purpose = rows[i].counter[3]};
        uint32_t words[4];
        cm_philox4x32(&key, rows[i].counter[0], words);
        assert_memory_equal(words, rows[i].expected, sizeof words);
    }
}

static void words_are_the_elements_of_blocks(void **state) {
    (void)state;
    const cm_random_key key = {.seed = 1, .purpose = CM_RANDOM_TEST, .index = 2, .step = 3};
    for (uint32_t block = 0; block < 3; ++block) {
        uint32_t words[4];
        cm_philox4x32(&key, block, words);
        for (uint32_t i = 0; i < 4; ++i) {
            assert_int_equal(cm_random_u32(&key, 4 * block + i), words[i]);
        }
    }
}

static void uniform_is_exact(void **state) {
    (void)state;
    assert_true(cm_uniform_from_u32(0) == 0.0F);
    assert_true(cm_uniform_from_u32(0xff) == 0.0F);
    assert_true(cm_uniform_from_u32(0x100) == 0x1p-24F);
    assert_true(cm_uniform_from_u32(0x80000000) == 0.5F);
    assert_true(cm_uniform_from_u32(0xffffffff) == 1.0F - 0x1p-24F);
    const cm_random_key key = {.seed = 5, .purpose = CM_RANDOM_TEST};
    double sum = 0.0;
    for (uint64_t i = 0; i < 10000; ++i) {
        assert_true(cm_random_uniform(&key, i) == cm_uniform_from_u32(cm_random_u32(&key, i)));
        sum += (double)cm_random_uniform(&key, i);
    }
    /* Five standard deviations of the mean of 10,000 uniform numbers. */
    assert_true(sum / 10000 > 0.5 - 0.0145 && sum / 10000 < 0.5 + 0.0145);
}

/* Each part of the key gives another sequence. */
static void keys_are_apart(void **state) {
    (void)state;
    const cm_random_key keys[] = {{1, 1, 1, 1}, {2, 1, 1, 1}, {UINT64_C(1) << 32 | 1, 1, 1, 1},
                                  {1, 2, 1, 1}, {1, 1, 2, 1}, {1, 1, 1, 2}};
    const size_t count = sizeof keys / sizeof keys[0];
    for (size_t i = 0; i < count; ++i) {
        for (size_t j = 0; j < i; ++j) {
            assert_true(cm_random_u32(&keys[i], 0) != cm_random_u32(&keys[j], 0));
        }
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(known_answers),
        cmocka_unit_test(words_are_the_elements_of_blocks),
        cmocka_unit_test(uniform_is_exact),
        cmocka_unit_test(keys_are_apart),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
