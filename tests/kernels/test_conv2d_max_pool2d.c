/* The kernels of a first layer compute exactly what their contract says (kernels.h), which is
 * written here once more in plain C, and the same as the separate kernels but for rounding. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "convmark/kernels.h"
#include "support/arrays.h"

enum { BATCH = 5, CHANNELS = 19, THREADS = 3, LANES = 8, POSITIONS = 256, RUN = 256 };

static const float eps = 1e-5F, momentum = 0.1F;

/* Everything both ways write. */
typedef struct outputs {
    array running_mean, running_var, mean, rstd, scale, shift;
    array y, dgamma, dbeta, dweight, dbias;
    double *moments;
    uint16_t *argmax;
} outputs;

typedef struct block {
    const cm_kernels *kernels;
    cm_conv2d_shape conv;
    cm_conv2d_plan conv_plan;
    cm_max_pool2d_shape pool;
    int patch;
    bool batch_norm, relu;
    array x, weight, bias, gamma, beta, dy;
    array map, dmap, x_at_max; /* what the fused way does without */
    void *workspace;
    outputs out;
} block;

/* ---- The contract in plain C ---- */

/* Number t of the patch of output (p, q). */
static float patch_number(const block *b, int image, int p, int q, int t) {
    const cm_conv2d_shape *s = &b->conv;
    const int c = t % s->in_channels, column = t / s->in_channels % s->kernel_w,
              row = t / s->in_channels / s->kernel_w;
    const int h = p * s->stride_h - s->padding_h + row, w = q * s->stride_w - s->padding_w + column;
    return h < 0 || h >= s->height || w < 0 || w >= s->width
               ? 0.0F
               : b->x.f[((image * s->height + h) * s->width + w) * s->in_channels + c];
}

/* Sum over an image's outputs of number i times number j (-1: times 1). */
static double image_moment(const block *b, int image, int i, int j) {
    const cm_conv2d_shape *s = &b->conv;
    const int rows = s->out_width < POSITIONS ? POSITIONS / s->out_width : 1;
    double lane[LANES] = {0};
    for (int p = 0; p < s->out_height; ++p) {
        for (int q = 0; q < s->out_width; ++q) {
            const int at = (p % rows * s->out_width + q) % LANES;
            const double left = (double)patch_number(b, image, p, q, i);
            const double right = j < 0 ? 1.0 : (double)patch_number(b, image, p, q, j);
            lane[at] += left * right;
        }
    }
    return ((lane[0] + lane[1]) + (lane[2] + lane[3])) +
           ((lane[4] + lane[5]) + (lane[6] + lane[7]));
}

/* Of one image, indexed by two numbers. */
typedef double image_sum(const block *b, int image, int i, int j);

/* The sum over images [begin, end): a block in order, more than one split at the largest power of
 * two of blocks below their number. */
static double plain_join(const block *b, image_sum *sum_of, int i, int j, int begin, int end) {
    const int images = b->conv.block > 0 ? b->conv.block : BATCH;
    double sum = 0.0;
    if (end - begin <= images) {
        for (int image = begin; image < end; ++image) {
            sum += sum_of(b, image, i, j);
        }
        return sum;
    }
    const int count = (end - begin + images - 1) / images;
    int left = 1;
    while (2 * left < count) {
        left *= 2;
    }
    const int middle = begin + left * images;
    sum = plain_join(b, sum_of, i, j, begin, middle);
    return sum + plain_join(b, sum_of, i, j, middle, end);
}

static void plain_moments(const block *b, double *mean, double *covariance) {
    const double count = (double)BATCH * b->conv.out_height * b->conv.out_width;
    for (int i = 0; i < b->patch; ++i) {
        mean[i] = plain_join(b, image_moment, i, -1, 0, BATCH) / count;
    }
    for (int i = 0; i < b->patch; ++i) {
        for (int j = 0; j <= i; ++j) {
            const double sum = plain_join(b, image_moment, i, j, 0, BATCH);
            covariance[i * b->patch + j] = sum / count - mean[i] * mean[j];
            covariance[j * b->patch + i] = covariance[i * b->patch + j];
        }
    }
}

