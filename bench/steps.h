/**
 * Whole steps of the report's variants: one training step, or one batch of inference.
 */
#ifndef CM_BENCH_STEPS_H
#define CM_BENCH_STEPS_H

#include <stdbool.h>

#include "convmark/model.h"
#include "convmark/network.h"
#include "convmark/status.h"
#include "harness/measure/throughput.h"

enum { BENCH_STEP_BATCH = 64 };

/** A variant's step, and what scalar kernels on one thread make of the first one. */
typedef struct bench_step {
    const cm_variant *variant;
    cm_mode mode;
    bool has_reference;
    cm_batch_result reference;
    char sha256[65];
} bench_step;

/** A model with its data. Free with bench_stepper_free(). */
typedef struct bench_stepper {
    cm_network *network;
    cm_model *model;
    cm_block_data data; /* generated pictures */
    int next;           /* batch of the next step */
} bench_stepper;

cm_status bench_stepper_create(const bench_step *step, cm_isa isa, int threads,
                               bench_stepper *stepper, cm_error *error);
void bench_stepper_free(bench_stepper *stepper);
cm_batch_result bench_stepper_run(const bench_step *step, bench_stepper *stepper);
/** Multiplications and additions of a step, of the algorithms as planned. */
double bench_stepper_flops(const bench_step *step, const bench_stepper *stepper);

/** Runs the first step, and once for each `step` that of scalar kernels: CM_FAILED if loss, right
 * answers or the parameters after it differ by a bit. */
cm_status bench_step_check(bench_step *step, cm_isa isa, int threads, cm_error *error);

#endif
