/**
 * What each part of a step has to do, computed from the shapes: operations and bytes.
 */
#ifndef CM_PROFILE_WORK_H
#define CM_PROFILE_WORK_H

#include "convmark/model.h"
#include "convmark/trace.h"
#include "core/network/plan.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct cm_work {
    double flops; /* of the algorithm's multiplications with their additions; 0: not counted */
    double bytes; /* each array that is read or written, once */
} cm_work;

/** Work of phase `phase` of `pass` over stage `stage` of a step on `batch` images; zeros where
 * nothing is known (barriers). */
cm_work cm_work_of(const cm_plan *plan, cm_pass pass, int stage, cm_phase phase, int batch);

#ifdef __cplusplus
}
#endif

#endif
