#include <math.h>

#include "kernels/batch_norm/sums.h"
#include "kernels/isa.h"

/* Mean and sum of squared differences of one image's channels, as cm_sum_image() has them:
 * mean = (chain of additions over the positions) / positions; then the chain of fma(d, d, sum) with
 * d = x - mean. */
CM_ALWAYS_INLINE void channel_statistics(const float *x, ptrdiff_t positions, ptrdiff_t channels,
                                         int vectors, int n, float *mean, float *squares) {
    vf sum[VF_SUM_VECTORS], square[VF_SUM_VECTORS];
    cm_sum_positions(x, positions, channels, vectors, n, sum);
    const vf count = vf_set1((float)positions);
    for (int v = 0; v < vectors; ++v) {
        sum[v] = vf_div(sum[v], count);
        square[v] = vf_zero();
    }
    for (ptrdiff_t i = 0; i < positions; ++i, x += channels) {
        for (int v = 0; v < vectors; ++v) {
            const vf d = vf_sub(cm_load(x + v * VF_LANES, n), sum[v]);
            square[v] = vf_fma(d, d, square[v]);
        }
    }
    for (int v = 0; v < vectors; ++v) {
        cm_store(mean + v * VF_LANES, sum[v], n);
        cm_store(squares + v * VF_LANES, square[v], n);
    }
}

/* Tasks are images x blocks of channels. */
static void image_statistics(const cm_team *team, const cm_map_shape *shape, const float *x,
                             void *workspace) {
    const ptrdiff_t channels = shape->channels;
    const ptrdiff_t positions = (ptrdiff_t)shape->height * shape->width;
    const ptrdiff_t blocks = (channels + CM_SUM_CHANNELS - 1) / CM_SUM_CHANNELS;
    const cm_range range = cm_team_share(team, shape->batch * blocks);
    for (ptrdiff_t task = range.begin; task < range.end; ++task) {
        const ptrdiff_t image = task / blocks;
        const float *from = x + image * positions * channels;
        float *mean = cm_batch_norm_partial(workspace, image, channels);
        float *squares = mean + channels;
        ptrdiff_t c = task % blocks * CM_SUM_CHANNELS;
        if (c + CM_SUM_CHANNELS <= channels) {
            channel_statistics(from + c, positions, channels, VF_SUM_VECTORS, VF_LANES, mean + c,
                               squares + c);
            continue;
        }
        for (; c + VF_LANES <= channels; c += VF_LANES) {
            channel_statistics(from + c, positions, channels, 1, VF_LANES, mean + c, squares + c);
        }
        if (c < channels) {
            channel_statistics(from + c, positions, channels, 1, (int)(channels - c), mean + c,
                               squares + c);
        }
    }
}

/* Joins the images' means and squares of n <= CM_JOIN_CHANNELS channels from c. All images have the
 * same count, so with k images joined: mean += delta / (k + 1), squares += partial + delta^2 *
 * (positions * k / (k + 1)). */
static void join_images(const cm_map_shape *shape, const void *workspace, ptrdiff_t c, int n,
                        double *mean, double *squares) {
    const ptrdiff_t channels = shape->channels;
    const double positions = (double)shape->height * (double)shape->width;
    for (int k = 0; k < shape->batch; ++k) {
        const float *partial = (const float *)workspace + k * 2 * channels + c;
        const double weight = positions * k / (k + 1.0);
        for (int i = 0; i < n; ++i) {
            const double delta = (double)partial[i] - mean[i];
            mean[i] += delta / (k + 1.0);
            squares[i] += (double)partial[channels + i] + delta * delta * weight;
        }
    }
}

static void join_statistics(const cm_team *team, const cm_map_shape *shape,
                            const cm_normalization *to, const void *workspace) {
    const double count = (double)shape->batch * (double)shape->height * (double)shape->width;
    const ptrdiff_t channels = shape->channels;
    const cm_range range =
        cm_team_share(team, (channels + CM_JOIN_CHANNELS - 1) / CM_JOIN_CHANNELS);
    for (ptrdiff_t block = range.begin; block < range.end; ++block) {
        const ptrdiff_t first = block * CM_JOIN_CHANNELS;
        const ptrdiff_t left = channels - first;
        const int n = left < CM_JOIN_CHANNELS ? (int)left : CM_JOIN_CHANNELS;
        double means[CM_JOIN_CHANNELS] = {0}, squares[CM_JOIN_CHANNELS] = {0};
        join_images(shape, workspace, first, n, means, squares);
        for (int i = 0; i < n; ++i) {
            cm_normalize(to, first + i, means[i], squares[i], count);
        }
    }
}

