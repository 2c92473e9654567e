#include "harness/verify/verify.h"

#include <string.h>

#include "convmark/model.h"
#include "convmark/philox.h"
#include "core/files/sha256.h"

/* Recorded by `test_golden --print`. They change when, and only when, the numeric contract does. */
static const cm_golden golden_table[] = {
    {"baseline", "44d1bf26afe81745c2ab2219cd8e8045eec4b39b3734d4ef0b8bf626479ecf47"},
    {"dropout-out-0.5", "eeba8fa6accac9b42ad46e9fb2b3426992858bf8280b05f6405cc0bb939010d7"},
    {"dropout-conv-0.5", "b0350855d35d19eebd0442aed0afbd38b26def58c4cf76cbea427a4a0f3bcca4"},
    {"dropout-conv-0.3", "74457f3f368f2d845c2f28f0001e50959a2df55db74e2e999d8afd74c8b07e71"},
    {"bn-3", "eaa7e4c64617d490ceae1baebdd45a3f9c0d455938fb2d8f875fe3c7d656f221"},
    {"plain-8", "01be4408390188c37bdfb47501dd73edbc0f14fc86fca3292d361de7cdcbd462"},
    {"bn-8", "d859e8382dd4fa65ce33391af9377d001aa3ab568a448cf736b617f7cb19acfb"},
    {"bn-16", "8b2c9c45c17447e02b7bb647936f4995333c9a3f6c6fa73f9dd2e6eedd9440a6"},
};

enum { FIRST_BATCH = 7, SECOND_BATCH = 2, PIXELS = 28 * 28, CLASSES = 10 };

const cm_golden *cm_goldens(int *count) {
    *count = (int)(sizeof golden_table / sizeof golden_table[0]);
    return golden_table;
}

/* Batch number `step` of random pictures. */
static void draw_batch(uint32_t step, int batch, float *images, uint8_t *labels) {
    const cm_random_key pixels = {.seed = 0, .purpose = CM_RANDOM_TEST, .index = 0, .step = step};
    const cm_random_key classes = {.seed = 0, .purpose = CM_RANDOM_TEST, .index = 1, .step = step};
    for (int i = 0; i < batch * PIXELS; ++i) {
        images[i] = cm_random_uniform(&pixels, (uint64_t)i);
    }
    for (int n = 0; n < batch; ++n) {
        labels[n] = (uint8_t)(cm_random_u32(&classes, (uint64_t)n) % CLASSES);
    }
}

static void run_model(cm_model *model, char hex[65]) {
    static const int batches[] = {FIRST_BATCH, SECOND_BATCH};
    const cm_optimizer optimizer = cm_optimizer_default();
    const uint64_t seed = 1;
    float images[FIRST_BATCH * PIXELS], logits[CLASSES];
    uint8_t labels[FIRST_BATCH];
    cm_sha256 hash;
    cm_sha256_init(&hash);
    cm_model_initialize(model, seed);
    for (uint32_t step = 0; step < 2; ++step) {
        draw_batch(step, batches[step], images, labels);
        const double loss =
            cm_model_train_step(model, batches[step], images, labels, &optimizer, seed).loss;
        cm_sha256_update(&hash, &loss, sizeof loss);
    }
    cm_model_predict(model, 1, images, logits);
    char parameters[65];
    cm_model_sha256(model, parameters);
    cm_sha256_update(&hash, parameters, strlen(parameters));
    cm_sha256_update(&hash, logits, sizeof logits);
    cm_sha256_final(&hash, hex);
}

cm_status cm_golden_run(const char *variant, cm_isa isa, int threads, char hex[65],
                        cm_error *error) {
    cm_network *network = NULL;
    cm_status status = cm_network_open(variant, &network, error);
    if (status != CM_OK) {
        return status;
    }
    const cm_model_options options = {
        .batch = FIRST_BATCH, .threads = threads, .isa = isa, .training = true};
    cm_model *model = NULL;
    status = cm_model_create(network, &options, &model, error);
    if (status == CM_OK) {
        run_model(model, hex);
    }
    cm_model_free(model);
    cm_network_free(network);
    return status;
}

cm_status cm_verify_golden(const cm_golden *golden, cm_isa isa, int threads, cm_error *error) {
    char hex[65];
    const cm_status status = cm_golden_run(golden->variant, isa, threads, hex, error);
    if (status == CM_OK && strcmp(hex, golden->sha256) != 0) {
        return cm_fail(error, CM_FAILED,
                       "golden hash of %s on %s with %d threads: expected %s, got %s; this machine "
                       "or build does not keep the numeric contract",
                       golden->variant, cm_isa_name(isa), threads, golden->sha256, hex);
    }
    return status;
}
