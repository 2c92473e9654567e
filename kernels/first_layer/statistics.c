/* Batch norm's statistics of a first layer without its map: the mean w'm + bias and the variance
 * w'Cw of each output channel, from the mean m and the covariance C of the patches. At 28x28x128
 * and batch 64 that takes 2.7 million multiply-adds for the patches instead of 58 million for the
 * map. */
#include <string.h>

#include "kernels/batch_norm/internal.h"
#include "kernels/first_layer/patches.h"
#include "kernels/isa.h"

/* Sums of an image in lanes: of each number of the patch, then of each product of two. */
typedef struct lane_sums {
    int patch; /* padded to whole blocks */
    double *sums, *products;
} lane_sums;

static double *lanes_of(const lane_sums *s, int i, int j) {
    return s->products + ((ptrdiff_t)i * s->patch + j) * CM_MOMENT_LANES;
}

/* Gathers the patches of output rows first .. last - 1 as doubles, a row a number of the patch;
 * zeros fill the last lanes. Returns the length of a row. */
static ptrdiff_t gather_patches(const cm_patches *p, int first, int last, double *rows) {
    const int width = p->conv->out_width;
    const ptrdiff_t count = (ptrdiff_t)(last - first) * width;
    const ptrdiff_t stride = (count + CM_MOMENT_LANES - 1) / CM_MOMENT_LANES * CM_MOMENT_LANES;
    for (int t = 0; t < p->patch; ++t) {
        double *to = rows + t * stride;
        for (int y = first; y < last; ++y) {
            const float *from = p->frame + y * p->row + p->offset[t];
            for (int x = 0; x < width; ++x) {
                *to++ = (double)from[x * p->column];
            }
        }
        for (ptrdiff_t i = count; i < stride; ++i) {
            *to++ = 0.0;
        }
    }
    return stride;
}

/* Adds rows i .. i + 2 times rows j .. j + 2, in lanes `lane` .. + VD_LANES. */
CM_ALWAYS_INLINE void add_products(const lane_sums *s, const double *rows, ptrdiff_t length, int i,
                                   int j, int lane) {
    enum { BLOCK = CM_MOMENT_BLOCK };
    const double *a = rows + i * length, *b = rows + j * length;
    vd sum[BLOCK][BLOCK];
    for (int r = 0; r < BLOCK; ++r) {
        for (int q = 0; q < BLOCK; ++q) {
            sum[r][q] = vd_load(lanes_of(s, i + r, j + q) + lane);
        }
    }
    for (ptrdiff_t at = lane; at < length; at += CM_MOMENT_LANES) {
        vd right[BLOCK];
        for (int q = 0; q < BLOCK; ++q) {
            right[q] = vd_load(b + q * length + at);
        }
        for (int r = 0; r < BLOCK; ++r) {
            const vd left = vd_load(a + r * length + at);
            for (int q = 0; q < BLOCK; ++q) {
                sum[r][q] = vd_fma(left, right[q], sum[r][q]);
            }
        }
    }
    for (int r = 0; r < BLOCK; ++r) {
        for (int q = 0; q < BLOCK; ++q) {
            vd_store(lanes_of(s, i + r, j + q) + lane, sum[r][q]);
        }
    }
}

static void add_patches(const lane_sums *s, int patch, const double *rows, ptrdiff_t length) {
    for (int lane = 0; lane < CM_MOMENT_LANES; lane += VD_LANES) {
        for (int t = 0; t < patch; ++t) {
            vd sum = vd_load(s->sums + t * CM_MOMENT_LANES + lane);
            for (ptrdiff_t at = lane; at < length; at += CM_MOMENT_LANES) {
                sum = vd_add(sum, vd_load(rows + t * length + at));
            }
            vd_store(s->sums + t * CM_MOMENT_LANES + lane, sum);
        }
        for (int i = 0; i < s->patch; i += CM_MOMENT_BLOCK) {
            for (int j = 0; j <= i; j += CM_MOMENT_BLOCK) {
                add_products(s, rows, length, i, j, lane);
            }
        }
    }
}

static double join_lanes(const double *lane) {
    return ((lane[0] + lane[1]) + (lane[2] + lane[3])) +
           ((lane[4] + lane[5]) + (lane[6] + lane[7]));
}

/* The sums of image `image`: of patches [patch], then of numbers times numbers [patch][patch], of
 * which the lower triangle is used. */
static double *patch_sums_of(const cm_patches *p, ptrdiff_t image) {
    return (double *)(void *)(p->workspace + p->layout.moments) +
           image * (ptrdiff_t)cm_patch_moments_count(p->conv);
}

