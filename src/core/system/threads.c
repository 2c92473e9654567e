#include "core/system/threads.h"

#include <ctype.h>
#include <errno.h>
#include <fenv.h>
#include <float.h>
#include <hwloc.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#ifdef _OPENMP
#include <omp.h>
#endif

#include "convmark/team.h"

/* Threads of the team that was prepared last: the OpenMP runtime keeps them. */
static atomic_int prepared_threads = 1;

/* ---- Limits ---- */

cm_status cm_stack_check(cm_error *error) {
    struct rlimit limit;
    if (getrlimit(RLIMIT_STACK, &limit) != 0 || limit.rlim_cur == RLIM_INFINITY ||
        limit.rlim_cur >= CM_THREAD_STACK_BYTES) {
        return CM_OK;
    }
    return cm_fail(error, CM_FAILED,
                   "the stack may have %llu KiB only, the kernels need %d; raise the limit "
                   "(ulimit -s 8192)",
                   (unsigned long long)limit.rlim_cur / 1024, CM_THREAD_STACK_BYTES / 1024);
}

#ifdef _OPENMP
/* "SIZE[B|K|M|G]" as OpenMP defines it, in bytes, KiB where there is no letter; 0: not such a text,
 * which the runtimes report and ignore. */
static size_t parse_stack_size(const char *text) {
    static const char units[] = "bkmg";
    char *end = NULL;
    errno = 0;
    const unsigned long long number = strtoull(text, &end, 10);
    if (end == text || errno != 0 || strchr(text, '-') != NULL) {
        return 0;
    }
    end += strspn(end, " \t");
    const char *unit = *end == '\0' ? units + 1 : strchr(units, tolower((unsigned char)*end));
    end += *end == '\0' ? 0 : 1;
    if (unit == NULL || end[strspn(end, " \t")] != '\0') {
        return 0;
    }
    const int shift = 10 * (int)(unit - units);
    return number > (SIZE_MAX >> shift) ? SIZE_MAX : (size_t)number << shift;
}

/* Gives *attributes the stack that the OpenMP runtime gives its threads. */
static cm_status set_stack(pthread_attr_t *attributes, cm_error *error) {
    static const char *const names[] = {"OMP_STACKSIZE", "GOMP_STACKSIZE", "KMP_STACKSIZE"};
    for (size_t i = 0; i < sizeof names / sizeof *names; ++i) {
        const char *value = getenv(names[i]);
        const size_t size = value == NULL ? 0 : parse_stack_size(value);
        /* What the system does not take as a size the runtime ignores as well. */
        if (size == 0 || pthread_attr_setstacksize(attributes, size) != 0) {
            continue;
        }
        return size >= CM_THREAD_STACK_BYTES
                   ? CM_OK
                   : cm_fail(error, CM_USAGE,
                             "%s=%s is too small a stack, the kernels need %d KiB; unset it",
                             names[i], value, CM_THREAD_STACK_BYTES / 1024);
    }
    return CM_OK;
}

static void *wait_at_gate(void *gate) {
    pthread_mutex_lock(gate);
    pthread_mutex_unlock(gate);
    return NULL;
}

/* Has `wanted` threads at the same time, until the first one fails; returns how many started. */
static int start_together(int wanted, const pthread_attr_t *attributes, pthread_t *threads) {
    pthread_mutex_t gate = PTHREAD_MUTEX_INITIALIZER;
    int started = 0;
    pthread_mutex_lock(&gate);
    while (started < wanted &&
           pthread_create(&threads[started], attributes, wait_at_gate, &gate) == 0) {
        ++started;
    }
    pthread_mutex_unlock(&gate);
    for (int i = 0; i < started; ++i) {
        pthread_join(threads[i], NULL);
    }
    pthread_mutex_destroy(&gate);
    return started;
}

cm_status cm_threads_check(int threads, cm_error *error) {
    const int present = atomic_load(&prepared_threads);
    const int wanted = threads - present;
    if (wanted <= 0) {
        return CM_OK;
    }
    pthread_t *started = calloc((size_t)wanted, sizeof *started);
    pthread_attr_t attributes;
    if (started == NULL || pthread_attr_init(&attributes) != 0) {
        free(started);
        return cm_fail(error, CM_FAILED, "out of memory for %d threads; use fewer", threads);
    }
    cm_status status = set_stack(&attributes, error);
    const int count = status == CM_OK ? start_together(wanted, &attributes, started) : wanted;
    if (count < wanted) {
        status = cm_fail(error, CM_FAILED,
                         "the system starts %d of %d threads; use fewer, or raise its limits "
                         "(ulimit -u: processes, ulimit -v: memory%s)",
                         present + count, threads,
                         getenv("OMP_STACKSIZE") != NULL ? ", OMP_STACKSIZE" : "");
    }
    pthread_attr_destroy(&attributes);
    free(started);
    return status;
}
#else
cm_status cm_threads_check(int threads, cm_error *error) {
    (void)threads;
    (void)error;
    return CM_OK; /* every team is the caller alone */
}
#endif

/* ---- Floating-point modes and places ---- */

bool cm_float_modes_standard(void) {
    /* volatile: these must be computed here and now, not by the compiler. */
    volatile float smallest = FLT_MIN, denormal = FLT_TRUE_MIN, one = 1.0f, big = 0x1p100f;
    volatile float one_up = 1.0f + FLT_EPSILON, third = 3.0f;
    const bool result_kept = smallest * 0.5f > 0.0f;
    const bool operand_kept = denormal * big > 0.0f;
    /* Half an ulp above an even and above an odd number, and a quotient that rounds up: no directed
     * rounding gives all three. */
    const bool nearest = one + FLT_EPSILON * 0.5f == one &&
                         one_up + FLT_EPSILON * 0.5f == 1.0f + 2 * FLT_EPSILON &&
                         one / third == 0x1.555556p-2f;
    return result_kept && operand_kept && nearest;
}

