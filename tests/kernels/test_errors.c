/* How far the operations are off, beside PyTorch float32: each case of oracles/errors_golden.h once
 * more, against plain loops in double. An error may be twice as large as PyTorch's, or as one
 * rounding of a float where PyTorch's is smaller. usage: test_errors [--print | --quick]; --print
 * prints all errors as a table. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "support/error_measures.h"
#include "support/reference.h"

/* An error must be at most ROOM times PyTorch's, or the operation's number of roundings. Where
 * PyTorch's itself is above LOST, the exact value is near 0 and both have no digits left: ROOM + 1.
 */
#define ROOM 2.0
#define LOST 1e-3
#define ROUNDING 0x1p-24
/* What a gradient of weights of ResNet-50 must not exceed, whatever PyTorch's is. */
#define RESNET50_BOUND 1e-6

static bool printing;

/* ---- Batch norm ---- */

typedef struct normalization {
    array gamma, beta, running_mean, running_var, mean, rstd, scale, shift;
    cm_normalization to;
} normalization;

static normalization normalization_of(const errors_case *row, int channels) {
    const size_t n = (size_t)channels;
    const bool plain = row->operation != ERRORS_FIRST_LAYER_BATCH_NORM && is_constant(row->data);
    normalization a = {.gamma = plain ? filled(n, 1.0F) : draw_positive(ARRAY_GAMMA, n, 1.0F, 0.5F),
                       .beta = plain ? filled(n, 0.0F) : draw_scaled(ARRAY_BETA, n, 1.0F, 0.0F),
                       .running_mean = filled(n, 0.0F),
                       .running_var = filled(n, 1.0F),
                       .mean = array_empty(n),
                       .rstd = array_empty(n),
                       .scale = array_empty(n),
                       .shift = array_empty(n)};
    a.to = (cm_normalization){.gamma = a.gamma.f,
                              .beta = a.beta.f,
                              .eps = 1e-5F,
                              .momentum = 0.1F,
                              .running_mean = a.running_mean.f,
                              .running_var = a.running_var.f,
                              .mean = a.mean.f,
                              .rstd = a.rstd.f,
                              .scale = a.scale.f,
                              .shift = a.shift.f};
    return a;
}

static void exact_statistics(const cm_map_shape *s, const double *x, const normalization *a) {
    ref_batch_norm_statistics(s, x, a->gamma.d, a->beta.d, (double)a->to.eps,
                              (double)a->to.momentum, a->running_mean.d, a->running_var.d,
                              a->mean.d, a->rstd.d, a->scale.d, a->shift.d);
}

static void statistics(const cm_map_shape *s, array x, const normalization *a, void *workspace) {
    cm_kernels_best()->batch_norm_statistics(
        &alone, &(cm_batch_norm_statistics_args){
                    .shape = s, .x = x.f, .block = 64, .to = a->to, .workspace = workspace});
    exact_statistics(s, x.d, a);
}

static void batch_norm(const errors_case *row, double *error) {
    const cm_kernels *kernels = cm_kernels_best();
    const int positions = row->size * row->size;
    const cm_map_shape s = {row->batch, row->size, row->size, row->channels};
    const array x = draw(ARRAY_X, row->data, s.batch, positions, s.channels);
    const array dy = draw(ARRAY_DY, of_gradient(row->data), s.batch, positions, s.channels);
    const normalization a = normalization_of(row, s.channels);
    const array y = array_empty(x.count), dx = array_empty(x.count);
    const array dgamma = array_empty(a.gamma.count), dbeta = array_empty(a.gamma.count);
    void *workspace = array_take(cm_batch_norm_workspace(&s));

    statistics(&s, x, &a, workspace);
    kernels->batch_norm_forward(&alone, &s, x.f, a.scale.f, a.shift.f, false, y.f);
    kernels->batch_norm_backward(&alone, &(cm_batch_norm_backward_args){.shape = &s,
                                                                        .dy = dy.f,
                                                                        .x = x.f,
                                                                        .mean = a.mean.f,
                                                                        .rstd = a.rstd.f,
                                                                        .scale = a.scale.f,
                                                                        .block = 64,
                                                                        .dgamma = dgamma.f,
                                                                        .dbeta = dbeta.f,
                                                                        .dx = dx.f,
                                                                        .workspace = workspace});
    ref_batch_norm_forward(&s, x.d, a.scale.d, a.shift.d, false, y.d);
    ref_batch_norm_backward(&s, dy.d, NULL, x.d, a.mean.d, a.rstd.d, a.scale.d, dgamma.d, dbeta.d,
                            dx.d);
    const bool constant = is_constant(row->data);
    const double errors[] = {
        constant ? largest_difference(y) : map_error(y),
        mean_error(a.mean, a.running_mean, a.running_var, 1.0),
        map_error(a.rstd),
        mean_error(a.running_mean, a.running_mean, a.running_var, (double)0.1F),
        map_error(a.running_var),
        map_error(dx),
        constant ? constant_dgamma_error(dgamma, dy) : gradient_error(dgamma),
        gradient_error(dbeta)};
    memcpy(error, errors, sizeof errors);
}