static void plain_statistics(const block *b) {
    const outputs *o = &b->out;
    const double *m = o->moments, *covariance = o->moments + b->patch;
    const double count = (double)BATCH * b->conv.out_height * b->conv.out_width;
    plain_moments(b, o->moments, o->moments + b->patch);
    for (int k = 0; k < CHANNELS; ++k) {
        double mean = 0.0, variance = 0.0;
        for (int i = 0; i < b->patch; ++i) {
            double product = 0.0;
            for (int j = 0; j < b->patch; ++j) {
                product += covariance[i * b->patch + j] * (double)b->weight.f[j * CHANNELS + k];
            }
            mean += m[i] * (double)b->weight.f[i * CHANNELS + k];
            variance += (double)b->weight.f[i * CHANNELS + k] * product;
        }
        const double squares = (variance < 0.0 ? 0.0 : variance) * count;
        mean += (double)b->bias.f[k];
        o->mean.f[k] = (float)mean;
        o->rstd.f[k] = (float)(1.0 / sqrt(squares / count + (double)eps));
        o->scale.f[k] = b->gamma.f[k] * o->rstd.f[k];
        o->shift.f[k] = (float)fma(-mean, (double)o->scale.f[k], (double)b->beta.f[k]);
        o->running_mean.f[k] =
            fmaf(momentum, o->mean.f[k] - o->running_mean.f[k], o->running_mean.f[k]);
        o->running_var.f[k] = fmaf(momentum, (float)(squares / (count - 1.0)) - o->running_var.f[k],
                                   o->running_var.f[k]);
    }
}

static float plain_output(const block *b, int image, int p, int q, int k) {
    float z = 0.0F;
    for (int t = 0; t < b->patch; ++t) {
        const float w = b->weight.f[t * CHANNELS + k];
        z = fmaf(patch_number(b, image, p, q, t), b->batch_norm ? b->out.scale.f[k] * w : w, z);
    }
    return z;
}

/* Calls `body` for each window and channel; `at` is the output's index. */
typedef void window_body(const block *b, int image, int p, int q, int k, int at);

static void each_window(const block *b, window_body *body) {
    int at = 0;
    for (int image = 0; image < BATCH; ++image) {
        for (int p = 0; p < b->pool.out_height; ++p) {
            for (int q = 0; q < b->pool.out_width; ++q) {
                for (int k = 0; k < CHANNELS; ++k) {
                    body(b, image, p, q, k, at++);
                }
            }
        }
    }
}

static void plain_window(const block *b, int image, int p, int q, int k, int at) {
    const cm_max_pool2d_shape *pool = &b->pool;
    float best = 0.0F;
    int index = 0;
    for (int i = 0; i < pool->kernel_h * pool->kernel_w; ++i) {
        const float z = plain_output(b, image, p * pool->stride_h + i / pool->kernel_w,
                                     q * pool->stride_w + i % pool->kernel_w, k);
        if (i == 0 || z > best) {
            best = z;
            index = i;
        }
    }
    const outputs *o = &b->out;
    best += b->batch_norm ? fmaf(b->bias.f[k], o->scale.f[k], o->shift.f[k]) : b->bias.f[k];
    o->y.f[at] = !b->relu || !(0.0F > best) ? best : 0.0F;
    o->argmax[at] = (uint16_t)index;
}

/* What is subtracted from number t where there is a batch norm: the mean of its channel's number in
 * the middle of the patch. */
static float centre_of(const block *b, int t) {
    const cm_conv2d_shape *s = &b->conv;
    const int middle = s->kernel_h / 2 * s->kernel_w + s->kernel_w / 2;
    return b->batch_norm ? (float)b->out.moments[middle * s->in_channels + t % s->in_channels]
                         : 0.0F;
}

