#include "bench/kernel_table.h"

/* ---- Arrays, in the order that the checks' calls take them ---- */

static void input(cm_check_case *c, const char *name, size_t count) {
    cm_check_add(c, name, CM_CHECK_INPUT, CM_CHECK_F32, count);
}

static void output(cm_check_case *c, const char *name, size_t count) {
    cm_check_add(c, name, CM_CHECK_OUTPUT, CM_CHECK_F32, count);
}

static void scratch(cm_check_case *c, const char *name, size_t bytes) {
    cm_check_add(c, name, CM_CHECK_SCRATCH, CM_CHECK_U8, bytes);
}

static void conv2d_scratch(cm_check_case *c) {
    scratch(c, "workspace", c->conv_plan.workspace);
}

static void add_conv2d_forward(cm_check_case *c) {
    input(c, "x", cm_check_x_count(&c->conv));
    input(c, "weight", cm_check_weight_count(&c->conv));
    input(c, "bias", (size_t)c->conv.out_channels);
    output(c, "y", cm_check_y_count(&c->conv));
    conv2d_scratch(c);
}

static void add_conv2d_inference(cm_check_case *c) {
    const size_t channels = (size_t)c->conv.out_channels;
    input(c, "x", cm_check_x_count(&c->conv));
    input(c, "weight", cm_check_weight_count(&c->conv));
    input(c, "bias", channels);
    input(c, "scale", channels);
    input(c, "shift", channels);
    output(c, "y", cm_check_y_count(&c->conv));
    scratch(c, "packed", c->conv_plan.packed);
    conv2d_scratch(c);
}

static void add_conv2d_backward_data(cm_check_case *c) {
    input(c, "dy", cm_check_y_count(&c->conv));
    input(c, "weight", cm_check_weight_count(&c->conv));
    output(c, "dx", cm_check_x_count(&c->conv));
    conv2d_scratch(c);
}

static void add_conv2d_backward_weights(cm_check_case *c) {
    input(c, "x", cm_check_x_count(&c->conv));
    input(c, "dy", cm_check_y_count(&c->conv));
    output(c, "dweight", cm_check_weight_count(&c->conv));
    output(c, "dbias", (size_t)c->conv.out_channels);
    conv2d_scratch(c);
}

static void add_conv2d_backward(cm_check_case *c) {
    input(c, "x", cm_check_x_count(&c->conv));
    input(c, "dy", cm_check_y_count(&c->conv));
    input(c, "weight", cm_check_weight_count(&c->conv));
    output(c, "dx", cm_check_x_count(&c->conv));
    output(c, "dweight", cm_check_weight_count(&c->conv));
    output(c, "dbias", (size_t)c->conv.out_channels);
    conv2d_scratch(c);
    scratch(c, "kept", 0); /* none: alone it has no forward pass before it */
    scratch(c, "y", 0);
}

static void first_layer_inputs(cm_check_case *c) {
    input(c, "x", cm_check_x_count(&c->conv));
    input(c, "weight", cm_check_weight_count(&c->conv));
    input(c, "bias", (size_t)c->conv.out_channels);
}

static void first_layer_scratch(cm_check_case *c) {
    scratch(c, "workspace", cm_conv2d_max_pool2d_workspace(&c->conv, &c->pool, c->threads));
}

static void statistics_outputs(cm_check_case *c, size_t channels) {
    static const char *const names[] = {"mean", "rstd", "scale", "shift"};
    for (int i = 0; i < 4; ++i) {
        output(c, names[i], channels);
    }
}

/* A variance is not negative, nor is a mean of squares. */
static void not_negative(cm_check_case *c, const char *name, cm_check_role role, size_t count) {
    float *values = cm_check_add(c, name, role, CM_CHECK_F32, count);
    for (size_t i = 0; values != NULL && i < count; ++i) {
        values[i] = values[i] < 0.0F ? -values[i] : values[i];
    }
}

