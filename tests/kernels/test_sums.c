/* Sums over positions and images, exactly as docs/design/numerics.md writes them ("Runs", "Blocks
 * of images"): once more in plain C, bit for bit, on every instruction set. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "support/arrays.h"

enum { RUN = 32, THREADS = 3 };

/* ---- Plain C ---- */

/* Where [begin, end) is split: at the largest power of two of blocks below their number. */
static int split_at(int begin, int end, int block) {
    int left = block;
    while (begin + 2 * left < end) {
        left *= 2;
    }
    return begin + left;
}

/* Of one image: a number, such as the sum of a channel. */
typedef double image_sum(const void *context, int image);

static double plain_join(const void *context, image_sum *sum_of, int begin, int end, int block) {
    if (end - begin <= block) {
        double sum = sum_of(context, begin);
        for (int image = begin + 1; image < end; ++image) {
            sum += sum_of(context, image);
        }
        return sum;
    }
    const int middle = split_at(begin, end, block);
    const double left = plain_join(context, sum_of, begin, middle, block);
    return left + plain_join(context, sum_of, middle, end, block);
}

/* Mean and squares of some values. */
typedef struct moments {
    double mean, squares, count;
} moments;

/* One channel of a batch norm's input. */
typedef struct channel {
    const float *x, *dy, *y; /* dy and y: NULL for statistics */
    float mean;
    int positions, channels, block;
} channel;

static moments image_moments(const channel *c, int image) {
    const float *x = c->x + (ptrdiff_t)image * c->positions * c->channels;
    const int quarter = (c->positions + 3) / 4;
    float centre = 0.0F;
    for (int i = 0; i < quarter; ++i) {
        centre += x[4 * i * c->channels];
    }
    centre /= (float)quarter;
    double sums = 0.0, around = 0.0;
    for (int begin = 0; begin < c->positions; begin += RUN) {
        float sum = 0.0F, square = 0.0F;
        for (int i = begin; i < c->positions && i < begin + RUN; ++i) {
            const float d = x[i * c->channels] - centre;
            sum += d;
            square = fmaf(d, d, square);
        }
        sums += (double)sum;
        around += (double)square;
    }
    const double distance = sums * (1.0 / c->positions);
    const double squares = around - sums * distance;
    return (moments){(double)centre + distance, squares < 0.0 ? 0.0 : squares, c->positions};
}

static moments plain_moments(const channel *c, int begin, int end) {
    if (end - begin <= c->block) {
        moments all = image_moments(c, begin);
        for (int k = 1; k < end - begin; ++k) {
            const moments image = image_moments(c, begin + k);
            const double delta = image.mean - all.mean;
            all.mean += delta / (k + 1.0);
            all.squares += image.squares + delta * delta * (c->positions * (double)k / (k + 1.0));
            all.count += image.count;
        }
        return all;
    }
    const int middle = split_at(begin, end, c->block);
    const moments a = plain_moments(c, begin, middle), b = plain_moments(c, middle, end);
    const double delta = b.mean - a.mean, count = a.count + b.count;
    return (moments){a.mean + delta * (b.count / count),
                     (a.squares + b.squares) + delta * delta * (a.count * b.count / count), count};
}

static double gradient_sum(const channel *c, int image, bool times_x) {
    const ptrdiff_t first = (ptrdiff_t)image * c->positions * c->channels;
    double sums = 0.0;
    for (int begin = 0; begin < c->positions; begin += RUN) {
        float sum = 0.0F;
        for (int i = begin; i < c->positions && i < begin + RUN; ++i) {
            const ptrdiff_t at = first + (ptrdiff_t)i * c->channels;
            const float g = c->y == NULL || c->y[at] > 0.0F ? c->dy[at] : 0.0F;
            sum = times_x ? fmaf(g, c->x[at] - c->mean, sum) : sum + g;
        }
        sums += (double)sum;
    }
    return sums;
}

static double sum_of_g(const void *context, int image) {
    return gradient_sum(context, image, false);
}

static double sum_of_gx(const void *context, int image) {
    return gradient_sum(context, image, true);
}

/* ---- Batch norm ---- */

