/* Convolution in a transform domain: transform the maps, multiply at every frequency, transform
 * back. Three phases with a barrier between them, each split by outputs: (patch, vector of
 * channels), (frequency, panel of channels), (patch, vector of channels). A whole map is one patch,
 * or maps are cut into patches; if all their planes exceed the last-level cache, patches run in
 * blocks. */
#include "kernels/isa.h"

#include <assert.h>

#include "convmark/trace.h"
#include "kernels/conv2d/functions.h"
#include "kernels/conv2d/transform/backward_weights.h"
#include "kernels/conv2d/transform/filters.h"
#include "kernels/conv2d/transform/job.h"
#include "kernels/conv2d/transform/products.h"

/* Only the planes of whole maps are kept. */
static cm_transform_job job_of(const cm_conv2d_plan *plan, const cm_domain *domain,
                               const float *kept, void *workspace) {
    const cm_conv2d_sizes *sizes = &cm_conv2d_algorithms[plan->shape.algorithm].sizes;
    const cm_transform_job job = {
        .domain = domain,
        .sizes = sizes,
        .shape = &plan->shape,
        .plan = &plan->transform,
        .workspace = workspace,
        .kept = sizes->map > 0 ? kept : NULL,
        .x_plane = (ptrdiff_t)plan->transform.x_plane,
        .y_plane = (ptrdiff_t)plan->transform.y_plane,
    };
    assert(sizes->halves <= CM_MAX_HALVES);
    assert(job.plan->sums + cm_transform_row_sums(&job) * (size_t)sizes->rows <=
           job.plan->filter_planes);
    return job;
}

void cm_transform_pack(const cm_team *team, const cm_conv2d_plan *plan, const cm_domain *domain,
                       const float *weight, float *packed) {
    const cm_conv2d_shape *shape = &plan->shape;
    const cm_filter_side side = {weight, shape->in_channels, shape->out_channels, false};
    cm_transform_filters(team, domain, cm_conv2d_algorithms[shape->algorithm].sizes.halves, &side,
                         packed);
}

/* A convolution of maps of side->depth channels to maps of side->columns, by way of the planes
 * `left`; with transposed filters it is backward-data. */
typedef struct convolution {
    const float *maps;
    cm_plane_kind kind;
    float *left;
    const cm_filter_side *side;
    const float *halves; /* the half-transformed filters; NULL: they are transformed first */
    cm_epilogue epilogue;
    float *to;
} convolution;

static void convolve(const cm_team *team, const cm_transform_job *job, const convolution *c) {
    const cm_filter_side *side = c->side;
    const float *halves = c->halves;
    const ptrdiff_t left_plane = side->transposed ? job->y_plane : job->x_plane;
    const ptrdiff_t result_plane = side->transposed ? job->x_plane : job->y_plane;
    float *results = job->workspace + job->plan->results;
    const cm_maps_to_planes there = {c->maps, side->depth, c->kind, c->left, left_plane};
    const cm_product_planes planes = {c->left, left_plane, results, result_plane};
    const cm_planes_to_maps back = {results, result_plane, side->columns, c->epilogue, c->to};
    for (ptrdiff_t i = 0; i < job->plan->blocks; ++i) {
        const cm_range block = cm_patch_block(job->plan, i);
        cm_trace_phase(team, CM_PHASE_TRANSFORM);
        cm_transform_maps(team, job, block, &there);
        if (halves == NULL) {
            float *made = job->workspace + job->plan->filters;
            cm_trace_phase(team, CM_PHASE_KERNELS);
            cm_transform_filters(team, job->domain, job->sizes->halves, side, made);
            halves = made;
        }
        cm_team_barrier(team);
        cm_trace_phase(team, CM_PHASE_MULTIPLY);
        cm_multiply_planes(team, job, block, side, halves, &planes);
        cm_team_barrier(team);
        cm_trace_phase(team, CM_PHASE_RESTORE);
        cm_restore_maps(team, job, block, &back);
    }
}

void cm_transform_forward(const cm_team *team, const cm_conv2d_forward_call *call) {
    const cm_conv2d_shape *shape = &call->plan->shape;
    const cm_transform_job job = job_of(call->plan, call->domain, call->kept, call->workspace);
    const cm_filter_side side = {call->weight, shape->in_channels, shape->out_channels, false};
    const convolution forward = {
        .maps = call->x,
        .kind = CM_PLANES_X,
        .left = job.kept != NULL ? call->kept : job.workspace + job.plan->x_planes,
        .side = &side,
        .halves = call->packed,
        .epilogue = call->epilogue,
        .to = call->y,
    };
    convolve(team, &job, &forward);
}