/* gamma, beta and running statistics, then the outputs. */
static void add_statistics(cm_check_case *c, size_t channels) {
    input(c, "gamma", channels);
    input(c, "beta", channels);
    cm_check_add(c, "running_mean", CM_CHECK_IN_OUT, CM_CHECK_F32, channels);
    not_negative(c, "running_var", CM_CHECK_IN_OUT, channels);
    statistics_outputs(c, channels);
}

static void add_first_layer_statistics(cm_check_case *c) {
    first_layer_inputs(c);
    add_statistics(c, (size_t)c->conv.out_channels);
    cm_check_add(c, "moments", CM_CHECK_OUTPUT, CM_CHECK_F64, cm_patch_moments_count(&c->conv));
    first_layer_scratch(c);
}

static void add_first_layer_forward(cm_check_case *c) {
    first_layer_inputs(c);
    input(c, "scale", (size_t)c->conv.out_channels);
    input(c, "shift", (size_t)c->conv.out_channels);
    output(c, "y", cm_check_pooled_count(&c->pool));
    cm_check_add(c, "argmax", CM_CHECK_OUTPUT, CM_CHECK_U16, cm_check_pooled_count(&c->pool));
    first_layer_scratch(c);
}

static void add_argmax(cm_check_case *c) {
    const size_t count = cm_check_pooled_count(&c->pool);
    const int last = c->pool.kernel_h * c->pool.kernel_w - 1;
    uint16_t *argmax = cm_check_add(c, "argmax", CM_CHECK_INPUT, CM_CHECK_U16, count);
    for (size_t i = 0; argmax != NULL && i < count; ++i) {
        argmax[i] = (uint16_t)cm_check_draw_int(c, 0, last);
    }
}

static void add_first_layer_backward(cm_check_case *c) {
    const size_t channels = (size_t)c->conv.out_channels, pooled = cm_check_pooled_count(&c->pool);
    const size_t moment_count = cm_patch_moments_count(&c->conv);
    input(c, "x", cm_check_x_count(&c->conv));
    input(c, "weight", cm_check_weight_count(&c->conv));
    input(c, "dy", pooled);
    input(c, "y", pooled);
    add_argmax(c);
    double *moments = cm_check_add(c, "moments", CM_CHECK_INPUT, CM_CHECK_F64, moment_count);
    for (size_t i = 0; moments != NULL && i < moment_count; ++i) {
        moments[i] = cm_check_draw_int(c, -1000, 1000) / 512.0;
    }
    input(c, "rstd", channels);
    input(c, "scale", channels);
    output(c, "dgamma", channels);
    output(c, "dbeta", channels);
    output(c, "dweight", cm_check_weight_count(&c->conv));
    output(c, "dbias", channels);
    first_layer_scratch(c);
}

static void add_max_pool2d_forward(cm_check_case *c) {
    const size_t pooled = cm_check_pooled_count(&c->pool);
    input(c, "x", cm_check_map_count(&c->map));
    input(c, "scale", 0);
    input(c, "shift", 0);
    output(c, "y", pooled);
    cm_check_add(c, "argmax", CM_CHECK_OUTPUT, CM_CHECK_U16, pooled);
    output(c, "x_at_max", 0);
}

static void add_max_pool2d_backward(cm_check_case *c) {
    input(c, "dy", cm_check_pooled_count(&c->pool));
    input(c, "y", cm_check_pooled_count(&c->pool));
    add_argmax(c);
    output(c, "dx", cm_check_map_count(&c->map));
}

static void add_batch_norm_max_pool2d_forward(cm_check_case *c) {
    const size_t pooled = cm_check_pooled_count(&c->pool), channels = (size_t)c->map.channels;
    input(c, "x", cm_check_map_count(&c->map));
    input(c, "scale", channels);
    input(c, "shift", channels);
    output(c, "y", pooled);
    cm_check_add(c, "argmax", CM_CHECK_OUTPUT, CM_CHECK_U16, pooled);
    output(c, "x_at_max", pooled);
}

