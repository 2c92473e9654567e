/* The backward sums of batch norm, shared by the kernels with and without a fused max pool.
 * Included after isa.h by sources that are compiled once for each instruction set. */
#ifndef CM_KERNELS_BATCH_NORM_SUMS_H
#define CM_KERNELS_BATCH_NORM_SUMS_H

#include <math.h>

#include "kernels/isa.h"
#include "kernels/simd/vectors.h"

/* Channels whose sums over the images are joined side by side. */
enum { CM_JOIN_CHANNELS = 16 };

/* Layout of the workspace: per-image partial results [batch][2][channels], then the coefficients b
 * and c of dx = fma(a, g, fma(b, x, c)), [2][channels]. */
CM_ALWAYS_INLINE float *cm_batch_norm_partial(void *workspace, ptrdiff_t image,
                                              ptrdiff_t channels) {
    return (float *)workspace + image * 2 * channels;
}

/* Writes what follows from the mean and the sum of squared differences of channel c, over `count`
 * values. */
static inline void cm_normalize(const cm_normalization *to, ptrdiff_t c, double mean,
                                double squares, double count) {
    to->mean[c] = (float)mean;
    to->rstd[c] = (float)(1.0 / sqrt(squares / count + (double)to->eps));
    to->scale[c] = to->gamma[c] * to->rstd[c];
    to->shift[c] = fmaf(-to->mean[c], to->scale[c], to->beta[c]);
    if (to->running_mean != NULL) {
        /* One value has no unbiased variance; it is taken as 0. */
        const float unbiased = (float)(squares / (count > 1.0 ? count - 1.0 : 1.0));
        to->running_mean[c] =
            fmaf(to->momentum, to->mean[c] - to->running_mean[c], to->running_mean[c]);
        to->running_var[c] = fmaf(to->momentum, unbiased - to->running_var[c], to->running_var[c]);
    }
}

/* What one image adds to dbeta and dgamma, for `vectors` vectors of channels from `c`, the last of
 * them of n lanes. Over the positions in order: sum_g += g; sum_gx = fma(g, (x - mean) * rstd,
 * sum_gx). */
typedef struct cm_gradient_sums {
    const float *dy, *y, *x; /* [batch][positions][channels] */
    const float *mean, *rstd;
    ptrdiff_t positions, channels;
    void *workspace;
} cm_gradient_sums;

CM_ALWAYS_INLINE void cm_sum_image(const cm_gradient_sums *s, ptrdiff_t image, ptrdiff_t c,
                                   int vectors, int n) {
    vf sum_g[VF_SUM_VECTORS], sum_gx[VF_SUM_VECTORS], mean[VF_SUM_VECTORS], rstd[VF_SUM_VECTORS];
    for (int v = 0; v < vectors; ++v) {
        sum_g[v] = vf_zero();
        sum_gx[v] = vf_zero();
        mean[v] = cm_load(s->mean + c + v * VF_LANES, n);
        rstd[v] = cm_load(s->rstd + c + v * VF_LANES, n);
    }
    ptrdiff_t at = image * s->positions * s->channels + c;
    for (ptrdiff_t i = 0; i < s->positions; ++i, at += s->channels) {
        for (int v = 0; v < vectors; ++v) {
            const vf g = cm_load_gradient(s->dy, s->y, at + v * VF_LANES, n);
            const vf centred = vf_sub(cm_load(s->x + at + v * VF_LANES, n), mean[v]);
            sum_g[v] = vf_add(sum_g[v], g);
            sum_gx[v] = vf_fma(g, vf_mul(centred, rstd[v]), sum_gx[v]);
        }
    }
    float *partial = cm_batch_norm_partial(s->workspace, image, s->channels);
    for (int v = 0; v < vectors; ++v) {
        cm_store(partial + c + v * VF_LANES, sum_g[v], n);
        cm_store(partial + s->channels + c + v * VF_LANES, sum_gx[v], n);
    }
}

/* All per-image sums: tasks are images x blocks of channels. */
static inline void cm_sum_gradients(const cm_team *team, const cm_gradient_sums *s, int batch) {
    const ptrdiff_t blocks = (s->channels + CM_SUM_CHANNELS - 1) / CM_SUM_CHANNELS;
    const cm_range range = cm_team_share(team, batch * blocks);
    for (ptrdiff_t task = range.begin; task < range.end; ++task) {
        const ptrdiff_t image = task / blocks;
        ptrdiff_t c = task % blocks * CM_SUM_CHANNELS;
        if (c + CM_SUM_CHANNELS <= s->channels) {
            cm_sum_image(s, image, c, VF_SUM_VECTORS, VF_LANES);
            continue;
        }
        for (; c + VF_LANES <= s->channels; c += VF_LANES) {
            cm_sum_image(s, image, c, 1, VF_LANES);
        }
        if (c < s->channels) {
            cm_sum_image(s, image, c, 1, (int)(s->channels - c));
        }
    }
}

/* Joins the images' sums of n <= CM_JOIN_CHANNELS channels from c, in order, in double; writes
 * dgamma, dbeta and the coefficients. `count` is batch * height * width of x. */
static inline void cm_join_channels(const cm_gradient_sums *s, int batch, double count,
                                    const float *scale, ptrdiff_t c, int n, float *dgamma,
                                    float *dbeta) {
    double sum_g[CM_JOIN_CHANNELS] = {0}, sum_gx[CM_JOIN_CHANNELS] = {0};
    for (ptrdiff_t image = 0; image < batch; ++image) {
        const float *partial = cm_batch_norm_partial(s->workspace, image, s->channels) + c;
        for (int i = 0; i < n; ++i) {
            sum_g[i] += (double)partial[i];
            sum_gx[i] += (double)partial[s->channels + i];
        }
    }
    float *b = cm_batch_norm_partial(s->workspace, batch, s->channels) + c;
    float *shift = b + s->channels;
    for (int i = 0; i < n; ++i) {
        const double a = (double)scale[c + i];
        const double slope = -a * (double)s->rstd[c + i] * sum_gx[i] / count;
        dbeta[c + i] = (float)sum_g[i];
        dgamma[c + i] = (float)sum_gx[i];
        b[i] = (float)slope;
        shift[i] = (float)(-a * sum_g[i] / count - slope * (double)s->mean[c + i]);
    }
}

static inline void cm_join_gradients(const cm_team *team, const cm_gradient_sums *s, int batch,
                                     double count, const float *scale, float *dgamma,
                                     float *dbeta) {
    const ptrdiff_t blocks = (s->channels + CM_JOIN_CHANNELS - 1) / CM_JOIN_CHANNELS;
    const cm_range range = cm_team_share(team, blocks);
    for (ptrdiff_t block = range.begin; block < range.end; ++block) {
        const ptrdiff_t c = block * CM_JOIN_CHANNELS;
        const ptrdiff_t left = s->channels - c;
        const int n = left < CM_JOIN_CHANNELS ? (int)left : CM_JOIN_CHANNELS;
        cm_join_channels(s, batch, count, scale, c, n, dgamma, dbeta);
    }
}

#endif
