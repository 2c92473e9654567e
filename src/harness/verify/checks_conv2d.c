/* Checks of the convolution's three passes, linear layers included. */
#include <stdio.h>

#include "harness/verify/check_case.h"

enum { MAX_MACS = 400 * 1000, MAX_TRANSFORM_CHANNELS = 40 };

/* The report's layers with few images. */
static cm_conv2d_shape report_shape(cm_check_case *c) {
    static const struct {
        int in_channels, size, batch;
    } rows[] = {{1, 28, 2}, {128, 9, 1}, {128, 3, 3}, {128, 1, 9}};
    const int row = cm_check_draw_int(c, 0, 3);
    return (cm_conv2d_shape){.batch = cm_check_draw_int(c, 1, rows[row].batch),
                             .in_channels = rows[row].in_channels,
                             .height = rows[row].size,
                             .width = rows[row].size,
                             .out_channels = 128,
                             .kernel_h = 3,
                             .kernel_w = 3,
                             .stride_h = 1,
                             .stride_w = 1,
                             .padding_h = 1,
                             .padding_w = 1};
}

static cm_conv2d_shape any_shape(cm_check_case *c) {
    return (cm_conv2d_shape){.batch = cm_check_draw_int(c, 1, 9),
                             .in_channels = cm_check_draw_channels(c),
                             .height = cm_check_draw_int(c, 1, 13),
                             .width = cm_check_draw_int(c, 1, 13),
                             .out_channels = cm_check_draw_channels(c),
                             .kernel_h = cm_check_draw_int(c, 1, 5),
                             .kernel_w = cm_check_draw_int(c, 1, 5),
                             .stride_h = cm_check_draw_int(c, 1, 3),
                             .stride_w = cm_check_draw_int(c, 1, 3),
                             .padding_h = cm_check_draw_int(c, 0, 3),
                             .padding_w = cm_check_draw_int(c, 0, 3)};
}

/* Columns of outputs so long that sums over them take several calls of the micro-kernel. */
static cm_conv2d_shape tall_shape(cm_check_case *c) {
    cm_conv2d_shape s = any_shape(c);
    s.height = cm_check_draw_int(c, 65, 90);
    s.width = cm_check_draw_int(c, 1, 6);
    s.stride_h = 1;
    return s;
}

/* Maps of more outputs than the direct backward-weights pass, or a block of the others, takes at a
 * time.
 */
static cm_conv2d_shape large_shape(cm_check_case *c) {
    return (cm_conv2d_shape){.batch = cm_check_draw_int(c, 1, 3),
                             .in_channels = cm_check_draw_int(c, 6, 20),
                             .height = cm_check_draw_int(c, 1, 80),
                             .width = cm_check_draw_int(c, 4, 80),
                             .out_channels = cm_check_draw_int(c, 1, 20),
                             .kernel_h = cm_check_draw_int(c, 1, 3),
                             .kernel_w = cm_check_draw_int(c, 1, 3),
                             .stride_h = cm_check_draw_int(c, 1, 2),
                             .stride_w = cm_check_draw_int(c, 1, 2),
                             .padding_h = cm_check_draw_int(c, 0, 2),
                             .padding_w = cm_check_draw_int(c, 0, 2)};
}

/* With the 3x3 filter that keeps the size of the map. */
static cm_conv2d_shape same_3x3(cm_conv2d_shape shape) {
    shape.kernel_h = shape.kernel_w = 3;
    shape.stride_h = shape.stride_w = shape.padding_h = shape.padding_w = 1;
    return shape;
}

