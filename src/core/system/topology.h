/**
 * What the machine has and what this process may use of it: hwloc's topology, the affinity mask and
 * the control groups' CPU quota.
 */
#ifndef CM_CORE_SYSTEM_TOPOLOGY_H
#define CM_CORE_SYSTEM_TOPOLOGY_H

#include <stddef.h>

#include "convmark/status.h"

#ifdef __cplusplus
extern "C" {
#endif

enum { CM_MAX_CACHES = 16 };

/** Caches of one level, kind and size. */
typedef struct cm_cache {
    int level;
    char kind;   /* 'd' data, 'i' instructions, 'u' both */
    size_t size; /* bytes of one */
    int line;    /* bytes; 0: unknown */
    int count;   /* how many the machine has */
} cm_cache;

typedef struct cm_topology {
    char cpu_model[128];                  /* "unknown" where the system does not say */
    int packages, numa_nodes, cores, pus; /* of the machine, as far as the system shows it */
    int usable_cores, usable_pus;         /* inside this process's affinity mask */
    double cpu_quota;                     /* CPUs' worth of time it gets; 0: no limit */
    int default_threads; /* usable cores, at most the quota; at least 1; 1 without OpenMP */
    int *pu_order;       /* [usable_pus]: operating-system numbers of the PUs, one a
                            core first in the machine's order, then second ones */
    int cache_count;     /* rows of `caches` */
    cm_cache caches[CM_MAX_CACHES];
    char hwloc_version[32];
    struct hwloc_topology *hwloc; /* for binding; see threads.h */
} cm_topology;

/** In which order threads take PUs: one core after the other, so that a package is full before the
 * next one is used; packages in turn; as the system likes. */
typedef enum cm_pin { CM_PIN_COMPACT, CM_PIN_SCATTER, CM_PIN_NONE, CM_PIN_COUNT } cm_pin;

/** "compact", "scatter", "none". */
const char *cm_pin_name(cm_pin pin);

/** Writes the PUs of topology->pu_order in the order of `pin` to order[usable_pus]; second PUs of a
 * core always come after all first ones. CM_FAILED: no memory. */
cm_status cm_topology_order(const cm_topology *topology, cm_pin pin, int *order, cm_error *error);

/** Reads the topology. The affinity mask is the one of the moment: load it before threads are
 * pinned. Free with cm_topology_free(); *topology is NULL on failure. */
cm_status cm_topology_load(cm_topology **topology, cm_error *error);
void cm_topology_free(cm_topology *topology);

/**
 * The CPU quota of this process's control groups (version 1 and 2, the smallest on the way to the
 * top), in CPUs; 0 when there is none. `root` is "" for this machine, or a folder that holds copies
 * of /proc/self/cgroup and /sys/fs/cgroup.
 */
double cm_cgroup_cpu_quota(const char *root);

/** Default number of threads: usable cores, at most the whole CPUs of the quota (0: none), >= 1. */
int cm_default_threads(int usable_cores, double cpu_quota);

#ifdef __cplusplus
}
#endif

#endif
