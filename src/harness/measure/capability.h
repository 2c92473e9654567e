/**
 * What this machine can do: fused multiply-adds a second, and bytes a second from each level of its
 * memory. Measured, because data sheets do not know the clock of the moment.
 */
#ifndef CM_MEASURE_CAPABILITY_H
#define CM_MEASURE_CAPABILITY_H

#include <jansson.h>
#include <stddef.h>

#include "convmark/kernels.h"
#include "convmark/status.h"
#include "core/system/topology.h"

#ifdef __cplusplus
extern "C" {
#endif

enum { CM_MAX_LEVELS = 4 };

/** A level of memory as the team reads it, each thread a buffer of its own. */
typedef struct cm_level {
    char name[8];            /* "L1", "L2", "L3", "DRAM" */
    size_t size;             /* bytes of the cache that a thread has to itself or shares; 0: DRAM */
    size_t buffer;           /* bytes that each thread reads */
    double bytes_per_second; /* of all threads together */
} cm_level;

typedef struct cm_capability {
    int threads;
    double flops[CM_ISA_COUNT]; /* a second, all threads together; an fma is two; 0: not usable */
    int level_count;
    cm_level levels[CM_MAX_LEVELS];
} cm_capability;

/**
 * Measures with a team of `threads`, which the caller has pinned (cm_threads_prepare()). Each
 * figure is the best of several repetitions of some milliseconds: noise only makes a machine
 * slower. Levels are read with the instructions of `isa`. Takes about half a second. CM_FAILED: no
 * memory.
 */
cm_status cm_capability_measure(const cm_topology *topology, int threads, cm_isa isa,
                                cm_capability *capability, cm_error *error);

/** As JSON, see kind "info" in docs/reference/results-schema.md. NULL: no memory. */
json_t *cm_capability_json(const cm_capability *capability);

#ifdef __cplusplus
}
#endif

#endif