/* S[t] of one channel of an image (t == patch: the sum of g). */
static double image_gradient(const block *b, int image, int t, int k) {
    const cm_max_pool2d_shape *pool = &b->pool;
    const int windows = pool->out_height * pool->out_width;
    float sum = 0.0F, chain = 0.0F;
    for (int i = 0; i < windows; ++i) {
        const int at = (image * windows + i) * CHANNELS + k;
        const int index = b->out.argmax[at];
        const int p = i / pool->out_width * pool->stride_h + index / pool->kernel_w;
        const int q = i % pool->out_width * pool->stride_w + index % pool->kernel_w;
        const float g = !b->relu || b->out.y.f[at] > 0.0F ? b->dy.f[at] : 0.0F;
        const float number = t < b->patch ? patch_number(b, image, p, q, t) - centre_of(b, t) : 0;
        chain = t < b->patch ? fmaf(g, number, chain) : chain + g;
        if (i % RUN == RUN - 1 || i + 1 == windows) {
            sum = i < RUN ? chain : sum + chain;
            chain = 0.0F;
        }
    }
    return (double)sum;
}

static double plain_sum(const block *b, int t, int k) {
    return plain_join(b, image_gradient, t, k, 0, BATCH);
}

static void plain_gradients(const block *b, int k) {
    const outputs *o = &b->out;
    const double *m = o->moments, *covariance = o->moments + b->patch;
    const double sum_g = plain_sum(b, b->patch, k);
    if (!b->batch_norm) {
        for (int t = 0; t < b->patch; ++t) {
            o->dweight.f[t * CHANNELS + k] = (float)plain_sum(b, t, k);
        }
        o->dbias.f[k] = (float)sum_g;
        return;
    }
    const double rstd = (double)o->rstd.f[k], scale = (double)o->scale.f[k];
    double along = 0.0, mean = 0.0;
    for (int t = 0; t < b->patch; ++t) {
        along += (double)b->weight.f[t * CHANNELS + k] * plain_sum(b, t, k);
        mean += (double)b->weight.f[t * CHANNELS + k] * (m[t] - (double)centre_of(b, t));
    }
    const double dgamma = rstd * (along - mean * sum_g);
    for (int t = 0; t < b->patch; ++t) {
        double product = 0.0;
        for (int j = 0; j < b->patch; ++j) {
            product += covariance[t * b->patch + j] * (double)b->weight.f[j * CHANNELS + k];
        }
        o->dweight.f[t * CHANNELS + k] =
            (float)(scale * (plain_sum(b, t, k) -
                             ((m[t] - (double)centre_of(b, t)) * sum_g + rstd * dgamma * product)));
    }
    o->dgamma.f[k] = (float)dgamma;
    o->dbeta.f[k] = (float)sum_g;
    o->dbias.f[k] = 0.0F;
}

static void run_plain(const block *b) {
    if (b->batch_norm) {
        plain_statistics(b);
    }
    each_window(b, plain_window);
    for (int k = 0; k < CHANNELS; ++k) {
        plain_gradients(b, k);
    }
}

/* ---- The kernels ---- */

static cm_normalization normalization(const block *b) {
    const outputs *o = &b->out;
    return (cm_normalization){.gamma = b->gamma.f,
                              .beta = b->beta.f,
                              .eps = eps,
                              .momentum = momentum,
                              .running_mean = o->running_mean.f,
                              .running_var = o->running_var.f,
                              .mean = o->mean.f,
                              .rstd = o->rstd.f,
                              .scale = o->scale.f,
                              .shift = o->shift.f};
}