/* The planes of x and of dy that backward-weights needs. */
static cm_maps_to_planes planes_of_x(const cm_transform_job *job, const float *x) {
    return (cm_maps_to_planes){x, job->shape->in_channels, CM_PLANES_X,
                               job->workspace + job->plan->x_planes, job->x_plane};
}

static cm_maps_to_planes planes_of_dy(const cm_transform_job *job, const float *dy) {
    return (cm_maps_to_planes){dy, job->shape->out_channels, CM_PLANES_D,
                               job->workspace + job->plan->dy_planes, job->y_plane};
}

/* Whole maps, all at once: the planes of dy serve both passes. */
static void backward_of_maps(const cm_team *team, const cm_transform_job *job,
                             const cm_filter_side *side, const cm_conv2d_backward_args *args) {
    const cm_range all = cm_patch_block(job->plan, 0);
    const cm_maps_to_planes x = planes_of_x(job, args->x), dy = planes_of_dy(job, args->dy);
    float *results = job->workspace + job->plan->results;
    float *halves = job->workspace + job->plan->filters;
    cm_trace_phase(team, CM_PHASE_TRANSFORM);
    cm_transform_maps(team, job, all, &dy);
    if (args->dweight != NULL && job->kept == NULL) {
        cm_transform_maps(team, job, all, &x);
    }
    if (args->dx != NULL) {
        cm_trace_phase(team, CM_PHASE_KERNELS);
        cm_transform_filters(team, job->domain, job->sizes->halves, side, halves);
    }
    cm_team_barrier(team);
    if (args->dx != NULL) {
        cm_trace_phase(team, CM_PHASE_MULTIPLY);
        const cm_product_planes planes = {dy.planes, job->y_plane, results, job->x_plane};
        cm_multiply_planes(team, job, all, side, halves, &planes);
    }
    if (args->dweight != NULL) {
        cm_trace_phase(team, CM_PHASE_WEIGHTS);
        cm_transform_backward_weights(team, job, all);
    }
    cm_team_barrier(team);
    if (args->dweight != NULL) {
        cm_transform_store_weights(team, job, all, args->dweight);
    }
    if (args->dx != NULL) {
        const cm_planes_to_maps back = {
            results, job->x_plane, job->shape->in_channels, {.relu = false}, args->dx};
        cm_trace_phase(team, CM_PHASE_RESTORE);
        cm_restore_maps(team, job, all, &back);
    }
}

/* Patches: for backward-data dy is transformed with the positions around a patch, for
 * backward-weights without them. */
static void backward_of_patches(const cm_team *team, const cm_transform_job *job,
                                const cm_filter_side *side, const cm_conv2d_backward_args *args) {
    const cm_maps_to_planes x = planes_of_x(job, args->x), dy = planes_of_dy(job, args->dy);
    if (args->dx != NULL) {
        const convolution backward_data = {
            .maps = args->dy,
            .kind = CM_PLANES_X,
            .left = job->workspace + job->plan->x_planes,
            .side = side,
            .to = args->dx,
        };
        convolve(team, job, &backward_data);
    }
    for (ptrdiff_t i = 0; args->dweight != NULL && i < job->plan->blocks; ++i) {
        const cm_range block = cm_patch_block(job->plan, i);
        cm_trace_phase(team, CM_PHASE_TRANSFORM);
        cm_transform_maps(team, job, block, &dy);
        cm_transform_maps(team, job, block, &x);
        cm_team_barrier(team);
        cm_trace_phase(team, CM_PHASE_WEIGHTS);
        cm_transform_backward_weights(team, job, block);
        cm_team_barrier(team);
        cm_transform_store_weights(team, job, block, args->dweight);
    }
}

void cm_transform_backward(const cm_team *team, const cm_domain *domain,
                           const cm_conv2d_backward_args *args) {
    const cm_conv2d_shape *shape = &args->plan->shape;
    const cm_transform_job job = job_of(args->plan, domain, args->kept, args->workspace);
    const cm_filter_side side = {args->weight, shape->out_channels, shape->in_channels, true};
    if (job.sizes->map > 0) {
        backward_of_maps(team, &job, &side, args);
    } else {
        backward_of_patches(team, &job, &side, args);
    }
}
