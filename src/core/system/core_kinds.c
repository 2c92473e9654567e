#include "core/system/core_kinds.h"

#include <hwloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* A kind of hwloc: how fast its cores are compared with the other kinds, in the unit of one source,
 * which is the same for all kinds; 0: unknown. */
typedef struct kind_rank {
    int kind; /* hwloc's number */
    double speed;
} kind_rank;

static const char *info_of(const struct hwloc_info_s *infos, unsigned count, const char *name) {
    for (unsigned i = 0; i < count; ++i) {
        if (strcmp(infos[i].name, name) == 0) {
            return infos[i].value;
        }
    }
    return NULL;
}

/* What hwloc knows of a kind, best source first; `format` makes the kind's name of it. */
static const struct {
    const char *info, *format;
} KIND_SOURCES[] = {
    {"LinuxCapacity", "capacity %s"},
    {"FrequencyMaxMHz", "up to %s MHz"},
    {"FrequencyBaseMHz", "%s MHz"},
};

enum { SOURCES = sizeof KIND_SOURCES / sizeof *KIND_SOURCES };

static void name_kind(hwloc_topology_t hwloc, int kind, char *name, size_t size) {
    unsigned count = 0;
    struct hwloc_info_s *infos = NULL;
    snprintf(name, size, "kind %d", kind);
    if (hwloc_cpukinds_get_info(hwloc, (unsigned)kind, NULL, NULL, &count, &infos, 0) != 0) {
        return;
    }
    const char *type = info_of(infos, count, "CoreType");
    for (int i = 0; type == NULL && i < SOURCES; ++i) {
        const char *value = info_of(infos, count, KIND_SOURCES[i].info);
        if (value != NULL) {
            snprintf(name, size, KIND_SOURCES[i].format, value);
            return;
        }
    }
    if (type != NULL) {
        snprintf(name, size, "%s", type);
    }
}

/* The speed of a kind by one source; 0: the source does not know it. Source -1 is hwloc's own
 * order. */
static double speed_by(hwloc_topology_t hwloc, int kind, int source) {
    unsigned count = 0;
    struct hwloc_info_s *infos = NULL;
    int efficiency = -1;
    if (hwloc_cpukinds_get_info(hwloc, (unsigned)kind, NULL, &efficiency, &count, &infos, 0) != 0) {
        return 0;
    }
    if (source < 0) {
        return efficiency + 1; /* -1: hwloc cannot order them */
    }
    const char *value = info_of(infos, count, KIND_SOURCES[source].info);
    return value != NULL ? strtod(value, NULL) : 0;
}

static int faster_first(const void *left, const void *right) {
    const kind_rank *a = left, *b = right;
    return a->speed != b->speed ? (a->speed < b->speed) - (a->speed > b->speed) : a->kind - b->kind;
}

/* Orders the kinds by the first source that knows all of them. */
static void rank_kinds(hwloc_topology_t hwloc, kind_rank *ranks, int count) {
    for (int source = -1; source < SOURCES; ++source) {
        bool known = true;
        for (int i = 0; i < count; ++i) {
            ranks[i] = (kind_rank){i, speed_by(hwloc, i, source)};
            known = known && ranks[i].speed > 0;
        }
        if (known) {
            break;
        }
    }
    qsort(ranks, (size_t)count, sizeof *ranks, faster_first);
}

typedef struct ordered_pu {
    int pu, second, kind, position;
} ordered_pu;

static int by_kind(const void *left, const void *right) {
    const ordered_pu *a = left, *b = right;
    return a->second != b->second ? a->second - b->second
           : a->kind != b->kind   ? a->kind - b->kind
                                  : a->position - b->position;
}

/* Where hwloc's kind is in the order; after all others what has none. */
static int rank_of(const kind_rank *ranks, int count, int kind) {
    for (int i = 0; i < count; ++i) {
        if (ranks[i].kind == kind) {
            return i;
        }
    }
    return count;
}

/* Keeps the kinds that usable cores have, and numbers them from 0. */
static void list_kinds(cm_topology *to, const kind_rank *ranks, int rank_count) {
    int last = -1;
    int number[CM_MAX_CORE_KINDS + 1];
    for (int i = 0; i <= CM_MAX_CORE_KINDS; ++i) {
        number[i] = -1;
    }
    for (int rank = 0; rank <= rank_count; ++rank) {
        for (int i = 0; i < to->usable_pus; ++i) {
            if (to->pu_kind[i] == rank && number[rank] < 0) {
                last = last + 1 < CM_MAX_CORE_KINDS ? last + 1 : last;
                number[rank] = last;
                char *name = to->kinds[last].name;
                snprintf(name, sizeof to->kinds[last].name, "unknown");
                if (rank < rank_count) {
                    name_kind(to->hwloc, ranks[rank].kind, name, sizeof to->kinds[last].name);
                }
            }
        }
    }
    to->kind_count = last + 1;
    for (int i = 0; i < to->usable_pus; ++i) {
        to->pu_kind[i] = number[to->pu_kind[i]];
        to->kinds[to->pu_kind[i]].usable_cores += i < to->usable_cores;
    }
}

bool cm_core_kinds_read(cm_topology *to) {
    kind_rank ranks[CM_MAX_CORE_KINDS];
    const int found = hwloc_cpukinds_get_nr(to->hwloc, 0);
    const int count = found < 0 ? 0 : found < CM_MAX_CORE_KINDS ? found : CM_MAX_CORE_KINDS;
    ordered_pu *pus = calloc((size_t)to->usable_pus, sizeof *pus);
    hwloc_bitmap_t set = hwloc_bitmap_alloc();
    if (pus == NULL || set == NULL) {
        free(pus);
        hwloc_bitmap_free(set);
        return false;
    }
    rank_kinds(to->hwloc, ranks, count);
    for (int i = 0; i < to->usable_pus; ++i) {
        hwloc_bitmap_only(set, (unsigned)to->pu_order[i]);
        const int kind = hwloc_cpukinds_get_by_cpuset(to->hwloc, set, 0);
        pus[i] =
            (ordered_pu){to->pu_order[i], i >= to->usable_cores, rank_of(ranks, count, kind), i};
    }
    qsort(pus, (size_t)to->usable_pus, sizeof *pus, by_kind);
    for (int i = 0; i < to->usable_pus; ++i) {
        to->pu_order[i] = pus[i].pu;
        to->pu_kind[i] = pus[i].kind;
    }
    list_kinds(to, ranks, count);
    free(pus);
    hwloc_bitmap_free(set);
    return true;
}

void cm_topology_count_kinds(const cm_topology *topology, int threads,
                             int counts[CM_MAX_CORE_KINDS]) {
    memset(counts, 0, CM_MAX_CORE_KINDS * sizeof *counts);
    for (int i = 0; i < threads && topology->usable_pus > 0 && topology->pu_kind != NULL; ++i) {
        ++counts[topology->pu_kind[i % topology->usable_pus]];
    }
}

void cm_topology_kinds_text(const cm_topology *topology, int threads, char *text, size_t size) {
    int counts[CM_MAX_CORE_KINDS];
    size_t used = 0;
    snprintf(text, size, "%d", threads);
    cm_topology_count_kinds(topology, threads, counts);
    for (int i = 0; topology->kind_count > 1 && i < topology->kind_count && used < size; ++i) {
        if (counts[i] > 0) {
            const int written = snprintf(text + used, size - used, "%s%d x %s",
                                         used > 0 ? " + " : "", counts[i], topology->kinds[i].name);
            used += written > 0 ? (size_t)written : 0;
        }
    }
}
