/**
 * The steps of docs/guide/tutorial-convolution.md, from the scalar loop to the tile. Like kernels,
 * their sources are compiled once per instruction set, with CM_ISA_NAME defined by the build: each
 * name below becomes the name of that set (step_tile -> step_tile_avx2).
 */
#ifndef TUTORIAL_STEPS_H
#define TUTORIAL_STEPS_H

#include "convmark/team.h"

/* A convolution of stride 1 whose output map has the size of its input map: a filter of size x size
 * (odd) with size / 2 of padding. x and y are NHWC: [image][row][column][channel]; weight is RSCK:
 * [filter row][filter column][input channel][output channel]. */
typedef struct conv {
    int images, height, width, in_channels;
    int out_channels; /* a multiple of GROUP_COLUMNS, so that no tile is partial */
    int size;
} conv;

/* Output channels whose weights are packed together: whole tiles of every instruction set. */
enum { GROUP_COLUMNS = 64 };

/* One step: y = convolution of x. `panels` is scratch memory for packed weights: as many floats as
 * weight has, for each thread. */
typedef void step_fn(const cm_team *team, const conv *s, const float *x, const float *weight,
                     float *y, float *panels);

/* The steps of one instruction set, in the order of the tutorial. */
enum { STEP_COUNT = 7 };
typedef struct step_table {
    const char *isa;
    step_fn *steps[STEP_COUNT];
} step_table;

#define STEP_PASTE_(name, isa) name##_##isa
#define STEP_PASTE(name, isa) STEP_PASTE_(name, isa)
#define STEP_FN(name) STEP_PASTE(name, CM_ISA_NAME)

#ifdef CM_ISA_NAME
#define step_seven_loops STEP_FN(step_seven_loops)
#define step_loop_order STEP_FN(step_loop_order)
#define step_vectors STEP_FN(step_vectors)
#define step_tile STEP_FN(step_tile)
#define step_panels STEP_FN(step_panels)
#define step_blocks STEP_FN(step_blocks)
#define step_threads STEP_FN(step_threads)
#define steps_of STEP_FN(steps_of)

step_fn step_seven_loops, step_loop_order, step_vectors, step_tile, step_panels, step_blocks,
    step_threads;
#endif

/* Filter elements along one axis that read inside the map: [begin, end). */
typedef struct taps {
    int begin, end;
} taps;

/* The taps of the output at `position` of an axis of `length`: the others lie in the padding. */
static inline taps taps_at(int position, int length, int size) {
    const int padding = size / 2;
    const int begin = position < padding ? padding - position : 0;
    const int left = length + padding - position;
    return (taps){begin, left < size ? left : size};
}

#endif
