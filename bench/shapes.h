/**
 * Shapes to measure, as lines of text "OPERATION SHAPE": docs/guide/bench.md has the grammar. The
 * same text of a shape is part of its benchmarks' names.
 */
#ifndef CM_BENCH_SHAPES_H
#define CM_BENCH_SHAPES_H

#include <stddef.h>

#include "convmark/kernels.h"
#include "convmark/status.h"

/** What can be measured: the first word of a line. */
typedef enum bench_operation {
    BENCH_CONV2D,
    BENCH_CONV2D_MAX_POOL2D,
    BENCH_LINEAR,
    BENCH_MAX_POOL2D,
    BENCH_BATCH_NORM,
    BENCH_BATCH_NORM_MAX_POOL2D,
    BENCH_RELU,
    BENCH_DROPOUT,
    BENCH_SOFTMAX_CROSS_ENTROPY,
    BENCH_ADAM,
    BENCH_OPERATION_COUNT
} bench_operation;

enum { BENCH_SHAPE_TEXT = 96, BENCH_MAX_SHAPES = 1024 };

/** A shape; members that its operation does not have are zero. */
typedef struct bench_shape {
    bench_operation operation;
    char text[BENCH_SHAPE_TEXT]; /* as in names: "n64_c128_h9_w9_k128_r3" */
    cm_conv2d_shape conv;        /* conv2d, linear, conv2d_max_pool2d */
    cm_max_pool2d_shape pool;    /* ..._max_pool2d */
    cm_map_shape map;            /* batch_norm..., relu, dropout; batch and channels of a loss */
    size_t count;                /* relu, dropout, adam: elements */
    int batch;                   /* images; 0: adam */
} bench_shape;

typedef struct bench_shapes {
    int count;
    bench_shape *items;
} bench_shapes;

/** "conv2d", "linear" ... */
const char *bench_operation_name(bench_operation operation);

/** Adds the shapes of a text; those that are there already are left out. `file` names it in
 * messages. CM_BAD_INPUT, and nothing added, for any fault ("FILE:LINE: what; what to do"). */
cm_status bench_shapes_parse(const char *text, size_t size, const char *file, bench_shapes *shapes,
                             cm_error *error);

/** The same from a file: a path (anything with a '/' or a '.'), or the name of one of the lists in
 * `folders` (NULL at the end), which are looked through in order. */
cm_status bench_shapes_open(const char *name_or_file, const char *const *folders,
                            bench_shapes *shapes, cm_error *error);
void bench_shapes_free(bench_shapes *shapes);

#endif
