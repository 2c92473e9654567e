#include "verify/verify.h"

#include <string.h>

#include "kernels/philox.h"
#include "network/model.h"
#include "results/sha256.h"

/* Recorded by `test_golden --print`. They change when, and only when, the numeric contract does. */
static const cm_golden golden_table[] = {
    {"baseline", "f6963c348ba8fda32b56b7020b4f8e0e2d705e3da9268d82dd641bd7a9b15879"},
    {"dropout-out-0.5", "f49281e9a543e574f8ceed05eed84dc69cb6fa09478c9680325524572a6ab31e"},
    {"dropout-conv-0.5", "13e2fbcd1936893050f494188e73596c9dfa2b04e4165f5defac2341efada442"},
    {"dropout-conv-0.3", "117a77bc0c4ac9f710ce3c6b5881063fb57df21fa98b31ab79b1219ac9922bc8"},
    {"bn-3", "2758209aafde627ab445c00cbaa0ad38022e78404e1a7ca9f29ea05040bbd2b7"},
    {"plain-8", "536502ad7820c8cc41954894d88830f58a81e79d2e351285ddfd83851cc9657a"},
    {"bn-8", "034efb15a1fede25a39fe6afc515883a878a5ea3ba9309b42b1155ade9914205"},
    {"bn-16", "8d38be10a5e07a20eaaa43d6c129c910be590fb1aadc7127d919e6c2cbe67dc3"},
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
