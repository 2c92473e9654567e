/* Batch norm's statistics, of a batch and from the running statistics. */
#include <math.h>

#include "kernels/batch_norm/internal.h"
#include "kernels/isa.h"
#include "kernels/simd/vectors.h"

/* Mean and sum of squared differences of one image, for `vectors` vectors of channels, the last of
 * them of n lanes:
 * mean = (chain of additions over the positions) / positions; then the chain of fma(d, d, sum) with
 * d = x - mean. */
CM_ALWAYS_INLINE void take_channel_statistics(const float *x, ptrdiff_t positions,
                                              ptrdiff_t channels, int vectors, int n, float *mean,
                                              float *squares) {
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

/* The mean and squares of each image. Tasks are images x blocks of channels. */
static void take_image_statistics(const cm_team *team, const cm_map_shape *shape, const float *x,
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
            take_channel_statistics(from + c, positions, channels, VF_SUM_VECTORS, VF_LANES,
                                    mean + c, squares + c);
            continue;
        }
        for (; c + VF_LANES <= channels; c += VF_LANES) {
            take_channel_statistics(from + c, positions, channels, 1, VF_LANES, mean + c,
                                    squares + c);
        }
        if (c < channels) {
            take_channel_statistics(from + c, positions, channels, 1, (int)(channels - c), mean + c,
                                    squares + c);
        }
    }
}

/* Joins the images' means and squares of n <= CM_JOIN_CHANNELS channels from c. All images have the
 * same count, so with k images joined: mean += delta / (k + 1), squares += partial + delta^2 *
 * (positions * k / (k + 1)). */
static void join_image_statistics(const cm_map_shape *shape, const void *workspace, ptrdiff_t c,
                                  int n, double *mean, double *squares) {
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

void cm_normalize(const cm_normalization *to, ptrdiff_t c, double mean, double squares,
                  double count) {
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
        join_image_statistics(shape, workspace, first, n, means, squares);
        for (int i = 0; i < n; ++i) {
            cm_normalize(to, first + i, means[i], squares[i], count);
        }
    }
}

void cm_batch_norm_statistics(const cm_team *team, const cm_batch_norm_statistics_args *args) {
    take_image_statistics(team, args->shape, args->x, args->workspace);
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
