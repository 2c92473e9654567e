/**
 * The contract of every kernel.
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
#ifndef CM_KERNELS_KERNELS_H
#define CM_KERNELS_KERNELS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "convmark/philox.h"
#include "convmark/probe.h"
#include "convmark/team.h"

#ifdef __cplusplus
extern "C" {
#endif

/** Instruction sets, slowest first; the dispatch table in dispatch.c has one row for each. */
typedef enum cm_isa { CM_ISA_SCALAR, CM_ISA_NEON, CM_ISA_AVX2, CM_ISA_AVX512, CM_ISA_COUNT } cm_isa;

/** Images: [batch][height][width][channels]. */
typedef struct cm_map_shape {
    int batch, height, width, channels;
} cm_map_shape;

/**
 * How a convolution is computed (docs/design/algorithms.md). Which one a shape gets is a fixed
 * table, the same on every machine, because it decides the bits of the result.
 */
typedef enum cm_conv2d_algorithm {
    CM_CONV2D_AUTO,      /* what the table says */
    CM_CONV2D_DIRECT,    /* any shape: padding is skipped */
    CM_CONV2D_T4,        /* 3x3 maps: 16 products instead of 49 */
    CM_CONV2D_DFT10,     /* 9x9 maps: 148 products instead of 625 */
    CM_CONV2D_WINOGRAD3, /* tiles of 3x3 outputs: 25 products instead of 81 */
    CM_CONV2D_WINOGRAD4, /* tiles of 4x4 outputs: 36 products instead of 144 */
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
    cm_conv2d_algorithm algorithm; /* AUTO becomes the table's choice in cm_conv2d_shape_init() */
    int out_height, out_width;     /* derived: set by cm_conv2d_shape_init() */
} cm_conv2d_shape;

/** Windows never reach outside the map (floor mode, no padding). */
typedef struct cm_max_pool2d_shape {
    int batch, height, width, channels;
    int kernel_h, kernel_w;
    int stride_h, stride_w;
    int out_height, out_width; /* derived: set by cm_max_pool2d_shape_init() */
} cm_max_pool2d_shape;

/** Adam (Kingma & Ba, arXiv 1412.6980) with L2 weight decay added to the gradient. */
typedef struct cm_adam_step {
    double learning_rate, beta1, beta2, epsilon, weight_decay;
    double bias_correction1; /* 1 - beta1^t, the power by repeated multiplication */
    double bias_correction2; /* 1 - beta2^t */
} cm_adam_step;

/** Checks the sizes, derives the output size. False if a size is < 1 (padding: < 0), the kernel is
 * larger than the padded map or has more than 4096 elements, or an array would have more than
 * 2^31 - 1. */
bool cm_conv2d_shape_init(cm_conv2d_shape *shape);
/** As above; a window of more than 65,535 elements is refused as well. */
bool cm_max_pool2d_shape_init(cm_max_pool2d_shape *shape);
/** The 1x1 convolution that a linear layer is. */
cm_conv2d_shape cm_linear_shape(int batch, int in_features, int out_features);

/** Whether `algorithm` can compute the shape. AUTO and DIRECT always can. */
bool cm_conv2d_algorithm_fits(cm_conv2d_algorithm algorithm, const cm_conv2d_shape *shape);
/** "auto", "direct" ... */
const char *cm_conv2d_algorithm_name(cm_conv2d_algorithm algorithm);
/** The algorithm called `name`; CM_CONV2D_ALGORITHM_COUNT if there is none. */
cm_conv2d_algorithm cm_conv2d_algorithm_from_name(const char *name);

/** What one pass of a convolution costs, by its algorithm. */
typedef struct cm_conv2d_cost {
    double multiply_adds;   /* of the whole batch; those that padding would add are not there */
    double planes, results; /* domains: planes of a transformed map, and of a result; else 0 */
    double kernel_floats;   /* of the weights as they are multiplied: panels, or columns */
    double sum_floats;      /* domains: sums that the weights' gradient is made of; else 0 */
} cm_conv2d_cost;

cm_conv2d_cost cm_conv2d_cost_of(const cm_conv2d_shape *shape);

/** Numbers in a patch of conv2d_max_pool2d's convolution, kernel_h * kernel_w * in_channels: at
 * most this many. */
enum { CM_MAX_PATCH = 32 };

/** Whether conv2d_max_pool2d's kernels can compute this pair and are the faster way: small patches,
 * windows that overlap little. */
