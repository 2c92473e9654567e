#include "kernels/isa.h"

#include "kernels/conv2d/transform/job.h"

cm_plane_prefetch cm_prefetch_planes(const cm_transform_job *job, int next, const float *planes,
                                     ptrdiff_t plane, int channels, ptrdiff_t tiles) {
    cm_plane_prefetch ahead = {.lines = 0};
    if (next < job->sizes->frequencies && cm_in_strips(channels) &&
        tiles >= CM_MIN_PREFETCH_TILES) {
        const cm_frequency *frequency = &job->domain->frequency[next];
        const ptrdiff_t floats = cm_frequency_cost(frequency) * plane;
        ahead.next = planes + frequency->plane * plane;
        ahead.end = ahead.next + floats;
        ahead.lines = floats / CM_LINE_FLOATS / tiles + 1;
    }
    return ahead;
}
