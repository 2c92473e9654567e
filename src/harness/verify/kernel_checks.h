/**
 * Kernel checks: proof, on the machine at hand, that the kernels of an instruction set give the
 * same bits as the scalar ones on one thread. Used by the tests and by `convmark verify`.
 */
#ifndef CM_VERIFY_KERNEL_CHECKS_H
#define CM_VERIFY_KERNEL_CHECKS_H

#include <stddef.h>
#include <stdint.h>

#include "convmark/kernels.h"
#include "convmark/status.h"

#ifdef __cplusplus
extern "C" {
#endif

/** What was compared. The checks add to it; the caller starts it at zero. */
typedef struct cm_check_report {
    int64_t cases;    /* (kernel, case) pairs */
    int64_t elements; /* elements of outputs */
    int64_t telling;  /* elements that were expected to be neither zero nor NaN */
} cm_check_report;

/** A case of numbers with NaNs, infinities, subnormals and both zeros. */
enum { CM_CHECK_BYTES_CASE = 2 };

/** The kernels of CM_KERNEL_LIST, in its order. */
int cm_check_kernel_count(void);
/** Name of kernel 0 .. count-1. */
const char *cm_check_kernel_name(int kernel);

/**
 * Runs case `number` (>= 0) of kernel `kernel`: draws a shape and data from (seed, kernel, number),
 * runs scalar on one thread and `kernels` on a team of `threads`, and compares outputs bit for bit
 * (all NaNs count as one). The inputs and the bytes around every array must be untouched. CM_FAILED
 * with a line that names kernel, instruction set, threads, seed, case, shape and first differing
 * element; also when memory runs out. `report` and `error` may be NULL.
 */
cm_status cm_check_kernel_case(const cm_kernels *kernels, int threads, uint64_t seed, int kernel,
                               int number, cm_check_report *report, cm_error *error);

/**
 * A case that `bytes` decide, for fuzzing: four a draw, first the shape, then the arrays' numbers
 * as bit patterns. What follows the last byte is drawn as in case CM_CHECK_BYTES_CASE of seed 0.
 * Every instruction set of this machine is compared, one after the other. `work`: what the shape
 * may cost in multiply-adds, as far as fewer images and channels can make it so; 0: whatever is
 * drawn.
 */
cm_status cm_check_kernel_bytes(int threads, int kernel, const uint8_t *bytes, size_t size,
                                int64_t work, cm_check_report *report, cm_error *error);

/** Cases 0 .. cases-1 of every kernel, up to the first that fails. CM_USAGE if threads or cases is
 * less than 1. */
cm_status cm_check_kernels(const cm_kernels *kernels, int threads, uint64_t seed, int cases,
                           cm_check_report *report, cm_error *error);

#ifdef __cplusplus
}
#endif

#endif
