/* Small models for tests: networks from text, random inputs, and a table of networks whose layers
 * stand in orders that the report's variants do not have. Included once, after cmocka.h, by a
 * test's source. */
#ifndef CM_TESTS_MODELS_H
#define CM_TESTS_MODELS_H

#include <stdlib.h>
#include <string.h>

#include "convmark/model.h"
#include "convmark/philox.h"

#define CM_COUNT(array) (sizeof(array) / sizeof(array)[0])

enum { MODELS_MAX_BATCH = 8, MODELS_MAX_PIXELS = 512 };

/* Each exercises another way in which the plan fuses, shares or leaves out arrays. */
static const struct {
    const char *what, *text;
} odd_networks[] = {
    {"the usual order", "input 1 9 9\nconv2d 5 kernel 3 padding 1\nbatch_norm\nrelu\n"
                        "max_pool2d 3\nconv2d 4 kernel 3 padding 1\nrelu\nmax_pool2d 2\nflatten\n"
                        "linear 6\nrelu\ndropout 0.3\nlinear 4\n"},
    {"no convolution", "input 2 3 4\nflatten\nlinear 7\nrelu\nlinear 3\n"},
    {"one layer", "input 1 4 4\nflatten\nlinear 4\n"},
    {"relu on the input", "input 2 5 5\nrelu\nconv2d 3 kernel 2\nflatten\nlinear 3\n"},
    {"relu and pool on the input", "input 2 6 6\nrelu\nmax_pool2d 2\nconv2d 3 kernel 2\nflatten\n"
                                   "linear 3\n"},
    {"batch norm on the input", "input 3 5 4\nbatch_norm\nconv2d 9 kernel 3\nbatch_norm\nflatten\n"
                                "linear 3\n"},
    {"batch norm, relu and pool on the input", "input 3 6 6\nbatch_norm\nrelu\nmax_pool2d 2\n"
                                               "conv2d 4 kernel 2\nflatten\nlinear 3\n"},
    {"dropout first", "input 2 6 6\ndropout 0.4\nconv2d 8 kernel 3\nrelu\nflatten\nlinear 3\n"},
    {"dropout that does nothing first", "input 2 6 6\ndropout 0\ndropout 0.4\nconv2d 4 kernel 3\n"
                                        "relu\nflatten\ndropout 0\nlinear 3\n"},
    {"two dropouts in a row", "input 1 6 6\nconv2d 4 kernel 3\nrelu\ndropout 0.2\ndropout 0.3\n"
                              "conv2d 5 kernel 3\ndropout 0.1\ndropout 0.1\nrelu\nflatten\n"
                              "linear 3\n"},
    {"dropout before batch norm", "input 1 6 6\nconv2d 4 kernel 3\ndropout 0.3\nbatch_norm\n"
                                  "dropout 0.2\nrelu\nmax_pool2d 2\ndropout 0.2\nflatten\n"
                                  "linear 3\n"},
    {"pool without relu", "input 1 8 8\nconv2d 4 kernel 3\nmax_pool2d 2\nconv2d 3 kernel 2\n"
                          "batch_norm\nmax_pool2d 2\nflatten\nlinear 3\n"},
    {"relu after a pool", "input 1 8 8\nconv2d 4 kernel 3\nmax_pool2d 3\nrelu\nbatch_norm\n"
                          "relu\nflatten\nlinear 3\n"},
    {"relu twice", "input 1 5 5\nconv2d 4 kernel 3\nrelu\nrelu\nmax_pool2d 2\nflatten\nrelu\n"
                   "linear 3\n"},
    {"convolutions without relu", "input 1 7 7\nconv2d 9 kernel 3\nconv2d 8 kernel 3\n"
                                  "conv2d 3 kernel 1\nflatten\nlinear 3\n"},
    {"pools that overlap", "input 1 9 9\nconv2d 4 kernel 2\nrelu\nmax_pool2d 3 stride 2\n"
                           "conv2d 8 kernel 1\nbatch_norm\nrelu\nmax_pool2d 2 stride 1\nflatten\n"
                           "linear 3\n"},
    {"pools with gaps", "input 1 9 8\nconv2d 4 kernel 2\nbatch_norm\nmax_pool2d 2x1 stride 3x2\n"
                        "flatten\nlinear 3\n"},
    {"strides and rectangles", "input 2 9 7\nconv2d 8 kernel 3x2 stride 2x3 padding 2x1\nrelu\n"
                               "conv2d 5 kernel 1x3 stride 1x2 padding 0x2\nmax_pool2d 2x1\n"
                               "flatten\nlinear 3\n"},
    {"padding beyond the kernel", "input 1 3 3\nconv2d 8 kernel 2 padding 3\nrelu\n"
                                  "conv2d 3 kernel 2 padding 4 stride 3\nflatten\nlinear 3\n"},
    {"maps of 9x9 and 3x3 with many channels",
     "input 1 9 9\nconv2d 17 kernel 1\nconv2d 18 kernel 3 padding 1\nrelu\nmax_pool2d 3\n"
     "conv2d 19 kernel 3 padding 1\nbatch_norm\nrelu\nconv2d 16 kernel 3 padding 1\nflatten\n"
     "linear 3\n"},
    {"wide layers", "input 1 4 4\nconv2d 70 kernel 3\nbatch_norm\nrelu\nconv2d 33 kernel 2\n"
                    "flatten\nlinear 40\nrelu\nlinear 11\n"},
};

