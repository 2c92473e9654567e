/* The table of instruction sets: names, completeness, and its choice against what the system says
 * of the processor. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "convmark/kernels.h"
#if defined(__x86_64__)
#include "kernels/x86_features.h"
#endif

static void names_are_their_own_inverse(void **state) {
    (void)state;
    for (cm_isa isa = 0; isa < CM_ISA_COUNT; ++isa) {
        assert_int_equal(cm_isa_from_name(cm_isa_name(isa)), isa);
    }
    assert_string_equal(cm_isa_name(CM_ISA_SCALAR), "scalar");
    assert_string_equal(cm_isa_name(CM_ISA_COUNT), "unknown");
    static const char *const wrong[] = {"", "AVX2", "avx", "avx512 ", "sse"};
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; ++i) {
        assert_int_equal(cm_isa_from_name(wrong[i]), CM_ISA_COUNT);
    }
    assert_null(cm_kernels_of(CM_ISA_COUNT));
    assert_false(cm_isa_built(CM_ISA_COUNT));
}

static void tables_are_complete(void **state) {
    (void)state;
    for (cm_isa isa = 0; isa < CM_ISA_COUNT; ++isa) {
        const cm_kernels *kernels = cm_kernels_of(isa);
        if (kernels == NULL) {
            continue;
        }
        assert_true(cm_isa_built(isa));
        assert_int_equal(kernels->isa, isa);
        assert_string_equal(kernels->name, cm_isa_name(isa));
        assert_true(kernels->lanes == 1 ? isa == CM_ISA_SCALAR : kernels->lanes % 4 == 0);
#define ASSERT_MEMBER(op) assert_non_null(kernels->op);
        CM_KERNEL_LIST(ASSERT_MEMBER)
#undef ASSERT_MEMBER
    }
}

/* Tables of two instruction sets must not share a function: that would be one of them built twice.
 */
static void tables_are_different(void **state) {
    (void)state;
    const cm_kernels *scalar = cm_kernels_of(CM_ISA_SCALAR);
    const cm_kernels *best = cm_kernels_best();
    if (best == scalar) {
        skip();
    }
#define ASSERT_OTHER(op) assert_true(scalar->op != best->op);
    CM_KERNEL_LIST(ASSERT_OTHER)
#undef ASSERT_OTHER
}

static void best_is_the_last_usable(void **state) {
    (void)state;
    const cm_kernels *last = NULL;
    for (cm_isa isa = 0; isa < CM_ISA_COUNT; ++isa) {
        if (cm_kernels_of(isa) != NULL) {
            last = cm_kernels_of(isa);
        }
    }
    assert_non_null(cm_kernels_of(CM_ISA_SCALAR));
    assert_ptr_equal(cm_kernels_best(), last);
    assert_int_equal(cm_isa_resolve(CM_ISA_BEST), last->isa);
    for (cm_isa isa = 0; isa < CM_ISA_COUNT; ++isa) {
        assert_int_equal(cm_isa_resolve(isa), isa); /* also one that cannot run here */
    }
    print_message("best: %s\n", last->name);
}

#if defined(__x86_64__) && defined(__linux__)
/* Whether " flag " is among the processor's flags, which Linux lists only where it saves their
 * registers. */
static bool has_flag(const char *flags, const char *flag) {
    char word[32];
    snprintf(word, sizeof word, " %s ", flag);
    return strstr(flags, word) != NULL;
}
#endif

static void agrees_with_the_system(void **state) {
    (void)state;
#if defined(__aarch64__)
    assert_int_equal(cm_kernels_best()->isa, CM_ISA_NEON);
#elif defined(__x86_64__) && defined(__linux__)
    static char line[16384];
    FILE *file = fopen("/proc/cpuinfo", "r");
    bool found = false;
    while (file != NULL && !found && fgets(line, sizeof line, file) != NULL) {
        found = strncmp(line, "flags", 5) == 0;
    }
    if (file != NULL) {
        fclose(file);
    }
    if (!found) {
        skip();
    }
    line[strcspn(line, "\n")] = ' ';
    const bool avx2 = has_flag(line, "avx2") && has_flag(line, "fma");
    const bool avx512 = avx2 && has_flag(line, "avx512f") && has_flag(line, "avx512bw") &&
                        has_flag(line, "avx512dq") && has_flag(line, "avx512vl");
    assert_int_equal(cm_kernels_of(CM_ISA_AVX2) != NULL, avx2);
    assert_int_equal(cm_kernels_of(CM_ISA_AVX512) != NULL, avx512);
    assert_null(cm_kernels_of(CM_ISA_NEON));
#else
    skip();
#endif
}

/* Processors and systems that are not here. Each row takes away from a machine that has all. */
static void decides_by_processor_and_system(void **state) {
    (void)state;
#if defined(__x86_64__)
    enum { SYSTEM_SAVES_ALL = 0xE7, NO_ZMM = 0x7, NO_OPMASK = 0xC7, NO_HIGH_ZMM = 0x67 };
    static const unsigned avx = bit_OSXSAVE | bit_AVX | bit_FMA;
    static const unsigned all = bit_AVX2 | bit_AVX512F | bit_AVX512BW | bit_AVX512DQ | bit_AVX512VL;
    const struct {
        cm_x86_features id;
        bool avx2, avx512;
    } rows[] = {
        {{avx, all, SYSTEM_SAVES_ALL}, true, true},
        {{avx, all, NO_ZMM}, true, false},
        {{avx, all, NO_OPMASK}, true, false},
        {{avx, all, NO_HIGH_ZMM}, true, false},
        {{avx, all, 0xA7}, true, false}, /* without the upper halves of ZMM0-15 */
        {{avx, all, 0x3}, false, false}, /* SSE alone */
        {{avx, all, 0xE5}, false, false},
        {{avx & ~(unsigned)bit_OSXSAVE, all, 0}, false, false},
        {{avx & ~(unsigned)bit_AVX, all, SYSTEM_SAVES_ALL}, false, false},
        {{avx & ~(unsigned)bit_FMA, all, SYSTEM_SAVES_ALL}, false, false},
        {{avx, all & ~(unsigned)bit_AVX2, SYSTEM_SAVES_ALL}, false, false},
        {{avx, all & ~(unsigned)bit_AVX512F, SYSTEM_SAVES_ALL}, true, false},
        {{avx, all & ~(unsigned)bit_AVX512BW, SYSTEM_SAVES_ALL}, true, false},
        {{avx, all & ~(unsigned)bit_AVX512DQ, SYSTEM_SAVES_ALL}, true, false},
        {{avx, all & ~(unsigned)bit_AVX512VL, SYSTEM_SAVES_ALL}, true, false},
        {{0, 0, 0}, false, false},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; ++i) {
        if (cm_x86_has_avx2(rows[i].id) != rows[i].avx2 ||
            cm_x86_has_avx512(rows[i].id) != rows[i].avx512) {
            fail_msg("row %zu", i);
        }
    }
#else
    skip();
#endif
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(names_are_their_own_inverse),
        cmocka_unit_test(tables_are_complete),
        cmocka_unit_test(tables_are_different),
        cmocka_unit_test(best_is_the_last_usable),
        cmocka_unit_test(agrees_with_the_system),
        cmocka_unit_test(decides_by_processor_and_system),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
