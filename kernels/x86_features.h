/*
 * What an x86 processor and its operating system say of AVX: which bits of CPUID and XCR0 an
 * instruction set needs. Functions of the bits alone, so that tests can ask them about machines
 * that are not there.
 */
#ifndef CM_KERNELS_X86_FEATURES_H
#define CM_KERNELS_X86_FEATURES_H

#include <cpuid.h>
#include <stdbool.h>

/* State components that the operating system must save (Intel SDM vol. 1, 13.3): SSE and AVX; for
 * AVX-512 also opmask, upper halves of ZMM0-15, and ZMM16-31. */
enum { CM_XCR0_AVX = 0x6, CM_XCR0_AVX512 = 0xE6 };

/** ECX of leaf 1, EBX of leaf 7, and XCR0, 0 where the system does not show it (OSXSAVE). */
typedef struct cm_x86_features {
    unsigned ecx1, ebx7, xcr0;
} cm_x86_features;

static inline bool cm_x86_has_avx2(cm_x86_features id) {
    return (id.xcr0 & CM_XCR0_AVX) == CM_XCR0_AVX && (id.ecx1 & bit_AVX) && (id.ecx1 & bit_FMA) &&
           (id.ebx7 & bit_AVX2);
}

static inline bool cm_x86_has_avx512(cm_x86_features id) {
    const unsigned needed = bit_AVX512F | bit_AVX512BW | bit_AVX512DQ | bit_AVX512VL;
    return cm_x86_has_avx2(id) && (id.xcr0 & CM_XCR0_AVX512) == CM_XCR0_AVX512 &&
           (id.ebx7 & needed) == needed;
}

#endif
