/**
 * Jobs: one kernel on one shape, with its arrays, its work, and its check. Arrays and calls are
 * those of the kernel checks (verify/check_case.h), on shapes that somebody chose.
 */
#ifndef CM_BENCH_JOBS_H
#define CM_BENCH_JOBS_H

#include <stdbool.h>

#include "bench/shapes.h"
#include "core/files/sha256.h"
#include "harness/verify/check_case.h"

enum { BENCH_NAME_SIZE = 192 };

/** How a kernel is measured: a row of the table in kernel_table.c. */
typedef struct bench_kernel bench_kernel;

typedef struct bench_job {
    const bench_kernel *kernel;
    bench_shape shape; /* conv.algorithm: the job's */
    /* "conv2d/forward/dft10/n64_c128_h9_w9_k128_r3" */
    char name[BENCH_NAME_SIZE];
    /* Outputs of scalar kernels on one thread, by the index of the array; computed once. */
    bool has_reference;
    char reference[CM_CHECK_MAX_ARRAYS][CM_SHA256_HEX_SIZE];
} bench_job;

typedef struct bench_jobs {
    int count;
    bench_job *items;
} bench_jobs;

/** All kernels, and all algorithms, that fit the shapes, in the shapes' order. */
cm_status bench_jobs_create(const bench_shapes *shapes, bench_jobs *jobs, cm_error *error);
void bench_jobs_free(bench_jobs *jobs);

/** What one call does. */
typedef struct bench_work {
    double images; /* 0: not a matter of images */
    double flops;  /* of the algorithm, multiplications and additions; 0: not counted */
    double bytes;  /* each array that is read or written, once; scratch memory not */
} bench_work;

/** The arrays of a job for a team, and copies of them. Free with bench_arrays_free(). */
typedef struct bench_arrays {
    cm_check_case drawn;
    int count; /* copies */
    cm_check_buffers *copies;
} bench_arrays;

/** `least`: bytes that all copies together have at the least (0: one copy). CM_FAILED: no memory.
 */
cm_status bench_arrays_create(const bench_job *job, int threads, size_t least, bench_arrays *arrays,
                              cm_error *error);
void bench_arrays_free(bench_arrays *arrays);

bench_work bench_job_work(const bench_job *job, const bench_arrays *arrays);

/** One whole call on each copy: what bench_job_run() needs before the first one (packed weights).
 */
void bench_job_prepare(const bench_job *job, const cm_kernels *kernels, int threads,
                       const bench_arrays *arrays);
/** One call of the job's kernel on copy `copy`. */
void bench_job_run(const bench_job *job, const cm_kernels *kernels, int threads,
                   const bench_arrays *arrays, int copy);

/** Runs `kernels` on `threads` threads once, and `scalar` on one unless the job has its reference:
 * CM_FAILED, naming the array, if any output differs by a bit. */
cm_status bench_job_check(bench_job *job, const cm_kernels *scalar, const cm_kernels *kernels,
                          int threads, cm_error *error);

#endif
