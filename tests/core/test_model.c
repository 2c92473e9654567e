/* Models: PyTorch's order of elements, initial values, counters, hash, memory, refusals. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "convmark/model_file.h"
#include "core/files/sha256.h"
#include "core/network/plan.h"
#include "support/models.h"
#include "support/temporary.h"

static const char small_text[] = "input 1 6 6\nconv2d 4 kernel 3\nbatch_norm\nrelu\nmax_pool2d 2\n"
                                 "dropout 0.5\nflatten\nlinear 10\n";

static cm_network *network;
static cm_model *model;
static model_batch batch;

static int create(void **state) {
    (void)state;
    network = network_of(small_text);
    model = model_of(network, MODELS_MAX_BATCH, 1, CM_ISA_BEST, true);
    cm_model_initialize(model, 1);
    draw_batch(network, 0, &batch);
    return 0;
}

static int destroy(void **state) {
    (void)state;
    cm_model_free(model);
    cm_network_free(network);
    return 0;
}

/* ---- order of elements ---- */

/* A convolution and a linear layer after a flatten, as PyTorch defines them, on whole numbers, so
 * that every order of summation is exact. No side or number of channels equals another. */
enum {
    IN_C = 2,
    IN_H = 5,
    IN_W = 4,
    OUT_C = 3,
    K_H = 2,
    K_W = 3,
    OUT_H = 3,
    OUT_W = 4,
    NCLASS = 7
};

static float image_at(const float *image, int c, int h, int w) {
    const bool inside = h >= 0 && h < IN_H && w >= 0 && w < IN_W;
    return inside ? image[(h * IN_W + w) * IN_C + c] : 0.0F; /* NHWC */
}

static void expected_logits(const float *image, const float *conv, const float *linear,
                            float *logits) {
    for (int k = 0; k < NCLASS; ++k) {
        logits[k] = 0.0F;
    }
    for (int o = 0; o < OUT_C; ++o) {
        for (int p = 0; p < OUT_H * OUT_W; ++p) {
            float sum = 0.0F;
            for (int t = 0; t < IN_C * K_H * K_W; ++t) { /* conv [o][c][r][s] */
                const int s = t % K_W, r = t / K_W % K_H, c = t / K_W / K_H;
                sum += conv[o * IN_C * K_H * K_W + t] *
                       image_at(image, c, p / OUT_W * 2 - 1 + r, p % OUT_W - 1 + s);
            }
            for (int k = 0; k < NCLASS; ++k) { /* linear [k][o][p] */
                logits[k] += linear[(k * OUT_C + o) * OUT_H * OUT_W + p] * sum;
            }
        }
    }
}

static void draw_integers(uint32_t index, size_t count, float *values) {
    draw_reals(index, count, values);
    for (size_t i = 0; i < count; ++i) {
        values[i] = floorf(values[i] * 3.0F);
    }
}

static void test_weights_are_in_the_order_of_pytorch(void **state) {
    (void)state;
    cm_network *net = network_of("input 2 5 4\nconv2d 3 kernel 2x3 stride 2x1 padding 1x1\n"
                                 "flatten\nlinear 7\n");
    assert_int_equal(net->layers[0].out.height, OUT_H);
    assert_int_equal(net->layers[0].out.width, OUT_W);
    cm_model *own = model_of(net, 1, 1, CM_ISA_BEST, false);
    float conv[OUT_C * IN_C * K_H * K_W], linear[NCLASS * OUT_C * OUT_H * OUT_W];
    float image[IN_C * IN_H * IN_W], expected[NCLASS], got[NCLASS];
    draw_integers(1, CM_COUNT(conv), conv);
    draw_integers(2, CM_COUNT(linear), linear);
    draw_integers(3, CM_COUNT(image), image);
    cm_model_set_tensor(own, tensor_named(own, "conv.0.weight"), conv);
    cm_model_set_tensor(own, tensor_named(own, "dense.1.weight"), linear);
    expected_logits(image, conv, linear, expected);
    cm_model_predict(own, 1, image, got);
    for (int k = 0; k < NCLASS; ++k) {
        assert_true(got[k] == expected[k]);
    }
    cm_model_free(own);
    cm_network_free(net);
}

