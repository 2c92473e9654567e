/* A data set, and a trainer that answers PyTorch's results at once: for the tests of the report.
 * Include it after cmocka.h. */
#ifndef CM_TESTS_FAKE_TRAINER_H
#define CM_TESTS_FAKE_TRAINER_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/files/sha256.h"
#include "harness/studies/report/report_json.h"
#include "harness/studies/report/report_study.h"
#include "harness/studies/report/report_text.h"
#include "oracles/claims_golden.h"

#define COUNT(array) (sizeof(array) / sizeof(array)[0])

static uint8_t pixels[2 * 28 * 28], labels[2] = {0, 9};
static cm_dataset dataset = {.name = "fashion-mnist",
                             .source = "/nowhere",
                             .classes = 10,
                             .real = true,
                             .verified = true,
                             .train = {2, 28, 28, pixels, labels},
                             .validation = {2, 28, 28, pixels, labels}};

static struct {
    int calls;
    char order[512]; /* "baseline/0 bn-3/0 ..." */
    int end_at;      /* the call that ends with `end`; -1: none */
    cm_status end;
} trainer;

static inline cm_status fake_train(const cm_report_train_args *args, cm_train_result *result,
                                   cm_error *error) {
    const cm_network *network = args->network;
    const cm_train_options *options = args->train;
    assert_ptr_equal(args->dataset, &dataset);
    assert_int_equal(args->model->batch, options->batch);
    assert_true(args->model->training);
    const size_t used = strlen(trainer.order);
    snprintf(trainer.order + used, sizeof trainer.order - used, "%s%s/%d", used > 0 ? " " : "",
             network->name, (int)options->seed);
    const int call = trainer.calls++;
    const cm_train_progress progress = {.epochs = options->epochs, .eta_seconds = 2};
    args->hooks->observer(&progress, NULL, args->hooks->observer_context);
    if (call == trainer.end_at) {
        return cm_fail(error, trainer.end, "epoch 2, step 5: the loss is not finite");
    }
    double values[3] = {0.5, 0.5, 0.75}; /* of a network that PyTorch's file does not have */
    for (size_t i = 0; i < COUNT(golden_variants); ++i) {
        if (strcmp(golden_variants[i].variant, network->name) == 0) {
            for (int m = 0; m < 3; ++m) {
                values[m] = golden_variants[i].values[m][options->seed % GOLDEN_SEEDS];
            }
        }
    }
    result->epochs = calloc((size_t)options->epochs, sizeof *result->epochs);
    result->epoch_count = options->epochs;
    for (int i = 0; i < options->epochs; ++i) {
        const double early = options->epochs - 1 - i; /* the last epoch is the result */
        result->epochs[i].train_loss = values[0] + early;
        result->epochs[i].test_loss = values[1] + early;
        result->epochs[i].accuracy = values[2] - 0.125 * early;
    }
    result->images_per_second = 1000;
    char name[128];
    snprintf(name, sizeof name, "%s/%d", network->name, (int)options->seed);
    cm_sha256_buffer(name, strlen(name), result->sha256);
    return CM_OK;
}

/* As at the start of each test. */
static inline void fake_reset(void) {
    memset(&trainer, 0, sizeof trainer);
    trainer.end_at = -1;
    pixels[0] = 0;
    dataset.real = true;
}

#endif