bool cm_conv2d_max_pool2d_pays(const cm_conv2d_shape *conv, const cm_max_pool2d_shape *pool);

/** Doubles of the moments that conv2d_batch_norm_statistics leaves for the backward pass: the mean
 * patch, then the patches' covariance. */
size_t cm_patch_moments_count(const cm_conv2d_shape *conv);

/** Bytes of a convolution's weights as conv2d_pack() leaves them, for any instruction set. */
size_t cm_conv2d_packed(const cm_conv2d_shape *shape);

/** Bytes that conv2d_forward() can keep for conv2d_backward(); 0: its algorithm keeps nothing. */
size_t cm_conv2d_kept(const cm_conv2d_shape *shape);

/** Scratch memory, in bytes, enough for all passes on any instruction set by up to `threads`. */
size_t cm_conv2d_workspace(const cm_conv2d_shape *shape, int threads);
size_t cm_batch_norm_workspace(const cm_map_shape *shape);
size_t cm_conv2d_max_pool2d_workspace(const cm_conv2d_shape *conv, const cm_max_pool2d_shape *pool,
                                      int threads);
size_t cm_softmax_cross_entropy_workspace(int batch);

/**
 * The sequences of operations below are those of CM_CONV2D_DIRECT; the other algorithms compute the
 * same sums in another way, with an error as small (docs/design/numerics.md).
 *
 * y[n,p,q,k] = chain over (r, s, c) of x[n, p*stride-padding+r, q*stride-padding+s, c] *
 * weight[r,s,c,k], taps outside the map left out, then + bias[k] (NULL: no addition), then ReLU if
 * asked. kept (NULL: nothing): cm_conv2d_kept() bytes, 64-byte aligned, for conv2d_backward().
 */
typedef void cm_conv2d_forward_fn(const cm_team *team, const cm_conv2d_shape *shape, const float *x,
                                  const float *weight, const float *bias, bool relu, float *y,
                                  float *kept, void *workspace);

/**
 * Inference, where the weights are the same for many batches: conv2d_pack() does once what
 * conv2d_forward does with them each time. `packed` has cm_conv2d_packed() bytes, 64-byte aligned,
 * and is for this shape, whatever its batch, and this instruction set; a barrier must lie between.
 * conv2d_inference: as conv2d_forward, with fma(z, scale[k], shift[k]) between bias and ReLU where
 * scale is not NULL: a batch norm, to the same bits as batch_norm_forward.
 */
typedef void cm_conv2d_pack_fn(const cm_team *team, const cm_conv2d_shape *shape,
                               const float *weight, float *packed);
typedef void cm_conv2d_inference_fn(const cm_team *team, const cm_conv2d_shape *shape,
                                    const float *x, const float *packed, const float *bias,
                                    const float *scale, const float *shift, bool relu, float *y,
                                    void *workspace);

/** dx[n,h,w,c] = chain over (r, s, k) of dy[n,p,q,k] * weight[r,s,c,k] for the taps that read
 * x[n,h,w,c]; 0 where there is none. */
typedef void cm_conv2d_backward_data_fn(const cm_team *team, const cm_conv2d_shape *shape,
                                        const float *dy, const float *weight, float *dx,
                                        void *workspace);

/**
 * dweight[r,s,c,k] = sum over blocks of images of the chains over the block's (n, p, q) of
 * x[n,h,w,c] * dy[n,p,q,k]; dbias[k] (NULL: not wanted) = sum over images of the sums over (p, q).
 * Blocks, and the order inside one, depend on the shape: docs/design/numerics.md.
 */
typedef void cm_conv2d_backward_weights_fn(const cm_team *team, const cm_conv2d_shape *shape,
                                           const float *x, const float *dy, float *dweight,
                                           float *dbias, void *workspace);

/**
 * Both backward passes at once, which share what they transform: dx as backward_data, dweight and
 * dbias as backward_weights, each bit the same. Any of the three may be NULL: not wanted. kept
 * (NULL: nothing): what conv2d_forward() kept of the same x, to the same bits without it.
 */
typedef void cm_conv2d_backward_fn(const cm_team *team, const cm_conv2d_shape *shape,
                                   const float *x, const float *dy, const float *weight, float *dx,
                                   float *dweight, float *dbias, const float *kept,
                                   void *workspace);

