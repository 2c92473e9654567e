/**
 * What batch norm's sources share with each other and with the first layer's. Include it after
 * isa.h: the functions are compiled once per instruction set.
 */
#ifndef CM_KERNELS_BATCH_NORM_INTERNAL_H
#define CM_KERNELS_BATCH_NORM_INTERNAL_H

#include "kernels/isa.h"
#include "kernels/simd/vectors.h"
#include "kernels/sums.h"

/* Workspace: two sums per image and channel, doubles [batch][2][channels]; then the coefficients b
 * and c of dx = fma(a, g, fma(b, x - mean, c)), floats [2][channels]. */
CM_ALWAYS_INLINE double *cm_batch_norm_sums(void *workspace, ptrdiff_t image, ptrdiff_t channels) {
    return (double *)workspace + image * 2 * channels;
}

CM_ALWAYS_INLINE float *cm_batch_norm_coefficients(void *workspace, ptrdiff_t batch,
                                                   ptrdiff_t channels) {
    return (float *)cm_batch_norm_sums(workspace, batch, channels);
}

/* Writes what follows from the mean and the sum of squared differences of channel c over `count`
 * values: mean, rstd, scale, shift and the running statistics. */
void cm_normalize(const cm_normalization *to, ptrdiff_t c, double mean, double squares,
                  double count);

/* The backward sums of a batch norm, over `positions` positions per image. */
typedef struct cm_gradient_sums {
    const float *dy, *y, *x; /* [batch][positions][channels]; y: NULL when no ReLU was fused */
    const float *mean, *rstd, *scale; /* [channels] */
    int batch, block;
    ptrdiff_t positions, channels;
    double count; /* M: batch * height * width of the batch norm's input */
    float *dgamma, *dbeta;
    void *workspace;
} cm_gradient_sums;

/* Writes dgamma, dbeta and the coefficients; has a barrier inside and one at its end. Returns the
 * coefficients b; c follows them at [channels]. */
const float *cm_sum_gradients(const cm_team *team, const cm_gradient_sums *sums);

#endif