typedef struct batch_norm_case {
    const cm_kernels *kernels;
    cm_map_shape map;
    int block;
    bool relu;
    array x, dy, y, gamma, beta, running_mean, running_var;
    array mean, rstd, scale, shift, dgamma, dbeta, dx;
    void *workspace;
} batch_norm_case;

static void run_batch_norm(const cm_team *team, void *context) {
    const batch_norm_case *c = context;
    const cm_batch_norm_statistics_args statistics = {.shape = &c->map,
                                                      .x = c->x.f,
                                                      .block = c->block,
                                                      .to = {.gamma = c->gamma.f,
                                                             .beta = c->beta.f,
                                                             .eps = 1e-5F,
                                                             .momentum = 0.1F,
                                                             .running_mean = c->running_mean.f,
                                                             .running_var = c->running_var.f,
                                                             .mean = c->mean.f,
                                                             .rstd = c->rstd.f,
                                                             .scale = c->scale.f,
                                                             .shift = c->shift.f},
                                                      .workspace = c->workspace};
    c->kernels->batch_norm_statistics(team, &statistics);
    cm_team_barrier(team);
    const cm_batch_norm_backward_args backward = {.shape = &c->map,
                                                  .dy = c->dy.f,
                                                  .y = c->relu ? c->y.f : NULL,
                                                  .x = c->x.f,
                                                  .mean = c->mean.f,
                                                  .rstd = c->rstd.f,
                                                  .scale = c->scale.f,
                                                  .block = c->block,
                                                  .dgamma = c->dgamma.f,
                                                  .dbeta = c->dbeta.f,
                                                  .dx = c->dx.f,
                                                  .workspace = c->workspace};
    c->kernels->batch_norm_backward(team, &backward);
}

static void assert_bits(const char *what, const batch_norm_case *c, int k, float found,
                        float expected) {
    if (memcmp(&found, &expected, sizeof found) != 0) {
        fail_msg("%s[%d] of %d images of %dx%dx%d in blocks of %d on %s is %.9g, expected %.9g",
                 what, k, c->map.batch, c->map.height, c->map.width, c->map.channels, c->block,
                 cm_isa_name(c->kernels->isa), (double)found, (double)expected);
    }
}

static void check_batch_norm_channel(const batch_norm_case *c, int k, float old_mean,
                                     float old_var) {
    const int positions = c->map.height * c->map.width;
    const int block = c->block > 0 ? c->block : c->map.batch;
    const channel one = {.x = c->x.f + k,
                         .dy = c->dy.f + k,
                         .y = c->relu ? c->y.f + k : NULL,
                         .mean = c->mean.f[k],
                         .positions = positions,
                         .channels = c->map.channels,
                         .block = block};
    const moments m = plain_moments(&one, 0, c->map.batch);
    const float rstd = (float)(1.0 / sqrt(m.squares / m.count + (double)1e-5F));
    const float scale = c->gamma.f[k] * rstd;
    const double unbiased = m.squares / (m.count > 1.0 ? m.count - 1.0 : 1.0);
    assert_bits("mean", c, k, c->mean.f[k], (float)m.mean);
    assert_bits("rstd", c, k, c->rstd.f[k], rstd);
    assert_bits("scale", c, k, c->scale.f[k], scale);
    assert_bits("shift", c, k, c->shift.f[k],
                (float)fma(-m.mean, (double)scale, (double)c->beta.f[k]));
    assert_bits("running_mean", c, k, c->running_mean.f[k],
                fmaf(0.1F, (float)m.mean - old_mean, old_mean));
    assert_bits("running_var", c, k, c->running_var.f[k],
                fmaf(0.1F, (float)unbiased - old_var, old_var));
    const double g = plain_join(&one, sum_of_g, 0, c->map.batch, block);
    const double gx = plain_join(&one, sum_of_gx, 0, c->map.batch, block);
    const double dgamma = (double)rstd * gx, a = (double)scale;
    const float slope = (float)(-a * (double)rstd * dgamma / m.count);
    const float rest = (float)(-a * g / m.count), mean = (float)m.mean;
    assert_bits("dbeta", c, k, c->dbeta.f[k], (float)g);
    assert_bits("dgamma", c, k, c->dgamma.f[k], (float)dgamma);
    for (ptrdiff_t at = k; at < (ptrdiff_t)c->x.count; at += c->map.channels) {
        const float of = !c->relu || c->y.f[at] > 0.0F ? c->dy.f[at] : 0.0F;
        assert_bits("dx", c, k, c->dx.f[at], fmaf(scale, of, fmaf(slope, c->x.f[at] - mean, rest)));
    }
}

