/**
 * What the machine has and what this process may use of it: hwloc's topology, the affinity mask and
 * the control groups' CPU quota.
 */
#ifndef CM_CORE_SYSTEM_TOPOLOGY_H
#define CM_CORE_SYSTEM_TOPOLOGY_H

#include <stdbool.h>
#include <stddef.h>

#include "convmark/status.h"

#ifdef __cplusplus
extern "C" {
#endif

enum { CM_MAX_CACHES = 16, CM_MAX_CORE_KINDS = 8 };

/** Caches of one level, kind and size. */
typedef struct cm_cache {
    int level;
    char kind;   /* 'd' data, 'i' instructions, 'u' both */
    size_t size; /* bytes of one */
    int line;    /* bytes; 0: unknown */
    int count;   /* how many the machine has */
} cm_cache;

/** Cores of one kind: a hybrid CPU has fast and slow ones. */
typedef struct cm_core_kind {
    char name[48]; /* "IntelCore", "capacity 1024", "up to 3000 MHz" */
    int usable_cores;
} cm_core_kind;

typedef struct cm_topology {
    char cpu_model[128];                  /* "unknown" where the system does not say */
    int packages, numa_nodes, cores, pus; /* of the machine, as far as the system shows it */
    int usable_cores, usable_pus;         /* inside this process's affinity mask */
    double cpu_quota;                     /* CPUs' worth of time it gets; 0: no limit */
    double memory_limit;                  /* bytes that the control groups grant; 0: no limit */
    int default_threads; /* usable cores, at most the quota and CM_MAX_TEAM; at least 1; 1 without
                            OpenMP */
    int *pu_order;  /* [usable_pus]: operating-system numbers of the PUs: one PU per core, those of
                       the fastest kind first, in the machine's order; then second PUs */
    int *pu_kind;   /* [usable_pus]: index into `kinds` of the PU at this place of pu_order */
    int kind_count; /* kinds among the usable cores, fastest first; 1 where all are alike */
    cm_core_kind kinds[CM_MAX_CORE_KINDS];
    int cache_count; /* rows of `caches` */
    cm_cache caches[CM_MAX_CACHES];
    char hwloc_version[32];
    /* "" where this is the machine that the process runs on; else the variable that described
     * another one, "HWLOC_XMLFILE=box.xml" */
    char foreign[128];
    struct hwloc_topology *hwloc; /* for binding; see threads.h */
} cm_topology;

/** In which order threads take PUs: one core after the other, so that a package is full before the
 * next one is used; packages in turn; as the system likes. Faster kinds of cores always first. */
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

/** CM_USAGE where the topology is not this machine's: nothing can be bound or measured by it. */
cm_status cm_topology_check_own(const cm_topology *topology, cm_error *error);

/** How many threads of a team that takes the first `threads` PUs of pu_order run on each kind. */
void cm_topology_count_kinds(const cm_topology *topology, int threads,
                             int counts[CM_MAX_CORE_KINDS]);

/** The same as text: "8 x IntelCore + 4 x IntelAtom"; the number alone where all cores are alike.
 */
void cm_topology_kinds_text(const cm_topology *topology, int threads, char *text, size_t size);

/**
 * The CPU quota, in CPUs, and the memory limit, in bytes, of this process's control groups (version
 * 1 and 2, the smallest on the way to the top); 0 when there is none. /proc/self/mountinfo says
 * where the hierarchies are; without it they are looked for below /sys/fs/cgroup. `root` is "" for
 * this machine, or a folder that holds copies of /proc/self/cgroup, /proc/self/mountinfo and of
 * what is mounted.
 */
double cm_cgroup_cpu_quota(const char *root);
double cm_cgroup_memory_limit(const char *root);

/** Default number of threads: usable cores, at most the whole CPUs of the quota (0: none), >= 1. */
int cm_default_threads(int usable_cores, double cpu_quota);

#ifdef __cplusplus
}
#endif

#endif