static void run_fused(const cm_team *team, void *context) {
    const block *b = context;
    const cm_kernels *k = b->kernels;
    const outputs *o = &b->out;
    if (b->batch_norm) {
        const cm_conv2d_batch_norm_statistics_args statistics = {.conv = &b->conv,
                                                                 .pool = &b->pool,
                                                                 .x = b->x.f,
                                                                 .weight = b->weight.f,
                                                                 .bias = b->bias.f,
                                                                 .to = normalization(b),
                                                                 .moments = o->moments,
                                                                 .workspace = b->workspace};
        k->conv2d_batch_norm_statistics(team, &statistics);
        cm_team_barrier(team);
    }
    const cm_conv2d_max_pool2d_forward_args forward = {.conv = &b->conv,
                                                       .pool = &b->pool,
                                                       .x = b->x.f,
                                                       .weight = b->weight.f,
                                                       .bias = b->bias.f,
                                                       .scale = b->batch_norm ? o->scale.f : NULL,
                                                       .shift = b->batch_norm ? o->shift.f : NULL,
                                                       .relu = b->relu,
                                                       .y = o->y.f,
                                                       .argmax = o->argmax,
                                                       .workspace = b->workspace};
    k->conv2d_max_pool2d_forward(team, &forward);
    cm_team_barrier(team);
    const cm_conv2d_max_pool2d_backward_args backward = {.conv = &b->conv,
                                                         .pool = &b->pool,
                                                         .x = b->x.f,
                                                         .weight = b->weight.f,
                                                         .dy = b->dy.f,
                                                         .y = b->relu ? o->y.f : NULL,
                                                         .argmax = o->argmax,
                                                         .moments =
                                                             b->batch_norm ? o->moments : NULL,
                                                         .rstd = o->rstd.f,
                                                         .scale = o->scale.f,
                                                         .dgamma = o->dgamma.f,
                                                         .dbeta = o->dbeta.f,
                                                         .dweight = o->dweight.f,
                                                         .dbias = o->dbias.f,
                                                         .workspace = b->workspace};
    k->conv2d_max_pool2d_backward(team, &backward);
}

/* The argmax of the fused way is kept: where two outputs are nearly equal, rounding decides. */
static void run_separate(const cm_team *team, void *context) {
    const block *b = context;
    const cm_kernels *k = b->kernels;
    const outputs *o = &b->out;
    const cm_map_shape map = {BATCH, b->conv.out_height, b->conv.out_width, CHANNELS};
    uint16_t *own = array_take(b->dy.count * sizeof(uint16_t));
    const cm_conv2d_forward_args convolution = {.plan = &b->conv_plan,
                                                .x = b->x.f,
                                                .weight = b->weight.f,
                                                .bias = b->bias.f,
                                                .y = b->map.f,
                                                .workspace = b->workspace};
    k->conv2d_forward(team, &convolution);
    if (b->batch_norm) {
        const cm_batch_norm_statistics_args statistics = {
            .shape = &map, .x = b->map.f, .to = normalization(b), .workspace = b->workspace};
        k->batch_norm_statistics(team, &statistics);
    }
    const cm_max_pool2d_forward_args forward = {.shape = &b->pool,
                                                .x = b->map.f,
                                                .scale = b->batch_norm ? o->scale.f : NULL,
                                                .shift = b->batch_norm ? o->shift.f : NULL,
                                                .relu = b->relu,
                                                .y = o->y.f,
                                                .argmax = own,
                                                .x_at_max = b->x_at_max.f};
    k->max_pool2d_forward(team, &forward);
    const float *y = b->relu ? o->y.f : NULL;
    if (b->batch_norm) {
        const cm_batch_norm_max_pool2d_backward_args backward = {.shape = &b->pool,
                                                                 .dy = b->dy.f,
                                                                 .y = y,
                                                                 .argmax = o->argmax,
                                                                 .x_at_max = b->x_at_max.f,
                                                                 .x = b->map.f,
                                                                 .mean = o->mean.f,
                                                                 .rstd = o->rstd.f,
                                                                 .scale = o->scale.f,
                                                                 .dgamma = o->dgamma.f,
                                                                 .dbeta = o->dbeta.f,
                                                                 .dx = b->dmap.f,
                                                                 .workspace = b->workspace};
        k->batch_norm_max_pool2d_backward(team, &backward);
    } else {
        k->max_pool2d_backward(team, &b->pool, b->dy.f, y, o->argmax, b->dmap.f);
    }
    const cm_conv2d_backward_args filters = {.plan = &b->conv_plan,
                                             .x = b->x.f,
                                             .dy = b->dmap.f,
                                             .dweight = o->dweight.f,
                                             .dbias = o->dbias.f,
                                             .workspace = b->workspace};
    k->conv2d_backward_weights(team, &filters);
}

