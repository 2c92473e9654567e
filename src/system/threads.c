#include "system/threads.h"

#include <fenv.h>
#include <float.h>
#include <hwloc.h>
#include <stdatomic.h>
#include <stddef.h>

#include "kernels/team.h"

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