static void test_tensors_come_back_as_they_were_set(void **state) {
    (void)state;
    for (size_t n = 0; n < CM_COUNT(odd_networks); ++n) {
        cm_network *net = network_of(odd_networks[n].text);
        cm_model *own = model_of(net, 2, 1, CM_ISA_BEST, true);
        for (int pass = 0; pass < 2; ++pass) { /* all are set before the first is read */
            for (int i = 0; i < cm_model_tensor_count(own); ++i) {
                const size_t count = cm_model_tensor(own, i)->count;
                float *values = calloc(2 * (count + 2), sizeof *values);
                assert_non_null(values);
                draw_reals((uint32_t)i, count + 2, values);
                if (pass == 0) {
                    cm_model_set_tensor(own, i, values);
                } else {
                    const bool counter = cm_model_tensor(own, i)->rank == 0;
                    cm_model_get_tensor(own, i, values + count + 2);
                    assert_memory_equal(values + count + 2, values,
                                        counter ? sizeof(int64_t) : count * sizeof *values);
                }
                free(values);
            }
        }
        cm_model_free(own);
        cm_network_free(net);
    }
}

/* ---- initial values ---- */

static void check_uniform(const float *values, size_t count, double bound) {
    double sum = 0.0, largest = 0.0;
    for (size_t i = 0; i < count; ++i) {
        sum += (double)values[i];
        largest = fmax(largest, fabs((double)values[i]));
    }
    assert_true(largest <= bound * (1.0 + 1e-7));
    if (count >= 100) {
        assert_true(largest >= 0.95 * bound);
        assert_true(fabs(sum / (double)count) <= 4.0 * bound / sqrt(3.0 * (double)count));
    }
}

static void test_initial_values_have_the_bounds_of_pytorch(void **state) {
    (void)state;
    static const struct {
        const char *tensor;
        int fan_in;
    } rows[] = {{"conv.0.weight", 9},     {"conv.0.bias", 9},      {"conv.3.weight", 128 * 9},
                {"conv.6.bias", 128 * 9}, {"dense.1.weight", 128}, {"dense.1.bias", 128},
                {"dense.4.weight", 128},  {"dense.4.bias", 128}};
    cm_network *net = NULL;
    assert_int_equal(cm_network_open("baseline", &net, NULL), CM_OK);
    cm_model *own = model_of(net, 1, 1, CM_ISA_BEST, false);
    cm_model_initialize(own, 3);
    for (size_t i = 0; i < CM_COUNT(rows); ++i) {
        const int tensor = tensor_named(own, rows[i].tensor);
        const size_t count = cm_model_tensor(own, tensor)->count;
        float *values = calloc(count, sizeof *values);
        assert_non_null(values);
        cm_model_get_tensor(own, tensor, values);
        check_uniform(values, count, 1.0 / sqrt(rows[i].fan_in));
        free(values);
    }
    cm_model_free(own);
    cm_network_free(net);
}

/* bound * (2 u - 1) with u = Philox's word / 2^24, from another implementation of Philox. */
static void test_initial_values_are_known(void **state) {
    (void)state;
    static const struct {
        const char *tensor;
        float values[4];
    } rows[] = {
        {"conv.0.weight", {-0x1.240adcp-2F, -0x1.054976p-2F, -0x1.27e9c6p-3F, -0x1.3a122p-2F}},
        {"conv.0.bias", {-0x1.5da6ecp-4F, -0x1.1ad26cp-4F, -0x1.421956p-5F, -0x1.3aa71cp-3F}},
        {"conv.1.weight", {1.0F, 1.0F, 1.0F, 1.0F}},
        {"conv.1.bias", {0.0F, 0.0F, 0.0F, 0.0F}},
        {"conv.1.running_mean", {0.0F, 0.0F, 0.0F, 0.0F}},
        {"conv.1.running_var", {1.0F, 1.0F, 1.0F, 1.0F}},
        {"dense.1.weight", {-0x1.b524f4p-3F, -0x1.58152cp-3F, -0x1.b1f6ap-3F, -0x1.8fd038p-3F}},
    };
    cm_model_initialize(model, 1);
    for (size_t i = 0; i < CM_COUNT(rows); ++i) {
        float values[1024];
        const int tensor = tensor_named(model, rows[i].tensor);
        assert_true(cm_model_tensor(model, tensor)->count <= CM_COUNT(values));
        cm_model_get_tensor(model, tensor, values);
        for (int k = 0; k < 4; ++k) {
            if (values[k] != rows[i].values[k]) {
                fail_msg("%s[%d] is %a, expected %a", rows[i].tensor, k, (double)values[k],
                         (double)rows[i].values[k]);
            }
        }
    }
}

