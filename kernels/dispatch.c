/* One table: which instruction sets were built, and which of them this CPU and its operating system
 * can run. Compiled without any instruction-set flag. */
#include <string.h>

#include "convmark/kernels.h"

#if defined(__x86_64__)
#include "kernels/x86_features.h"

static cm_x86_features read_features(void) {
    cm_x86_features id = {0, 0, 0};
    unsigned eax, ebx, ecx, edx;
    if (__get_cpuid(1, &eax, &ebx, &ecx, &edx)) {
        id.ecx1 = ecx;
    }
    if (__get_cpuid_count(7, 0, &eax, &ebx, &ecx, &edx)) {
        id.ebx7 = ebx;
    }
    if (id.ecx1 & bit_OSXSAVE) {
        unsigned high;
        __asm__("xgetbv" : "=a"(id.xcr0), "=d"(high) : "c"(0));
        (void)high;
    }
    return id;
}

static bool avx2_usable(void) {
    return cm_x86_has_avx2(read_features());
}

static bool avx512_usable(void) {
    return cm_x86_has_avx512(read_features());
}
#endif

static bool always_usable(void) {
    return true;
}

extern const cm_kernels cm_kernel_table_scalar;
#ifdef CM_HAVE_NEON
extern const cm_kernels cm_kernel_table_neon;
#endif
#ifdef CM_HAVE_AVX2
extern const cm_kernels cm_kernel_table_avx2;
#endif
#ifdef CM_HAVE_AVX512
extern const cm_kernels cm_kernel_table_avx512;
#endif

typedef struct cm_isa_row {
    const char *name;
    const cm_kernels *kernels; /* NULL: not in this build */
    bool (*usable)(void);
} cm_isa_row;

static const cm_isa_row isa_table[CM_ISA_COUNT] = {
    [CM_ISA_SCALAR] = {"scalar", &cm_kernel_table_scalar, always_usable},
#ifdef CM_HAVE_NEON
    [CM_ISA_NEON] = {"neon", &cm_kernel_table_neon, always_usable},
#else
    [CM_ISA_NEON] = {"neon", NULL, always_usable},
#endif
#ifdef CM_HAVE_AVX2
    [CM_ISA_AVX2] = {"avx2", &cm_kernel_table_avx2, avx2_usable},
#else
    [CM_ISA_AVX2] = {"avx2", NULL, always_usable},
#endif
#ifdef CM_HAVE_AVX512
    [CM_ISA_AVX512] = {"avx512", &cm_kernel_table_avx512, avx512_usable},
#else
    [CM_ISA_AVX512] = {"avx512", NULL, always_usable},
#endif
};

const cm_kernels *cm_kernels_of(cm_isa isa) {
    if (isa >= CM_ISA_COUNT || isa_table[isa].kernels == NULL || !isa_table[isa].usable()) {
        return NULL;
    }
    return isa_table[isa].kernels;
}

const cm_kernels *cm_kernels_best(void) {
    cm_isa isa = CM_ISA_COUNT - 1;
    while (cm_kernels_of(isa) == NULL) { /* ends at scalar, which is always there */
        --isa;
    }
    return cm_kernels_of(isa);
}

const char *cm_isa_name(cm_isa isa) {
    return isa < CM_ISA_COUNT ? isa_table[isa].name : "unknown";
}

cm_isa cm_isa_from_name(const char *name) {
    cm_isa isa = 0;
    while (isa < CM_ISA_COUNT && strcmp(isa_table[isa].name, name) != 0) {
        ++isa;
    }
    return isa;
}

bool cm_isa_built(cm_isa isa) {
    return isa < CM_ISA_COUNT && isa_table[isa].kernels != NULL;
}
