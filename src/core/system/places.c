/* Where threads may run, as the system says. */
#define _GNU_SOURCE /* sched_getaffinity() for any number of CPUs */
#include <errno.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#ifdef _OPENMP
#include <omp.h>
#endif

#include "convmark/team.h"
#include "core/system/threads.h"

enum { MOST_CPUS = 1 << 20 };

/* The CPUs that the calling thread may run on, in a set of *size bytes; CPU_FREE() it. NULL: the
 * system does not say. A kernel may know of more CPUs than CPU_SETSIZE. */
static cpu_set_t *own_cpus(size_t *size) {
    for (int cpus = CPU_SETSIZE; cpus <= MOST_CPUS; cpus *= 2) {
        cpu_set_t *set = CPU_ALLOC((size_t)cpus);
        *size = CPU_ALLOC_SIZE((size_t)cpus);
        if (set == NULL || sched_getaffinity(0, *size, set) == 0) {
            return set;
        }
        CPU_FREE(set);
        if (errno != EINVAL) {
            break;
        }
    }
    return NULL;
}

typedef struct place_job {
    int *cpus; /* [threads]: the only CPU of each thread; -1: several, or unknown */
} place_job;

static void read_place(const cm_team *team, void *context) {
    const place_job *job = context;
    size_t size = 0;
    cpu_set_t *set = own_cpus(&size);
    int cpu = 0;
    if (set != NULL && CPU_COUNT_S(size, set) == 1) {
        while (!CPU_ISSET_S((size_t)cpu, size, set)) {
            ++cpu;
        }
        job->cpus[team->index] = cpu;
    }
    CPU_FREE(set);
}

static int by_number(const void *left, const void *right) {
    const int a = *(const int *)left, b = *(const int *)right;
    return (a > b) - (a < b);
}

bool cm_threads_pinned(int threads) {
    place_job job = {malloc((size_t)threads * sizeof *job.cpus)};
    bool pinned = job.cpus != NULL;
    for (int i = 0; pinned && i < threads; ++i) {
        job.cpus[i] = -1;
    }
    if (pinned) {
        cm_team_run(threads, read_place, &job);
        qsort(job.cpus, (size_t)threads, sizeof *job.cpus, by_number);
        pinned = job.cpus[0] >= 0;
    }
    for (int i = 1; pinned && i < threads; ++i) {
        pinned = job.cpus[i] != job.cpus[i - 1];
    }
    free(job.cpus);
    return pinned;
}

#ifdef _OPENMP
/* Adds the CPUs of a place to a set that has room for `cpus`. False: no memory. */
static bool add_place(int place, int cpus, cpu_set_t *set) {
    const int count = omp_get_place_num_procs(place);
    int *numbers = calloc((size_t)(count > 0 ? count : 1), sizeof *numbers);
    if (numbers == NULL) {
        return false;
    }
    omp_get_place_proc_ids(place, numbers);
    for (int i = 0; i < count; ++i) {
        if (numbers[i] >= 0 && numbers[i] < cpus) {
            CPU_SET_S((size_t)numbers[i], CPU_ALLOC_SIZE((size_t)cpus), set);
        }
    }
    free(numbers);
    return true;
}

void cm_threads_unbind(void) {
    const int places = omp_get_num_places();
    size_t size = 0;
    cpu_set_t *mine = places > 0 ? own_cpus(&size) : NULL;
    const int cpus = (int)(8 * size);
    cpu_set_t *all = mine != NULL ? CPU_ALLOC((size_t)cpus) : NULL;
    bool known = all != NULL;
    if (known) {
        memcpy(all, mine, size);
    }
    for (int i = 0; known && i < places; ++i) {
        known = add_place(i, cpus, all);
    }
    if (known && !CPU_EQUAL_S(size, all, mine)) {
        sched_setaffinity(0, size, all);
    }
    CPU_FREE(mine);
    CPU_FREE(all);
}
#else
void cm_threads_unbind(void) {
}
#endif