static void batch_norm_max_pool2d(const errors_case *row, double *error) {
    const cm_kernels *kernels = cm_kernels_best();
    const cm_map_shape s = {row->batch, row->size, row->size, row->channels};
    cm_max_pool2d_shape pool = {row->batch, row->size, row->size, row->channels, 2, 2, 2, 2, 0, 0};
    assert_true(cm_max_pool2d_shape_init(&pool));
    const int pooled = pool.out_height * pool.out_width;
    const array x = draw(ARRAY_X, row->data, s.batch, row->size * row->size, s.channels);
    const array dy = draw(ARRAY_DY, of_gradient(row->data), s.batch, pooled, s.channels);
    const normalization a = normalization_of(row, s.channels);
    const array y = array_empty(dy.count), x_at_max = array_empty(dy.count);
    const array g = array_empty(x.count), dx = array_empty(x.count);
    const array dgamma = array_empty(a.gamma.count), dbeta = array_empty(a.gamma.count);
    uint16_t *argmax = array_take(dy.count * sizeof *argmax);
    void *workspace = array_take(cm_batch_norm_workspace(&s));

    statistics(&s, x, &a, workspace);
    kernels->max_pool2d_forward(&alone, &(cm_max_pool2d_forward_args){.shape = &pool,
                                                                      .x = x.f,
                                                                      .scale = a.scale.f,
                                                                      .shift = a.shift.f,
                                                                      .y = y.f,
                                                                      .argmax = argmax,
                                                                      .x_at_max = x_at_max.f});
    kernels->batch_norm_max_pool2d_backward(
        &alone, &(cm_batch_norm_max_pool2d_backward_args){.shape = &pool,
                                                          .dy = dy.f,
                                                          .argmax = argmax,
                                                          .x_at_max = x_at_max.f,
                                                          .x = x.f,
                                                          .mean = a.mean.f,
                                                          .rstd = a.rstd.f,
                                                          .scale = a.scale.f,
                                                          .block = 64,
                                                          .dgamma = dgamma.f,
                                                          .dbeta = dbeta.f,
                                                          .dx = dx.f,
                                                          .workspace = workspace});
    ref_max_pool2d_forward(&pool, x.d, a.scale.d, a.shift.d, false, y.d, argmax, x_at_max.d);
    ref_max_pool2d_backward(&pool, dy.d, NULL, argmax, g.d);
    ref_batch_norm_backward(&s, g.d, NULL, x.d, a.mean.d, a.rstd.d, a.scale.d, dgamma.d, dbeta.d,
                            dx.d);
    const bool constant = is_constant(row->data);
    const double errors[] = {constant ? largest_difference(y) : map_error(y), map_error(dx),
                             constant ? constant_dgamma_error(dgamma, dy) : gradient_error(dgamma),
                             gradient_error(dbeta)};
    memcpy(error, errors, sizeof errors);
}

/* ---- Convolutions ---- */

typedef struct convolution {
    cm_conv2d_shape shape;
    array x, weight, bias;
} convolution;

