/**
 * The capabilities of this machine: floating-point operations per second, and bytes per second from
 * each level of its memory. They are measured, because data sheets do not give the current clock.
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

/** A level of memory. Each thread of the team reads a buffer of its own from it. */
typedef struct cm_level {
    char name[8];            /* "L1", "L2", "L3", "DRAM" */
    size_t size;             /* bytes of one cache of this level; 0: DRAM */
    size_t buffer;           /* bytes that each thread reads */
    double bytes_per_second; /* of all threads together */
} cm_level;

typedef struct cm_capability {
    int threads;
    double flops[CM_ISA_COUNT]; /* per second, of all threads; an FMA is two; 0: not usable */
    int level_count;
    cm_level levels[CM_MAX_LEVELS];
} cm_capability;

/**
 * Measures with a team of `threads`, which the caller has pinned (cm_threads_prepare()). Each
 * figure is the best of several repetitions of some milliseconds, because noise only makes a
 * machine slower. Levels are read with the instructions of `isa`. Takes about half a second.
 * CM_FAILED: no memory.
 */
cm_status cm_capability_measure(const cm_topology *topology, int threads, cm_isa isa,
                                cm_capability *capability, cm_error *error);

/** As JSON: kind "info" in docs/reference/results-schema.md. NULL: no memory. */
json_t *cm_capability_json(const cm_capability *capability, cm_error *error);

#ifdef __cplusplus
}
#endif

#endif