/* What the transform domains fit, with any channels: maps of one size, or any map in tiles. */
static cm_conv2d_shape transform_shape(cm_check_case *c) {
    static const struct {
        cm_conv2d_algorithm algorithm;
        int least, largest, batch; /* sides of the map; images */
    } rows[] = {{CM_CONV2D_T4, 3, 3, 17},
                {CM_CONV2D_DFT10, 9, 9, 17},
                {CM_CONV2D_WINOGRAD3, 1, 11, 3},
                {CM_CONV2D_WINOGRAD4, 1, 11, 3},
                {CM_CONV2D_DIRECT, 3, 9, 17}};
    const int row = cm_check_draw_int(c, 0, (int)(sizeof rows / sizeof *rows) - 1);
    return same_3x3(
        (cm_conv2d_shape){.batch = cm_check_draw_int(c, 1, rows[row].batch),
                          .in_channels = cm_check_draw_int(c, 1, MAX_TRANSFORM_CHANNELS),
                          .height = cm_check_draw_int(c, rows[row].least, rows[row].largest),
                          .width = cm_check_draw_int(c, rows[row].least, rows[row].largest),
                          .out_channels = cm_check_draw_int(c, 1, MAX_TRANSFORM_CHANNELS),
                          .algorithm = rows[row].algorithm});
}

/* So many tiles and channels on one side that a domain of tiles takes several blocks. */
static cm_conv2d_shape blocks_shape(cm_check_case *c) {
    const bool widens = cm_check_draw_once_in(c, 2);
    const int few = cm_check_draw_int(c, 1, 3), many = cm_check_draw_int(c, 500, 520);
    return same_3x3((cm_conv2d_shape){
        .batch = cm_check_draw_int(c, 2, 3),
        .in_channels = widens ? few : many,
        .height = cm_check_draw_int(c, 23, 26),
        .width = cm_check_draw_int(c, 23, 26),
        .out_channels = widens ? many : few,
        .algorithm = cm_check_draw_once_in(c, 2) ? CM_CONV2D_WINOGRAD3 : CM_CONV2D_WINOGRAD4});
}

static cm_conv2d_shape linear_shape(cm_check_case *c) {
    const int batch = cm_check_draw_int(c, 1, 70), in = cm_check_draw_channels(c);
    return cm_linear_shape(batch, in, cm_check_draw_channels(c));
}

static void draw_shape(cm_check_case *c) {
    cm_conv2d_shape *s = &c->conv;
    const int style = cm_check_draw_int(c, 0, 9);
    if (style == 0) {
        *s = report_shape(c);
        cm_conv2d_shape_init(s);
    } else if (style <= 3) {
        *s = style == 1 && cm_check_draw_once_in(c, 4) ? blocks_shape(c) : transform_shape(c);
        cm_conv2d_shape_init(s);
    } else {
        do {
            *s = style == 4   ? linear_shape(c)
                 : style == 5 ? tall_shape(c)
                 : style == 6 ? large_shape(c)
                              : any_shape(c);
        } while (!cm_conv2d_shape_init(s) || cm_check_macs(s) > MAX_MACS);
    }
    cm_check_fit_conv2d(c, s);
    c->conv_plan = cm_conv2d_plan_of(s, c->threads);
    snprintf(
        c->shape, sizeof c->shape,
        "%s, batch %d, channels %d -> %d, map %dx%d, kernel %dx%d, stride %dx%d, padding %dx%d",
        cm_conv2d_algorithm_name(s->algorithm), s->batch, s->in_channels, s->out_channels,
        s->height, s->width, s->kernel_h, s->kernel_w, s->stride_h, s->stride_w, s->padding_h,
        s->padding_w);
}

static void add_conv2d_workspace(cm_check_case *c) {
    cm_check_add(c, "workspace", CM_CHECK_SCRATCH, CM_CHECK_U8, c->conv_plan.workspace);
}

void cm_check_draw_conv2d_forward(cm_check_case *c) {
    draw_shape(c);
    c->relu = cm_check_draw_once_in(c, 2);
    cm_check_add(c, "x", CM_CHECK_INPUT, CM_CHECK_F32, cm_check_x_count(&c->conv));
    cm_check_add(c, "weight", CM_CHECK_INPUT, CM_CHECK_F32, cm_check_weight_count(&c->conv));
    cm_check_add_optional(c, "bias", (size_t)c->conv.out_channels);
    cm_check_add(c, "y", CM_CHECK_OUTPUT, CM_CHECK_F32, cm_check_y_count(&c->conv));
    add_conv2d_workspace(c);
}

