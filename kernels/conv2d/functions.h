/**
 * The functions of the kinds of algorithms (algorithms.h), per instruction set. conv2d.c has the
 * table of them. Include after isa.h.
 */
#ifndef CM_KERNELS_CONV2D_FUNCTIONS_H
#define CM_KERNELS_CONV2D_FUNCTIONS_H

#include "kernels/gemm/epilogue.h"

/** What a transform domain does (transform/domain.h). */
typedef struct cm_domain cm_domain;

/** Forward and inference. */
typedef struct cm_conv2d_forward_call {
    const cm_conv2d_plan *plan;
    const cm_domain *domain; /* NULL: the algorithm has none */
    const float *x;
    const float *weight; /* packed first, into the workspace; NULL where `packed` is given */
    const float *packed; /* by the algorithm's pack function; or NULL */
    cm_epilogue epilogue;
    float *y, *kept; /* as in convmark/conv2d.h */
    float *workspace;
} cm_conv2d_forward_call;

typedef void cm_conv2d_pack_pass(const cm_team *team, const cm_conv2d_plan *plan,
                                 const cm_domain *domain, const float *weight, float *packed);
typedef void cm_conv2d_forward_pass(const cm_team *team, const cm_conv2d_forward_call *call);
/** As conv2d_backward, but for dbias: it is the same sum for every algorithm. */
typedef void cm_conv2d_backward_pass(const cm_team *team, const cm_domain *domain,
                                     const cm_conv2d_backward_args *args);

cm_conv2d_pack_pass cm_direct_pack, cm_transform_pack;
cm_conv2d_forward_pass cm_direct_forward, cm_transform_forward;
cm_conv2d_backward_pass cm_direct_backward, cm_transform_backward;

#endif
