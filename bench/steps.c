#include "bench/steps.h"

#include <stdlib.h>
#include <string.h>

#include "core/data/synthetic.h"
#include "core/network/plan.h"
#include "harness/profile/work.h"

enum { IMAGES = 4 * BENCH_STEP_BATCH, SEED = 0 };

static cm_status make_data(cm_block_data *data, cm_error *error) {
    const size_t image = (size_t)CM_SYNTHETIC_SIDE * CM_SYNTHETIC_SIDE;
    cm_images images = {
        IMAGES, CM_SYNTHETIC_SIDE, CM_SYNTHETIC_SIDE, malloc(IMAGES * image), malloc(IMAGES), 1};
    cm_status status = CM_FAILED;
    if (images.pixels != NULL && images.labels != NULL) {
        cm_synthetic_images(CM_SYNTHETIC_TRAIN, IMAGES, images.pixels, images.labels);
        status = cm_block_data_create(&images, BENCH_STEP_BATCH, data, error);
    } else {
        status = cm_fail(error, CM_FAILED, "out of memory; close other programs");
    }
    free(images.pixels);
    free(images.labels);
    return status;
}

cm_status bench_stepper_create(const bench_step *step, cm_isa isa, int threads,
                               bench_stepper *stepper, cm_error *error) {
    *stepper = (bench_stepper){0};
    const cm_model_options options = {.batch = BENCH_STEP_BATCH,
                                      .threads = threads,
                                      .isa = isa,
                                      .training = step->mode == CM_MODE_TRAIN};
    cm_status status = cm_network_from_variant(step->variant, &stepper->network, error);
    if (status == CM_OK) {
        status = cm_model_create(stepper->network, &options, &stepper->model, error);
    }
    if (status == CM_OK) {
        status = make_data(&stepper->data, error);
    }
    if (status == CM_OK) {
        cm_model_initialize(stepper->model, SEED);
    } else {
        bench_stepper_free(stepper);
    }
    return status;
}

void bench_stepper_free(bench_stepper *stepper) {
    cm_block_data_free(&stepper->data);
    cm_model_free(stepper->model);
    cm_network_free(stepper->network);
    *stepper = (bench_stepper){0};
}

cm_batch_result bench_stepper_run(const bench_step *step, bench_stepper *stepper) {
    const cm_optimizer adam = cm_optimizer_default();
    const cm_block_data *data = &stepper->data;
    const size_t first = (size_t)stepper->next * (size_t)data->batch;
    const float *images = data->images + first * data->image;
    const uint8_t *labels = data->labels + first;
    stepper->next = (stepper->next + 1) % data->count;
    return step->mode == CM_MODE_TRAIN
               ? cm_model_train_step(stepper->model, data->batch, images, labels, &adam, SEED)
               : cm_model_evaluate(stepper->model, data->batch, images, labels);
}

double bench_stepper_flops(const bench_step *step, const bench_stepper *stepper) {
    const bool training = step->mode == CM_MODE_TRAIN;
    const cm_plan *plan = cm_model_plan(stepper->model, training);
    const int batch = BENCH_STEP_BATCH;
    double flops = training ? cm_work_of(plan, CM_PASS_UPDATE, 0, CM_PHASE_WORK, batch).flops : 0;
    for (int stage = 0; stage < plan->stage_count; ++stage) {
        const bool conv = plan->stages[stage].kind == CM_STAGE_CONV2D;
        const cm_phase phase = conv ? CM_PHASE_MULTIPLY : CM_PHASE_WORK;
        flops += cm_work_of(plan, CM_PASS_FORWARD, stage, phase, batch).flops;
        if (training) {
            /* The images have no gradient. */
            flops += conv && stage == 0
                         ? 0
                         : cm_work_of(plan, CM_PASS_BACKWARD, stage, phase, batch).flops;
            flops +=
                conv ? cm_work_of(plan, CM_PASS_BACKWARD, stage, CM_PHASE_WEIGHTS, batch).flops : 0;
        }
    }
    return flops;
}

static cm_status first_step(const bench_step *step, cm_isa isa, int threads,
                            cm_batch_result *result, char sha256[65], cm_error *error) {
    bench_stepper stepper;
    const cm_status status = bench_stepper_create(step, isa, threads, &stepper, error);
    if (status == CM_OK) {
        *result = bench_stepper_run(step, &stepper);
        cm_model_sha256(stepper.model, sha256);
        bench_stepper_free(&stepper);
    }
    return status;
}

cm_status bench_step_check(bench_step *step, cm_isa isa, int threads, cm_error *error) {
    cm_status status = CM_OK;
    if (!step->has_reference) {
        status = first_step(step, CM_ISA_SCALAR, 1, &step->reference, step->sha256, error);
        step->has_reference = status == CM_OK;
    }
    cm_batch_result found = {0, 0};
    char sha256[65];
    if (status == CM_OK) {
        status = first_step(step, isa, threads, &found, sha256, error);
    }
    if (status == CM_OK &&
        (memcmp(&found.loss, &step->reference.loss, sizeof found.loss) != 0 ||
         found.correct != step->reference.correct || strcmp(sha256, step->sha256) != 0)) {
        status = cm_fail(error, CM_FAILED,
                         "wrong result: the first step on %s with %d threads is not what scalar on "
                         "one thread gives; report this as a bug",
                         cm_isa_name(isa), threads);
    }
    return status;
}
