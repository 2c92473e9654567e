/* Direct convolution, forward. */
#include "kernels/isa.h"

#include "convmark/trace.h"
#include "kernels/conv2d/contract.h"
#include "kernels/conv2d/direct/padding.h"
#include "kernels/conv2d/direct/pass.h"
#include "kernels/conv2d/functions.h"
#include "kernels/sizes.h"

/* Rows of outputs, of all images, from padded images: a row of the filter is one term, whose depth
 * kernel_w x channels is contiguous; a tile's rows are positions. */
static void run_padded_rows(const cm_direct_pass *p, const cm_conv2d_shape *shape,
                            const float *padded, cm_range rows) {
    const int panels = (int)cm_even_parts(p->columns, CM_TILE_COLUMNS);
    const ptrdiff_t row = (ptrdiff_t)(shape->width + 2 * shape->padding_w) * shape->in_channels;
    const ptrdiff_t frame = (ptrdiff_t)cm_conv2d_padded_image(shape);
    const cm_extent along = {shape->out_width, (ptrdiff_t)shape->stride_w * shape->in_channels,
                             p->columns};
    const cm_extent one = {1, 0, 0};
    const ptrdiff_t depth = (ptrdiff_t)shape->kernel_w * shape->in_channels;
    cm_gemm_term term[CM_CONV2D_MAX_TAPS];
    for (int r = 0; r < shape->kernel_h; ++r) {
        term[r] = (cm_gemm_term){r * row, r * depth * CM_TILE_COLUMNS};
    }
    for (ptrdiff_t i = rows.begin; i < rows.end; ++i) {
        const float *in =
            padded + i / shape->out_height * frame + i % shape->out_height * shape->stride_h * row;
        for (int panel = 0; panel < panels; ++panel) {
            const ptrdiff_t first = (ptrdiff_t)panel * CM_TILE_COLUMNS;
            cm_gemm_tile tile = cm_direct_tile(p, panel, term, shape->kernel_h);
            tile.b = p->packed + first * shape->kernel_h * depth;
            tile.depth = (int)depth;
            tile.epilogue = cm_epilogue_at(&p->epilogue, first);
            tile.mode = CM_GEMM_STORE;
            const cm_region region = {along, one, one, in,
                                      p->out + i * shape->out_width * p->columns + first};
            cm_direct_run_tiles(&tile, &region);
        }
    }
}

/* Forward for few input channels. */
static void forward_padded(const cm_team *team, const cm_direct_pass *p,
                           const cm_conv2d_shape *shape, float *padded) {
    const ptrdiff_t image = (ptrdiff_t)shape->height * shape->width * shape->in_channels;
    const cm_range share = cm_team_share(team, shape->batch);
    for (ptrdiff_t i = share.begin; i < share.end; ++i) {
        cm_conv2d_pad_image(shape, p->in + i * image,
                            padded + i * (ptrdiff_t)cm_conv2d_padded_image(shape));
    }
    cm_team_barrier(team);
    cm_deal deal = cm_team_deal(team, (ptrdiff_t)shape->batch * shape->out_height);
    for (cm_range rows; cm_deal_range(&deal, &rows);) {
        run_padded_rows(p, shape, padded, rows);
    }
}

void cm_direct_forward(const cm_team *team, const cm_conv2d_forward_call *call) {
    const cm_conv2d_shape *shape = &call->plan->shape;
    const cm_conv2d_direct_plan *plan = &call->plan->direct;
    float *panels = call->workspace + plan->panels;
    cm_direct_pass p = {
        .batch = shape->batch,
        .y = {shape->height, shape->out_height, shape->kernel_h, shape->stride_h, shape->padding_h,
              1},
        .x = {shape->width, shape->out_width, shape->kernel_w, shape->stride_w, shape->padding_w,
              1},
        .span_at = cm_span_forward,
        .columns = shape->out_channels,
        .depth = shape->in_channels,
        .in = call->x,
        .weight = call->weight,
        .packed = call->packed,
        .pack = cm_direct_pack_forward,
        .panels = panels + (size_t)team->index * plan->thread_panels,
        .epilogue = call->epilogue,
        .out = call->y,
    };
    if (!plan->few_channels) {
        cm_direct_run_pass(team, &p);
        return;
    }
    if (call->packed == NULL) {
        cm_trace_phase(team, CM_PHASE_KERNELS);
        cm_direct_pack(team, call->plan, call->domain, call->weight, panels);
        p.packed = panels;
    }
    cm_trace_phase(team, CM_PHASE_MULTIPLY);
    forward_padded(team, &p, shape, call->workspace + plan->copies);
}
