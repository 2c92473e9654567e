/**
 * Loops that do nothing but what limits the kernels: fused multiply-adds in registers, and reading.
 * They measure a machine (src/harness/measure/capability.h); nothing is computed with them.
 */
#ifndef CM_KERNELS_PROBE_H
#define CM_KERNELS_PROBE_H

#include <stddef.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct cm_probes {
    /* `rounds` rounds of independent chains of fma, flops_per_round operations each (an fma counts
     * two). The result only keeps the compiler from leaving them out. */
    float (*fma)(size_t rounds);
    int flops_per_round;
    /* Reads `count` floats, a multiple of CM_PROBE_BLOCK, once, and adds them up. */
    float (*read)(const float *from, size_t count);
} cm_probes;

/** Floats that probes of all instruction sets read in whole steps. */
enum { CM_PROBE_BLOCK = 256 };

#ifdef __cplusplus
}
#endif

#endif
