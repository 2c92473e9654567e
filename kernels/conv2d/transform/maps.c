#include "kernels/isa.h"

#include "kernels/conv2d/transform/job.h"

/* Maps to planes, or planes to maps: what one thread does of a block's (patch, vector of channels).
 */
typedef struct vector_item {
    ptrdiff_t map, plane; /* where its first float is in the maps, and in a plane */
    int channel, lanes;
    cm_map_patch patch;
} vector_item;

static ptrdiff_t vector_items(cm_range block, int channels) {
    return (block.end - block.begin) * (ptrdiff_t)((channels + VF_LANES - 1) / VF_LANES);
}

static vector_item vector_item_at(const cm_transform_job *job, cm_range block, int channels,
                                  ptrdiff_t index) {
    const cm_conv2d_shape *shape = job->shape;
    const cm_conv2d_transform_plan *plan = job->plan;
    const ptrdiff_t vectors = (channels + VF_LANES - 1) / VF_LANES;
    const int channel = (int)(index % vectors) * VF_LANES;
    const int left = channels - channel;
    const ptrdiff_t patch = block.begin + index / vectors;
    const ptrdiff_t image = patch / plan->image_patches;
    const int place = (int)(patch % plan->image_patches);
    const int h = place / plan->patches_across * plan->patch_side;
    const int w = place % plan->patches_across * plan->patch_side;
    return (vector_item){
        .map = ((image * shape->height + h) * shape->width + w) * channels + channel,
        .plane = cm_plane_at(block.end - block.begin, channels, index / vectors, channel),
        .channel = channel,
        .lanes = left < VF_LANES ? left : VF_LANES,
        .patch = {.step = channels,
                  .row = (ptrdiff_t)shape->width * channels,
                  .above = h,
                  .before = w,
                  .height = shape->height - h,
                  .width = shape->width - w},
    };
}

void cm_transform_maps(const cm_team *team, const cm_transform_job *job, cm_range block,
                       const cm_maps_to_planes *what) {
    cm_deal deal = cm_team_deal(team, vector_items(block, what->channels));
    for (ptrdiff_t i; (i = cm_deal_next(&deal)) >= 0;) {
        const vector_item item = vector_item_at(job, block, what->channels, i);
        job->domain->transform(what->maps + item.map, &item.patch, item.lanes, what->kind,
                               what->planes + item.plane, what->plane);
    }
}

void cm_restore_maps(const cm_team *team, const cm_transform_job *job, cm_range block,
                     const cm_planes_to_maps *what) {
    cm_deal deal = cm_team_deal(team, vector_items(block, what->channels));
    for (ptrdiff_t i; (i = cm_deal_next(&deal)) >= 0;) {
        const vector_item item = vector_item_at(job, block, what->channels, i);
        const cm_epilogue epilogue = cm_epilogue_at(&what->epilogue, item.channel);
        job->domain->restore(what->planes + item.plane, what->plane, item.lanes, &epilogue,
                             what->maps + item.map, &item.patch);
    }
}
