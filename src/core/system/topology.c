#include "core/system/topology.h"

#include <hwloc.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "convmark/team.h"
#include "core/system/core_kinds.h"

/* hwloc's name for a cache type, its level and kind. */
static const struct {
    hwloc_obj_type_t type;
    int level;
    char kind;
} CACHE_TYPES[] = {
    {HWLOC_OBJ_L1CACHE, 1, 'd'},  {HWLOC_OBJ_L1ICACHE, 1, 'i'}, {HWLOC_OBJ_L2CACHE, 2, 'u'},
    {HWLOC_OBJ_L2ICACHE, 2, 'i'}, {HWLOC_OBJ_L3CACHE, 3, 'u'},  {HWLOC_OBJ_L4CACHE, 4, 'u'},
    {HWLOC_OBJ_L5CACHE, 5, 'u'},
};

static int count_of(hwloc_topology_t hwloc, hwloc_obj_type_t type) {
    const int count = hwloc_get_nbobjs_by_type(hwloc, type);
    return count > 0 ? count : 0;
}

static void add_cache(cm_topology *to, const cm_cache *cache) {
    for (int i = 0; i < to->cache_count; ++i) {
        cm_cache *row = &to->caches[i];
        if (row->level == cache->level && row->kind == cache->kind && row->size == cache->size) {
            row->count += 1;
            return;
        }
    }
    if (to->cache_count < CM_MAX_CACHES) {
        to->caches[to->cache_count++] = *cache;
    }
}

static void read_caches(cm_topology *to) {
    for (size_t i = 0; i < sizeof CACHE_TYPES / sizeof *CACHE_TYPES; ++i) {
        hwloc_obj_t object = NULL;
        while ((object = hwloc_get_next_obj_by_type(to->hwloc, CACHE_TYPES[i].type, object)) !=
               NULL) {
            const bool unified = object->attr->cache.type == HWLOC_OBJ_CACHE_UNIFIED;
            const cm_cache cache = {CACHE_TYPES[i].level, unified ? 'u' : CACHE_TYPES[i].kind,
                                    (size_t)object->attr->cache.size,
                                    (int)object->attr->cache.linesize, 1};
            add_cache(to, &cache);
        }
    }
}

static void read_cpu_model(cm_topology *to) {
    hwloc_obj_t package = hwloc_get_obj_by_type(to->hwloc, HWLOC_OBJ_PACKAGE, 0);
    const char *model = package == NULL ? NULL : hwloc_obj_get_info_by_name(package, "CPUModel");
    if (model == NULL) {
        model = hwloc_obj_get_info_by_name(hwloc_get_root_obj(to->hwloc), "CPUModel");
    }
    snprintf(to->cpu_model, sizeof to->cpu_model, "%s", model != NULL ? model : "unknown");
}

/* Writes the number-th usable PU of every core that has so many, in the machine's order; returns
 * how many there were. */
static int list_pus(cm_topology *to, hwloc_const_bitmap_t usable, hwloc_obj_type_t core_type,
                    int number) {
    int listed = 0;
    hwloc_bitmap_t mine = hwloc_bitmap_alloc();
    hwloc_obj_t core = NULL;
    while (mine != NULL &&
           (core = hwloc_get_next_obj_by_type(to->hwloc, core_type, core)) != NULL) {
        hwloc_bitmap_and(mine, core->cpuset, usable);
        int pu = hwloc_bitmap_first(mine);
        for (int i = 0; i < number && pu >= 0; ++i) {
            pu = hwloc_bitmap_next(mine, pu);
        }
        if (pu >= 0) {
            to->pu_order[to->usable_pus++] = pu;
            ++listed;
        }
    }
    hwloc_bitmap_free(mine);
    return listed;
}

static bool read_usable(cm_topology *to) {
    hwloc_const_bitmap_t allowed = hwloc_topology_get_allowed_cpuset(to->hwloc);
    hwloc_bitmap_t usable = hwloc_bitmap_alloc();
    to->pu_order = calloc((size_t)to->pus, sizeof *to->pu_order);
    to->pu_kind = calloc((size_t)to->pus, sizeof *to->pu_kind);
    if (usable == NULL || to->pu_order == NULL || to->pu_kind == NULL) {
        hwloc_bitmap_free(usable);
        return false;
    }
    if (hwloc_get_cpubind(to->hwloc, usable, HWLOC_CPUBIND_PROCESS) != 0) {
        hwloc_bitmap_copy(usable, allowed);
    }
    hwloc_bitmap_and(usable, usable, allowed);
    /* Some virtual machines show no cores: each PU is then one. */
    const hwloc_obj_type_t core_type =
        count_of(to->hwloc, HWLOC_OBJ_CORE) > 0 ? HWLOC_OBJ_CORE : HWLOC_OBJ_PU;
    to->usable_cores = list_pus(to, usable, core_type, 0);
    for (int number = 1; list_pus(to, usable, core_type, number) > 0; ++number) {
    }
    hwloc_bitmap_free(usable);
    return to->usable_pus > 0 && cm_core_kinds_read(to);
}