static convolution convolution_of(const errors_case *row) {
    convolution a = {.shape = {.batch = row->batch,
                               .in_channels = row->channels,
                               .height = row->size,
                               .width = row->size,
                               .out_channels = row->out_channels,
                               .kernel_h = row->kernel,
                               .kernel_w = row->kernel,
                               .stride_h = row->stride,
                               .stride_w = row->stride,
                               .padding_h = row->padding,
                               .padding_w = row->padding,
                               .block = 64,
                               .algorithm = row->algorithm}};
    assert_true(cm_conv2d_shape_init(&a.shape));
    const float bound = 1.0F / sqrtf((float)(row->channels * row->kernel * row->kernel));
    const size_t out = (size_t)row->out_channels;
    a.x = draw(ARRAY_X, row->data, row->batch, row->size * row->size, row->channels);
    a.weight = draw_scaled(ARRAY_WEIGHT,
                           product(row->kernel, row->kernel, row->channels, row->out_channels),
                           bound, 0.0F);
    a.bias = draw_scaled(ARRAY_BIAS, out, bound, 0.0F);
    return a;
}

/* The first `sample` of the `width` numbers of each row. */
static array columns(array a, int width, int sample) {
    const array part = array_empty(a.count / (size_t)width * (size_t)sample);
    for (size_t i = 0; i < part.count; ++i) {
        const size_t from = i / (size_t)sample * (size_t)width + i % (size_t)sample;
        part.f[i] = a.f[from];
        part.d[i] = a.d[from];
    }
    return part;
}

static int sample_of(int channels) {
    return channels < ERRORS_SAMPLE ? channels : ERRORS_SAMPLE;
}

static void run_conv2d(const convolution *a, array dy, array y, array dx, array dweight,
                       array dbias) {
    const cm_kernels *kernels = cm_kernels_best();
    const cm_conv2d_plan plan = cm_conv2d_plan_of(&a->shape, 1);
    void *workspace = array_take(plan.workspace);
    if (y.f != NULL) {
        kernels->conv2d_forward(&alone, &(cm_conv2d_forward_args){.plan = &plan,
                                                                  .x = a->x.f,
                                                                  .weight = a->weight.f,
                                                                  .bias = a->bias.f,
                                                                  .y = y.f,
                                                                  .workspace = workspace});
    }
    kernels->conv2d_backward(&alone, &(cm_conv2d_backward_args){.plan = &plan,
                                                                .x = a->x.f,
                                                                .dy = dy.f,
                                                                .weight = a->weight.f,
                                                                .dx = dx.f,
                                                                .dweight = dweight.f,
                                                                .dbias = dbias.f,
                                                                .workspace = workspace});
}

/* What is computed exactly has the first channels only: of outputs for y and dweight, of inputs for
 * dx. dx.f is NULL where only dweight is wanted. */
static void convolve(const errors_case *row, bool all, double *error) {
    convolution a = convolution_of(row);
    const cm_conv2d_shape *s = &a.shape;
    const errors_data of_dy =
        row->data == DATA_CONSTANT_0 ? DATA_CONSTANT_0 : of_gradient(row->data);
    const array none = {0};
    const array dy = draw(ARRAY_DY, of_dy, s->batch, s->out_height * s->out_width, s->out_channels);
    array y = all ? array_empty(dy.count) : none;
    array dx = all ? array_empty(a.x.count) : none;
    array dweight = array_empty(a.weight.count);
    array dbias = all ? array_empty(a.bias.count) : none;
    run_conv2d(&a, dy, y, dx, dweight, dbias);

    cm_conv2d_shape few = *s;
    few.out_channels = sample_of(s->out_channels);
    const array few_dy = columns(dy, s->out_channels, few.out_channels);
    const array few_weight = columns(a.weight, s->out_channels, few.out_channels);
    dweight = columns(dweight, s->out_channels, few.out_channels);
    ref_conv2d_backward_weights(&few, a.x.d, few_dy.d, dweight.d, NULL);
    if (!all) {
        error[0] = gradient_error(dweight);
        return;
    }
    y = columns(y, s->out_channels, few.out_channels);
    ref_conv2d_forward(&few, a.x.d, few_weight.d, a.bias.d, false, y.d);

    cm_conv2d_shape thin = *s;
    thin.in_channels = sample_of(s->in_channels);
    const int filter = s->in_channels * s->out_channels;
    const array thin_weight = columns(a.weight, filter, thin.in_channels * s->out_channels);
    dx = columns(dx, s->in_channels, thin.in_channels);
    ref_conv2d_backward_data(&thin, dy.d, thin_weight.d, dx.d);

    memset(dbias.d, 0, dbias.count * sizeof *dbias.d);
    for (size_t i = 0; i < dy.count; ++i) {
        dbias.d[i % dbias.count] += dy.d[i];
    }
    const double errors[] = {map_error(y), map_error(dx), gradient_error(dweight),
                             gradient_error(dbias)};
    memcpy(error, errors, sizeof errors);
}

