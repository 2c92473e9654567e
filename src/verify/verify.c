#include "verify/verify.h"

#include <string.h>

#include "kernels/philox.h"
#include "network/model.h"
#include "results/sha256.h"

/* Recorded by `test_golden --print`. They change when, and only when, the numeric contract does. */
static const cm_golden golden_table[] = {
    {"baseline", "d1762de2a02eafb08f87fc99edbe12e78f5183c63fb2b9364e8563321e5c06c0"},
    {"dropout-out-0.5", "9065652c95c675cfe5a705e4c685d3a2303307c396bebe0a7a487e20e5620658"},
    {"dropout-conv-0.5", "b1f4fbf1724e1b6fd5ab44d95e4ac7332e40324b11f57698baec7b50ae51ca5c"},
    {"dropout-conv-0.3", "ae0f6ec55bdcf5f89a767418b322d98e0ead6a16a1bea43422e6369689ae35d7"},
    {"bn-3", "bf8c623b557161c0fb9ee8d42c11a52bb6ded8940d62d5e595162d6cf3b35287"},
    {"plain-8", "5cb5cca60fc1ae29898f945275698d908b36f1524c479c03217a44993a3e8d5c"},
    {"bn-8", "d072b645ade1c708e279c541736f07bd103a427703c9474317dc37d68488e7ed"},
    {"bn-16", "c223daa05bb5b062d2f9dff12f5b47fbb70919c8bb97d9131ee5465d24583d32"},
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
    const cm_optimizer optimizer = {
        .learning_rate = 1e-3, .beta1 = 0.9, .beta2 = 0.999, .epsilon = 1e-8, .weight_decay = 1e-5};
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