static void check_batch_norm(const cm_kernels *kernels, cm_map_shape map, int block, bool relu) {
    const size_t count = product(map.batch, map.height, map.width, map.channels);
    const size_t channels = (size_t)map.channels;
    batch_norm_case c = {.kernels = kernels,
                         .map = map,
                         .block = block,
                         .relu = relu,
                         .x = array_of_reals(count),
                         .dy = array_of_reals(count),
                         .y = array_of_reals(count),
                         .gamma = array_of_reals(channels),
                         .beta = array_of_reals(channels),
                         .running_mean = array_of_reals(channels),
                         .running_var = array_of_reals(channels),
                         .mean = array_empty(channels),
                         .rstd = array_empty(channels),
                         .scale = array_empty(channels),
                         .shift = array_empty(channels),
                         .dgamma = array_empty(channels),
                         .dbeta = array_empty(channels),
                         .dx = array_empty(count),
                         .workspace = array_take(cm_batch_norm_workspace(&map))};
    cm_team_run(THREADS, run_batch_norm, &c);
    for (int k = 0; k < map.channels; ++k) {
        check_batch_norm_channel(&c, k, (float)c.running_mean.d[k], (float)c.running_var.d[k]);
    }
    arrays_free();
}

/* Runs that are full, cut and alone; channels of whole vectors, part of one, and both. */
static void batch_norm_sums_in_the_written_order(void **state) {
    (void)state;
    static const int maps[][2] = {{1, 1}, {2, 2}, {9, 9}, {5, 40}};
    static const int channels[] = {1, 19, 150};
    static const int batches[][2] = {{1, 0}, {5, 0}, {5, 2}, {7, 1}, {13, 3}, {4, 4}};
    for (cm_isa isa = 0; isa < CM_ISA_COUNT; ++isa) {
        const cm_kernels *kernels = cm_kernels_of(isa);
        for (size_t m = 0; kernels != NULL && m < CM_COUNT(maps); ++m) {
            for (size_t k = 0; k < CM_COUNT(channels); ++k) {
                for (size_t b = 0; b < CM_COUNT(batches); ++b) {
                    const cm_map_shape map = {batches[b][0], maps[m][0], maps[m][1], channels[k]};
                    check_batch_norm(kernels, map, batches[b][1], (b + m) % 2 == 0);
                }
            }
        }
    }
}

/* ---- Convolutions ---- */

typedef struct conv2d_case {
    const cm_kernels *kernels;
    cm_conv2d_plan plan;
    const float *x, *weight, *bias, *dy;
    float *y, *kept, *dx, *dweight, *dbias;
    void *workspace;
} conv2d_case;

static void run_conv2d(const cm_team *team, void *context) {
    const conv2d_case *c = context;
    const cm_conv2d_forward_args forward = {.plan = &c->plan,
                                            .x = c->x,
                                            .weight = c->weight,
                                            .bias = c->bias,
                                            .y = c->y,
                                            .kept = c->kept,
                                            .workspace = c->workspace};
    c->kernels->conv2d_forward(team, &forward);
    cm_team_barrier(team);
    const cm_conv2d_backward_args backward = {.plan = &c->plan,
                                              .x = c->x,
                                              .dy = c->dy,
                                              .weight = c->weight,
                                              .dx = c->dx,
                                              .dweight = c->dweight,
                                              .dbias = c->dbias,
                                              .kept = c->kept,
                                              .workspace = c->workspace};
    c->kernels->conv2d_backward(team, &backward);
}

/* Runs images [begin, end) of `from` as a batch of one block; its y, dx and gradients are in new
 * arrays. */