static void backward_statistics(cm_check_case *c, size_t channels) {
    input(c, "mean", channels);
    input(c, "rstd", channels);
    input(c, "scale", channels);
    output(c, "dgamma", channels);
    output(c, "dbeta", channels);
}

static void add_batch_norm_max_pool2d_backward(cm_check_case *c) {
    const size_t pooled = cm_check_pooled_count(&c->pool);
    input(c, "dy", pooled);
    input(c, "y", pooled);
    add_argmax(c);
    input(c, "x_at_max", pooled);
    input(c, "x", cm_check_map_count(&c->map));
    backward_statistics(c, (size_t)c->map.channels);
    output(c, "dx", cm_check_map_count(&c->map));
    scratch(c, "workspace", cm_batch_norm_workspace(&c->map));
}

static void add_batch_norm_statistics(cm_check_case *c) {
    input(c, "x", cm_check_map_count(&c->map));
    add_statistics(c, (size_t)c->map.channels);
    scratch(c, "workspace", cm_batch_norm_workspace(&c->map));
}

static void add_batch_norm_inference(cm_check_case *c) {
    const size_t channels = (size_t)c->map.channels;
    input(c, "gamma", channels);
    input(c, "beta", channels);
    input(c, "running_mean", channels);
    not_negative(c, "running_var", CM_CHECK_INPUT, channels);
    output(c, "scale", channels);
    output(c, "shift", channels);
}

static void add_batch_norm_forward(cm_check_case *c) {
    input(c, "x", cm_check_map_count(&c->map));
    output(c, "y", cm_check_map_count(&c->map));
    input(c, "scale", (size_t)c->map.channels);
    input(c, "shift", (size_t)c->map.channels);
}

static void add_batch_norm_backward(cm_check_case *c) {
    const size_t count = cm_check_map_count(&c->map);
    input(c, "dy", count);
    output(c, "dx", count);
    input(c, "y", count);
    input(c, "x", count);
    backward_statistics(c, (size_t)c->map.channels);
    scratch(c, "workspace", cm_batch_norm_workspace(&c->map));
}

static void add_elements(cm_check_case *c) {
    input(c, "x", c->count);
    output(c, "y", c->count);
}

static void add_relu_backward(cm_check_case *c) {
    input(c, "dy", c->count);
    output(c, "dx", c->count);
    input(c, "y", c->count);
}

static void add_loss(cm_check_case *c) {
    const size_t batch = (size_t)c->map.batch, logits = batch * (size_t)c->classes;
    input(c, "logits", logits);
    uint8_t *labels = cm_check_add(c, "labels", CM_CHECK_INPUT, CM_CHECK_U8, batch);
    for (size_t i = 0; labels != NULL && i < batch; ++i) {
        labels[i] = (uint8_t)cm_check_draw_int(c, 0, c->classes - 1);
    }
    cm_check_add(c, "loss", CM_CHECK_OUTPUT, CM_CHECK_F64, 1);
    cm_check_add(c, "correct", CM_CHECK_OUTPUT, CM_CHECK_I32, 1);
    output(c, "dlogits", logits);
    scratch(c, "workspace", cm_softmax_cross_entropy_workspace(c->map.batch));
}

static void add_adam(cm_check_case *c) {
    input(c, "grad", c->count);
    cm_check_add(c, "param", CM_CHECK_IN_OUT, CM_CHECK_F32, c->count);
    cm_check_add(c, "m", CM_CHECK_IN_OUT, CM_CHECK_F32, c->count);
    not_negative(c, "v", CM_CHECK_IN_OUT, c->count);
}

static void run_pack(const cm_kernels *kernels, const cm_team *team, const cm_check_case *c,
                     void *const *a) {
    kernels->conv2d_pack(team, &c->conv_plan, a[1], a[6]);
}

/* ---- The table ---- */

#define SAME(function) cm_check_run_##function, cm_check_run_##function

