/**
 * Conditions that make timings on this machine unreliable or hard to repeat.
 */
#ifndef CM_MEASURE_CONDITIONS_H
#define CM_MEASURE_CONDITIONS_H

#include <jansson.h>

#include "core/system/topology.h"

#ifdef __cplusplus
extern "C" {
#endif

enum { CM_MAX_CONDITIONS = 16 };

/** One condition that holds. */
typedef struct cm_condition {
    const char *name; /* "load", "governor" ... */
    char message[200];
} cm_condition;

/**
 * Finds the conditions that hold: a debug build, frequency scaling, turbo, load of other programs,
 * a CPU quota, a memory limit, fewer CPUs than the machine has, cores of several kinds, SMT
 * siblings, a virtual machine, no huge pages, thermal throttling. Writes them to
 * found[CM_MAX_CONDITIONS] and returns their number. A condition that the system does not report is
 * not found. `root` is "" for this machine, or a folder with copies of files of /proc and /sys.
 */
int cm_conditions_find(const char *root, const cm_topology *topology,
                       cm_condition found[CM_MAX_CONDITIONS]);

/** Those of this machine as an array of {"name", "message"}. NULL: no memory. */
json_t *cm_conditions_json(const cm_topology *topology);

#ifdef __cplusplus
}
#endif

#endif
