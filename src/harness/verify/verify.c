#include "harness/verify/verify.h"

#include <string.h>

#include "convmark/model.h"
#include "convmark/philox.h"
#include "core/files/sha256.h"

/* Recorded by `test_golden --print`. They change when, and only when, the numeric contract does. */
static const cm_golden golden_table[] = {
    {"baseline", "baabf539de77c155291c296cf2546dc49eacfe67adb15b9f107f6f56cbc4ac52"},
    {"dropout-out-0.5", "e7e4596252dc7e3937a6cc28b347622a670f95ad984814bddb2966b5d7147532"},
    {"dropout-conv-0.5", "90e143d406097d3779acf66587fc5cb090f86717700d753a2aa03f7e21fc3e88"},
    {"dropout-conv-0.3", "8f9b41bdf6af3f943283544f91f4e1eb9877cf757f1def024c4e6a8b885f7bab"},
    {"bn-3", "2d9b0e05cb261dc0cd34d3e11b9d61710e464f82363da4b1f6acc43de3c48ac0"},
    {"plain-8", "6b6eac4f1e8b254a86bc7f9c485f3e9f9e35383de90f1eb0637605c400338e20"},
    {"bn-8", "2e8f5e16115f12d42bb4fecd69af8e1855a9d24a20b441c65ecfe8c6ddf4bbec"},
    {"bn-16", "a0deca703404f149fe38a2528ba722075979c6e29f656cf13a1e1fa792139a37"},
};

/* The first batch has blocks of 3, 3 and 1 images, the second is one block. */
enum { FIRST_BATCH = 7, SECOND_BATCH = 2, BLOCK = 3, PIXELS = 28 * 28, CLASSES = 10 };

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
        .batch = FIRST_BATCH, .threads = threads, .isa = isa, .training = true, .block = BLOCK};
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