static outputs empty_outputs(const block *b) {
    const size_t weights = b->weight.count, pooled = b->dy.count;
    outputs o = {
        .running_mean = array_empty(CHANNELS),
        .running_var = array_empty(CHANNELS),
        .mean = array_empty(CHANNELS),
        .rstd = array_empty(CHANNELS),
        .scale = array_empty(CHANNELS),
        .shift = array_empty(CHANNELS),
        .y = array_empty(pooled),
        .dgamma = array_empty(CHANNELS),
        .dbeta = array_empty(CHANNELS),
        .dweight = array_empty(weights),
        .dbias = array_empty(CHANNELS),
        .moments = array_take(cm_patch_moments_count(&b->conv) * sizeof(double)),
        .argmax = array_take(pooled * sizeof(uint16_t)),
    };
    for (int c = 0; c < CHANNELS; ++c) {
        o.running_mean.f[c] = 0.5F;
        o.running_var.f[c] = 2.0F;
    }
    return o;
}

/* Equal to the last bit with tolerance 0; else up to that part of the largest. */
static void assert_close(const char *what, array a, array b, double tolerance) {
    double largest = 0.0;
    for (size_t i = 0; i < a.count; ++i) {
        const double size = fabs((double)b.f[i]);
        largest = size > largest ? size : largest;
    }
    assert_true(largest > 0.0); /* zeros would agree as well */
    for (size_t i = 0; i < a.count; ++i) {
        const bool same = memcmp(&a.f[i], &b.f[i], sizeof(float)) == 0;
        if (!same && !(fabs((double)a.f[i] - (double)b.f[i]) <= tolerance * largest)) {
            fail_msg("%s[%zu] is %.9g and %.9g", what, i, (double)a.f[i], (double)b.f[i]);
        }
    }
}

static void compare(const block *b, const outputs *a, const outputs *o, double tolerance) {
    assert_close("y", a->y, o->y, tolerance);
    assert_memory_equal(a->argmax, o->argmax, b->dy.count * sizeof(uint16_t));
    assert_close("dweight", a->dweight, o->dweight, tolerance);
    if (!b->batch_norm) {
        assert_close("dbias", a->dbias, o->dbias, tolerance);
        return;
    }
    assert_close("running_mean", a->running_mean, o->running_mean, tolerance);
    assert_close("running_var", a->running_var, o->running_var, tolerance);
    assert_close("mean", a->mean, o->mean, tolerance);
    assert_close("scale", a->scale, o->scale, tolerance);
    assert_close("shift", a->shift, o->shift, tolerance);
    assert_close("dgamma", a->dgamma, o->dgamma, tolerance);
    assert_close("dbeta", a->dbeta, o->dbeta, tolerance);
}

static void check(const cm_kernels *kernels, cm_conv2d_shape conv, int window, int stride,
                  bool batch_norm, bool relu) {
    assert_true(cm_conv2d_shape_init(&conv));
    block b = {.kernels = kernels,
               .conv = conv,
               .conv_plan = cm_conv2d_plan_of(&conv, 1),
               .patch = conv.kernel_h * conv.kernel_w * conv.in_channels,
               .batch_norm = batch_norm,
               .relu = relu};
    b.pool = (cm_max_pool2d_shape){.batch = BATCH,
                                   .height = conv.out_height,
                                   .width = conv.out_width,
                                   .channels = CHANNELS,
                                   .kernel_h = window,
                                   .kernel_w = window,
                                   .stride_h = stride,
                                   .stride_w = stride};
    assert_true(cm_max_pool2d_shape_init(&b.pool));
    const size_t map = (size_t)(BATCH * conv.out_height * conv.out_width * CHANNELS);
    const size_t pooled = (size_t)(BATCH * b.pool.out_height * b.pool.out_width * CHANNELS);
    b.x = array_of_reals((size_t)(BATCH * conv.height * conv.width * conv.in_channels));
    b.weight = array_of_reals((size_t)(b.patch * conv.out_channels));
    b.bias = array_of_reals(CHANNELS);
    b.gamma = array_of_reals(CHANNELS);
    b.beta = array_of_reals(CHANNELS);
    b.dy = array_of_reals(pooled);
    b.map = array_empty(map);
    b.dmap = array_empty(map);
    b.x_at_max = array_empty(pooled);
    const cm_map_shape map_shape = {BATCH, conv.out_height, conv.out_width, CHANNELS};
    const size_t separate = b.conv_plan.workspace + cm_batch_norm_workspace(&map_shape);
    const size_t fused = cm_conv2d_max_pool2d_workspace(&conv, &b.pool, THREADS);
    b.workspace = array_take(separate > fused ? separate : fused);
    const outputs first = empty_outputs(&b), second = empty_outputs(&b), third = empty_outputs(&b);
    b.out = first;
    cm_team_run(THREADS, run_fused, &b);
    b.out = second;
    run_plain(&b);
    compare(&b, &first, &second, 0.0);
    b.out = third;
    memcpy(third.argmax, first.argmax, pooled * sizeof(uint16_t));
    run_separate(&alone, &b);
    compare(&b, &first, &third, 1e-5);
    arrays_free();
}

