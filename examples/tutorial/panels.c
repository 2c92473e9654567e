/* Steps 5 to 7: weights packed into panels, cache blocking, threads; and the table of all steps. */
#include <stddef.h>
#include <string.h>

#include "examples/tutorial/steps.h"
#include "examples/tutorial/tile.h"
#include "kernels/simd/simd.h"

/* packing */
/* Weights of the filter elements [first, last) and of `columns` output channels from k on, to
 * panels: [panel][filter element][input channel][TILE_COLUMNS]. */
static void pack(const conv *s, const float *weight, int first, int last, int k, int columns,
                 float *to) {
    const ptrdiff_t depth = (ptrdiff_t)(last - first) * s->in_channels;
    const float *from = weight + (ptrdiff_t)first * s->in_channels * s->out_channels + k;
    for (ptrdiff_t d = 0; d < depth; ++d, from += s->out_channels) {
        for (int j = 0; j < columns; j += TILE_COLUMNS) {
            memcpy(to + j * depth + d * TILE_COLUMNS, from + j, TILE_COLUMNS * sizeof *to);
        }
    }
}
/* end of packing */

/* step 5 */
void step_panels(const cm_team *team, const conv *s, const float *x, const float *weight, float *y,
                 float *panels) {
    (void)team;
    const int elements = s->size * s->size;
    const ptrdiff_t row = (ptrdiff_t)s->width * s->in_channels;
    for (int k = 0; k < s->out_channels; k += GROUP_COLUMNS) {
        pack(s, weight, 0, elements, k, GROUP_COLUMNS,
             panels + (ptrdiff_t)k * elements * s->in_channels);
    }
    for (int n = 0; n < s->images; ++n) {
        const float *image = x + n * s->height * row;
        for (int p = 0; p < s->height; ++p, y += (ptrdiff_t)s->width * s->out_channels) {
            for (int k = 0; k < s->out_channels; k += TILE_COLUMNS) {
                const tile from = {.b = panels + (ptrdiff_t)k * elements * s->in_channels,
                                   .b_depth = TILE_COLUMNS};
                run_row(s, &from, (ptrdiff_t)s->in_channels * TILE_COLUMNS, 0,
                        taps_at(p, s->height, s->size), p, image, y + k);
            }
        }
    }
}
/* end of step 5 */

/* blocking */
/* Filter row r of a group of output channels, for the images [begin, end): its panels are packed
 * once, stay in the L2 cache, and serve all output rows. */
static void run_group(const conv *s, cm_range images, int k, int r, const float *x,
                      const float *weight, float *y, float *panels) {
    const ptrdiff_t depth = (ptrdiff_t)s->size * s->in_channels; /* of a panel */
    const ptrdiff_t b_tap = (ptrdiff_t)s->in_channels * TILE_COLUMNS;
    pack(s, weight, r * s->size, (r + 1) * s->size, k, GROUP_COLUMNS, panels);
    for (ptrdiff_t n = images.begin; n < images.end; ++n) {
        const float *image = x + n * s->height * s->width * s->in_channels;
        for (int p = 0; p < s->height; ++p) {
            const taps rows = taps_at(p, s->height, s->size);
            if (r < rows.begin || r >= rows.end) {
                continue; /* in the padding */
            }
            float *out = y + (n * s->height + p) * s->width * s->out_channels + k;
            for (int j = 0; j < GROUP_COLUMNS; j += TILE_COLUMNS) {
                const tile from = {
                    .b = panels + j * depth, .b_depth = TILE_COLUMNS, .continues = true};
                run_row(s, &from, b_tap, r, (taps){r, r + 1}, p, image, out + j);
            }
        }
    }
}

static void run_images(const conv *s, cm_range images, const float *x, const float *weight,
                       float *y, float *panels) {
    const ptrdiff_t outputs = (ptrdiff_t)s->height * s->width * s->out_channels;
    memset(y + images.begin * outputs, 0,
           (size_t)((images.end - images.begin) * outputs) * sizeof *y);
    for (int k = 0; k < s->out_channels; k += GROUP_COLUMNS) {
        for (int r = 0; r < s->size; ++r) {
            run_group(s, images, k, r, x, weight, y, panels);
        }
    }
}
/* end of blocking */

/* step 6 */
void step_blocks(const cm_team *team, const conv *s, const float *x, const float *weight, float *y,
                 float *panels) {
    (void)team;
    run_images(s, (cm_range){0, s->images}, x, weight, y, panels);
}
/* end of step 6 */

/* step 7 */
void step_threads(const cm_team *team, const conv *s, const float *x, const float *weight, float *y,
                  float *panels) {
    const ptrdiff_t own =
        (ptrdiff_t)s->size * s->size * s->in_channels * s->out_channels * team->index;
    run_images(s, cm_team_share(team, s->images), x, weight, y, panels + own);
}
/* end of step 7 */

#define TEXT_(name) #name
#define TEXT(name) TEXT_(name)
const step_table steps_of = {TEXT(CM_ISA_NAME),
                             {step_seven_loops, step_loop_order, step_vectors, step_tile,
                              step_panels, step_blocks, step_threads}};
