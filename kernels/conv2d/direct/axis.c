#include "kernels/conv2d/direct/axis.h"

#include <stdbool.h>

cm_axis cm_axis_part(cm_axis axis, int begin, int end) {
    axis.kernel = end - begin;
    axis.padding -= begin;
    return axis;
}

cm_span cm_span_forward(const cm_axis *a, int begin, int end) {
    const int in = begin * a->stride - a->padding;
    const int first = in < 0 ? cm_smaller(-in, a->kernel) : 0;
    const int last = cm_larger(first, cm_smaller(a->kernel, a->in - in));
    /* The last output whose taps are all inside; an output near a border has its taps alone. */
    const int whole = a->in + a->padding - a->kernel;
    const bool interior = last - first == a->kernel;
    return (cm_span){.begin = begin,
                     .count = interior ? cm_smaller(end, whole / a->stride + 1) - begin : 1,
                     .step = 1,
                     .tap = first,
                     .taps = last - first,
                     .tap_step = 1,
                     .in = in + first,
                     .in_step = a->stride,
                     .in_tap = 1};
}

cm_span cm_span_backward(const cm_axis *a, int begin, int end) {
    const int at = begin + a->padding;
    if (at < 0) {
        return (cm_span){.begin = begin, .count = 1, .step = a->stride, .tap_step = a->stride};
    }
    const int tap = at % a->stride, in = at / a->stride;
    const int elements = tap < a->kernel ? (a->kernel - tap + a->stride - 1) / a->stride : 0;
    const int first = cm_smaller(elements, cm_larger(0, in - (a->in - 1)));
    const int last = cm_larger(first, cm_smaller(elements, in + 1));
    const int left = (end - begin + a->stride - 1) / a->stride;
    const bool interior = last - first == elements;
    return (cm_span){.begin = begin,
                     .count = elements == 0 ? left
                              : interior    ? cm_smaller(left, a->in - in)
                                            : 1,
                     .step = a->stride,
                     .tap = tap + first * a->stride,
                     .taps = last - first,
                     .tap_step = a->stride,
                     .in = in - first,
                     .in_step = 1,
                     .in_tap = -1};
}

cm_range cm_valid_outputs(int tap, int in, int out, int stride, int padding) {
    int begin = 0, end = out;
    while (begin < end && begin * stride - padding + tap < 0) {
        ++begin;
    }
    while (end > begin && (end - 1) * stride - padding + tap >= in) {
        --end;
    }
    return (cm_range){begin, end};
}