/**
 * Batch statistics (Ioffe & Szegedy, arXiv 1502.03167) and what training needs of them, a channel:
 * per image, mean and sum of squared differences (two passes, float); joined over the images in
 * order in double (Chan, Golub & LeVeque, 1983). Writes mean and rstd = 1 / sqrt(variance + eps),
 * scale = gamma * rstd, shift = fma(-mean, scale, beta), and moves the running statistics by
 * `momentum` towards the mean and the unbiased variance (running_*: NULL, NULL leaves them).
 */
typedef void cm_batch_norm_statistics_fn(const cm_team *team, const cm_map_shape *shape,
                                         const float *x, const float *gamma, const float *beta,
                                         float eps, float momentum, float *running_mean,
                                         float *running_var, float *mean, float *rstd, float *scale,
                                         float *shift, void *workspace);

/** Evaluation mode: the same scale and shift from the running statistics. */
typedef void cm_batch_norm_inference_fn(const cm_team *team, int channels, const float *gamma,
                                        const float *beta, float eps, const float *running_mean,
                                        const float *running_var, float *scale, float *shift);

/** y = fma(x, scale[c], shift[c]), then ReLU if asked. y may be x. */
typedef void cm_batch_norm_forward_fn(const cm_team *team, const cm_map_shape *shape,
                                      const float *x, const float *scale, const float *shift,
                                      bool relu, float *y);

/**
 * Backward of statistics + forward in training mode. With g = dy, or 0 where a ReLU followed and
 * its output y is not > 0 (y: NULL when none did): dbeta = sum g, dgamma = sum g * xhat with xhat =
 * (x - mean) * rstd, each as float sums over an image's positions, joined over images in order in
 * double; dx = fma(a, g, fma(b, x, c)) with a = scale, b = -a * rstd * dgamma / M, c = -a * dbeta /
 * M - b * mean, M = batch * height * width (a, b, c computed in double, rounded once). dx may be
 * dy.
 */
typedef void cm_batch_norm_backward_fn(const cm_team *team, const cm_map_shape *shape,
                                       const float *dy, const float *y, const float *x,
                                       const float *mean, const float *rstd, const float *scale,
                                       float *dgamma, float *dbeta, float *dx, void *workspace);

/**
 * Max pool of z, where z = x, or fma(x, scale[c], shift[c]) when scale is not NULL (a batch norm in
 * front, not written to memory); then ReLU if asked. The first maximum in row-major window order
 * wins (a later element must be greater). argmax: index in the window, [batch][out_height]
 * [out_width][channels] (NULL: evaluation). x_at_max: x at this index (NULL: not wanted).
 */
typedef void cm_max_pool2d_forward_fn(const cm_team *team, const cm_max_pool2d_shape *shape,
                                      const float *x, const float *scale, const float *shift,
                                      bool relu, float *y, uint16_t *argmax, float *x_at_max);

/**
 * dx[n,h,w,c] = sum, in row-major order of the outputs, of g over the windows whose argmax it is; g
 * = dy, or 0 where y is not > 0 when a ReLU was fused (y: NULL when not). Sums start at +0.
 */
typedef void cm_max_pool2d_backward_fn(const cm_team *team, const cm_max_pool2d_shape *shape,
                                       const float *dy, const float *y, const uint16_t *argmax,
                                       float *dx);

/**
 * Backward of statistics + max_pool2d_forward with a batch norm in front: the same formulas as
 * batch_norm_backward with g as max_pool2d_backward scatters it (sums over the pooled positions in
 * row-major order, with x_at_max in place of x). `x` is the batch norm's input; dx has its shape
 * and must not be x.
 */
typedef void cm_batch_norm_max_pool2d_backward_fn(
    const cm_team *team, const cm_max_pool2d_shape *shape, const float *dy, const float *y,
    const uint16_t *argmax, const float *x_at_max, const float *x, const float *mean,
    const float *rstd, const float *scale, float *dgamma, float *dbeta, float *dx, void *workspace);

