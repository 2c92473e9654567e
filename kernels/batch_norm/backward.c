/* Batch norm's backward pass and the sums of it, which the pass fused with a max pool shares. */
#include <string.h>

#include "kernels/batch_norm/internal.h"
#include "kernels/isa.h"
#include "kernels/simd/vectors.h"

/* The sums of one image, for `vectors` vectors of channels from `c`, the last of them of n lanes:
 * of g, and of g * (x - mean). Chains of floats over runs of positions, which are added in double.
 */
CM_ALWAYS_INLINE void sum_channel_gradients(const cm_gradient_sums *s, ptrdiff_t image, ptrdiff_t c,
                                            int vectors, int n) {
    double sums_g[CM_SUM_CHANNELS] = {0}, sums_gx[CM_SUM_CHANNELS] = {0};
    ptrdiff_t at = image * s->positions * s->channels + c;
    for (ptrdiff_t i = 0; i < s->positions;) {
        const ptrdiff_t run = i + CM_RUN_POSITIONS;
        const ptrdiff_t end = run < s->positions ? run : s->positions;
        vf sum_g[VF_SUM_VECTORS], sum_gx[VF_SUM_VECTORS];
        for (int v = 0; v < vectors; ++v) {
            sum_g[v] = vf_zero();
            sum_gx[v] = vf_zero();
        }
        for (; i < end; ++i, at += s->channels) {
            for (int v = 0; v < vectors; ++v) {
                const vf g = cm_load_gradient(s->dy, s->y, at + v * VF_LANES, n);
                const vf centred = vf_sub(cm_load(s->x + at + v * VF_LANES, n),
                                          cm_load(s->mean + c + v * VF_LANES, n));
                sum_g[v] = vf_add(sum_g[v], g);
                sum_gx[v] = vf_fma(g, centred, sum_gx[v]);
            }
        }
        for (int v = 0; v < vectors; ++v) {
            vf_add_to_doubles(sum_g[v], sums_g + v * VF_LANES);
            vf_add_to_doubles(sum_gx[v], sums_gx + v * VF_LANES);
        }
    }
    double *to = cm_batch_norm_sums(s->workspace, image, s->channels) + c;
    const size_t bytes = (size_t)((vectors - 1) * VF_LANES + n) * sizeof *to;
    memcpy(to, sums_g, bytes);
    memcpy(to + s->channels, sums_gx, bytes);
}

/* All per-image sums: tasks are images x blocks of channels. */
static void sum_image_gradients(const cm_team *team, const cm_gradient_sums *s) {
    const ptrdiff_t blocks = (s->channels + CM_SUM_CHANNELS - 1) / CM_SUM_CHANNELS;
    const cm_range range = cm_team_share(team, s->batch * blocks);
    for (ptrdiff_t task = range.begin; task < range.end; ++task) {
        const ptrdiff_t image = task / blocks;
        ptrdiff_t c = task % blocks * CM_SUM_CHANNELS;
        if (c + CM_SUM_CHANNELS <= s->channels) {
            sum_channel_gradients(s, image, c, VF_SUM_VECTORS, VF_LANES);
            continue;
        }
        for (; c + VF_LANES <= s->channels; c += VF_LANES) {
            sum_channel_gradients(s, image, c, 1, VF_LANES);
        }
        if (c < s->channels) {
            sum_channel_gradients(s, image, c, 1, (int)(s->channels - c));
        }
    }
}

/* Joins the images' sums of n <= CM_JOIN_CHANNELS channels from c in double; writes dgamma, dbeta
 * and the coefficients. */
static void join_image_gradients(const cm_gradient_sums *s, ptrdiff_t c, int n) {
    double *sum_g = cm_batch_norm_sums(s->workspace, 0, s->channels) + c;
    double *sum_gx = sum_g + s->channels;
    cm_join_images(sum_g, 2 * s->channels, s->batch, s->block, n);
    cm_join_images(sum_gx, 2 * s->channels, s->batch, s->block, n);
    float *b = cm_batch_norm_coefficients(s->workspace, s->batch, s->channels) + c;
    float *shift = b + s->channels;
    for (int i = 0; i < n; ++i) {
        const double a = (double)s->scale[c + i], rstd = (double)s->rstd[c + i];
        const double dgamma = rstd * sum_gx[i];
        s->dbeta[c + i] = (float)sum_g[i];
        s->dgamma[c + i] = (float)dgamma;
        b[i] = (float)(-a * rstd * dgamma / s->count);
        shift[i] = (float)(-a * sum_g[i] / s->count);
    }
}

const float *cm_sum_gradients(const cm_team *team, const cm_gradient_sums *sums) {
    sum_image_gradients(team, sums);
    cm_team_barrier(team);
    const ptrdiff_t channels = sums->channels;
    const cm_range range =
        cm_team_share(team, (channels + CM_JOIN_CHANNELS - 1) / CM_JOIN_CHANNELS);
    for (ptrdiff_t block = range.begin; block < range.end; ++block) {
        const ptrdiff_t c = block * CM_JOIN_CHANNELS;
        const ptrdiff_t left = channels - c;
        join_image_gradients(sums, c, left < CM_JOIN_CHANNELS ? (int)left : CM_JOIN_CHANNELS);
    }
    cm_team_barrier(team);
    return cm_batch_norm_coefficients(sums->workspace, sums->batch, channels);
}

/* dx of n lanes from channel c, at element `at`. */
CM_ALWAYS_INLINE void backward_vector(const cm_batch_norm_backward_args *a, ptrdiff_t channels,
                                      const float *coefficients, ptrdiff_t at, ptrdiff_t c, int n) {
    const vf g = cm_load_gradient(a->dy, a->y, at, n);
    const vf centred = vf_sub(cm_load(a->x + at, n), cm_load(a->mean + c, n));
    const vf rest =
        vf_fma(cm_load(coefficients + c, n), centred, cm_load(coefficients + channels + c, n));
    cm_store(a->dx + at, vf_fma(cm_load(a->scale + c, n), g, rest), n);
}

void cm_batch_norm_backward(const cm_team *team, const cm_batch_norm_backward_args *args) {
    const cm_map_shape *shape = args->shape;
    const ptrdiff_t map = (ptrdiff_t)shape->height * shape->width;
    const ptrdiff_t positions = shape->batch * map, channels = shape->channels;
    const cm_gradient_sums sums = {.dy = args->dy,
                                   .y = args->y,
                                   .x = args->x,
                                   .mean = args->mean,
                                   .rstd = args->rstd,
                                   .scale = args->scale,
                                   .batch = shape->batch,
                                   .block = args->block,
                                   .positions = map,
                                   .channels = channels,
                                   .count = (double)positions,
                                   .dgamma = args->dgamma,
                                   .dbeta = args->dbeta,
                                   .workspace = args->workspace};
    const float *coefficients = cm_sum_gradients(team, &sums);
    const cm_batch_norm_backward_args a = *args; /* a copy, which no store can change */
    const cm_range range = cm_team_share(team, positions);
    for (ptrdiff_t i = range.begin; i < range.end; ++i) {
        const ptrdiff_t at = i * channels;
        ptrdiff_t c = 0;
        for (; c + VF_LANES <= channels; c += VF_LANES) {
            backward_vector(&a, channels, coefficients, at + c, c, VF_LANES);
        }
        if (c < channels) {
            backward_vector(&a, channels, coefficients, at + c, c, (int)(channels - c));
        }
    }
}
