/**
 * How the kernels round sizes and split items. Nothing here depends on the instruction set.
 */
#ifndef CM_KERNELS_SIZES_H
#define CM_KERNELS_SIZES_H

#include <stddef.h>

#include "convmark/team.h"

/** Parts of a workspace begin at multiples of this many floats: a cache line. */
enum { CM_SCRATCH_ALIGNMENT = 16 };

static inline size_t cm_round_up(size_t count, size_t multiple) {
    return (count + multiple - 1) / multiple * multiple;
}

/** The fewest parts of at most `largest` that `items` can be cut into. */
static inline ptrdiff_t cm_even_parts(ptrdiff_t items, ptrdiff_t largest) {
    return (items + largest - 1) / largest;
}

/** Part `index` of them. Their sizes differ by one at most: 9 rows on tiles of 8 become 5 + 4, not
 * 8 + 1. */
static inline cm_range cm_even_part(ptrdiff_t items, ptrdiff_t largest, ptrdiff_t index) {
    const ptrdiff_t parts = cm_even_parts(items, largest);
    return (cm_range){items * index / parts, items * (index + 1) / parts};
}

#endif