static conv2d_case run_images(const conv2d_case *from, int begin, int end) {
    cm_conv2d_shape s = from->plan.shape;
    const size_t x = product(1, s.height, s.width, s.in_channels);
    const size_t y = product(1, s.out_height, s.out_width, s.out_channels);
    conv2d_case c = *from;
    s.batch = end - begin;
    s.block = 0;
    c.plan = cm_conv2d_plan_of(&s, THREADS);
    c.x += (size_t)begin * x;
    c.dy += (size_t)begin * y;
    c.y = array_take((size_t)s.batch * y * sizeof(float));
    c.dx = array_take((size_t)s.batch * x * sizeof(float));
    c.kept = NULL;
    c.dweight = array_take(product(s.kernel_h, s.kernel_w, s.in_channels, s.out_channels) * 4);
    c.dbias = array_take((size_t)s.out_channels * sizeof(float));
    c.workspace = array_take(c.plan.workspace);
    cm_team_run(1, run_conv2d, &c);
    return c;
}

static void add_floats(float *left, const float *right, size_t count) {
    for (size_t i = 0; i < count; ++i) {
        left[i] += right[i];
    }
}

/* The gradients of images [begin, end), block by block, joined in the tree. */
static conv2d_case run_tree(const conv2d_case *from, int begin, int end) {
    const cm_conv2d_shape *s = &from->plan.shape;
    if (end - begin <= s->block) {
        return run_images(from, begin, end);
    }
    const int middle = split_at(begin, end, s->block);
    const conv2d_case left = run_tree(from, begin, middle), right = run_tree(from, middle, end);
    add_floats(left.dweight, right.dweight,
               product(s->kernel_h, s->kernel_w, s->in_channels, s->out_channels));
    add_floats(left.dbias, right.dbias, (size_t)s->out_channels);
    return left;
}

static void check_conv2d(const cm_kernels *kernels, cm_conv2d_shape shape) {
    assert_true(cm_conv2d_shape_init(&shape));
    const size_t x = product(shape.batch, shape.height, shape.width, shape.in_channels);
    const size_t y = product(shape.batch, shape.out_height, shape.out_width, shape.out_channels);
    const size_t weights =
        product(shape.kernel_h, shape.kernel_w, shape.in_channels, shape.out_channels);
    const size_t biases = (size_t)shape.out_channels;
    conv2d_case c = {.kernels = kernels,
                     .plan = cm_conv2d_plan_of(&shape, THREADS),
                     .x = array_of_reals(x).f,
                     .weight = array_of_reals(weights).f,
                     .bias = array_of_reals(biases).f,
                     .dy = array_of_reals(y).f,
                     .y = array_take(y * sizeof(float)),
                     .dx = array_take(x * sizeof(float)),
                     .dweight = array_take(weights * sizeof(float)),
                     .dbias = array_take(biases * sizeof(float))};
    c.workspace = array_take(c.plan.workspace);
    c.kept = c.plan.kept > 0 ? array_take(c.plan.kept) : NULL;
    cm_team_run(THREADS, run_conv2d, &c);
    const conv2d_case tree = run_tree(&c, 0, shape.batch);
    const conv2d_case whole = run_images(&c, 0, shape.batch);
    assert_memory_equal(c.dweight, tree.dweight, weights * sizeof(float));
    assert_memory_equal(c.dbias, tree.dbias, biases * sizeof(float));
    /* What no image adds to is the same whatever the blocks. */
    assert_memory_equal(c.y, whole.y, y * sizeof(float));
    assert_memory_equal(c.dx, whole.dx, x * sizeof(float));
    arrays_free();
}