static void conv2d(const errors_case *row, double *error) {
    convolve(row, true, error);
}

static void conv2d_dweight(const errors_case *row, double *error) {
    convolve(row, false, error);
}

/* A first layer with its pool, with or without batch norm. */
static void first_layer_of(const errors_case *row, bool normalized, double *error) {
    const cm_kernels *kernels = cm_kernels_best();
    const convolution a = convolution_of(row);
    const cm_conv2d_shape *s = &a.shape;
    const cm_map_shape map = {s->batch, s->out_height, s->out_width, s->out_channels};
    cm_max_pool2d_shape pool = {map.batch, map.height, map.width, map.channels, 2, 2, 2, 2, 0, 0};
    assert_true(cm_max_pool2d_shape_init(&pool));
    const array dy = draw(ARRAY_DY, of_gradient(row->data), s->batch,
                          pool.out_height * pool.out_width, s->out_channels);
    const normalization b = normalization_of(row, s->out_channels);
    const array y = array_empty(dy.count), x_at_max = array_empty(dy.count);
    const array z = array_empty(product(map.batch, map.height, map.width, map.channels));
    const array g = array_empty(z.count), dz = array_empty(z.count);
    const array dweight = array_empty(a.weight.count), dbias = array_empty(a.bias.count);
    const array dgamma = array_empty(a.bias.count), dbeta = array_empty(a.bias.count);
    uint16_t *argmax = array_take(dy.count * sizeof *argmax);
    double *moments = array_take(cm_patch_moments_count(s) * sizeof *moments);
    void *workspace = array_take(cm_conv2d_max_pool2d_workspace(s, &pool, 1));

    if (normalized) {
        kernels->conv2d_batch_norm_statistics(
            &alone, &(cm_conv2d_batch_norm_statistics_args){.conv = s,
                                                            .pool = &pool,
                                                            .x = a.x.f,
                                                            .weight = a.weight.f,
                                                            .bias = a.bias.f,
                                                            .to = b.to,
                                                            .moments = moments,
                                                            .workspace = workspace});
    }
    kernels->conv2d_max_pool2d_forward(
        &alone, &(cm_conv2d_max_pool2d_forward_args){.conv = s,
                                                     .pool = &pool,
                                                     .x = a.x.f,
                                                     .weight = a.weight.f,
                                                     .bias = a.bias.f,
                                                     .scale = normalized ? b.scale.f : NULL,
                                                     .shift = normalized ? b.shift.f : NULL,
                                                     .y = y.f,
                                                     .argmax = argmax,
                                                     .workspace = workspace});
    kernels->conv2d_max_pool2d_backward(
        &alone, &(cm_conv2d_max_pool2d_backward_args){.conv = s,
                                                      .pool = &pool,
                                                      .x = a.x.f,
                                                      .weight = a.weight.f,
                                                      .dy = dy.f,
                                                      .argmax = argmax,
                                                      .moments = normalized ? moments : NULL,
                                                      .rstd = b.rstd.f,
                                                      .scale = b.scale.f,
                                                      .dgamma = dgamma.f,
                                                      .dbeta = dbeta.f,
                                                      .dweight = dweight.f,
                                                      .dbias = dbias.f,
                                                      .workspace = workspace});

    ref_conv2d_forward(s, a.x.d, a.weight.d, a.bias.d, false, z.d);
    if (normalized) {
        exact_statistics(&map, z.d, &b);
    }
    ref_max_pool2d_forward(&pool, z.d, normalized ? b.scale.d : NULL, normalized ? b.shift.d : NULL,
                           false, y.d, argmax, x_at_max.d);
    ref_max_pool2d_backward(&pool, dy.d, NULL, argmax, g.d);
    if (!normalized) {
        ref_conv2d_backward_weights(s, a.x.d, g.d, dweight.d, dbias.d);
        const double errors[] = {map_error(y), gradient_error(dweight), gradient_error(dbias)};
        memcpy(error, errors, sizeof errors);
        return;
    }
    ref_batch_norm_backward(&map, g.d, NULL, z.d, b.mean.d, b.rstd.d, b.scale.d, dgamma.d, dbeta.d,
                            dz.d);
    ref_conv2d_backward_weights(s, a.x.d, dz.d, dweight.d, dbias.d);
    const double errors[] = {
        map_error(y),
        mean_error(b.running_mean, b.running_mean, b.running_var, (double)0.1F),
        map_error(b.running_var),
        gradient_error(dweight),
        gradient_error(dgamma),
        gradient_error(dbeta)};
    memcpy(error, errors, sizeof errors);
}