static void sum_patches(const cm_patches *p, const float *x, ptrdiff_t image) {
    const cm_conv2d_shape *conv = p->conv;
    const int rows_at_once = cm_moment_rows(conv);
    double *rows = (double *)(void *)(p->own + p->layout.rows);
    lane_sums s = {.patch = (p->patch + CM_MOMENT_BLOCK - 1) / CM_MOMENT_BLOCK * CM_MOMENT_BLOCK,
                   .sums = (double *)(void *)(p->own + p->layout.products)};
    s.products = s.sums + (ptrdiff_t)s.patch * CM_MOMENT_LANES;
    memset(s.sums, 0, (size_t)(s.patch + s.patch * s.patch) * CM_MOMENT_LANES * sizeof *s.sums);
    cm_conv2d_pad_image(conv, x + image * p->in_image, p->frame);
    for (int first = 0; first < conv->out_height; first += rows_at_once) {
        const int last =
            first + rows_at_once < conv->out_height ? first + rows_at_once : conv->out_height;
        const ptrdiff_t length = gather_patches(p, first, last, rows);
        memset(rows + p->patch * length, 0, (size_t)((s.patch - p->patch) * length) * sizeof *rows);
        add_patches(&s, p->patch, rows, length);
    }
    double *to = patch_sums_of(p, image);
    for (int i = 0; i < p->patch; ++i) {
        to[i] = join_lanes(s.sums + i * CM_MOMENT_LANES);
        for (int j = 0; j <= i; ++j) {
            to[p->patch + i * p->patch + j] = join_lanes(lanes_of(&s, i, j));
        }
    }
}

/* Adds up `count` of the images' sums, from `first` on; the total is written to `to`. */
static void join_patch_sums(const cm_patches *p, ptrdiff_t first, ptrdiff_t count, double *to) {
    double *sums = patch_sums_of(p, 0) + first;
    for (ptrdiff_t i = 0; i < count; i += CM_JOIN_CHANNELS) {
        const int n = count - i < CM_JOIN_CHANNELS ? (int)(count - i) : CM_JOIN_CHANNELS;
        cm_join_images(sums + i, (ptrdiff_t)cm_patch_moments_count(p->conv), p->conv->batch,
                       p->conv->block, n);
        memcpy(to + i, sums + i, (size_t)n * sizeof *to);
    }
}

/* The images' sums, joined, become the mean patch and the covariance. */
static void join_moments(const cm_patches *p, double count, double *moments) {
    const int patch = p->patch;
    join_patch_sums(p, 0, patch, moments);
    for (int i = 0; i < patch; ++i) {
        moments[i] /= count;
    }
    for (int i = 0; i < patch; ++i) {
        double *row = moments + patch + (ptrdiff_t)i * patch;
        join_patch_sums(p, patch + (ptrdiff_t)i * patch, i + 1, row);
        for (int j = 0; j <= i; ++j) {
            row[j] = row[j] / count - moments[i] * moments[j];
            moments[patch + j * patch + i] = row[j];
        }
    }
}

/* Output channels that are computed together: the arrays are on the stack. Tuning. */
enum { OUTPUT_CHANNELS = 16 };

/* Mean and variance of the n <= OUTPUT_CHANNELS output channels from c. */
static void channels_from_moments(const cm_conv2d_batch_norm_statistics_args *args,
                                  const cm_patches *p, ptrdiff_t c, int n, double *mean,
                                  double *variance) {
    const float *weight = args->weight, *bias = args->bias;
    const double *moments = args->moments;
    const ptrdiff_t channels = p->conv->out_channels;
    for (int k = 0; k < n; ++k) {
        mean[k] = 0.0;
        variance[k] = 0.0;
    }
    for (int i = 0; i < p->patch; ++i) {
        const float *w = weight + i * channels + c;
        const double *row = cm_covariance_row(moments, p->patch, i);
        double product[OUTPUT_CHANNELS] = {0};
        for (int j = 0; j < p->patch; ++j) {
            for (int k = 0; k < n; ++k) {
                product[k] += row[j] * (double)weight[j * channels + c + k];
            }
        }
        for (int k = 0; k < n; ++k) {
            mean[k] += moments[i] * (double)w[k];
            variance[k] += (double)w[k] * product[k];
        }
    }
    for (int k = 0; k < n; ++k) {
        mean[k] += bias == NULL ? 0.0 : (double)bias[c + k];
        variance[k] = 0.0 > variance[k] ? 0.0 : variance[k]; /* rounding, where it is 0 */
    }
}

void cm_conv2d_batch_norm_statistics(const cm_team *team,
                                     const cm_conv2d_batch_norm_statistics_args *args) {
    const cm_conv2d_shape *conv = args->conv;
    const cm_patches p = cm_patches_of(team, conv, args->pool, args->workspace);
    const double count = (double)conv->batch * (double)conv->out_height * (double)conv->out_width;
    const cm_range images = cm_team_share(team, conv->batch);
    for (ptrdiff_t image = images.begin; image < images.end; ++image) {
        sum_patches(&p, args->x, image);
    }
    cm_team_barrier(team);
    if (team->index == 0) {
        join_moments(&p, count, args->moments);
    }
    cm_team_barrier(team);
    const ptrdiff_t channels = conv->out_channels;
    const cm_range blocks = cm_team_share(team, (channels + OUTPUT_CHANNELS - 1) / OUTPUT_CHANNELS);
    for (ptrdiff_t block = blocks.begin; block < blocks.end; ++block) {
        const ptrdiff_t c = block * OUTPUT_CHANNELS;
        const int n = channels - c < OUTPUT_CHANNELS ? (int)(channels - c) : OUTPUT_CHANNELS;
        double means[OUTPUT_CHANNELS], variances[OUTPUT_CHANNELS];
        channels_from_moments(args, &p, c, n, means, variances);
        for (int k = 0; k < n; ++k) {
            cm_normalize(&args->to, c + k, means[k], variances[k] * count, count);
        }
    }
}