int cm_default_threads(int usable_cores, double cpu_quota) {
    /* Rounded down: a team that waits for a throttled thread is slower than a smaller team. */
    const int limit =
        cpu_quota > 0 && cpu_quota < (double)usable_cores ? (int)cpu_quota : usable_cores;
    return limit < 1 ? 1 : limit < CM_MAX_TEAM ? limit : CM_MAX_TEAM;
}

/* ---- A topology of another machine ---- */

/* The variable, with its value, with which the environment changes what hwloc shows; NULL: none. */
static const char *outside_variable(char *text, size_t size) {
    static const char *const names[] = {"HWLOC_XMLFILE",    "HWLOC_SYNTHETIC",  "HWLOC_FSROOT",
                                        "HWLOC_CPUID_PATH", "HWLOC_COMPONENTS", "HWLOC_THISSYSTEM"};
    for (size_t i = 0; i < sizeof names / sizeof *names; ++i) {
        const char *value = getenv(names[i]);
        if (value != NULL && value[0] != '\0') {
            snprintf(text, size, "%s=%s", names[i], value);
            return text;
        }
    }
    return NULL;
}

/* hwloc believes HWLOC_THISSYSTEM=1: a description cannot be this machine if it is made up, or has
 * another number of CPUs. */
static void read_foreign(cm_topology *to) {
    hwloc_obj_t machine = hwloc_get_root_obj(to->hwloc);
    const bool described = getenv("HWLOC_XMLFILE") != NULL || getenv("HWLOC_FSROOT") != NULL;
    const long online = sysconf(_SC_NPROCESSORS_ONLN);
    if (hwloc_topology_is_thissystem(to->hwloc) &&
        hwloc_obj_get_info_by_name(machine, "SyntheticDescription") == NULL &&
        !(described && online > 0 && online != to->pus)) {
        return;
    }
    if (outside_variable(to->foreign, sizeof to->foreign) == NULL) {
        snprintf(to->foreign, sizeof to->foreign, "hwloc's settings");
    }
}

cm_status cm_topology_check_own(const cm_topology *topology, cm_error *error) {
    if (topology->foreign[0] == '\0') {
        return CM_OK;
    }
    return cm_fail(error, CM_USAGE,
                   "%s describes another machine than the one that this process runs on: threads "
                   "cannot be bound by it; unset it",
                   topology->foreign);
}

/* ---- Loading ---- */

static bool hwloc_start(hwloc_topology_t *hwloc) {
    if (hwloc_topology_init(hwloc) != 0) {
        *hwloc = NULL;
        return false;
    }
    hwloc_topology_set_icache_types_filter(*hwloc, HWLOC_TYPE_FILTER_KEEP_ALL);
    /* CPUs that this process may not use stay visible: the machine is described whole. */
    hwloc_topology_set_flags(*hwloc, HWLOC_TOPOLOGY_FLAG_INCLUDE_DISALLOWED);
    return hwloc_topology_load(*hwloc) == 0;
}