/* A new kernel is a new row here; each convolution row is measured with each algorithm. */
static const bench_kernel table[] = {
    {BENCH_CONV2D, "forward", add_conv2d_forward, SAME(conv2d_forward), BENCH_ONE_PASS},
    {BENCH_CONV2D, "inference", add_conv2d_inference, cm_check_run_conv2d_inference,
     cm_check_run_conv2d_packed, BENCH_ONE_PASS},
    {BENCH_CONV2D, "pack", add_conv2d_inference, cm_check_run_conv2d_pack, run_pack,
     BENCH_NO_FLOPS},
    {BENCH_CONV2D, "backward_data", add_conv2d_backward_data, SAME(conv2d_backward_data),
     BENCH_ONE_PASS},
    {BENCH_CONV2D, "backward_weights", add_conv2d_backward_weights, SAME(conv2d_backward_weights),
     BENCH_ONE_PASS},
    {BENCH_CONV2D, "backward", add_conv2d_backward, SAME(conv2d_backward), BENCH_TWO_PASSES},
    {BENCH_LINEAR, "forward", add_conv2d_forward, SAME(conv2d_forward), BENCH_ONE_PASS},
    {BENCH_LINEAR, "backward_data", add_conv2d_backward_data, SAME(conv2d_backward_data),
     BENCH_ONE_PASS},
    {BENCH_LINEAR, "backward_weights", add_conv2d_backward_weights, SAME(conv2d_backward_weights),
     BENCH_ONE_PASS},
    {BENCH_CONV2D_MAX_POOL2D, "statistics", add_first_layer_statistics,
     SAME(conv2d_batch_norm_statistics), BENCH_NO_FLOPS},
    {BENCH_CONV2D_MAX_POOL2D, "forward", add_first_layer_forward, SAME(conv2d_max_pool2d_forward),
     BENCH_FIRST_LAYER},
    {BENCH_CONV2D_MAX_POOL2D, "backward", add_first_layer_backward,
     SAME(conv2d_max_pool2d_backward), BENCH_NO_FLOPS},
    {BENCH_MAX_POOL2D, "forward", add_max_pool2d_forward, SAME(max_pool2d_forward), BENCH_NO_FLOPS},
    {BENCH_MAX_POOL2D, "backward", add_max_pool2d_backward, SAME(max_pool2d_backward),
     BENCH_NO_FLOPS},
    {BENCH_BATCH_NORM, "statistics", add_batch_norm_statistics, SAME(batch_norm_statistics),
     BENCH_NO_FLOPS},
    {BENCH_BATCH_NORM, "inference", add_batch_norm_inference, SAME(batch_norm_inference),
     BENCH_NO_FLOPS},
    {BENCH_BATCH_NORM, "forward", add_batch_norm_forward, SAME(batch_norm_forward), BENCH_NO_FLOPS},
    {BENCH_BATCH_NORM, "backward", add_batch_norm_backward, SAME(batch_norm_backward),
     BENCH_NO_FLOPS},
    {BENCH_BATCH_NORM_MAX_POOL2D, "forward", add_batch_norm_max_pool2d_forward,
     SAME(max_pool2d_forward), BENCH_NO_FLOPS},
    {BENCH_BATCH_NORM_MAX_POOL2D, "backward", add_batch_norm_max_pool2d_backward,
     SAME(batch_norm_max_pool2d_backward), BENCH_NO_FLOPS},
    {BENCH_RELU, "forward", add_elements, SAME(relu_forward), BENCH_NO_FLOPS},
    {BENCH_RELU, "backward", add_relu_backward, SAME(relu_backward), BENCH_NO_FLOPS},
    {BENCH_DROPOUT, "forward", add_elements, SAME(dropout), BENCH_NO_FLOPS},
    {BENCH_SOFTMAX_CROSS_ENTROPY, "loss", add_loss, SAME(softmax_cross_entropy), BENCH_NO_FLOPS},
    {BENCH_ADAM, "step", add_adam, SAME(adam), BENCH_FOURTEEN_EACH},
};

const bench_kernel *bench_kernels(int *count) {
    *count = (int)(sizeof table / sizeof *table);
    return table;
}