static void test_initial_values_depend_on_the_seed_only(void **state) {
    (void)state;
    static const uint64_t other_seeds[] = {2, 1 + (UINT64_C(1) << 32)};
    char expected[65], got[65];
    cm_model *other = model_of(network, 1, 3, CM_ISA_SCALAR, false);
    cm_model_initialize(other, 1);
    cm_model_initialize(model, 1);
    cm_model_sha256(model, expected);
    cm_model_sha256(other, got);
    assert_string_equal(got, expected);
    for (size_t i = 0; i < CM_COUNT(other_seeds); ++i) {
        cm_model_initialize(other, other_seeds[i]);
        cm_model_sha256(other, got);
        assert_string_not_equal(got, expected);
    }
    cm_model_free(other);
}

/* ---- a model's life ---- */

static void test_loss_of_a_model_of_zeros(void **state) {
    (void)state;
    cm_model *zero = model_of(network, MODELS_MAX_BATCH, 1, CM_ISA_BEST, true);
    int expected = 0;
    for (int i = 0; i < MODELS_MAX_BATCH; ++i) {
        batch.labels[i] = (uint8_t)(i % 4);
        expected += batch.labels[i] == 0;
    }
    const cm_batch_result result =
        cm_model_evaluate(zero, MODELS_MAX_BATCH, batch.images, batch.labels);
    assert_true(fabs(result.loss - log(10.0)) < 1e-15);
    assert_int_equal(result.correct, expected); /* the first of equal logits is the answer */
    cm_model_free(zero);
}

static int64_t batches_tracked(void) {
    int64_t count = -1;
    cm_model_get_tensor(model, tensor_named(model, "conv.1.num_batches_tracked"), &count);
    return count;
}

static cm_batch_result step(const cm_optimizer *optimizer) {
    return cm_model_train_step(model, MODELS_MAX_BATCH, batch.images, batch.labels, optimizer, 1);
}

static double gradients_loss(uint64_t seed) {
    return cm_model_gradients(model, MODELS_MAX_BATCH, batch.images, batch.labels, seed).loss;
}

static void test_only_steps_change_a_model(void **state) {
    (void)state;
    char before[65], after[65];
    float logits[MODELS_MAX_BATCH * 10];
    for (int i = 1; i <= 3; ++i) {
        cm_model_sha256(model, before);
        (void)gradients_loss(1);
        (void)cm_model_evaluate(model, 3, batch.images, batch.labels);
        cm_model_predict(model, 3, batch.images, logits);
        cm_model_sha256(model, after);
        assert_string_equal(after, before);
        (void)step(&adam_defaults);
        cm_model_sha256(model, after);
        assert_string_not_equal(after, before);
        assert_int_equal(cm_model_step_count(model), i);
        assert_int_equal(batches_tracked(), i);
    }
    cm_model_initialize(model, 1);
    assert_int_equal(cm_model_step_count(model), 0);
    assert_int_equal(batches_tracked(), 0);
}

/* With a learning rate of 0 the parameters stay, so losses differ by their dropout only. */
static void test_dropout_differs_from_step_to_step(void **state) {
    (void)state;
    const cm_optimizer still = {0.0, 0.9, 0.999, 1e-8, 0.0};
    const double first = gradients_loss(1);
    assert_true(gradients_loss(1) == first);
    assert_true(gradients_loss(2) != first);
    assert_true(step(&still).loss == first);
    assert_true(gradients_loss(1) != first);
    assert_true(step(&still).loss != first);
    cm_model_reset_optimizer(model);
    assert_true(gradients_loss(1) == first);
}

/* A model that was loaded or initialised behaves like a new one. */
static void test_moments_are_forgotten(void **state) {
    (void)state;
    char expected[65], got[65];
    cm_error error = {""};
    assert_int_equal(cm_model_save(model, temporary_path("initial"), &error), CM_OK);
    (void)step(&adam_defaults);
    (void)step(&adam_defaults);
    cm_model_sha256(model, expected);
    for (int way = 0; way < 2; ++way) {
        (void)step(&adam_defaults);
        if (way == 0) {
            cm_model_initialize(model, 1);
        } else {
            assert_int_equal(cm_model_load(model, temporary_path("initial"), &error), CM_OK);
        }
        assert_int_equal(cm_model_step_count(model), 0);
        (void)step(&adam_defaults);
        (void)step(&adam_defaults);
        cm_model_sha256(model, got);
        assert_string_equal(got, expected);
    }
}

