/**
 * What holds for every kernel, and the table of kernels of each instruction set. The contract of
 * each operation is in its header: conv2d.h, first_layer.h, batch_norm.h, max_pool2d.h,
 * elementwise.h.
 *
 * Kernels are functions over arrays: they read no files, print nothing, allocate nothing and know
 * nothing of networks. Arrays are float32 unless their type says otherwise. Images are NHWC
 * ([batch][height][width][channels]); the weights of a convolution are RSCK ([kernel_height]
 * [kernel_width][in_channels][out_channels]), so that vector lanes run over output channels. A
 * linear layer is a 1x1 convolution of a 1x1 map: its weights are [in_features][out_features].
 *
 * Numeric contract (docs/design/numerics.md): each output element is computed by one fixed sequence
 * of IEEE-754 operations that depends on the shape only, so all instruction sets, team sizes and
 * compilers give the same bits. A "chain" is acc = fma(a, b, acc) from acc = +0 in the written
 * order. Sums over images are made in blocks of images, which a fixed tree joins; `block`, a field
 * of the arguments or of the shape, is the number of images in one (0: the whole batch), and
 * decides bits. max(a, b) is `a > b ? a : b`; ReLU is max(0, x) in this order, so NaN passes
 * through it.
 *
 * The caller owns all arrays. They need no alignment (64 bytes is fastest) and must not overlap
 * unless a contract says that they may. Sizes are not checked: the caller has initialized the
 * shapes with the functions that check them (cm_conv2d_shape_init() and the like). `workspace` is
 * scratch memory of the size in bytes that the matching cm_*_workspace() returns, 64-byte aligned
 * and shared by the team. A kernel that uses a workspace has barriers inside and may return while
 * other threads still read the workspace and the inputs: call cm_team_barrier() before either is
 * written again. Arrays that a kernel writes are named so ("written"); it only reads the others.
 *
 * A kernel with more than eight parameters takes them as a struct cm_xyz_args. Fields left out of
 * its initializer are 0, false and NULL.
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

/** Number of the numeric contract (docs/design/numerics.md): goes up with any change after which a
 * run ends with other bits. Results of different numbers are not comparable bit by bit. */
#define CM_NUMERIC_CONTRACT 2

/** Instruction sets, slowest first; the table in kernels/dispatch.c has one row per set. */
typedef enum cm_isa {
    CM_ISA_SCALAR,
    CM_ISA_NEON,
    CM_ISA_AVX2,
    CM_ISA_AVX512,
    CM_ISA_COUNT,
    CM_ISA_BEST = CM_ISA_COUNT /* as an option: the fastest that this machine can run */
} cm_isa;

/** The registry: one row per kernel. Each row is a prototype, a member of cm_kernels and a check of
 * `convmark verify`. */
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

/** Kernels of `isa`, or NULL when it is not in this build or this CPU or operating system cannot
 * run it. They live as long as the program. */
const cm_kernels *cm_kernels_of(cm_isa isa);
/** The fastest kernels that this machine can run. */
const cm_kernels *cm_kernels_best(void);
/** `wanted`, or for CM_ISA_BEST the instruction set of cm_kernels_best(). */
cm_isa cm_isa_resolve(cm_isa wanted);
/** Name of an instruction set, built or not; "unknown" for any other value. */
const char *cm_isa_name(cm_isa isa);
/** The instruction set called `name`; CM_ISA_COUNT if there is none. */
cm_isa cm_isa_from_name(const char *name);
/** Whether the instruction set is in this build. */
bool cm_isa_built(cm_isa isa);

#ifdef __cplusplus
}
#endif

#endif