/* Each way of backward-weights, with blocks from one image to all but one; 2 to 9 of them. */
static void conv2d_joins_blocks_in_a_tree(void **state) {
    (void)state;
    static const cm_conv2d_shape shapes[] = {
        {7, 9, 7, 20, 17, 3, 3, 1, 1, 1, 1, 2, CM_CONV2D_AUTO, 0, 0},   /* rows */
        {5, 9, 40, 20, 17, 3, 3, 1, 1, 1, 1, 4, CM_CONV2D_AUTO, 0, 0},  /* rows, several chunks */
        {9, 33, 2, 3, 10, 2, 2, 1, 1, 1, 0, 1, CM_CONV2D_AUTO, 0, 0},   /* images */
        {70, 40, 1, 1, 10, 1, 1, 1, 1, 0, 0, 36, CM_CONV2D_AUTO, 0, 0}, /* linear */
        {6, 3, 28, 28, 8, 3, 3, 1, 1, 1, 1, 4, CM_CONV2D_AUTO, 0, 0},   /* patches */
        {9, 32, 3, 3, 17, 3, 3, 1, 1, 1, 1, 2, CM_CONV2D_AUTO, 0, 0},   /* t4 */
        {5, 17, 9, 9, 32, 3, 3, 1, 1, 1, 1, 2, CM_CONV2D_AUTO, 0, 0},   /* dft10 */
        {5, 17, 10, 7, 19, 3, 3, 1, 1, 1, 1, 3, CM_CONV2D_WINOGRAD4, 0, 0},
    };
    for (cm_isa isa = 0; isa < CM_ISA_COUNT; ++isa) {
        const cm_kernels *kernels = cm_kernels_of(isa);
        for (size_t i = 0; kernels != NULL && i < CM_COUNT(shapes); ++i) {
            check_conv2d(kernels, shapes[i]);
        }
    }
}

/* Blocks decide the algorithm, and not the batch: blocks of one image are convolved directly, and a
 * last block of one image as the others are. */
static void blocks_decide_the_algorithm(void **state) {
    (void)state;
    cm_conv2d_shape shape = {8, 32, 3, 3, 32, 3, 3, 1, 1, 1, 1, 1, CM_CONV2D_AUTO, 0, 0};
    assert_true(cm_conv2d_shape_init(&shape));
    assert_int_equal(shape.algorithm, CM_CONV2D_DIRECT);
    shape.algorithm = CM_CONV2D_AUTO;
    shape.block = 2;
    assert_true(cm_conv2d_shape_init(&shape));
    assert_int_equal(shape.algorithm, CM_CONV2D_T4);
}

/* ---- Loss ---- */

typedef struct loss_case {
    const cm_kernels *kernels;
    cm_softmax_cross_entropy_args args;
} loss_case;

static void run_loss(const cm_team *team, void *context) {
    const loss_case *c = context;
    c->kernels->softmax_cross_entropy(team, &c->args);
}

static double loss_of_image(const void *context, int image) {
    return ((const double *)context)[image];
}

static void loss_joins_blocks_in_a_tree(void **state) {
    (void)state;
    enum { MOST = 40, CLASSES = 5 };
    for (int batch = 1; batch <= MOST; ++batch) {
        const array logits = array_of_reals((size_t)batch * CLASSES);
        uint8_t labels[MOST];
        double single[MOST], loss = 0.0;
        int correct = 0;
        loss_case c = {cm_kernels_best(), {.batch = 1, .classes = CLASSES, .correct = &correct}};
        c.args.workspace = array_take(cm_softmax_cross_entropy_workspace(batch));
        for (int n = 0; n < batch; ++n) {
            labels[n] = (uint8_t)(n % CLASSES);
            c.args.logits = logits.f + n * CLASSES;
            c.args.labels = labels + n;
            c.args.loss = &single[n];
            cm_team_run(1, run_loss, &c);
        }
        for (int block = 1; block <= 3; ++block) {
            c.args.batch = batch;
            c.args.block = block;
            c.args.logits = logits.f;
            c.args.labels = labels;
            c.args.loss = &loss;
            cm_team_run(THREADS, run_loss, &c);
            const double expected = plain_join(single, loss_of_image, 0, batch, block) / batch;
            assert_memory_equal(&loss, &expected, sizeof loss);
        }
        arrays_free();
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(batch_norm_sums_in_the_written_order),
        cmocka_unit_test(conv2d_joins_blocks_in_a_tree),
        cmocka_unit_test(blocks_decide_the_algorithm),
        cmocka_unit_test(loss_joins_blocks_in_a_tree),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
