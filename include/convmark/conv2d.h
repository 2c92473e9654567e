/**
 * conv2d: shapes, algorithms, and the contract of each pass. kernels.h has what holds for every
 * kernel.
 */
#ifndef CM_CONV2D_H
#define CM_CONV2D_H

#include <stdbool.h>
#include <stddef.h>

#include "convmark/team.h"

#ifdef __cplusplus
extern "C" {
#endif

/**
 * How a convolution is computed (docs/design/algorithms.md). Which one a shape gets is a fixed
 * table, the same on every machine, because it decides the bits of the result.
 */
typedef enum cm_conv2d_algorithm {
    CM_CONV2D_AUTO,      /* the table's choice */
    CM_CONV2D_DIRECT,    /* any shape; taps outside the map are left out */
    CM_CONV2D_T4,        /* 3x3 maps: 16 multiplications instead of 49 */
    CM_CONV2D_DFT10,     /* 9x9 maps: 148 multiplications instead of 625 */
    CM_CONV2D_WINOGRAD3, /* patches of 3x3 outputs: 25 multiplications instead of 81 */
    CM_CONV2D_WINOGRAD4, /* patches of 4x4 outputs: 36 multiplications instead of 144 */
    CM_CONV2D_ALGORITHM_COUNT
} cm_conv2d_algorithm;

/** out_height = (height + 2 * padding_h - kernel_h) / stride_h + 1, rounded down; same for width.
 */
typedef struct cm_conv2d_shape {
    int batch;
    int in_channels, height, width;
    int out_channels;
    int kernel_h, kernel_w;
    int stride_h, stride_w;
    int padding_h, padding_w;
    int block; /* images of a block of dweight's and dbias' sums; 0: the batch is one (kernels.h) */
    cm_conv2d_algorithm algorithm; /* AUTO becomes the table's choice in cm_conv2d_shape_init() */
    int out_height, out_width;     /* derived: set by cm_conv2d_shape_init() */
} cm_conv2d_shape;

/** Checks the sizes and derives the output size. False if a size is < 1 (padding: < 0), the kernel
 * is larger than the padded map, kernel_h * kernel_w is more than 4096, an array would have more
 * than 2^31 - 1 elements, or the algorithm does not fit the shape. */
bool cm_conv2d_shape_init(cm_conv2d_shape *shape);
/** The 1x1 convolution of a 1x1 map that a linear layer is. */
cm_conv2d_shape cm_linear_shape(int batch, int in_features, int out_features);

/** Whether `algorithm` can compute the shape. AUTO and DIRECT always can. */
bool cm_conv2d_algorithm_fits(cm_conv2d_algorithm algorithm, const cm_conv2d_shape *shape);
/** "auto", "direct" ... */
const char *cm_conv2d_algorithm_name(cm_conv2d_algorithm algorithm);
/** The algorithm called `name`; CM_CONV2D_ALGORITHM_COUNT if there is none. */
cm_conv2d_algorithm cm_conv2d_algorithm_from_name(const char *name);

/** What one pass of a convolution costs with its algorithm. */
typedef struct cm_conv2d_cost {
    double multiply_adds;   /* of the whole batch, without those of taps outside the map */
    double planes, results; /* transforms, per map: planes of it, and of a result; else 0 */
    double filter_floats;   /* of the filters as they are multiplied */
    double sum_floats;      /* transforms: sums that dweight is made of; else 0 */
} cm_conv2d_cost;

cm_conv2d_cost cm_conv2d_cost_of(const cm_conv2d_shape *shape);

/** For the kernels of CM_CONV2D_DIRECT: offsets and sizes in the workspace, in floats. */
typedef struct cm_conv2d_direct_plan {
    bool few_channels;             /* images and patches are copied: kernels/conv2d/contract.h */
    size_t panels, thread_panels;  /* packed filters, of the first thread; of one thread */
    size_t rows, thread_rows, row; /* backward-data, few channels: transposed rows of dy, of the
                                      first thread; of one thread, 0: none; of one channel */
    size_t copies;                 /* images in frames of zeros, or what backward-weights packs */
    size_t patches;                /* few channels: patches of a chunk of outputs */
    int chunk_rows, chunk_copies;  /* backward-weights: rows of outputs per chunk, copies of them */
    size_t chunk_x, chunk_dy;      /* floats of one copy of x and of dy */
    size_t chunk;                  /* floats of all copies of a chunk */
} cm_conv2d_direct_plan;

/** For the kernels of transform domains. Maps are cut into patches of patch_side x patch_side
 * positions, fewer at the right and lower edge; a whole map may be one patch. The patches of all
 * images, in order, are processed in blocks. Offsets and sizes are in floats. */
typedef struct cm_conv2d_transform_plan {
    int patch_side, patches_across;       /* across: patches of a row */
    ptrdiff_t image_patches, patches;     /* of an image, of the batch */
    ptrdiff_t blocks;                     /* in equal parts */
    size_t x_plane, y_plane;              /* from one plane to the next, of x and of y or dy */
    size_t x_planes, dy_planes, results;  /* planes */
    size_t filters;                       /* half-transformed filters */
    size_t filter_planes, thread_filters; /* planes of one panel of filters, of the first thread;
                                             of one thread */
    size_t sums;                          /* what dweight is made of */
} cm_conv2d_transform_plan;

/**
 * A convolution, planned: its shape, the memory that it needs, and what its algorithm derives from
 * the shape. Made once by cm_conv2d_plan_of(); kernels only read it. It holds no pointers, is the
 * same for every instruction set, and may be copied.
 */
typedef struct cm_conv2d_plan {
    cm_conv2d_shape shape;
    int threads;      /* the largest team that may run it */
    size_t workspace; /* bytes of scratch memory that all passes share; grows with the batch */
    size_t packed;    /* bytes that conv2d_pack() writes; the same for every batch */
    size_t kept;      /* bytes that conv2d_forward() can keep for conv2d_backward(); 0: none */
    /* For kernels; what is below has no meaning outside the library. */
    size_t bias_sums;  /* where the sums of dy per image are that dbias is made of, doubles */
    size_t block_sums; /* where gradients of blocks of images wait to be joined */
    cm_conv2d_direct_plan direct;
    cm_conv2d_transform_plan transform;
} cm_conv2d_plan;

/** Plans a shape that cm_conv2d_shape_init() has accepted, for teams of up to `threads` >= 1. */
cm_conv2d_plan cm_conv2d_plan_of(const cm_conv2d_shape *shape, int threads);

/*
 * The passes. In all of them x is [batch][height][width][in_channels], y and dy are
 * [batch][out_height][out_width][out_channels], and weight and dweight are
 * [kernel_h][kernel_w][in_channels][out_channels]. The sequences of operations are those of
 * CM_CONV2D_DIRECT; the other algorithms compute the same sums in another way, with an error as
 * small (docs/design/numerics.md).
 */

typedef struct cm_conv2d_forward_args {
    const cm_conv2d_plan *plan;
    const float *x, *weight;
    const float *bias; /* [out_channels]; NULL: none */
    bool relu;
    float *y;        /* written */
    float *kept;     /* written: plan->kept bytes, 64-byte aligned; NULL: nothing is kept */
    void *workspace; /* plan->workspace bytes */
} cm_conv2d_forward_args;

/**
 * y[n,p,q,k] = chain over (r, s, c) of x[n, p*stride-padding+r, q*stride-padding+s, c] *
 * weight[r,s,c,k], without the taps (r, s) that are outside the map, then + bias[k], then ReLU if
 * `relu`.
 */
typedef void cm_conv2d_forward_fn(const cm_team *team, const cm_conv2d_forward_args *args);

/**
 * Packs the weights for conv2d_inference, which does not pack them for each batch as conv2d_forward
 * does. `packed` has plan->packed bytes, is 64-byte aligned, and serves the shape with any batch,
 * on this instruction set. Put a barrier between this call and conv2d_inference.
 */
typedef void cm_conv2d_pack_fn(const cm_team *team, const cm_conv2d_plan *plan, const float *weight,
                               float *packed);

typedef struct cm_conv2d_inference_args {
    const cm_conv2d_plan *plan;
    const float *x, *packed;
    const float *bias;          /* [out_channels]; NULL: none */
    const float *scale, *shift; /* [out_channels]: a batch norm; both NULL: none */
    bool relu;
    float *y;        /* written */
    void *workspace; /* plan->workspace bytes */
} cm_conv2d_inference_args;

/** As conv2d_forward, with fma(z, scale[k], shift[k]) between bias and ReLU where scale is not
 * NULL: the same bits as batch_norm_forward. */
typedef void cm_conv2d_inference_fn(const cm_team *team, const cm_conv2d_inference_args *args);

typedef struct cm_conv2d_backward_args {
    const cm_conv2d_plan *plan;
    const float *x;      /* for dweight; not read where `kept` is given */
    const float *dy;     /* gradient of y */
    const float *weight; /* for dx */
    float *dx;           /* written; NULL: not wanted */
    float *dweight;      /* written; NULL: not wanted */
    float *dbias;        /* written: [out_channels]; NULL: not wanted */
    const float *kept;   /* what conv2d_forward() kept of x: the same bits; NULL: nothing */
    void *workspace;     /* plan->workspace bytes */
} cm_conv2d_backward_args;

/**
 * dx[n,h,w,c] = chain over (r, s, k) of dy[n,p,q,k] * weight[r,s,c,k] for the taps that read
 * x[n,h,w,c]; 0 where there is none.
 *
 * dweight[r,s,c,k] = sum over (n, p, q) of x[n,h,w,c] * dy[n,p,q,k], dbias[k] = that of
 * dy[n,p,q,k]: in a block of images chains over some (p, q) or n, added up in an order that depends
 * on the shape (docs/design/numerics.md), dbias in double; then blocks in a tree.
 *
 * All that is wanted is computed in one call, so that what is transformed is transformed once;
 * each gradient has the same bits as if it were computed alone.
 */
typedef void cm_conv2d_backward_fn(const cm_team *team, const cm_conv2d_backward_args *args);

/** conv2d_backward of dx alone: of the arguments it reads plan, dy, weight, dx and workspace. */
typedef void cm_conv2d_backward_data_fn(const cm_team *team, const cm_conv2d_backward_args *args);

/** conv2d_backward of dweight and dbias alone: it does not read weight, dx and kept. */
typedef void cm_conv2d_backward_weights_fn(const cm_team *team,
                                           const cm_conv2d_backward_args *args);

#ifdef __cplusplus
}
#endif

#endif
