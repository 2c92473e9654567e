/* Direct backward-weights of few input channels: per image the chain over its patches, then the sum
 * over the images in order. dweight is small here: the sums of all images are in the workspace, and
 * threads share the panels of all images. Each thread copies the patches that it needs, a row of
 * outputs at a time. */
#include "kernels/isa.h"

#include "kernels/conv2d/direct/backward_weights.h"
#include "kernels/conv2d/direct/padding.h"
#include "kernels/sizes.h"

void cm_direct_backward_weights_patches(const cm_team *team, const cm_conv2d_backward_args *args) {
    const cm_conv2d_shape *shape = &args->plan->shape;
    const cm_conv2d_direct_plan *plan = &args->plan->direct;
    float *workspace = (float *)args->workspace + plan->copies;
    const ptrdiff_t row = (ptrdiff_t)plan->patch_row;
    const ptrdiff_t rows = (ptrdiff_t)shape->kernel_h * shape->kernel_w * shape->in_channels;
    const ptrdiff_t out = shape->out_channels;
    const ptrdiff_t parts = cm_even_parts(rows, VF_TILE_ROWS);
    const ptrdiff_t panels = cm_even_parts(out, CM_TILE_COLUMNS);
    float *sums = workspace; /* [batch][rows][out] */
    float *patches = workspace + shape->batch * rows * out + team->index * row;
    const cm_gemm_term term = {0, 0};
    const cm_range share = cm_team_share(team, shape->batch * panels);
    for (ptrdiff_t i = share.begin; i < share.end;) {
        const ptrdiff_t image = i / panels;
        const ptrdiff_t end = (image + 1) * panels < share.end ? (image + 1) * panels : share.end;
        for (int p = 0; p < shape->out_height; ++p) {
            cm_conv2d_copy_patches(
                shape, args->x + image * shape->height * shape->width * shape->in_channels, p,
                patches);
            for (ptrdiff_t item = 0; item < parts * (end - i); ++item) {
                const cm_range range = cm_even_part(rows, VF_TILE_ROWS, item % parts);
                const ptrdiff_t first = (i % panels + item / parts) * CM_TILE_COLUMNS;
                const cm_gemm_tile tile = {
                    .a = patches + range.begin,
                    .a_row = 1,
                    .a_depth = rows,
                    .b =
                        args->dy + (image * shape->out_height + p) * shape->out_width * out + first,
                    .b_depth = out,
                    .term = &term,
                    .terms = 1,
                    .depth = shape->out_width,
                    .c = sums + (image * rows + range.begin) * out + first,
                    .c_row = out,
                    .columns = (int)(out - first < CM_TILE_COLUMNS ? out - first : CM_TILE_COLUMNS),
                    .mode = p == 0 ? CM_GEMM_STORE : CM_GEMM_CONTINUE,
                };
                cm_gemm_micro_kernel((int)(range.end - range.begin), &tile);
            }
        }
        i = end;
    }
    cm_team_barrier(team);
    const cm_range elements = cm_team_share(team, rows * out);
    for (ptrdiff_t i = elements.begin; i < elements.end; ++i) {
        float sum = 0.0F;
        for (int image = 0; image < shape->batch; ++image) {
            sum += sums[image * rows * out + i];
        }
        args->dweight[i] = sum;
    }
}