void cm_batch_norm_statistics(const cm_team *team, const cm_batch_norm_statistics_args *args) {
    image_statistics(team, args->shape, args->x, args->workspace);
    cm_team_barrier(team);
    join_statistics(team, args->shape, &args->to, args->workspace);
}

void cm_batch_norm_inference(const cm_team *team, const cm_batch_norm_inference_args *args) {
    const cm_range range = cm_team_share(team, args->channels);
    for (ptrdiff_t c = range.begin; c < range.end; ++c) {
        const float rstd = (float)(1.0 / sqrt((double)args->running_var[c] + (double)args->eps));
        args->scale[c] = args->gamma[c] * rstd;
        args->shift[c] = fmaf(-args->running_mean[c], args->scale[c], args->beta[c]);
    }
}

CM_ALWAYS_INLINE void forward_vector(const float *x, const float *scale, const float *shift,
                                     bool relu, float *y, int n) {
    const vf z = vf_fma(cm_load(x, n), cm_load(scale, n), cm_load(shift, n));
    cm_store(y, relu ? cm_relu(z) : z, n);
}

CM_ALWAYS_INLINE void forward_positions(cm_range range, ptrdiff_t channels, const float *x,
                                        const float *scale, const float *shift, bool relu,
                                        float *y) {
    for (ptrdiff_t i = range.begin; i < range.end; ++i) {
        const float *from = x + i * channels;
        float *to = y + i * channels;
        ptrdiff_t c = 0;
        for (; c + VF_LANES <= channels; c += VF_LANES) {
            forward_vector(from + c, scale + c, shift + c, relu, to + c, VF_LANES);
        }
        if (c < channels) {
            forward_vector(from + c, scale + c, shift + c, relu, to + c, (int)(channels - c));
        }
    }
}

void cm_batch_norm_forward(const cm_team *team, const cm_map_shape *shape, const float *x,
                           const float *scale, const float *shift, bool relu, float *y) {
    const cm_range range =
        cm_team_share(team, (ptrdiff_t)shape->batch * shape->height * shape->width);
    if (relu) {
        forward_positions(range, shape->channels, x, scale, shift, true, y);
    } else {
        forward_positions(range, shape->channels, x, scale, shift, false, y);
    }
}

CM_ALWAYS_INLINE void backward_vector(const cm_gradient_sums *s, const float *scale,
                                      const float *coefficients, ptrdiff_t at, ptrdiff_t c, int n,
                                      float *dx) {
    const vf g = cm_load_gradient(s->dy, s->y, at, n);
    const vf rest = vf_fma(cm_load(coefficients + c, n), cm_load(s->x + at, n),
                           cm_load(coefficients + s->channels + c, n));
    cm_store(dx + at, vf_fma(cm_load(scale + c, n), g, rest), n);
}

void cm_batch_norm_backward(const cm_team *team, const cm_batch_norm_backward_args *args) {
    const cm_map_shape *shape = args->shape;
    const cm_gradient_sums sums = {.dy = args->dy,
                                   .y = args->y,
                                   .x = args->x,
                                   .mean = args->mean,
                                   .rstd = args->rstd,
                                   .positions = (ptrdiff_t)shape->height * shape->width,
                                   .channels = shape->channels,
                                   .workspace = args->workspace};
    const ptrdiff_t positions = shape->batch * sums.positions;
    const float *scale = args->scale;
    float *dx = args->dx;
    cm_sum_gradients(team, &sums, shape->batch);
    cm_team_barrier(team);
    cm_join_gradients(team, &sums, shape->batch, (double)positions, scale, args->dgamma,
                      args->dbeta);
    cm_team_barrier(team);
    const float *coefficients = cm_batch_norm_partial(args->workspace, shape->batch, sums.channels);
    const cm_range range = cm_team_share(team, positions);
    for (ptrdiff_t i = range.begin; i < range.end; ++i) {
        const ptrdiff_t at = i * sums.channels;
        ptrdiff_t c = 0;
        for (; c + VF_LANES <= sums.channels; c += VF_LANES) {
            backward_vector(&sums, scale, coefficients, at + c, c, VF_LANES, dx);
        }
        if (c < sums.channels) {
            backward_vector(&sums, scale, coefficients, at + c, c, (int)(sums.channels - c), dx);
        }
    }
}
