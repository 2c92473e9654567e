/**
 * One call of a convolution in a transform domain: what it works on, where channels and patches are
 * in a plane, and what is prefetched. Include after isa.h.
 */
#ifndef CM_KERNELS_TRANSFORM_JOB_H
#define CM_KERNELS_TRANSFORM_JOB_H

#include <stdbool.h>
#include <stddef.h>

#include "kernels/conv2d/transform/domain.h"
#include "kernels/conv2d/tuning.h"
#include "kernels/gemm/gemm_tile.h"

_Static_assert(VF_PLANE_STRIP % CM_TILE_COLUMNS == 0, "a panel's columns lie in one strip");

typedef struct cm_transform_job {
    const cm_domain *domain;
    const cm_conv2d_sizes *sizes;
    const cm_conv2d_shape *shape;
    const cm_conv2d_transform_plan *plan;
    float *workspace;
    const float *kept;          /* the planes of X where the caller has them, or NULL */
    ptrdiff_t x_plane, y_plane; /* floats from plane to plane, of in_channels and out_channels */
} cm_transform_job;

/** Multiplications of a frequency, which are also its planes. */
static inline int cm_frequency_cost(const cm_frequency *frequency) {
    return frequency->complex ? 3 : 1;
}

/** Channels of a strip: the planes of a block are [strip][patch][channel of the strip]. A strip is
 * contiguous whatever the number of channels, so that it fills the sets of a small L1 cache evenly.
 * It has VF_PLANE_STRIP channels, or all where that is 0 or channels are not whole strips. */
static inline ptrdiff_t cm_strip_of(int channels) {
    enum { STRIP = VF_PLANE_STRIP };
    const bool fits = STRIP > 0 && channels % STRIP == 0 && channels <= STRIP * CM_MAX_STRIPS;
    return fits ? STRIP : channels;
}

/** Whether planes of so many channels are more than one strip. */
static inline bool cm_in_strips(int channels) {
    return cm_strip_of(channels) < channels;
}

/** Where a channel of a patch is in a plane of `count` patches. */
static inline ptrdiff_t cm_plane_at(ptrdiff_t count, int channels, ptrdiff_t patch,
                                    ptrdiff_t channel) {
    const ptrdiff_t strip = cm_strip_of(channels);
    return (channel / strip * count + patch) * strip + channel % strip;
}

/** The planes of X that backward-weights multiplies. */
static inline const float *cm_x_planes(const cm_transform_job *job) {
    return job->kept != NULL ? job->kept : job->workspace + job->plan->x_planes;
}

/** The patches of block `index`. */
static inline cm_range cm_patch_block(const cm_conv2d_transform_plan *plan, ptrdiff_t index) {
    return (cm_range){plan->patches * index / plan->blocks,
                      plan->patches * (index + 1) / plan->blocks};
}

/** What is prefetched into the L2 cache while the tiles of a frequency pass, `lines` for each tile:
 * with strips, the next frequency's planes. Without strips each tile prefetches the operands of the
 * next one (gemm_tile.h). */
typedef struct cm_plane_prefetch {
    const float *next, *end;
    ptrdiff_t lines;
} cm_plane_prefetch;

static inline void cm_prefetch_lines(cm_plane_prefetch *ahead) {
    for (ptrdiff_t i = 0; i < ahead->lines && ahead->next < ahead->end; ++i) {
        __builtin_prefetch(ahead->next, 0, CM_PREFETCH_L2);
        ahead->next += CM_LINE_FLOATS;
    }
}

/** The prefetch of frequency `next` of `planes`, `plane` floats apart, while `tiles` tiles pass. */
cm_plane_prefetch cm_prefetch_planes(const cm_transform_job *job, int next, const float *planes,
                                     ptrdiff_t plane, int channels, ptrdiff_t tiles);

/** Maps become planes (maps.c): the patches of a block, by their transform. */
typedef struct cm_maps_to_planes {
    const float *maps;
    int channels;
    cm_plane_kind kind;
    float *planes;
    ptrdiff_t plane;
} cm_maps_to_planes;

void cm_transform_maps(const cm_team *team, const cm_transform_job *job, cm_range block,
                       const cm_maps_to_planes *what);

/** Planes become maps (maps.c), through an epilogue. */
typedef struct cm_planes_to_maps {
    const float *planes;
    ptrdiff_t plane;
    int channels;
    cm_epilogue epilogue;
    float *maps;
} cm_planes_to_maps;

void cm_restore_maps(const cm_team *team, const cm_transform_job *job, cm_range block,
                     const cm_planes_to_maps *what);

#endif
