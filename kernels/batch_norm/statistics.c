/* Batch norm's statistics, of a batch and from the running statistics. */
#include <math.h>

#include "kernels/batch_norm/internal.h"
#include "kernels/isa.h"
#include "kernels/simd/vectors.h"

/* Channels that are measured side by side: each vector of them takes three registers. */
enum { STATISTIC_VECTORS = VF_REGISTERS < 32 ? 4 : VF_SUM_VECTORS };
enum { STATISTIC_CHANNELS = STATISTIC_VECTORS * VF_LANES };

/* The sums of d = x - centre and of d * d over the positions of an image: chains of floats over
 * runs, which are added in double. */
CM_ALWAYS_INLINE void sum_differences(const float *x, ptrdiff_t positions, ptrdiff_t channels,
                                      int vectors, int n, const vf *centre, double *sums,
                                      double *squares) {
    for (ptrdiff_t i = 0; i < positions;) {
        const ptrdiff_t end = i + CM_RUN_POSITIONS < positions ? i + CM_RUN_POSITIONS : positions;
        vf sum[STATISTIC_VECTORS], square[STATISTIC_VECTORS];
        for (int v = 0; v < vectors; ++v) {
            sum[v] = vf_zero();
            square[v] = vf_zero();
        }
        for (; i < end; ++i, x += channels) {
            for (int v = 0; v < vectors; ++v) {
                const vf d = vf_sub(cm_load(x + v * VF_LANES, n), centre[v]);
                sum[v] = vf_add(sum[v], d);
                square[v] = vf_fma(d, d, square[v]);
            }
        }
        for (int v = 0; v < vectors; ++v) {
            vf_add_to_doubles(sum[v], sums + v * VF_LANES);
            vf_add_to_doubles(square[v], squares + v * VF_LANES);
        }
    }
}

/* Mean and sum of squared differences of one image, for `vectors` vectors of channels, the last of
 * them of n lanes. The squares are those around a centre, the mean of every fourth position, less
 * what the distance of the mean from it adds. That distance is at most the square root of 3
 * standard deviations, because a quarter of the positions is among those it is a mean of; so the
 * difference is at least a quarter of the squares around the centre, and has at most four times
 * their relative error. */
CM_ALWAYS_INLINE void take_channel_statistics(const float *x, ptrdiff_t positions,
                                              ptrdiff_t channels, int vectors, int n, double *mean,
                                              double *squares) {
    double centres[STATISTIC_CHANNELS] = {0};
    double sums[STATISTIC_CHANNELS] = {0}, around[STATISTIC_CHANNELS] = {0};
    vf centre[STATISTIC_VECTORS];
    const ptrdiff_t quarter = (positions + 3) / 4;
    cm_sum_positions(x, quarter, 4 * channels, vectors, n, centre);
    for (int v = 0; v < vectors; ++v) {
        centre[v] = vf_div(centre[v], vf_set1((float)quarter));
        vf_add_to_doubles(centre[v], centres + v * VF_LANES);
    }
    sum_differences(x, positions, channels, vectors, n, centre, sums, around);
    const double inverse = 1.0 / (double)positions;
    const int count = (vectors - 1) * VF_LANES + n;
    for (int i = 0; i < count; ++i) {
        const double distance = sums[i] * inverse;
        const double square = around[i] - sums[i] * distance;
        mean[i] = centres[i] + distance;
        squares[i] = 0.0 > square ? 0.0 : square; /* rounding, where it is 0 */
    }
}