cm_status cm_topology_load(cm_topology **topology, cm_error *error) {
    *topology = NULL;
    cm_topology *to = calloc(1, sizeof *to);
    if (to == NULL) {
        return cm_fail(error, CM_FAILED, "topology: out of memory; close some programs");
    }
    if (!hwloc_start(&to->hwloc)) {
        char variable[128];
        cm_topology_free(to);
        if (outside_variable(variable, sizeof variable) != NULL) {
            return cm_fail(error, CM_USAGE,
                           "topology: hwloc %s cannot read what %s names; unset it", HWLOC_VERSION,
                           variable);
        }
        return cm_fail(error, CM_FAILED, "topology: hwloc cannot read it; is /sys mounted?");
    }
    snprintf(to->hwloc_version, sizeof to->hwloc_version, "%s", HWLOC_VERSION);
    to->packages = count_of(to->hwloc, HWLOC_OBJ_PACKAGE);
    to->numa_nodes = count_of(to->hwloc, HWLOC_OBJ_NUMANODE);
    to->pus = count_of(to->hwloc, HWLOC_OBJ_PU);
    to->cores = count_of(to->hwloc, HWLOC_OBJ_CORE);
    to->cores = to->cores > 0 ? to->cores : to->pus;
    read_cpu_model(to);
    read_caches(to);
    if (to->pus < 1 || !read_usable(to)) {
        const bool no_memory =
            to->pus > 0 && (to->pu_order == NULL || to->pu_kind == NULL || to->usable_pus > 0);
        cm_topology_free(to);
        return cm_fail(error, CM_FAILED,
                       no_memory ? "topology: out of memory; close some programs"
                                 : "topology: no CPU that this process may use; check its affinity "
                                   "mask");
    }
    read_foreign(to);
    to->cpu_quota = cm_cgroup_cpu_quota("");
    to->memory_limit = cm_cgroup_memory_limit("");
#ifdef _OPENMP
    to->default_threads = cm_default_threads(to->usable_cores, to->cpu_quota);
#else
    to->default_threads = 1; /* every team of this build */
#endif
    *topology = to;
    return CM_OK;
}

void cm_topology_free(cm_topology *topology) {
    if (topology != NULL) {
        if (topology->hwloc != NULL) {
            hwloc_topology_destroy(topology->hwloc);
        }
        free(topology->pu_order);
        free(topology->pu_kind);
        free(topology);
    }
}

const char *cm_pin_name(cm_pin pin) {
    static const char *const names[CM_PIN_COUNT] = {"compact", "scatter", "none"};
    return names[pin];
}

/* Where a PU stands: PUs of the same core before it, its kind, cores of the same package and kind
 * before it, and the package. Compared in this order it takes packages in turn. */
typedef struct pu_place {
    int second, kind, turn, package, position;
} pu_place;

static int compare_pu_places(const void *left, const void *right) {
    const pu_place *a = left, *b = right;
    const int differences[] = {a->second - b->second, a->kind - b->kind, a->turn - b->turn,
                               a->package - b->package, a->position - b->position};
    for (size_t i = 0; i < sizeof differences / sizeof *differences; ++i) {
        if (differences[i] != 0) {
            return differences[i];
        }
    }
    return 0;
}

static int ancestor(const cm_topology *topology, int pu, hwloc_obj_type_t type) {
    hwloc_obj_t object = hwloc_get_pu_obj_by_os_index(topology->hwloc, (unsigned)pu);
    object = object == NULL ? NULL : hwloc_get_ancestor_obj_by_type(topology->hwloc, type, object);
    return object == NULL ? -1 : (int)object->logical_index;
}

/* Sorts `places` by packages in turn; `cores` are the cores of the PUs, -1: unknown. */
static void scatter(const cm_topology *topology, const int *cores, pu_place *places) {
    const int count = topology->usable_pus;
    for (int i = 0; i < count; ++i) {
        const int package = ancestor(topology, topology->pu_order[i], HWLOC_OBJ_PACKAGE);
        places[i].package = package > 0 ? package : 0;
        places[i].kind = topology->pu_kind[i];
        for (int k = 0; k < i; ++k) {
            places[i].second += cores[i] >= 0 && cores[k] == cores[i];
        }
        for (int k = 0; k < i; ++k) {
            places[i].turn += places[k].package == places[i].package &&
                              places[k].second == places[i].second &&
                              places[k].kind == places[i].kind;
        }
    }
    qsort(places, (size_t)count, sizeof *places, compare_pu_places);
}

cm_status cm_topology_order(const cm_topology *topology, cm_pin pin, int *order, cm_error *error) {
    const int count = topology->usable_pus;
    pu_place *places = calloc((size_t)count, sizeof *places);
    int *cores = calloc((size_t)count, sizeof *cores);
    if (places == NULL || cores == NULL) {
        free(places);
        free(cores);
        return cm_fail(error, CM_FAILED, "out of memory for the order of %d CPUs", count);
    }
    for (int i = 0; i < count; ++i) {
        places[i].position = i;
        cores[i] = ancestor(topology, topology->pu_order[i], HWLOC_OBJ_CORE);
    }
    if (pin == CM_PIN_SCATTER) {
        scatter(topology, cores, places);
    }
    for (int i = 0; i < count; ++i) {
        order[i] = topology->pu_order[places[i].position];
    }
    free(places);
    free(cores);
    return CM_OK;
}
