#include "verify/verify.h"

#include <string.h>

#include "files/sha256.h"
#include "kernels/philox.h"
#include "network/model.h"

/* Recorded by `test_golden --print`. They change when, and only when, the numeric contract does. */
static const cm_golden golden_table[] = {
    {"baseline", "8622fb897551d61c4ac698b5c91549be6231ca8f34b86ea8f5ae4bb76503eca2"},
    {"dropout-out-0.5", "93da161869bde0e1771417163d4da5673b3504808ebfdda6f2fe9d2f6fab40ad"},
    {"dropout-conv-0.5", "e378aa0506837392f470a499cfaef7cd60993b8e8bf0f705a85c9cdb67dacd2e"},
    {"dropout-conv-0.3", "db653a7ea15374c356623a806721976d33b7e34bacede8648ae12f5b26456689"},
    {"bn-3", "c6234481d3963e370662394ba72fe2a46dc076a98897be5e7e8005ce3d255e42"},
    {"plain-8", "5b88c2d4665d4155fde97e71eb7e38b87a24e4979779d2ab270a883e17cd7e7b"},
    {"bn-8", "c95dfb7bdb7200117a921e965e1225fe611b52e1b11557ba44111cb758f798b1"},
    {"bn-16", "2bc6e80aadec84ddf33b93055abda64781974e6fde264bd319558263d16910ad"},
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
