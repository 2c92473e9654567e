/* The table of instruction sets: their names, which of them are in this build, and which this CPU
 * and its operating system can run. Compiled without any instruction-set flag. */
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
#else
static bool avx2_usable(void) {
    return false;
}

static bool avx512_usable(void) {
    return false;
}
#endif

static bool always_usable(void) {
    return true;
}

/* One row per instruction set, slowest first as in cm_isa: name in cm_isa, name, whether this CPU
 * and operating system can run it. kernels/CMakeLists.txt sets CM_HAVE_XYZ to 1 for the sets of
 * this build, to 0 for the others. */
#define ISA_ROWS(ROW)                  \
    ROW(SCALAR, scalar, always_usable) \
    ROW(NEON, neon, always_usable)     \
    ROW(AVX2, avx2, avx2_usable)       \
    ROW(AVX512, avx512, avx512_usable)

#define DECLARE_KERNELS(isa, text, usable) extern const cm_kernels cm_kernel_table_##text;
ISA_ROWS(DECLARE_KERNELS)

#define KERNELS_IF_0(text) NULL
#define KERNELS_IF_1(text) &cm_kernel_table_##text
#define KERNELS_IF_(have, text) KERNELS_IF_##have(text)
#define KERNELS_IF(have, text) KERNELS_IF_(have, text)

static const struct {
    const char *name;
    const cm_kernels *kernels; /* NULL: not in this build */
    bool (*usable)(void);
} isa_table[CM_ISA_COUNT] = {
#define TABLE_ROW(isa, text, usable) \
    [CM_ISA_##isa] = {#text, KERNELS_IF(CM_HAVE_##isa, text), usable},
    ISA_ROWS(TABLE_ROW)};

const cm_kernels *cm_kernels_of(cm_isa isa) {
    return cm_isa_built(isa) && isa_table[isa].usable() ? isa_table[isa].kernels : NULL;
}

cm_isa cm_isa_resolve(cm_isa wanted) {
    if (wanted != CM_ISA_BEST) {
        return wanted;
    }
    cm_isa isa = CM_ISA_BEST - 1;
    while (cm_kernels_of(isa) == NULL) { /* ends at scalar, which is always there */
        --isa;
    }
    return isa;
}

const cm_kernels *cm_kernels_best(void) {
    return cm_kernels_of(cm_isa_resolve(CM_ISA_BEST));
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
