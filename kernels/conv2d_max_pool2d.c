/* Convolution and pool without the map between them. The map of a 28x28x128 first layer at batch 64
 * is 25.7 MB; written, read for the statistics, read for the pool and, backward, read, written and
 * read again, moving it took more than half of a three-layer network's step. One image's map, 401
 * KB, lies in the L2 cache, and computing it again takes less time than reading it from memory. */
#include "kernels/batch_norm_sums.h"
#include "kernels/conv2d_internal.h"
#include "kernels/pool_scatter.h"

/* Each image is computed by the kernels of whole batches, as a batch of one on a team of one. */
static const cm_team alone = {0, 1, NULL};

/* What a thread works with. */
typedef struct image_worker {
    cm_conv2d_shape one;
    cm_conv2d_pool_layout layout;
    ptrdiff_t in_image, out_image; /* floats of an image of x and of the convolution's output */
    float *workspace;
    float *map; /* this thread's */
    void *conv_workspace;
    cm_range images;
} image_worker;

static image_worker make_worker(const cm_team *team, const cm_conv2d_shape *conv, void *workspace) {
    image_worker worker = {
        .one = cm_conv2d_one_image(conv),
        .layout = cm_conv2d_pool_layout_of(conv, team->count),
        .in_image = (ptrdiff_t)conv->height * conv->width * conv->in_channels,
        .out_image = (ptrdiff_t)conv->out_height * conv->out_width * conv->out_channels,
        .workspace = workspace,
        .images = cm_team_share(team, conv->batch),
    };
    worker.map =
        worker.workspace + worker.layout.threads + (size_t)team->index * worker.layout.thread;
    worker.conv_workspace = worker.map + worker.layout.map;
    return worker;
}

static void compute_map(const image_worker *worker, ptrdiff_t image, const float *x,
                        const float *weight, const float *bias) {
    CM_FN(conv2d_forward)
    (&alone, &worker->one, x + image * worker->in_image, weight, bias, false, worker->map,
     worker->conv_workspace);
}

static cm_max_pool2d_shape one_pool(const cm_max_pool2d_shape *pool) {
    cm_max_pool2d_shape one = *pool;
    one.batch = 1;
    return one;
}

void CM_FN(conv2d_batch_norm_statistics)(const cm_team *team, const cm_conv2d_shape *conv,
                                         const float *x, const float *weight, const float *bias,
                                         const float *gamma, const float *beta, float eps,
                                         float momentum, float *running_mean, float *running_var,
                                         float *mean, float *rstd, float *scale, float *shift,
                                         void *workspace) {
    const image_worker worker = make_worker(team, conv, workspace);
    const cm_map_shape map = {conv->batch, conv->out_height, conv->out_width, conv->out_channels};
    const cm_map_shape one = {1, map.height, map.width, map.channels};
    float *statistics = worker.workspace + worker.layout.batch_norm;
    for (ptrdiff_t image = worker.images.begin; image < worker.images.end; ++image) {
        compute_map(&worker, image, x, weight, bias);
        CM_FN(image_statistics)
        (&alone, &one, worker.map, cm_batch_norm_partial(statistics, image, map.channels));
    }
    cm_team_barrier(team);
    CM_FN(join_statistics)
    (team, &map, gamma, beta, eps, momentum, running_mean, running_var, mean, rstd, scale, shift,
     statistics);
}

void CM_FN(conv2d_max_pool2d_forward)(const cm_team *team, const cm_conv2d_shape *conv,
                                      const cm_max_pool2d_shape *pool, const float *x,
                                      const float *weight, const float *bias, const float *scale,
                                      const float *shift, bool relu, float *y, uint16_t *argmax,
                                      float *x_at_max, void *workspace) {
    const image_worker worker = make_worker(team, conv, workspace);
    const cm_max_pool2d_shape one = one_pool(pool);
    const ptrdiff_t pooled = (ptrdiff_t)pool->out_height * pool->out_width * pool->channels;
    for (ptrdiff_t image = worker.images.begin; image < worker.images.end; ++image) {
        const ptrdiff_t at = image * pooled;
        compute_map(&worker, image, x, weight, bias);
        CM_FN(max_pool2d_forward)
        (&alone, &one, worker.map, scale, shift, relu, y + at, argmax == NULL ? NULL : argmax + at,
         x_at_max == NULL ? NULL : x_at_max + at);
    }
}