/**
 * conv2d followed by [batch norm,] [ReLU,] max pool for a first layer, whose patches are small: the
 * convolution's map never exists. A patch holds the K = kernel_h * kernel_w * in_channels numbers
 * that one output is computed from, in the order of (r, s, c), zeros outside the map; K <=
 * CM_MAX_PATCH. pool: the shape of conv's output. What is computed differs from the separate
 * kernels in rounding only.
 *
 * conv2d_batch_norm_statistics: mean and variance of an output channel w follow from the patches'
 * mean m and (biased) covariance C: w'm + bias and w'Cw. Both, [K] and [K][K], are left in
 * `moments` for the backward pass. All in double, in which products of two floats are exact: an
 * image's sums run over its outputs in CM_MOMENT_LANES interleaved chains, joined in a tree, then
 * over the images in order (docs/design/numerics.md).
 *
 * conv2d_max_pool2d_forward: weights are folded, w = scale[k] * weight and b = fma(bias, scale[k],
 * shift[k]) (scale NULL: w = weight, b = bias); z = chain over the patch of x * w; y = max of z
 * over the window, the first maximum in row-major order winning, + b, then ReLU if asked. argmax
 * (NULL: evaluation) as in max_pool2d_forward.
 *
 * conv2d_max_pool2d_backward: with g as in max_pool2d_backward, S[t] = an image's chain over the
 * windows of g * patch[t] at the maximum, G = the sum of g, both joined over the images in order in
 * double. Without batch norm (moments NULL; scale, rstd, dgamma and dbeta are not used) dweight = S
 * and dbias = G. With it dbeta = G, dgamma = rstd * (w'S - w'm G), dweight = scale * (S - m G -
 * rstd dgamma C w), in double, rounded once, and dbias = 0, which is its exact value.
 */
typedef void cm_conv2d_batch_norm_statistics_fn(
    const cm_team *team, const cm_conv2d_shape *conv, const cm_max_pool2d_shape *pool,
    const float *x, const float *weight, const float *bias, const float *gamma, const float *beta,
    float eps, float momentum, float *running_mean, float *running_var, float *mean, float *rstd,
    float *scale, float *shift, double *moments, void *workspace);
typedef void cm_conv2d_max_pool2d_forward_fn(const cm_team *team, const cm_conv2d_shape *conv,
                                             const cm_max_pool2d_shape *pool, const float *x,
                                             const float *weight, const float *bias,
                                             const float *scale, const float *shift, bool relu,
                                             float *y, uint16_t *argmax, void *workspace);
typedef void cm_conv2d_max_pool2d_backward_fn(const cm_team *team, const cm_conv2d_shape *conv,
                                              const cm_max_pool2d_shape *pool, const float *x,
                                              const float *weight, const float *dy, const float *y,
                                              const uint16_t *argmax, const double *moments,
                                              const float *rstd, const float *scale, float *dgamma,
                                              float *dbeta, float *dweight, float *dbias,
                                              void *workspace);

/** y = ReLU(x). y may be x. */
typedef void cm_relu_forward_fn(const cm_team *team, size_t count, const float *x, float *y);

/** dx = y > 0 ? dy : 0, where y = ReLU(x). dx may be dy. */
typedef void cm_relu_backward_fn(const cm_team *team, size_t count, const float *dy, const float *y,
                                 float *dx);

/**
 * y = x * (1 / (1 - p)) where the element is kept, else 0; element i is kept when
 * cm_random_uniform(key, i) >= p. The backward pass is the same call on dy. y may be x. 0 <= p < 1.
 */
typedef void cm_dropout_fn(const cm_team *team, size_t count, const float *x, float p,
                           const cm_random_key *key, float *y);

/**
 * Softmax cross entropy of logits [batch][classes]: *loss = mean over the images of
 * -log(softmax[label]) and *correct = images whose first largest logit is at the label, both final
 * after the next barrier; dlogits (NULL: not wanted) = (softmax - one_hot) / batch. Maximum, sum of
 * exponentials and loss are taken in double, in the order of classes and images.
 */
typedef void cm_softmax_cross_entropy_fn(const cm_team *team, int batch, int classes,
                                         const float *logits, const uint8_t *labels, double *loss,
                                         int *correct, float *dlogits, void *workspace);

/**
 * One step on `count` parameters: g = fma(weight_decay, param, grad); m = fma(1 - beta1, g - m, m);
 * v = fma(1 - beta2, g * g, beta2 * v); param = fma(-learning_rate / bias_correction1,
 * m / (sqrt(v) / sqrt(bias_correction2) + epsilon), param). Each factor made of the step's
 * constants is computed in double and rounded once. PyTorch's torch.optim.Adam.
 */
typedef void cm_adam_fn(const cm_team *team, size_t count, const cm_adam_step *step,
                        const float *grad, float *param, float *m, float *v);

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
