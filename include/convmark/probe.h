/**
 * Loops that measure the limits of a machine: FMAs in registers, and reading memory. They compute
 * nothing that is used (src/harness/measure/capability.h).
 */
#ifndef CM_KERNELS_PROBE_H
#define CM_KERNELS_PROBE_H

#include <stddef.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct cm_probes {
    /* Runs `rounds` rounds of FMAs in independent chains, flops_per_round operations per round (an
     * FMA counts as two). The result only keeps the compiler from removing the loop. */
    float (*fma)(size_t rounds);
    int flops_per_round;
    /* Reads `count` floats once, a multiple of CM_PROBE_BLOCK, and returns their sum. */
    float (*read)(const float *from, size_t count);
} cm_probes;

/** Floats that `read` of every instruction set takes in whole steps. */
enum { CM_PROBE_BLOCK = 256 };

#ifdef __cplusplus
}
#endif

#endif