static void test_contract(void **state) {
    (void)state;
    const cm_kernels *const kernels[] = {cm_kernels_of(CM_ISA_SCALAR), cm_kernels_best()};
    for (size_t i = 0; i < sizeof kernels / sizeof kernels[0]; ++i) {
        for (int bits = 0; bits < 8; ++bits) {
            const bool batch_norm = (bits & 1) != 0, relu = (bits & 2) != 0;
            const int channels = (bits & 4) != 0 ? 1 : 3; /* code of its own, or general */
            cm_conv2d_shape conv = {.batch = BATCH,
                                    .in_channels = channels,
                                    .height = 13,
                                    .width = 33, /* more outputs than are gathered at once */
                                    .out_channels = CHANNELS,
                                    .kernel_h = 3,
                                    .kernel_w = 3,
                                    .stride_h = 1,
                                    .stride_w = 1,
                                    .padding_h = 1,
                                    .padding_w = 1};
            check(kernels[i], conv, 3, 3, batch_norm, relu); /* rows and columns left over */
            check(kernels[i], conv, 3, 2, batch_norm, relu); /* windows that overlap */
            conv.block = 2;
            check(kernels[i], conv, 3, 2, batch_norm, relu);
            conv.height = 41; /* more windows than a run */
            check(kernels[i], conv, 3, 2, batch_norm, relu);
        }
    }
}

/* A channel whose output is constant has variance 0, or a little above by rounding, never below. */
static void test_constant_channel(void **state) {
    (void)state;
    cm_conv2d_shape conv = {.batch = BATCH,
                            .in_channels = 1,
                            .height = 9,
                            .width = 9,
                            .out_channels = CHANNELS,
                            .kernel_h = 3,
                            .kernel_w = 3,
                            .stride_h = 1,
                            .stride_w = 1};
    assert_true(cm_conv2d_shape_init(&conv));
    cm_max_pool2d_shape pool = {BATCH, conv.out_height, conv.out_width, CHANNELS, 3, 3, 3, 3, 0, 0};
    assert_true(cm_max_pool2d_shape_init(&pool));
    const array x = array_empty(BATCH * 81), weight = array_of_reals(9 * CHANNELS);
    for (size_t i = 0; i < x.count; ++i) {
        x.f[i] = 0.1F;
    }
    const array gamma = array_of_reals(CHANNELS), out = array_empty(8 * CHANNELS);
    double *moments = array_take(cm_patch_moments_count(&conv) * sizeof(double));
    void *workspace = array_take(cm_conv2d_max_pool2d_workspace(&conv, &pool, 1));
    float *rstd = out.f + CHANNELS;
    const cm_conv2d_batch_norm_statistics_args args = {.conv = &conv,
                                                       .pool = &pool,
                                                       .x = x.f,
                                                       .weight = weight.f,
                                                       .to = {.gamma = gamma.f,
                                                              .beta = gamma.f,
                                                              .eps = eps,
                                                              .momentum = momentum,
                                                              .mean = out.f,
                                                              .rstd = rstd,
                                                              .scale = out.f + 2 * CHANNELS,
                                                              .shift = out.f + 3 * CHANNELS},
                                                       .moments = moments,
                                                       .workspace = workspace};
    cm_kernels_best()->conv2d_batch_norm_statistics(&alone, &args);
    for (int k = 0; k < CHANNELS; ++k) {
        assert_true(fabs((double)rstd[k] - 1.0 / sqrt((double)eps)) < 1e-3);
    }
    arrays_free();
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_contract),
                                       cmocka_unit_test(test_constant_channel)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
