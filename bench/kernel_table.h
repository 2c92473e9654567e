/**
 * The table of what is measured of the kernels. Internal to bench/.
 */
#ifndef CM_BENCH_KERNEL_TABLE_H
#define CM_BENCH_KERNEL_TABLE_H

#include "bench/jobs.h"

typedef enum bench_flops {
    BENCH_NO_FLOPS,
    BENCH_ONE_PASS,     /* of the convolution */
    BENCH_TWO_PASSES,   /* backward-data and backward-weights */
    BENCH_FIRST_LAYER,  /* every output of the windows */
    BENCH_FOURTEEN_EACH /* Adam: operations a parameter, as profile counts them */
} bench_flops;

struct bench_kernel {
    bench_operation operation;
    const char *pass;
    void (*add)(cm_check_case *c);
    cm_check_run_fn *check; /* what is compared */
    cm_check_run_fn *run;   /* what is measured, after one call of `check` */
    bench_flops flops;
};

/** All rows; *count of them. Rows of an operation that has algorithms are for each of those. */
const bench_kernel *bench_kernels(int *count);

#endif
