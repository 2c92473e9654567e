/*
 * Calls one kernel directly: the forward pass of a convolution, on two threads, and compares its
 * result with a naive loop, bit by bit.
 *
 *     kernel
 *
 * Kernels are pure functions over arrays: no files, no printing, no allocation, no networks. The
 * caller brings the shape, the arrays, the scratch memory (the workspace) and the threads (a team).
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <convmark/convmark.h>

enum { THREADS = 2 };

/* What every thread of the team is given. */
typedef struct job {
    const cm_kernels *kernels;
    const cm_conv2d_plan *plan;
    const float *x, *weight;
    float *y;
    void *workspace;
} job;

/* The body of the parallel region: every thread calls the kernel with the same arguments, and the
 * kernel computes the part of the outputs that this thread owns. */
static void convolve(const cm_team *team, void *context) {
    const job *j = context;
    /* No bias, no ReLU, nothing kept for a backward pass: what is not named is NULL or false. */
    const cm_conv2d_forward_args args = {
        .plan = j->plan, .x = j->x, .weight = j->weight, .y = j->y, .workspace = j->workspace};
    j->kernels->conv2d_forward(team, &args);
}

/* One output, computed as the contract in convmark/conv2d.h defines it: a chain of fused
 * multiply-adds over (r, s, c), from +0, without the elements that lie in the padding. y is
 * [n][p][q][k] and x is [n][h][w][c] (both NHWC), weight is [r][s][c][k] (RSCK). */
static float output_at(const job *j, int index) {
    const cm_conv2d_shape *s = &j->plan->shape;
    const int k = index % s->out_channels, position = index / s->out_channels;
    const int q = position % s->out_width, row = position / s->out_width;
    const int p = row % s->out_height, n = row / s->out_height;
    float sum = 0.0F;
    for (int tap = 0; tap < s->kernel_h * s->kernel_w; ++tap) {
        const int h = p * s->stride_h - s->padding_h + tap / s->kernel_w;
        const int w = q * s->stride_w - s->padding_w + tap % s->kernel_w;
        if (h < 0 || h >= s->height || w < 0 || w >= s->width) {
            continue;
        }
        for (int c = 0; c < s->in_channels; ++c) {
            const int x = ((n * s->height + h) * s->width + w) * s->in_channels + c;
            const int weight = (tap * s->in_channels + c) * s->out_channels + k;
            sum = fmaf(j->x[x], j->weight[weight], sum);
        }
    }
    return sum;
}

/* Memory for `bytes` bytes, aligned to 64 as the workspace must be. */
static void *allocate(size_t bytes) {
    return aligned_alloc(64, (bytes + 63) / 64 * 64);
}

/* Numbers between -0.5 and 0.5 from the library's counter-based generator: element i of a sequence
 * is a function of the key and i alone. */
static void fill(float *values, size_t count, uint32_t sequence) {
    const cm_random_key key = {.seed = 1, .purpose = CM_RANDOM_TEST, .index = sequence};
    for (size_t i = 0; i < count; ++i) {
        values[i] = cm_random_uniform(&key, i) - 0.5F;
    }
}

int main(void) {
    /* 8 images of 16x16 with 24 channels; 40 filters of 3x3. The shape is checked and its output
     * size derived here. The algorithm is named, because it decides the bits; CM_CONV2D_AUTO takes
     * the one that the library's table has for the shape. */
    cm_conv2d_shape shape = {.batch = 8,
                             .in_channels = 24,
                             .height = 16,
                             .width = 16,
                             .out_channels = 40,
                             .kernel_h = 3,
                             .kernel_w = 3,
                             .stride_h = 1,
                             .stride_w = 1,
                             .padding_h = 1,
                             .padding_w = 1,
                             .algorithm = CM_CONV2D_DIRECT};
    if (!cm_conv2d_shape_init(&shape)) {
        fprintf(stderr, "kernel: the shape is not valid\n");
        return CM_FAILED;
    }
    const size_t inputs = (size_t)(shape.batch * shape.height * shape.width * shape.in_channels);
    const size_t weights =
        (size_t)(shape.kernel_h * shape.kernel_w * shape.in_channels * shape.out_channels);
    const size_t outputs =
        (size_t)(shape.batch * shape.out_height * shape.out_width * shape.out_channels);

    float *x = allocate(inputs * sizeof *x), *weight = allocate(weights * sizeof *weight);
    float *y = allocate(outputs * sizeof *y);
    /* The plan is made once for the shape; every call of a kernel then reads it. */
    const cm_conv2d_plan plan = cm_conv2d_plan_of(&shape, THREADS);
    void *workspace = allocate(plan.workspace); /* shared by the team */
    int differences = 0;
    if (x == NULL || weight == NULL || y == NULL || workspace == NULL) {
        fprintf(stderr, "kernel: out of memory\n");
        return CM_FAILED;
    }
    fill(x, inputs, 0);
    fill(weight, weights, 1);

    job j = {cm_kernels_best(), &plan, x, weight, y, workspace};
    cm_team_run(THREADS, convolve, &j); /* returns when all threads are done */

    for (int i = 0; i < (int)outputs; ++i) {
        const float expected = output_at(&j, i);
        differences += memcmp(&expected, &y[i], sizeof expected) != 0;
    }
    printf("kernels %s, algorithm %s\n", j.kernels->name,
           cm_conv2d_algorithm_name(shape.algorithm));
    printf("%zu outputs, %d differ from the naive loop\n", outputs, differences);
    free(x);
    free(weight);
    free(y);
    free(workspace);
    return differences == 0 ? CM_OK : CM_FAILED;
}