static void first_layer(const errors_case *row, double *error) {
    first_layer_of(row, false, error);
}

static void first_layer_batch_norm(const errors_case *row, double *error) {
    first_layer_of(row, true, error);
}

/* ---- Loss and Adam ---- */

static void loss(const errors_case *row, double *error) {
    const array logits = draw(ARRAY_X, row->data, row->batch, 1, row->channels);
    const array dlogits = array_empty(logits.count);
    uint8_t *labels = array_take((size_t)row->batch);
    for (int n = 0; n < row->batch; ++n) {
        labels[n] = (uint8_t)(n % row->channels);
    }
    double ours = 0.0, exact = 0.0;
    int correct = 0;
    cm_kernels_best()->softmax_cross_entropy(
        &alone, &(cm_softmax_cross_entropy_args){
                    .batch = row->batch,
                    .classes = row->channels,
                    .block = 64,
                    .logits = logits.f,
                    .labels = labels,
                    .loss = &ours,
                    .correct = &correct,
                    .dlogits = dlogits.f,
                    .workspace = array_take(cm_softmax_cross_entropy_workspace(row->batch))});
    ref_softmax_cross_entropy(row->batch, row->channels, logits.d, labels, &exact, &correct,
                              dlogits.d);
    error[0] = fabs(ours - exact) / exact;
    error[1] = map_error(dlogits);
}

static void adam(const errors_case *row, double *error) {
    const int t = row->size;
    const size_t count = (size_t)row->channels;
    const cm_adam_step step = {.learning_rate = 1e-3,
                               .beta1 = 0.9,
                               .beta2 = 0.999,
                               .epsilon = 1e-8,
                               .weight_decay = 1e-5,
                               .bias_correction1 = 1.0 - pow(0.9, t),
                               .bias_correction2 = 1.0 - pow(0.999, t)};
    const array param = draw_scaled(ARRAY_PARAM, count, 1.0F, 0.0F);
    const array grad = draw(ARRAY_X, row->data, 1, 1, row->channels);
    const array m = t == 1 ? filled(count, 0.0F) : draw_scaled(ARRAY_M, count, 0.1F, 0.0F);
    const array v = t == 1 ? filled(count, 0.0F) : draw_positive(ARRAY_V, count, 0.01F, 0.0F);
    cm_kernels_best()->adam(&alone, count, &step, grad.f, param.f, m.f, v.f);
    ref_adam(count, &step, grad.d, param.d, m.d, v.d);
    error[0] = map_error(param);
    error[1] = map_error(m);
    error[2] = map_error(v);
}

/* ---- The table ---- */

typedef struct operation {
    const char *name;
    void (*measure)(const errors_case *row, double *error);
    const char *outputs[ERRORS_OUTPUTS + 1]; /* in the order of errors.py; NULL ends them */
    int roundings;                           /* that an error may have, whatever PyTorch's is */
} operation;