/* Adam's first step: by the learning rate along the sign of gradient + decay * value, nearly. */
static void test_first_step_is_that_of_adam(void **state) {
    (void)state;
    const cm_optimizer optimizer = {1e-3, 0.9, 0.999, 1e-8, 1e-2};
    const int tensor = tensor_named(model, "dense.1.weight");
    float before[1024], after[1024], gradient[1024];
    const size_t count = cm_model_tensor(model, tensor)->count;
    assert_true(count <= CM_COUNT(before));
    cm_model_get_tensor(model, tensor, before);
    (void)gradients_loss(1);
    cm_model_get_gradient(model, tensor, gradient);
    (void)step(&optimizer);
    cm_model_get_tensor(model, tensor, after);
    for (size_t i = 0; i < count; ++i) {
        const double g = (double)gradient[i] + 1e-2 * (double)before[i];
        const double expected = (double)before[i] - 1e-3 * g / (fabs(g) + 1e-8);
        assert_true(fabs((double)after[i] - expected) < 2e-7);
    }
}

/* Two images of one pixel a channel: means 2 and -1, unbiased variances 2 and 8. */
static void test_running_statistics(void **state) {
    (void)state;
    cm_network *net = network_of("input 2 1 1\nbatch_norm\nflatten\nlinear 2\n");
    cm_model *own = model_of(net, 2, 1, CM_ISA_BEST, true);
    cm_model_initialize(own, 1);
    static const float images[] = {1.0F, -3.0F, 3.0F, 1.0F};
    static const double expected[2][2] = {{0.2, -0.1}, {1.0 + 0.1 * 1.0, 1.0 + 0.1 * 7.0}};
    static const char *const names[2] = {"conv.0.running_mean", "conv.0.running_var"};
    const uint8_t labels[2] = {0, 1};
    (void)cm_model_train_step(own, 2, images, labels, &adam_defaults, 1);
    for (int i = 0; i < 2; ++i) {
        float got[2];
        cm_model_get_tensor(own, tensor_named(own, names[i]), got);
        assert_true(fabs((double)got[0] - expected[i][0]) < 1e-6);
        assert_true(fabs((double)got[1] - expected[i][1]) < 1e-6);
    }
    cm_model_free(own);
    cm_network_free(net);
}

/* ---- hash ---- */

static void test_hash_is_over_all_tensors_in_order(void **state) {
    (void)state;
    (void)step(&adam_defaults);
    cm_sha256 hash;
    char expected[65], got[65];
    cm_sha256_init(&hash);
    for (int i = 0; i < cm_model_tensor_count(model); ++i) {
        const cm_tensor_spec *spec = cm_model_tensor(model, i);
        float values[1024];
        assert_true(spec->count <= CM_COUNT(values) && spec->count >= 1);
        cm_model_get_tensor(model, i, values);
        cm_sha256_update(&hash, values, spec->rank == 0 ? 8 : spec->count * sizeof *values);
    }
    cm_sha256_final(&hash, expected);
    cm_model_sha256(model, got);
    assert_string_equal(got, expected);
}

static void test_hash_changes_with_any_bit(void **state) {
    (void)state;
    char expected[65], got[65];
    cm_model_sha256(model, expected);
    for (int i = 0; i < cm_model_tensor_count(model); ++i) {
        const cm_tensor_spec *spec = cm_model_tensor(model, i);
        const size_t bytes = spec->rank == 0 ? 8 : spec->count * sizeof(float);
        uint8_t values[4096];
        assert_true(bytes <= sizeof values);
        cm_model_get_tensor(model, i, values);
        for (size_t at = 0; at < bytes; at += bytes - 1) { /* the first and the last byte */
            values[at] ^= 1;
            cm_model_set_tensor(model, i, values);
            cm_model_sha256(model, got);
            assert_string_not_equal(got, expected);
            values[at] ^= 1;
        }
        cm_model_set_tensor(model, i, values);
    }
    cm_model_sha256(model, got);
    assert_string_equal(got, expected);
}

/* ---- memory and refusals ---- */

/* Bytes that a model's convolutions keep from their forward to their backward pass. */
static size_t kept_of(const cm_model *of) {
    const cm_plan *plan = cm_model_plan(of, true);
    size_t bytes = 0;
    for (int i = 0; i < plan->stage_count; ++i) {
        if (plan->stages[i].kept != CM_NO_ARRAY) {
            bytes += plan->stages[i].conv.kept;
        }
    }
    return bytes;
}