void cm_check_run_conv2d_forward(const cm_kernels *kernels, const cm_team *team,
                                 const cm_check_case *c, void *const *a) {
    const cm_conv2d_forward_args args = {.plan = &c->conv_plan,
                                         .x = a[0],
                                         .weight = a[1],
                                         .bias = a[2],
                                         .relu = c->relu,
                                         .y = a[3],
                                         .workspace = a[4]};
    kernels->conv2d_forward(team, &args);
}

void cm_check_draw_conv2d_inference(cm_check_case *c) {
    draw_shape(c);
    c->relu = cm_check_draw_once_in(c, 2);
    const size_t channels = (size_t)c->conv.out_channels;
    const size_t normalized = cm_check_draw_once_in(c, 2) ? channels : 0;
    cm_check_add(c, "x", CM_CHECK_INPUT, CM_CHECK_F32, cm_check_x_count(&c->conv));
    cm_check_add(c, "weight", CM_CHECK_INPUT, CM_CHECK_F32, cm_check_weight_count(&c->conv));
    cm_check_add_optional(c, "bias", channels);
    cm_check_add(c, "scale", CM_CHECK_INPUT, CM_CHECK_F32, normalized);
    cm_check_add(c, "shift", CM_CHECK_INPUT, CM_CHECK_F32, normalized);
    cm_check_add(c, "y", CM_CHECK_OUTPUT, CM_CHECK_F32, cm_check_y_count(&c->conv));
    cm_check_add(c, "packed", CM_CHECK_SCRATCH, CM_CHECK_U8, c->conv_plan.packed);
    add_conv2d_workspace(c);
}

void cm_check_run_conv2d_inference(const cm_kernels *kernels, const cm_team *team,
                                   const cm_check_case *c, void *const *a) {
    kernels->conv2d_pack(team, &c->conv_plan, a[1], a[6]);
    cm_team_barrier(team);
    cm_check_run_conv2d_packed(kernels, team, c, a);
}

void cm_check_run_conv2d_packed(const cm_kernels *kernels, const cm_team *team,
                                const cm_check_case *c, void *const *a) {
    const cm_conv2d_inference_args args = {.plan = &c->conv_plan,
                                           .x = a[0],
                                           .packed = a[6],
                                           .bias = a[2],
                                           .scale = a[3],
                                           .shift = a[4],
                                           .relu = c->relu,
                                           .y = a[5],
                                           .workspace = a[7]};
    kernels->conv2d_inference(team, &args);
}

/* Packed weights are laid out as each instruction set likes: what they lead to is compared. */
void cm_check_draw_conv2d_pack(cm_check_case *c) {
    cm_check_draw_conv2d_inference(c);
}

void cm_check_run_conv2d_pack(const cm_kernels *kernels, const cm_team *team,
                              const cm_check_case *c, void *const *a) {
    cm_check_run_conv2d_inference(kernels, team, c, a);
}

void cm_check_draw_conv2d_backward_data(cm_check_case *c) {
    draw_shape(c);
    cm_check_add(c, "dy", CM_CHECK_INPUT, CM_CHECK_F32, cm_check_y_count(&c->conv));
    cm_check_add(c, "weight", CM_CHECK_INPUT, CM_CHECK_F32, cm_check_weight_count(&c->conv));
    cm_check_add(c, "dx", CM_CHECK_OUTPUT, CM_CHECK_F32, cm_check_x_count(&c->conv));
    add_conv2d_workspace(c);
}

void cm_check_run_conv2d_backward_data(const cm_kernels *kernels, const cm_team *team,
                                       const cm_check_case *c, void *const *a) {
    const cm_conv2d_backward_args args = {
        .plan = &c->conv_plan, .dy = a[0], .weight = a[1], .dx = a[2], .workspace = a[3]};
    kernels->conv2d_backward_data(team, &args);
}