static const operation operations[] = {
    [ERRORS_BATCH_NORM] = {"batch norm",
                           batch_norm,
                           {"y", "mean", "rstd", "running mean", "running var", "dx", "dgamma",
                            "dbeta"},
                           10},
    [ERRORS_BATCH_NORM_MAX_POOL2D] = {"batch norm, max pool",
                                      batch_norm_max_pool2d,
                                      {"y", "dx", "dgamma", "dbeta"},
                                      10},
    [ERRORS_CONV2D] = {"conv2d", conv2d, {"y", "dx", "dweight", "dbias"}, 26},
    [ERRORS_CONV2D_DWEIGHT] = {"conv2d, ResNet-50", conv2d_dweight, {"dweight"}, 2},
    [ERRORS_FIRST_LAYER] = {"first layer", first_layer, {"y", "dweight", "dbias"}, 6},
    [ERRORS_FIRST_LAYER_BATCH_NORM] = {"first layer, batch norm",
                                       first_layer_batch_norm,
                                       {"y", "running mean", "running var", "dweight", "dgamma",
                                        "dbeta"},
                                       6},
    [ERRORS_LOSS] = {"loss", loss, {"loss", "dlogits"}, 2},
    [ERRORS_ADAM] = {"Adam", adam, {"param", "m", "v"}, 2},
};
static const char *const data_names[] = {
    [DATA_UNIFORM] = "uniform",       [DATA_BELL] = "bell",
    [DATA_CONSTANT_0] = "0.3",        [DATA_CONSTANT_10] = "10.3",
    [DATA_LARGE_MEAN] = "large mean", [DATA_TWO_VALUES] = "two values",
    [DATA_HALVES] = "halves",         [DATA_EVERY_FOURTH] = "every fourth"};

static void shape_text(const errors_case *row, char *text, size_t size) {
    if (row->kernel > 0) {
        cm_conv2d_shape s = convolution_of(row).shape;
        snprintf(text, size, "n%d_c%d_h%d_k%d_r%d_s%d %s", row->batch, row->channels, row->size,
                 row->out_channels, row->kernel, row->stride,
                 cm_conv2d_algorithm_name(s.algorithm));
    } else {
        snprintf(text, size, "n%d_c%d_h%d", row->batch, row->channels, row->size);
    }
}

/* Winograd's transforms are worse conditioned; they are never chosen by AUTO. */
static int roundings_of(const errors_case *row) {
    enum { WINOGRAD_ROUNDINGS = 42 };
    const bool winograd =
        row->kernel > 0 && convolution_of(row).shape.algorithm >= CM_CONV2D_WINOGRAD3;
    return winograd ? WINOGRAD_ROUNDINGS : operations[row->operation].roundings;
}

/* Prints or checks a case; returns how many outputs are too far off. */
static int judge(const errors_case *row) {
    const operation *o = &operations[row->operation];
    double error[ERRORS_OUTPUTS] = {0};
    char shape[96];
    o->measure(row, error);
    shape_text(row, shape, sizeof shape);
    int bad = 0;
    for (int i = 0; o->outputs[i] != NULL; ++i) {
        const double pytorch = row->pytorch[i];
        const double bound =
            fmax((pytorch > LOST ? ROOM + 1 : ROOM) * pytorch, roundings_of(row) * ROUNDING);
        const bool good = error[i] <= bound &&
                          (row->operation != ERRORS_CONV2D_DWEIGHT || error[i] <= RESNET50_BOUND);
        if (printing || !good) {
            printf("%-24s %-12s %-32s %-12s %9.2g %9.2g %7.2f%s\n", o->name, o->outputs[i], shape,
                   data_names[row->data], error[i], pytorch,
                   pytorch > 0.0 ? error[i] / pytorch : 0.0, good ? "" : "  too far off");
        }
        bad += !good;
    }
    arrays_free();
    return bad;
}

static int step = 1;

static void errors_are_like_those_of_pytorch(void **state) {
    (void)state;
    int bad = 0;
    for (size_t i = 0; i < CM_COUNT(errors_golden); i += (size_t)step) {
        bad += judge(&errors_golden[i]);
    }
    if (bad > 0) {
        fail_msg("%d outputs are too far off", bad);
    }
}

int main(int argc, char **argv) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(errors_are_like_those_of_pytorch)};
    for (int i = 1; i < argc; ++i) {
        printing = printing || strcmp(argv[i], "--print") == 0;
        step = strcmp(argv[i], "--quick") == 0 ? 37 : step;
    }
    if (printing) {
        printf("%-24s %-12s %-32s %-12s %9s %9s %7s\n", "operation", "output", "shape", "data",
               "ours", "PyTorch", "ratio");
    }
    return cmocka_run_group_tests(tests, NULL, NULL);
}