static void test_memory(void **state) {
    (void)state;
    cm_network *net = NULL;
    assert_int_equal(cm_network_open("bn-3", &net, NULL), CM_OK);
    const size_t parameters = (size_t)cm_network_parameter_count(net) * sizeof(float);
    size_t activations =
        0; /* of one image: outputs of the convolutions but the first, which keeps none */
    for (int i = 0; i < net->layer_count; ++i) {
        const cm_layer_shape *out = &net->layers[i].out;
        if (i > 0 && net->layers[i].kind == CM_LAYER_CONV2D) {
            activations += (size_t)out->channels * (size_t)out->height * (size_t)out->width * 4;
        }
    }
    cm_model *small = model_of(net, 2, 1, CM_ISA_BEST, true);
    cm_model *large = model_of(net, 34, 1, CM_ISA_BEST, true);
    cm_model *inference = model_of(net, 34, 1, CM_ISA_BEST, false);
    const size_t mebibyte = 1 << 20;
    assert_true(cm_model_memory(small) >= 4 * parameters);
    /* What does not grow with the batch: a layer's kernels and its sums of rows of frequencies. */
    assert_true(cm_model_memory(small) <= 4 * parameters + 18 * mebibyte);
    const size_t kept = kept_of(large) - kept_of(small);
    assert_true(kept > 0);
    const size_t growth = cm_model_memory(large) - cm_model_memory(small);
    const size_t page = 2 * mebibyte; /* a model's memory is rounded up to huge pages */
    assert_true(growth >= 32 * activations && growth <= 32 * 16 * activations + kept + page);
    assert_true(cm_model_memory(inference) < cm_model_memory(large));
    cm_model_free(small);
    cm_model_free(large);
    cm_model_free(inference);
    cm_network_free(net);
}

static void assert_refused(cm_model_options options, const char *first, const char *second) {
    cm_model *refused = model;
    cm_error error = {""};
    assert_int_equal(cm_model_create(network, &options, &refused, &error), CM_USAGE);
    assert_null(refused);
    if (strstr(error.message, first) == NULL || strstr(error.message, second) == NULL) {
        fail_msg("'%s' or '%s' is not in '%s'", first, second, error.message);
    }
}

static void test_impossible_options_are_refused(void **state) {
    (void)state;
    assert_refused((cm_model_options){0, 1, CM_ISA_BEST, true, CM_CONV2D_AUTO, 0}, "batch 0",
                   "at least 1");
    assert_refused((cm_model_options){1, 0, CM_ISA_BEST, true, CM_CONV2D_AUTO, 0}, "threads 0",
                   "at least 1");
    assert_refused((cm_model_options){INT32_MAX, 1, CM_ISA_BEST, true, CM_CONV2D_AUTO, 0},
                   "layer conv.0 of network",
                   "too large for batch 2147483647; use a smaller batch");
    int refusals = 0;
    for (cm_isa isa = 0; isa < CM_ISA_COUNT; ++isa) {
        if (cm_kernels_of(isa) == NULL) {
            assert_refused((cm_model_options){1, 1, isa, true, CM_CONV2D_AUTO, 0}, cm_isa_name(isa),
                           cm_isa_built(isa) ? "cannot run on this CPU" : "is not in this build");
            ++refusals;
        }
    }
    assert_true(refusals > 0); /* no build has both NEON and AVX */
}

static void test_says_what_it_is(void **state) {
    (void)state;
    cm_model *own = model_of(network, 5, 3, CM_ISA_SCALAR, false);
    assert_ptr_equal(cm_model_network(own), network);
    assert_int_equal(cm_model_isa(own), CM_ISA_SCALAR);
    assert_int_equal(cm_model_threads(own), 3);
    assert_int_equal(cm_model_batch(own), 5);
    assert_int_equal(cm_model_isa(model), cm_kernels_best()->isa);
    cm_model_free(own);
}

#define MODEL_TEST(test) cmocka_unit_test_setup_teardown(test, create, destroy)

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_weights_are_in_the_order_of_pytorch),
        cmocka_unit_test(test_tensors_come_back_as_they_were_set),
        cmocka_unit_test(test_initial_values_have_the_bounds_of_pytorch),
        MODEL_TEST(test_initial_values_are_known),
        MODEL_TEST(test_initial_values_depend_on_the_seed_only),
        MODEL_TEST(test_loss_of_a_model_of_zeros),
        MODEL_TEST(test_only_steps_change_a_model),
        MODEL_TEST(test_dropout_differs_from_step_to_step),
        MODEL_TEST(test_moments_are_forgotten),
        MODEL_TEST(test_first_step_is_that_of_adam),
        cmocka_unit_test(test_running_statistics),
        MODEL_TEST(test_hash_is_over_all_tensors_in_order),
        MODEL_TEST(test_hash_changes_with_any_bit),
        cmocka_unit_test(test_memory),
        MODEL_TEST(test_impossible_options_are_refused),
        MODEL_TEST(test_says_what_it_is),
    };
    return cmocka_run_group_tests_name("model", tests, temporary_create, temporary_remove);
}
