#include "harness/profile/work.h"

static const double float_bytes = sizeof(float), index_bytes = sizeof(uint16_t);

static double map_floats(const cm_map_shape *map, int batch) {
    return (double)batch * map->height * map->width * map->channels;
}

static double input_floats(const cm_conv2d_shape *conv, int batch) {
    return (double)batch * conv->height * conv->width * conv->in_channels;
}

static double output_floats(const cm_conv2d_shape *conv, int batch) {
    return (double)batch * conv->out_height * conv->out_width * conv->out_channels;
}

static double weight_floats(const cm_conv2d_shape *conv) {
    return (double)conv->kernel_h * conv->kernel_w * conv->in_channels * conv->out_channels;
}

static double pool_inputs(const cm_max_pool2d_shape *pool, int batch) {
    return (double)batch * pool->height * pool->width * pool->channels;
}

static double pool_outputs(const cm_max_pool2d_shape *pool, int batch) {
    return (double)batch * pool->out_height * pool->out_width * pool->channels;
}

static cm_work conv2d_work(const cm_stage *stage, cm_pass pass, cm_phase phase, int batch) {
    cm_conv2d_shape conv = stage->conv.shape;
    conv.batch = batch;
    const cm_conv2d_cost cost = cm_conv2d_cost_of(&conv);
    const bool back = pass == CM_PASS_BACKWARD, direct = cost.planes == 0;
    const bool kept = stage->kept != CM_NO_ARRAY;
    const double x = input_floats(&conv, batch), y = output_floats(&conv, batch);
    const double weights = weight_floats(&conv), flops = 2.0 * cost.multiply_adds;
    const double x_planes = cost.planes * batch * conv.in_channels;
    const double y_planes = cost.planes * batch * conv.out_channels;
    const double results = cost.results * batch * (back ? conv.in_channels : conv.out_channels);
    cm_work work = {0, 0};
    switch (phase) {
    case CM_PHASE_TRANSFORM:
        work.bytes = !back ? x + x_planes : y + y_planes + (kept ? 0 : x + x_planes);
        break;
    case CM_PHASE_KERNELS:
        work.bytes = weights + cost.filter_floats;
        break;
    case CM_PHASE_MULTIPLY:
        work.flops = flops;
        work.bytes = cost.filter_floats + (direct ? x + y : (back ? y_planes : x_planes) + results);
        break;
    case CM_PHASE_RESTORE:
        work.bytes = results + (back ? x : y);
        break;
    case CM_PHASE_WEIGHTS:
        work.flops = flops;
        work.bytes = weights + (direct ? x + y : x_planes + y_planes + 2 * cost.sum_floats);
        break;
    case CM_PHASE_BIAS:
        work.flops = y;
        work.bytes = y;
        break;
    case CM_PHASE_WORK: /* of backward: ReLU's gradient before the passes */
        work.bytes = back && stage->relu ? 3 * y : 0;
        break;
    case CM_PHASE_BARRIER:
    case CM_PHASE_COUNT:
        break;
    }
    work.bytes *= float_bytes;
    return work;
}

/* The first layer computes every output of its windows. With a batch norm in training it also sums
 * the moments of the patches: each pair of a patch's values, multiplied. Backward visits only the
 * maxima. */
static cm_work first_layer_work(const cm_stage *stage, cm_pass pass, int batch) {
    const cm_conv2d_shape *conv = &stage->conv.shape;
    const cm_max_pool2d_shape *pool = &stage->pool;
    const double patch = (double)conv->kernel_h * conv->kernel_w * conv->in_channels;
    const double out = pool_outputs(pool, batch), window = (double)pool->kernel_h * pool->kernel_w;
    const double images = input_floats(conv, batch);
    if (pass == CM_PASS_BACKWARD) {
        return (cm_work){2 * patch * out,
                         out * (2 * float_bytes + index_bytes) + images * float_bytes};
    }
    const double moments =
        stage->moments == CM_NO_ARRAY
            ? 0
            : (double)batch * conv->out_height * conv->out_width * patch * (patch + 1);
    return (cm_work){2 * patch * out * window + moments,
                     (images + out) * float_bytes + out * index_bytes};
}

static cm_work pool_work(const cm_stage *stage, cm_pass pass, int batch) {
    const bool batch_norm = stage->batch_norm_layer >= 0;
    const double in = pool_inputs(&stage->pool, batch), out = pool_outputs(&stage->pool, batch);
    if (pass == CM_PASS_BACKWARD) {
        const double reads =
            out * (2 * float_bytes + index_bytes) + (batch_norm ? in : 0) * float_bytes;
        return (cm_work){batch_norm ? 4 * in : 0, reads + in * float_bytes};
    }
    return (cm_work){in * (batch_norm ? 7 : 1),
                     in * (batch_norm ? 2 : 1) * float_bytes + out * (float_bytes + index_bytes)};
}

static cm_work stage_work(const cm_stage *stage, cm_pass pass, cm_phase phase, int batch) {
    const double map = map_floats(&stage->map, batch);
    switch (stage->kind) {
    case CM_STAGE_CONV2D:
        return conv2d_work(stage, pass, phase, batch);
    case CM_STAGE_CONV2D_MAX_POOL2D:
        return first_layer_work(stage, pass, batch);
    case CM_STAGE_MAX_POOL2D:
        return pool_work(stage, pass, batch);
    case CM_STAGE_BATCH_NORM: /* statistics, then the map again */
        return pass == CM_PASS_BACKWARD ? (cm_work){8 * map, 6 * map * float_bytes}
                                        : (cm_work){6 * map, 3 * map * float_bytes};
    case CM_STAGE_RELU:
        return (cm_work){0, (pass == CM_PASS_BACKWARD ? 3 : 2) * map * float_bytes};
    case CM_STAGE_DROPOUT:
        return (cm_work){0, 2 * map * float_bytes};
    case CM_STAGE_KIND_COUNT:
        break;
    }
    return (cm_work){0, 0};
}

cm_work cm_work_of(const cm_plan *plan, cm_pass pass, int stage, cm_phase phase, int batch) {
    if (phase == CM_PHASE_BARRIER) {
        return (cm_work){0, 0};
    }
    switch (pass) {
    case CM_PASS_FORWARD:
    case CM_PASS_BACKWARD:
        return stage_work(&plan->stages[stage], pass, phase, batch);
    case CM_PASS_UPDATE: /* parameter and both moments read and written, the gradient read */
        return (cm_work){14.0 * (double)plan->parameter_floats,
                         7.0 * (double)plan->parameter_floats * float_bytes};
    case CM_PASS_LOSS:
    case CM_PASS_PREPARE:
    case CM_PASS_COUNT:
        break;
    }
    return (cm_work){0, 0};
}
