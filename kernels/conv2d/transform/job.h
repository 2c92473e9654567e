/* What one call of a convolution in a transform domain works on: its constants, where channels and
 * tiles are in a plane, and what is fetched before it is needed. Included after isa.h by
 * conv2d_transform.c and its parts only. */
#ifndef CM_KERNELS_TRANSFORM_JOB_H
#define CM_KERNELS_TRANSFORM_JOB_H

#include <stdbool.h>
#include <stddef.h>

#include "kernels/conv2d/internal.h"
#include "kernels/conv2d/transform/domain.h"
#include "kernels/gemm/gemm_tile.h"

enum { PLANES_OF_COMPLEX = 3, MAX_STRIPS = 128 };

_Static_assert(VF_PLANE_STRIP % CM_TILE_COLUMNS == 0, "a panel's columns lie in one strip");

/* One call's constants. */
typedef struct transform_job {
    const cm_domain *domain;
    const cm_conv2d_shape *shape;
    cm_conv2d_layout layout;
    cm_conv2d_tiles tiles;
    float *workspace;
    const float *kept;          /* the planes of X where the caller has them, or NULL */
    ptrdiff_t x_plane, y_plane; /* floats from plane to plane, of in_channels and out_channels */
    cm_frequency frequency[CM_MAX_FREQUENCIES];
} transform_job;

/* Channels of a strip: planes of a block's tiles are [strip][tile][channel of the strip]. A strip
 * is one piece of memory whatever the number of channels, so that it fills the sets of a small
 * first cache evenly. It is all channels where the instruction set asks for no narrower one, or
 * where they are not whole strips. */
static inline ptrdiff_t strip_of(int channels) {
    enum { STRIP = VF_PLANE_STRIP };
    const bool fits = STRIP > 0 && channels % STRIP == 0 && channels <= STRIP * MAX_STRIPS;
    return fits ? STRIP : channels;
}

/* Whether planes of so many channels are more than one strip. */
static inline bool in_strips(int channels) {
    return strip_of(channels) < channels;
}

/* Where a channel of a tile is in a plane of `count` tiles. */
static inline ptrdiff_t plane_at(ptrdiff_t count, int channels, ptrdiff_t tile, ptrdiff_t channel) {
    const ptrdiff_t strip = strip_of(channels);
    return (channel / strip * count + tile) * strip + channel % strip;
}

/* The planes of X that the weights' gradient is made of. */
static inline const float *x_planes(const transform_job *job) {
    return job->kept != NULL ? job->kept : job->workspace + job->layout.left;
}

/* Cost of a frequency in real products. */
static inline int cost_of(const cm_frequency *frequency) {
    return frequency->complex ? PLANES_OF_COMPLEX : 1;
}

/* What is fetched into the second cache while the tiles of a frequency pass, so many lines for
 * each: with strips, the next frequency's planes. Without them each tile fetches its successor's
 * operands (gemm_tile.h). */
typedef struct fetch_ahead {
    const float *next, *end;
    ptrdiff_t lines;
} fetch_ahead;

static inline void fetch_lines(fetch_ahead *ahead) {
    for (ptrdiff_t i = 0; i < ahead->lines && ahead->next < ahead->end; ++i) {
        __builtin_prefetch(ahead->next, 0, CM_PREFETCH_L2);
        ahead->next += CM_LINE_FLOATS;
    }
}

static inline fetch_ahead fetch_planes(const transform_job *job, int next, const float *planes,
                                       ptrdiff_t plane, int channels, ptrdiff_t tiles) {
    enum { MIN_TILES = 16 }; /* fewer read a small part of the planes */
    fetch_ahead ahead = {.lines = 0};
    if (next < job->domain->frequencies && in_strips(channels) && tiles >= MIN_TILES) {
        const cm_frequency *frequency = &job->frequency[next];
        const ptrdiff_t floats = cost_of(frequency) * plane;
        ahead.next = planes + frequency->plane * plane;
        ahead.end = ahead.next + floats;
        ahead.lines = floats / CM_LINE_FLOATS / tiles + 1;
    }
    return ahead;
}

#endif
