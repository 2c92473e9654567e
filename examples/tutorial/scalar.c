/* Steps 1 and 2: one multiply-add at a time. Compiled without automatic vectorization, so that each
 * step shows its own effect. */
#include <math.h>
#include <stddef.h>

#include "examples/tutorial/steps.h"

/* step 1 */
void step_seven_loops(const cm_team *team, const conv *s, const float *x, const float *weight,
                      float *y, float *panels) {
    (void)team, (void)panels;
    const int padding = s->size / 2;
    for (int n = 0; n < s->images; ++n) {
        for (int p = 0; p < s->height; ++p) {
            for (int q = 0; q < s->width; ++q) {
                const taps rows = taps_at(p, s->height, s->size);
                const taps columns = taps_at(q, s->width, s->size);
                for (int k = 0; k < s->out_channels; ++k) {
                    float sum = 0.0F;
                    for (int r = rows.begin; r < rows.end; ++r) {
                        for (int t = columns.begin; t < columns.end; ++t) {
                            const int h = p + r - padding, w = q + t - padding;
                            for (int c = 0; c < s->in_channels; ++c) {
                                const ptrdiff_t at_x =
                                    (((ptrdiff_t)n * s->height + h) * s->width + w) *
                                        s->in_channels +
                                    c;
                                const ptrdiff_t at_weight =
                                    (((ptrdiff_t)r * s->size + t) * s->in_channels + c) *
                                        s->out_channels +
                                    k;
                                sum = fmaf(x[at_x], weight[at_weight], sum);
                            }
                        }
                    }
                    *y++ = sum;
                }
            }
        }
    }
}
/* end of step 1 */

/* step 2 */
void step_loop_order(const cm_team *team, const conv *s, const float *x, const float *weight,
                     float *y, float *panels) {
    (void)team, (void)panels;
    const int padding = s->size / 2;
    for (int n = 0; n < s->images; ++n) {
        for (int p = 0; p < s->height; ++p) {
            for (int q = 0; q < s->width; ++q, y += s->out_channels) {
                const taps rows = taps_at(p, s->height, s->size);
                const taps columns = taps_at(q, s->width, s->size);
                for (int k = 0; k < s->out_channels; ++k) {
                    y[k] = 0.0F;
                }
                for (int r = rows.begin; r < rows.end; ++r) {
                    for (int t = columns.begin; t < columns.end; ++t) {
                        const int h = p + r - padding, w = q + t - padding;
                        const float *in =
                            x + (((ptrdiff_t)n * s->height + h) * s->width + w) * s->in_channels;
                        const float *row = weight + ((ptrdiff_t)r * s->size + t) * s->in_channels *
                                                        s->out_channels;
                        for (int c = 0; c < s->in_channels; ++c, row += s->out_channels) {
                            for (int k = 0; k < s->out_channels; ++k) {
                                y[k] = fmaf(in[c], row[k], y[k]);
                            }
                        }
                    }
                }
            }
        }
    }
}
/* end of step 2 */