typedef struct prepare_job {
    hwloc_topology_t hwloc; /* NULL: bind nothing */
    const int *pu_order;    /* NULL: bind to `all` */
    hwloc_const_bitmap_t all;
    atomic_int size, not_standard, not_bound;
} prepare_job;

static void prepare_thread(const cm_team *team, void *context) {
    prepare_job *job = context;
    if (fesetenv(FE_DFL_ENV) != 0 || !cm_float_modes_standard()) {
        atomic_fetch_add(&job->not_standard, 1);
    }
    if (team->index == 0) {
        atomic_store(&job->size, team->count);
    }
    if (job->hwloc == NULL) {
        return;
    }
    hwloc_bitmap_t one = job->pu_order == NULL ? NULL : hwloc_bitmap_alloc();
    if (one != NULL) {
        hwloc_bitmap_only(one, (unsigned)job->pu_order[team->index]);
    }
    if ((job->pu_order != NULL && one == NULL) ||
        hwloc_set_cpubind(job->hwloc, one != NULL ? one : job->all, HWLOC_CPUBIND_THREAD) != 0) {
        atomic_fetch_add(&job->not_bound, 1);
    }
    hwloc_bitmap_free(one);
}

int cm_threads_prepare(int threads, bool pin, const cm_topology *topology, cm_error *warning) {
    if (warning != NULL) {
        warning->message[0] = '\0';
    }
    prepare_job job = {0};
    const bool too_many = pin && topology != NULL && threads > topology->usable_pus;
    hwloc_bitmap_t all = topology == NULL ? NULL : hwloc_bitmap_alloc();
    if (all != NULL) {
        for (int i = 0; i < topology->usable_pus; ++i) {
            hwloc_bitmap_set(all, (unsigned)topology->pu_order[i]);
        }
        job.hwloc = topology->hwloc;
        job.pu_order = pin && !too_many ? topology->pu_order : NULL;
        job.all = all;
    }
    /* LLVM's OpenMP runtime gives each team the modes that its caller has outside of it;
     * prepare_thread says when it fails. */
    fesetenv(FE_DFL_ENV);
    cm_team_run(threads, prepare_thread, &job);
    hwloc_bitmap_free(all);

    const int size = atomic_load(&job.size), not_bound = atomic_load(&job.not_bound);
    if (size > 1) { /* a team of one leaves the others waiting */
        atomic_store(&prepared_threads, size);
    }
    if (atomic_load(&job.not_standard) > 0) {
        cm_fail(
            warning, CM_OK,
            "%d of %d threads do not round as IEEE 754 says or flush denormals to zero: results "
            "may differ from other machines'",
            atomic_load(&job.not_standard), size);
    } else if (too_many) {
        cm_fail(warning, CM_OK, "%d threads on %d CPUs: not pinned, and slower than %d threads",
                threads, topology->usable_pus, topology->default_threads);
    } else if (pin && (all == NULL || not_bound > 0)) {
        cm_fail(warning, CM_OK,
                "%d of %d threads could not be pinned to a CPU; times may vary more",
                all == NULL ? size : not_bound, size);
    } else if (size < threads) {
        cm_fail(warning, CM_OK, "the OpenMP runtime gave %d of %d threads", size, threads);
    }
    return size;
}

/* ---- Teams for measuring ---- */

/* How many threads the runtime gives a team at most: asked before there is one, because LLVM's
 * runtime prints lines of its own where it gives fewer. */
static int openmp_limit(void) {
#ifdef _OPENMP
    return omp_get_max_active_levels() < 1 ? 1 : omp_get_thread_limit();
#else
    return 1;
#endif
}

static cm_status fail_small_team(int threads, int given, cm_error *error) {
#ifdef _OPENMP
    return cm_fail(error, CM_USAGE,
                   "%d threads are needed, the OpenMP runtime gives %d; unset OMP_THREAD_LIMIT and "
                   "OMP_MAX_ACTIVE_LEVELS, which limit it",
                   threads, given);
#else
    return cm_fail(error, CM_USAGE,
                   "%d threads are needed, this build has no OpenMP and gives %d; use one thread, "
                   "or build with -DCONVMARK_OPENMP=ON",
                   threads, given);
#endif
}

cm_status cm_threads_start(int threads, bool pin, const cm_topology *topology, bool *pinned,
                           cm_error *warning, cm_error *error) {
    *pinned = false;
    warning->message[0] = '\0';
    const cm_status status = cm_threads_check(threads, error);
    if (status != CM_OK) {
        return status;
    }
#ifdef _OPENMP
    omp_set_dynamic(0); /* OMP_DYNAMIC would change the team with the machine's load */
#endif
    const int limit = openmp_limit();
    const int given = threads > limit ? limit : cm_threads_prepare(threads, pin, topology, warning);
    if (given != threads) {
        return fail_small_team(threads, given, error);
    }
    *pinned = pin && cm_threads_pinned(threads);
    if (pin && !*pinned && warning->message[0] == '\0') {
        cm_fail(warning, CM_OK,
                "the system does not keep each of %d threads on a CPU of its own, though it was "
                "told to; times may vary more",
                threads);
    }
    return CM_OK;
}
