/* Direct backward-weights of few input channels: per image the chains over the patches of some rows
 * of outputs, a chunk, added up; then the sum over the images in order. dweight is small here: the
 * sums of all images are in the workspace, and threads share the panels of all images. Each thread
 * copies the patches that it needs, a chunk at a time. */
#include "kernels/isa.h"

#include "kernels/conv2d/direct/backward_weights.h"
#include "kernels/conv2d/direct/padding.h"
#include "kernels/sizes.h"

/* What is the same for all chunks. */
typedef struct patches_pass {
    const cm_conv2d_shape *shape;
    const float *x, *dy;
    ptrdiff_t rows;   /* of dweight: taps x input channels */
    ptrdiff_t panels; /* of its columns */
    int chunk_rows;
    float *sums;    /* [batch][rows][out_channels] */
    float *patches; /* of this thread */
} patches_pass;

/* Adds chunk `chunk` of an image to the panels [begin, end) of its sum. */
static void add_chunk(const patches_pass *p, ptrdiff_t image, ptrdiff_t chunk, ptrdiff_t begin,
                      ptrdiff_t end) {
    const cm_conv2d_shape *shape = p->shape;
    const ptrdiff_t out = shape->out_channels;
    const ptrdiff_t parts = cm_even_parts(p->rows, VF_TILE_ROWS);
    const ptrdiff_t patch_row = shape->out_width * p->rows;
    const ptrdiff_t in_image = (ptrdiff_t)shape->height * shape->width * shape->in_channels;
    const cm_range ps = cm_even_part(shape->out_height, p->chunk_rows, chunk);
    const float *dy = p->dy + (image * shape->out_height + ps.begin) * shape->out_width * out;
    const cm_gemm_term term = {0, 0};
    for (ptrdiff_t i = ps.begin; i < ps.end; ++i) {
        cm_conv2d_copy_patches(shape, p->x + image * in_image, (int)i,
                               p->patches + (i - ps.begin) * patch_row);
    }
    for (ptrdiff_t item = 0; item < parts * (end - begin); ++item) {
        const cm_range range = cm_even_part(p->rows, VF_TILE_ROWS, item % parts);
        const ptrdiff_t first = (begin + item / parts) * CM_TILE_COLUMNS;
        float *sum = p->sums + (image * p->rows + range.begin) * out + first;
        const cm_gemm_tile tile = {
            .a = p->patches + range.begin,
            .a_row = 1,
            .a_depth = p->rows,
            .b = dy + first,
            .b_depth = out,
            .term = &term,
            .terms = 1,
            .depth = (int)(ps.end - ps.begin) * shape->out_width,
            .c = sum,
            .c_row = out,
            .columns = (int)(out - first < CM_TILE_COLUMNS ? out - first : CM_TILE_COLUMNS),
            .base = sum,
            .base_row = out,
            .mode = chunk == 0 ? CM_GEMM_STORE : CM_GEMM_ADD,
        };
        cm_gemm_micro_kernel((int)(range.end - range.begin), &tile);
    }
}

void cm_direct_backward_weights_patches(const cm_team *team, const cm_conv2d_backward_args *args) {
    const cm_conv2d_shape *shape = &args->plan->shape;
    const cm_conv2d_direct_plan *plan = &args->plan->direct;
    float *workspace = (float *)args->workspace + plan->copies;
    const ptrdiff_t rows = (ptrdiff_t)shape->kernel_h * shape->kernel_w * shape->in_channels;
    const ptrdiff_t sums = rows * shape->out_channels;
    const patches_pass p = {
        .shape = shape,
        .x = args->x,
        .dy = args->dy,
        .rows = rows,
        .panels = cm_even_parts(shape->out_channels, CM_TILE_COLUMNS),
        .chunk_rows = plan->chunk_rows,
        .sums = workspace,
        .patches = workspace + shape->batch * sums + team->index * (ptrdiff_t)plan->patches,
    };
    const ptrdiff_t chunks = cm_even_parts(shape->out_height, p.chunk_rows);
    const cm_range share = cm_team_share(team, shape->batch * p.panels);
    for (ptrdiff_t i = share.begin, end; i < share.end; i = end) {
        const ptrdiff_t image = i / p.panels, next = (image + 1) * p.panels;
        end = next < share.end ? next : share.end;
        for (ptrdiff_t chunk = 0; chunk < chunks; ++chunk) {
            add_chunk(&p, image, chunk, i - image * p.panels, end - image * p.panels);
        }
    }
    cm_team_barrier(team);
    const cm_range elements = cm_team_share(team, sums);
    for (ptrdiff_t i = elements.begin; i < elements.end; ++i) {
        float sum = 0.0F;
        for (int image = 0; image < shape->batch; ++image) {
            sum += p.sums[image * sums + i];
        }
        args->dweight[i] = sum;
    }
}
