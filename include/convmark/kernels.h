/**
 * What holds for every kernel, and the table of kernels of each instruction set. The contract of
 * each operation is in its header: conv2d.h, first_layer.h, batch_norm.h, max_pool2d.h,
 * elementwise.h.
 *
 * Kernels are pure functions over arrays: no files, no printing, no allocation, no knowledge of
 * networks. Arrays are float32. Images are NHWC ([batch][height][width][channels]); convolution
 * weights are RSCK ([kernel_height][kernel_width][in_channels][out_channels]), so that vector lanes
 * run over output channels. A linear layer is a 1x1 convolution of a 1x1 map, hence its weight is
 * [in_features][out_features].
 *
 * Numeric contract (docs/design/numerics.md): each output element is one fixed sequence of IEEE-754
 * operations that depends on the shape only; "chain" below means acc = fma(a, b, acc) from acc = +0
 * in the written order. Hence all instruction sets, team sizes and compilers give the same bits.
 * max(a, b) is `a > b ? a : b`; ReLU is max(0, x) in this order, so NaN passes through it.
 *
 * Arrays need no alignment (64 bytes is fastest) and must not overlap unless it is said that they
 * may. `workspace` is scratch memory of the size that the matching cm_*_workspace() returns, in
 * bytes, 64-byte aligned and shared by the team. Kernels that use it have barriers inside; a kernel
 * may return while its team mates still read the workspace and the inputs, so put a
 * cm_team_barrier() before either is written again.
 */
#ifndef CM_KERNELS_H
#define CM_KERNELS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "convmark/batch_norm.h"
#include "convmark/conv2d.h"
#include "convmark/elementwise.h"
#include "convmark/first_layer.h"
#include "convmark/max_pool2d.h"
#include "convmark/philox.h"
#include "convmark/probe.h"
#include "convmark/team.h"

#ifdef __cplusplus
extern "C" {
#endif

/** Instruction sets, slowest first; the dispatch table in dispatch.c has one row for each. */
typedef enum cm_isa { CM_ISA_SCALAR, CM_ISA_NEON, CM_ISA_AVX2, CM_ISA_AVX512, CM_ISA_COUNT } cm_isa;

/** The registry: one row a kernel. Each row is a prototype, a member of cm_kernels and a check. */
#define CM_KERNEL_LIST(ROW)             \
    ROW(conv2d_forward)                 \
    ROW(conv2d_pack)                    \
    ROW(conv2d_inference)               \
    ROW(conv2d_backward_data)           \
    ROW(conv2d_backward)                \
    ROW(conv2d_backward_weights)        \
    ROW(batch_norm_statistics)          \
    ROW(batch_norm_inference)           \
    ROW(batch_norm_forward)             \
    ROW(batch_norm_backward)            \
    ROW(max_pool2d_forward)             \
    ROW(max_pool2d_backward)            \
    ROW(batch_norm_max_pool2d_backward) \
    ROW(conv2d_batch_norm_statistics)   \
    ROW(conv2d_max_pool2d_forward)      \
    ROW(conv2d_max_pool2d_backward)     \
    ROW(relu_forward)                   \
    ROW(relu_backward)                  \
    ROW(dropout)                        \
    ROW(softmax_cross_entropy)          \
    ROW(adam)

/** The kernels of one instruction set. */
typedef struct cm_kernels {
    cm_isa isa;
    const char *name; /* "scalar", "neon", "avx2", "avx512" */
    int lanes;        /* float32 lanes of a vector */
    const cm_probes *probes;
#define CM_KERNEL_MEMBER(op) cm_##op##_fn *op;
    CM_KERNEL_LIST(CM_KERNEL_MEMBER)
#undef CM_KERNEL_MEMBER
} cm_kernels;

/** Kernels of `isa`, or NULL when it was not built or this CPU or operating system cannot run it.
 */
const cm_kernels *cm_kernels_of(cm_isa isa);
/** The fastest kernels that this machine can run. */
const cm_kernels *cm_kernels_best(void);
/** Name of an instruction set, built or not. */
const char *cm_isa_name(cm_isa isa);
/** The instruction set called `name`; CM_ISA_COUNT if there is none. */
cm_isa cm_isa_from_name(const char *name);
/** Whether the instruction set is in this build. */
bool cm_isa_built(cm_isa isa);

#ifdef __cplusplus
}
#endif

#endif
