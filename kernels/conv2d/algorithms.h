/**
 * The one table of convolution algorithms. Each row is an algorithm: its enumerator, its name, the
 * kind of computation, the maps it takes, and the sizes that layout and cost follow from.
 *
 * Some columns are needed once (names, shapes, layout, cost) and some once per instruction set (the
 * functions). A table of structs can be in one of these places only, and three tables over one
 * enumeration can disagree. So the table is a list macro, and each place expands the columns that
 * it needs: algorithms.c, compiled once, makes the table of names, shapes and sizes; conv2d.c,
 * compiled per instruction set, makes the table of functions from the same rows.
 *
 * A kind `k` provides, compiled once: cm_k_fits(), cm_k_layout(), cm_k_cost() (below); and per
 * instruction set: cm_k_pack(), cm_k_forward(), cm_k_backward() (functions.h). Kinds: direct; and
 * transform, whose rows each have a domain, `cm_NAME_domain` (transform/domain.h).
 *
 * To add a transform domain: a row here, its file transform/NAME.c with a line in
 * kernels/CMakeLists.txt, its name in kernels/isa.h, and its enumerator in convmark/conv2d.h.
 */
#ifndef CM_KERNELS_CONV2D_ALGORITHMS_H
#define CM_KERNELS_CONV2D_ALGORITHMS_H

#include <stdbool.h>
#include <stddef.h>

#include "convmark/conv2d.h"
#include "kernels/sizes.h"

/*
 *  map        the side of the maps that it takes; 0: any map. AUTO takes the first row whose maps
 *             are given, if the rule of contract.h holds, and otherwise direct
 *  patch      the side of the patches that maps are cut into; 0: none
 *  freqs      frequencies: independent matrices of a transformed patch
 *  planes     planes of a transformed patch: one per real frequency, three per complex one
 *  results    planes of a result: one per real frequency, two per complex one
 *  halves     real numbers that the three taps of a filter's column become
 *  rows       rows of frequencies
 *  sums       vectors that a row of frequencies contributes to dweight, per vector of filters
 *
 *      enumerator  name       kind       map patch freqs planes results halves rows sums      */
#define CM_CONV2D_ALGORITHM_LIST(ROW)                               \
    ROW(DIRECT, direct, direct, 0, 0, 0, 0, 0, 0, 0, 0)             \
    ROW(T4, t4, transform, 3, 3, 16, 16, 16, 4, 4, 3)               \
    ROW(DFT10, dft10, transform, 9, 9, 52, 148, 100, 10, 6, 6)      \
    ROW(WINOGRAD3, winograd3, transform, 0, 3, 25, 25, 25, 5, 5, 3) \
    ROW(WINOGRAD4, winograd4, transform, 0, 4, 36, 36, 36, 6, 6, 3)

/** The sizes of a row; of algorithms that have no patches all but `map` are 0. */
typedef struct cm_conv2d_sizes {
    int map, patch, frequencies, planes, results, halves, rows, sums;
} cm_conv2d_sizes;

/** The same as constants, for the sources of the algorithms: CM_DFT10_PLANES ... */
#define CM_CONV2D_ENUM(id, name, kind, map, patch, freqs, planes, results, halves, rows, sums) \
    CM_##id##_PATCH = (patch), CM_##id##_FREQUENCIES = (freqs), CM_##id##_PLANES = (planes),   \
    CM_##id##_RESULTS = (results), CM_##id##_HALVES = (halves), CM_##id##_ROWS = (rows),       \
    CM_##id##_SUMS = (sums),
enum { CM_CONV2D_ALGORITHM_LIST(CM_CONV2D_ENUM) };
#undef CM_CONV2D_ENUM

/** Whether an algorithm of the kind can compute the shape. */
typedef bool cm_conv2d_fits_fn(const cm_conv2d_sizes *sizes, const cm_conv2d_shape *shape);
/** Fills in the kind's part of the plan, `packed` and `kept`; returns the floats of the workspace
 * that are taken when its parts begin at `used`. */
typedef size_t cm_conv2d_layout_fn(const cm_conv2d_sizes *sizes, size_t used, cm_conv2d_plan *plan);
typedef cm_conv2d_cost cm_conv2d_cost_fn(const cm_conv2d_sizes *sizes, const cm_conv2d_plan *plan);

typedef struct cm_conv2d_algorithm_row {
    const char *name;
    cm_conv2d_sizes sizes;
    cm_conv2d_fits_fn *fits;
    cm_conv2d_layout_fn *layout;
    cm_conv2d_cost_fn *cost;
} cm_conv2d_algorithm_row;

extern const cm_conv2d_algorithm_row cm_conv2d_algorithms[CM_CONV2D_ALGORITHM_COUNT];

/* The kinds (direct/plan.c, transform/plan.c). */
cm_conv2d_fits_fn cm_direct_fits, cm_transform_fits;
cm_conv2d_layout_fn cm_direct_layout, cm_transform_layout;
cm_conv2d_cost_fn cm_direct_cost, cm_transform_cost;

/** The algorithm that CM_CONV2D_AUTO stands for. */
cm_conv2d_algorithm cm_conv2d_choose(const cm_conv2d_shape *shape);

/** Floats of the filters. */
static inline size_t cm_conv2d_weights(const cm_conv2d_shape *shape) {
    return (size_t)shape->kernel_h * (size_t)shape->kernel_w * (size_t)shape->in_channels *
           (size_t)shape->out_channels;
}

/** Floats of the gradients of a block of images, filters and biases, with a line between them and
 * the next ones. */
static inline size_t cm_conv2d_block_floats(const cm_conv2d_shape *shape) {
    return cm_round_up(cm_conv2d_weights(shape) + (size_t)shape->out_channels,
                       CM_SCRATCH_ALIGNMENT);
}

/** Takes `floats` of the workspace, of which *used are taken: returns where they begin. */
size_t cm_conv2d_take(size_t *used, size_t floats);

#endif