/* The mean and squares of each image. Tasks are images x blocks of channels. */
static void take_image_statistics(const cm_team *team, const cm_map_shape *shape, const float *x,
                                  void *workspace) {
    const ptrdiff_t channels = shape->channels;
    const ptrdiff_t positions = (ptrdiff_t)shape->height * shape->width;
    const ptrdiff_t blocks = (channels + STATISTIC_CHANNELS - 1) / STATISTIC_CHANNELS;
    const cm_range range = cm_team_share(team, shape->batch * blocks);
    for (ptrdiff_t task = range.begin; task < range.end; ++task) {
        const ptrdiff_t image = task / blocks;
        const float *from = x + image * positions * channels;
        double *mean = cm_batch_norm_sums(workspace, image, channels);
        double *squares = mean + channels;
        ptrdiff_t c = task % blocks * STATISTIC_CHANNELS;
        if (c + STATISTIC_CHANNELS <= channels) {
            take_channel_statistics(from + c, positions, channels, STATISTIC_VECTORS, VF_LANES,
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

/* Joins the means and squares of a block's images, [2][channels] per image, for n <=
 * CM_JOIN_CHANNELS channels, into those of the first: all images have the same count, so with k
 * images joined mean += delta / (k + 1), squares += those of the image + delta^2 * (positions * k /
 * (k + 1)). */
static void join_block(double *first, ptrdiff_t channels, ptrdiff_t images, double positions,
                       int n) {
    double mean[CM_JOIN_CHANNELS], squares[CM_JOIN_CHANNELS];
    for (int i = 0; i < n; ++i) {
        mean[i] = first[i];
        squares[i] = first[channels + i];
    }
    for (ptrdiff_t k = 1; k < images; ++k) {
        const double *image = first + k * 2 * channels;
        const double more = (double)k + 1.0, weight = positions * (double)k / more;
        for (int i = 0; i < n; ++i) {
            const double delta = image[i] - mean[i];
            mean[i] += delta / more;
            squares[i] += image[channels + i] + delta * delta * weight;
        }
    }
    for (int i = 0; i < n; ++i) {
        first[i] = mean[i];
        first[channels + i] = squares[i];
    }
}

/* Joins two nodes of the tree of blocks, of a and b values, into the left one. */
static void join_nodes(double *left, const double *right, ptrdiff_t channels, double a, double b,
                       int n) {
    for (int i = 0; i < n; ++i) {
        const double delta = right[i] - left[i];
        left[i] += delta * (b / (a + b));
        left[channels + i] =
            (left[channels + i] + right[channels + i]) + delta * delta * (a * b / (a + b));
    }
}

/* The mean and squares of n <= CM_JOIN_CHANNELS channels over the batch, in the first image's
 * place. */
static void join_image_statistics(const cm_map_shape *shape, int block, double *sums, int n) {
    const ptrdiff_t channels = shape->channels, batch = shape->batch;
    const ptrdiff_t images = cm_block_images(shape->batch, block);
    const double positions = (double)shape->height * (double)shape->width;
    for (ptrdiff_t first = 0; first < batch; first += images) {
        const ptrdiff_t left = batch - first;
        join_block(sums + first * 2 * channels, channels, left < images ? left : images, positions,
                   n);
    }
    for (ptrdiff_t span = images; span < batch; span *= 2) {
        for (ptrdiff_t first = 0; first + span < batch; first += 2 * span) {
            const ptrdiff_t left = batch - first - span;
            join_nodes(sums + first * 2 * channels, sums + (first + span) * 2 * channels, channels,
                       positions * (double)span, positions * (double)(left < span ? left : span),
                       n);
        }
    }
}

void cm_normalize(const cm_normalization *to, ptrdiff_t c, double mean, double squares,
                  double count) {
    to->mean[c] = (float)mean;
    to->rstd[c] = (float)(1.0 / sqrt(squares / count + (double)to->eps));
    to->scale[c] = to->gamma[c] * to->rstd[c];
    to->shift[c] = (float)fma(-mean, (double)to->scale[c], (double)to->beta[c]);
    if (to->running_mean != NULL) {
        /* One value has no unbiased variance; it is taken as 0. */
        const float unbiased = (float)(squares / (count > 1.0 ? count - 1.0 : 1.0));
        to->running_mean[c] =
            fmaf(to->momentum, to->mean[c] - to->running_mean[c], to->running_mean[c]);
        to->running_var[c] = fmaf(to->momentum, unbiased - to->running_var[c], to->running_var[c]);
    }
}

static void join_statistics(const cm_team *team, const cm_batch_norm_statistics_args *args) {
    const cm_map_shape *shape = args->shape;
    const double count = (double)shape->batch * (double)shape->height * (double)shape->width;
    const ptrdiff_t channels = shape->channels;
    const cm_range range =
        cm_team_share(team, (channels + CM_JOIN_CHANNELS - 1) / CM_JOIN_CHANNELS);
    for (ptrdiff_t part = range.begin; part < range.end; ++part) {
        const ptrdiff_t first = part * CM_JOIN_CHANNELS;
        const ptrdiff_t left = channels - first;
        const int n = left < CM_JOIN_CHANNELS ? (int)left : CM_JOIN_CHANNELS;
        double *sums = cm_batch_norm_sums(args->workspace, 0, channels) + first;
        join_image_statistics(shape, args->block, sums, n);
        for (int i = 0; i < n; ++i) {
            cm_normalize(&args->to, first + i, sums[i], sums[channels + i], count);
        }
    }
}

void cm_batch_norm_statistics(const cm_team *team, const cm_batch_norm_statistics_args *args) {
    take_image_statistics(team, args->shape, args->x, args->workspace);
    cm_team_barrier(team);
    join_statistics(team, args);
}

void cm_batch_norm_inference(const cm_team *team, const cm_batch_norm_inference_args *args) {
    const cm_range range = cm_team_share(team, args->channels);
    for (ptrdiff_t c = range.begin; c < range.end; ++c) {
        const float rstd = (float)(1.0 / sqrt((double)args->running_var[c] + (double)args->eps));
        args->scale[c] = args->gamma[c] * rstd;
        args->shift[c] = fmaf(-args->running_mean[c], args->scale[c], args->beta[c]);
    }
}
