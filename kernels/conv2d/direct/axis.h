/**
 * Axes of direct convolution: which outputs have the same taps, and what those taps read. Nothing
 * here depends on the instruction set.
 */
#ifndef CM_KERNELS_CONV2D_AXIS_H
#define CM_KERNELS_CONV2D_AXIS_H

#include "convmark/team.h"

/** One axis of a pass: `in` positions are read, `out` written. With a part of the filter, from its
 * element `first` on, the padding is smaller by `first`: it may be negative. */
typedef struct cm_axis {
    int in, out, kernel, stride, padding;
    int phases; /* outputs this far apart have the same taps, but for the padding */
} cm_axis;

/** Outputs of an axis with the same taps, and where those read: output i is begin + i * step; its
 * tap j is the filter's element tap + j * tap_step and reads in + i * in_step + j * in_tap. */
typedef struct cm_span {
    int begin, count, step;
    int tap, taps, tap_step;
    int in, in_step, in_tap;
} cm_span;

/** The outputs from `begin` on, before `end`, that have the taps of `begin`. */
typedef cm_span cm_span_fn(const cm_axis *axis, int begin, int end);

/** Of a forward pass: tap k of output o reads o * stride - padding + k. */
cm_span_fn cm_span_forward;
/** Of backward-data: output o has the elements k = (o + padding) % stride + j * stride of the
 * filter, which read position (o + padding) / stride - j. */
cm_span_fn cm_span_backward;

/** The same axis with the filter's elements [begin, end) only. */
cm_axis cm_axis_part(cm_axis axis, int begin, int end);

/** Outputs of an axis for which tap `tap` is inside the map. */
cm_range cm_valid_outputs(int tap, int in, int out, int stride, int padding);

static inline int cm_smaller(int a, int b) {
    return a < b ? a : b;
}

static inline int cm_larger(int a, int b) {
    return a > b ? a : b;
}

#endif