static inline cm_network *network_of(const char *text) {
    cm_network *network = NULL;
    cm_error error = {""};
    if (cm_network_parse(text, strlen(text), "test.txt", &network, &error) != CM_OK) {
        fail_msg("%s", error.message);
    }
    assert_true((size_t)network->input.channels * (size_t)network->input.height *
                    (size_t)network->input.width <=
                MODELS_MAX_PIXELS);
    return network;
}

static inline cm_model *model_of(const cm_network *network, int batch, int threads, cm_isa isa,
                                 bool training) {
    const cm_model_options options = {
        .batch = batch, .threads = threads, .isa = isa, .training = training};
    cm_model *model = NULL;
    cm_error error = {""};
    if (cm_model_create(network, &options, &model, &error) != CM_OK) {
        fail_msg("%s", error.message);
    }
    return model;
}

/* In [-1, 1); another sequence for another index. */
static inline void draw_reals(uint32_t index, size_t count, float *values) {
    const cm_random_key key = {.seed = 5, .purpose = CM_RANDOM_TEST, .index = index};
    for (size_t i = 0; i < count; ++i) {
        values[i] = 2.0F * cm_random_uniform(&key, i) - 1.0F;
    }
}

/* One batch for a network, drawn again for another index. */
typedef struct model_batch {
    float images[MODELS_MAX_BATCH * MODELS_MAX_PIXELS];
    uint8_t labels[MODELS_MAX_BATCH];
} model_batch;

static inline void draw_batch(const cm_network *network, uint32_t index, model_batch *batch) {
    const cm_random_key key = {.seed = 6, .purpose = CM_RANDOM_TEST, .index = index};
    draw_reals(index, MODELS_MAX_BATCH * MODELS_MAX_PIXELS, batch->images);
    for (uint64_t i = 0; i < MODELS_MAX_BATCH; ++i) {
        batch->labels[i] = (uint8_t)(cm_random_u32(&key, i) % (uint32_t)network->classes);
    }
}

/* Index of a tensor by its name. */
static inline int tensor_named(const cm_model *model, const char *name) {
    for (int i = 0; i < cm_model_tensor_count(model); ++i) {
        if (strcmp(cm_model_tensor(model, i)->name, name) == 0) {
            return i;
        }
    }
    fail_msg("no tensor %s", name);
    return -1;
}

/* Initial values, and batch norms that are not the identity: gamma in [0.5, 1.5), beta in
 * [-0.5, 0.5). */
static inline void initialize_all(cm_model *model, uint64_t seed) {
    cm_model_initialize(model, seed);
    for (int i = 0; i < cm_model_tensor_count(model); ++i) {
        const cm_tensor_spec *spec = cm_model_tensor(model, i);
        const cm_layer *layer = &cm_model_network(model)->layers[spec->layer];
        if (layer->kind != CM_LAYER_BATCH_NORM || !spec->learned) {
            continue;
        }
        float values[MODELS_MAX_PIXELS];
        assert_true(spec->count <= MODELS_MAX_PIXELS);
        draw_reals(1000 + (uint32_t)i, spec->count, values);
        for (size_t e = 0; e < spec->count; ++e) {
            values[e] = 0.5F * values[e] + (spec->kind == CM_TENSOR_WEIGHT ? 1.0F : 0.0F);
        }
        cm_model_set_tensor(model, i, values);
    }
}

static inline void copy_tensors(const cm_model *from, cm_model *to) {
    for (int i = 0; i < cm_model_tensor_count(from); ++i) {
        const size_t bytes = cm_model_tensor(from, i)->count * sizeof(int64_t);
        void *values = malloc(bytes);
        assert_non_null(values);
        cm_model_get_tensor(from, i, values);
        cm_model_set_tensor(to, i, values);
        free(values);
    }
}

static const cm_optimizer adam_defaults = {
    .learning_rate = 1e-3, .beta1 = 0.9, .beta2 = 0.999, .epsilon = 1e-8, .weight_decay = 1e-5};

#endif