/* dst[i] = sum over the images, in order, of src[image][i]. */
static void sum_images(const cm_team *team, int batch, ptrdiff_t count, const float *src,
                       float *dst) {
    const cm_range share = cm_team_share(team, count);
    for (ptrdiff_t i = share.begin; i < share.end; ++i) {
        float sum = 0.0F;
        for (int image = 0; image < batch; ++image) {
            sum += src[image * count + i];
        }
        dst[i] = sum;
    }
}

void CM_FN(conv2d_max_pool2d_backward)(const cm_team *team, const cm_conv2d_shape *conv,
                                       const cm_max_pool2d_shape *pool, const float *x,
                                       const float *weight, const float *bias, const float *dy,
                                       const float *y, const uint16_t *argmax,
                                       const float *x_at_max, const float *mean, const float *rstd,
                                       const float *scale, float *dgamma, float *dbeta,
                                       float *dweight, float *dbias, void *workspace) {
    const image_worker worker = make_worker(team, conv, workspace);
    const cm_max_pool2d_shape one = one_pool(pool);
    const bool batch_norm = x_at_max != NULL;
    const ptrdiff_t channels = pool->channels;
    const ptrdiff_t pooled = (ptrdiff_t)pool->out_height * pool->out_width * channels;
    const ptrdiff_t weights =
        (ptrdiff_t)conv->kernel_h * conv->kernel_w * conv->in_channels * conv->out_channels;
    float *statistics = worker.workspace + worker.layout.batch_norm;
    float *dweights = worker.workspace + worker.layout.dweight;
    float *dbiases = worker.workspace + worker.layout.dbias;
    if (batch_norm) {
        const cm_gradient_sums sums = {.dy = dy,
                                       .y = y,
                                       .x = x_at_max,
                                       .mean = mean,
                                       .rstd = rstd,
                                       .positions = pooled / channels,
                                       .channels = channels,
                                       .workspace = statistics};
        const double count = (double)pool->batch * (double)pool->height * (double)pool->width;
        cm_sum_gradients(team, &sums, pool->batch);
        cm_team_barrier(team);
        cm_join_gradients(team, &sums, pool->batch, count, scale, dgamma, dbeta);
        cm_team_barrier(team);
    }
    const float *b = cm_batch_norm_partial(statistics, pool->batch, channels);
    for (ptrdiff_t image = worker.images.begin; image < worker.images.end; ++image) {
        const ptrdiff_t at = image * pooled;
        /* The gradient takes the map's place: each element is read before it is written. */
        const cm_pool_scatter scatter = {.shape = &one,
                                         .dy = dy + at,
                                         .y = y == NULL ? NULL : y + at,
                                         .argmax = argmax + at,
                                         .dx = worker.map,
                                         .x = worker.map,
                                         .a = scale,
                                         .b = b,
                                         .c = b + channels};
        if (batch_norm) {
            compute_map(&worker, image, x, weight, bias);
            cm_scatter(&alone, &scatter, true);
        } else {
            cm_scatter(&alone, &scatter, false);
        }
        CM_FN(conv2d_backward_weights)
        (&alone, &worker.one, x + image * worker.in_image, worker.map, dweights + image * weights,
         dbiases + image * channels, worker.conv_workspace);
    }
    cm_team_barrier(team);
    sum_images(team, conv->batch, weights, dweights, dweight);
    sum_images(team, conv->batch, channels, dbiases, dbias);
}
