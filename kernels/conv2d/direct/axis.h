/**
 * Axes of direct convolution: which outputs have the same taps, and what those read. Nothing here
 * depends on the instruction set.
 */
#ifndef CM_KERNELS_CONV2D_AXIS_H
#define CM_KERNELS_CONV2D_AXIS_H

#include <stdbool.h>

/* One axis of a pass: `in` positions are read, `out` written. With a part of the kernel, from its
 * element `first` on, the padding is smaller by `first`: it may be negative. */
typedef struct axis {
    int in, out, kernel, stride, padding;
    int phases; /* outputs this far apart have the same taps, but for the padding */
} axis;

/* Outputs of an axis with the same taps, and where those read: output i is begin + i * step; its
 * tap j is the kernel's element tap + j * tap_step and reads in + i * in_step + j * in_tap. */
typedef struct span {
    int begin, count, step;
    int tap, taps, tap_step;
    int in, in_step, in_tap;
} span;

/* The outputs from `begin` on, before `end`, that have begin's taps. */
typedef span span_at_fn(const axis *axis, int begin, int end);

static inline int smaller(int a, int b) {
    return a < b ? a : b;
}

static inline int larger(int a, int b) {
    return a > b ? a : b;
}

/* The same axis with the kernel's elements [begin, end) only. */
static inline axis axis_part(axis a, int begin, int end) {
    a.kernel = end - begin;
    a.padding -= begin;
    return a;
}

static inline span span_forward(const axis *a, int begin, int end) {
    const int in = begin * a->stride - a->padding;
    const int first = in < 0 ? smaller(-in, a->kernel) : 0;
    const int last = larger(first, smaller(a->kernel, a->in - in));
    /* The last output whose taps are all inside; nothing is shared by those near a border. */
    const int whole = a->in + a->padding - a->kernel;
    const bool interior = last - first == a->kernel;
    return (span){.begin = begin,
                  .count = interior ? smaller(end, whole / a->stride + 1) - begin : 1,
                  .step = 1,
                  .tap = first,
                  .taps = last - first,
                  .tap_step = 1,
                  .in = in + first,
                  .in_step = a->stride,
                  .in_tap = 1};
}

/* The taps of output o: elements k = (o + padding) % stride + j * stride of the kernel, of the
 * position (o + padding) / stride - j. */
static inline span span_backward(const axis *a, int begin, int end) {
    const int at = begin + a->padding;
    if (at < 0) {
        return (span){.begin = begin, .count = 1, .step = a->stride, .tap_step = a->stride};
    }
    const int tap = at % a->stride, in = at / a->stride;
    const int elements = tap < a->kernel ? (a->kernel - tap + a->stride - 1) / a->stride : 0;
    const int first = smaller(elements, larger(0, in - (a->in - 1)));
    const int last = larger(first, smaller(elements, in + 1));
    const int left = (end - begin + a->stride - 1) / a->stride;
    const bool interior = last - first == elements;
    return (span){.begin = begin,
                  .count = elements == 0 ? left
                           : interior    ? smaller(left, a->in - in)
                                         : 1,
                  .step = a->stride,
                  .tap = tap + first * a->stride,
                  .taps = last - first,
                  .tap_step = a->stride,
                  .in = in - first,
                  .in_step = 1,
                  .in_tap = -1};
}

#endif