void cm_check_draw_conv2d_backward_weights(cm_check_case *c) {
    draw_shape(c);
    const bool bias = cm_check_draw_once_in(c, 2);
    cm_check_add(c, "x", CM_CHECK_INPUT, CM_CHECK_F32, cm_check_x_count(&c->conv));
    cm_check_add(c, "dy", CM_CHECK_INPUT, CM_CHECK_F32, cm_check_y_count(&c->conv));
    cm_check_add(c, "dweight", CM_CHECK_OUTPUT, CM_CHECK_F32, cm_check_weight_count(&c->conv));
    cm_check_add(c, "dbias", CM_CHECK_OUTPUT, CM_CHECK_F32,
                 bias ? (size_t)c->conv.out_channels : 0);
    add_conv2d_workspace(c);
}

void cm_check_run_conv2d_backward_weights(const cm_kernels *kernels, const cm_team *team,
                                          const cm_check_case *c, void *const *a) {
    const cm_conv2d_backward_args args = {.plan = &c->conv_plan,
                                          .x = a[0],
                                          .dy = a[1],
                                          .dweight = a[2],
                                          .dbias = a[3],
                                          .workspace = a[4]};
    kernels->conv2d_backward_weights(team, &args);
}

void cm_check_draw_conv2d_backward(cm_check_case *c) {
    draw_shape(c);
    /* Not wanted: dx for the first layer, dweight for attacks and the like. */
    const int wanted = cm_check_draw_int(c, 1, 7);
    cm_check_add(c, "x", CM_CHECK_INPUT, CM_CHECK_F32, cm_check_x_count(&c->conv));
    cm_check_add(c, "dy", CM_CHECK_INPUT, CM_CHECK_F32, cm_check_y_count(&c->conv));
    cm_check_add(c, "weight", CM_CHECK_INPUT, CM_CHECK_F32, cm_check_weight_count(&c->conv));
    cm_check_add(c, "dx", CM_CHECK_OUTPUT, CM_CHECK_F32,
                 (wanted & 1) != 0 ? cm_check_x_count(&c->conv) : 0);
    cm_check_add(c, "dweight", CM_CHECK_OUTPUT, CM_CHECK_F32,
                 (wanted & 2) != 0 ? cm_check_weight_count(&c->conv) : 0);
    cm_check_add(c, "dbias", CM_CHECK_OUTPUT, CM_CHECK_F32,
                 (wanted & 4) != 0 ? (size_t)c->conv.out_channels : 0);
    add_conv2d_workspace(c);
    const size_t kept = cm_check_draw_once_in(c, 2) ? c->conv_plan.kept : 0;
    cm_check_add(c, "kept", CM_CHECK_SCRATCH, CM_CHECK_U8, kept);
    cm_check_add(c, "y", CM_CHECK_SCRATCH, CM_CHECK_F32, kept > 0 ? cm_check_y_count(&c->conv) : 0);
}

void cm_check_run_conv2d_backward(const cm_kernels *kernels, const cm_team *team,
                                  const cm_check_case *c, void *const *a) {
    if (a[7] != NULL) { /* what is kept of x is laid out as each instruction set likes */
        const cm_conv2d_forward_args forward = {.plan = &c->conv_plan,
                                                .x = a[0],
                                                .weight = a[2],
                                                .y = a[8],
                                                .kept = a[7],
                                                .workspace = a[6]};
        kernels->conv2d_forward(team, &forward);
        cm_team_barrier(team);
    }
    const cm_conv2d_backward_args args = {.plan = &c->conv_plan,
                                          .x = a[0],
                                          .dy = a[1],
                                          .weight = a[2],
                                          .dx = a[3],
                                          .dweight = a[4],
                                          .dbias = a[5],
                                          .kept = a[7],
                                          .workspace = a[6]};
    kernels->conv2d_backward(team, &args);
}
