/* Gradients of whole networks against central differences of the loss, and the bits of those
 * networks on every instruction set, thread count and plan. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "support/models.h"

enum { BATCH = 5, DIRECTIONS = 9 };

/* A unit vector half along the gradient, where the signal is, and half along a random one, which
 * finds what the gradient lacks. */
static void draw_direction(uint32_t index, const float *gradient, size_t count, double norm,
                           double *direction) {
    const cm_random_key key = {.seed = 7, .purpose = CM_RANDOM_TEST, .index = index};
    double random = 0.0, sum = 0.0;
    for (size_t i = 0; i < count; ++i) {
        direction[i] = 2.0 * (double)cm_random_uniform(&key, i) - 1.0;
        random += direction[i] * direction[i];
    }
    for (size_t i = 0; i < count; ++i) {
        direction[i] = direction[i] / sqrt(random) + (norm > 0 ? (double)gradient[i] / norm : 0.0);
        sum += direction[i] * direction[i];
    }
    for (size_t i = 0; i < count; ++i) {
        direction[i] /= sqrt(sum);
    }
}

typedef struct gradient_check {
    cm_model *model;
    const model_batch *batch;
    int tensor;
    size_t count;
    float *values, *moved;
} gradient_check;

/* Loss with the tensor moved; *along: how far it really moved, after rounding. */
static double moved_loss(const gradient_check *check, const double *direction, double step,
                         const float *gradient, double *along) {
    *along = 0.0;
    for (size_t i = 0; i < check->count; ++i) {
        check->moved[i] = (float)((double)check->values[i] + step * direction[i]);
        *along += ((double)check->moved[i] - (double)check->values[i]) * (double)gradient[i];
    }
    cm_model_set_tensor(check->model, check->tensor, check->moved);
    const double loss =
        cm_model_gradients(check->model, BATCH, check->batch->images, check->batch->labels, 3).loss;
    cm_model_set_tensor(check->model, check->tensor, check->values);
    return loss;
}

static int compare_doubles(const void *a, const void *b) {
    const double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/* The median over some directions of the derivative's error. ReLU and pool bend the loss within a
 * step now and then: that disturbs a direction, but not most of them. */
static void check_tensor(cm_model *model, const model_batch *batch, int tensor, const char *what) {
    const cm_tensor_spec *spec = cm_model_tensor(model, tensor);
    const double step = 3e-4;
    double errors[DIRECTIONS];
    float *block = calloc(3 * spec->count, sizeof *block);
    double *direction = calloc(spec->count, sizeof *direction);
    assert_true(block != NULL && direction != NULL);
    float *gradient = block + 2 * spec->count;
    const gradient_check check = {model, batch, tensor, spec->count, block, block + spec->count};
    cm_model_get_tensor(model, tensor, check.values);
    (void)cm_model_gradients(model, BATCH, batch->images, batch->labels, 3);
    cm_model_get_gradient(model, tensor, gradient);
    double norm = 0.0;
    for (size_t i = 0; i < spec->count; ++i) {
        norm += (double)gradient[i] * (double)gradient[i];
    }
    norm = sqrt(norm);
    for (uint32_t d = 0; d < DIRECTIONS; ++d) {
        draw_direction((uint32_t)tensor * DIRECTIONS + d, gradient, spec->count, norm, direction);
        double up = 0.0, down = 0.0;
        const double above = moved_loss(&check, direction, step, gradient, &up);
        const double below = moved_loss(&check, direction, -step, gradient, &down);
        errors[d] = fabs((above - below) - (up - down)) / (2.0 * step);
    }
    free(block);
    free(direction);
    qsort(errors, DIRECTIONS, sizeof errors[0], compare_doubles);
    const double error = errors[DIRECTIONS / 2];
    /* The rounding of the float forward pass alone is about 1e-7 / step. */
    if (!(error <= 0.01 * norm + 3e-4)) {
        fail_msg("%s: the derivative by %s is off by %g of %g", what, spec->name, error, norm);
    }
}

static void test_gradients_are_those_of_the_loss(void **state) {
    (void)state;
    for (size_t n = 0; n < CM_COUNT(odd_networks); ++n) {
        cm_network *network = network_of(odd_networks[n].text);
        cm_model *model = model_of(network, BATCH, 1, CM_ISA_BEST, true);
        model_batch batch;
        draw_batch(network, (uint32_t)n, &batch);
        initialize_all(model, 2);
        for (int i = 0; i < cm_model_tensor_count(model); ++i) {
            if (cm_model_tensor(model, i)->learned) {
                check_tensor(model, &batch, i, odd_networks[n].what);
            }
        }
        cm_model_free(model);
        cm_network_free(network);
    }
}

/* A whole small life of a model: steps of a full and of a smaller batch, evaluation, gradients. */
typedef struct outcome {
    char sha256[65];
    double losses[4];
    float logits[MODELS_MAX_BATCH * 16];
} outcome;

static void live(cm_model *model, int batch, outcome *result) {
    model_batch first, second;
    memset(result, 0, sizeof *result);
    draw_batch(cm_model_network(model), 1, &first);
    draw_batch(cm_model_network(model), 2, &second);
    initialize_all(model, 4);
    result->losses[0] =
        cm_model_train_step(model, batch, first.images, first.labels, &adam_defaults, 8).loss;
    result->losses[1] =
        cm_model_train_step(model, batch - 1, second.images, second.labels, &adam_defaults, 8).loss;
    result->losses[2] = cm_model_evaluate(model, batch, first.images, first.labels).loss;
    cm_model_predict(model, batch, second.images, result->logits);
    result->losses[3] = cm_model_gradients(model, batch, first.images, first.labels, 8).loss;
    cm_model_sha256(model, result->sha256);
}

static void compare(const char *what, const char *how, const outcome *a, const outcome *b) {
    if (memcmp(a, b, sizeof *a) != 0) {
        fail_msg("%s: other bits %s", what, how);
    }
}

static void test_bits_do_not_depend_on_machine_or_plan(void **state) {
    (void)state;
    /* Network n runs on two sizes from the n-th on: waiting for 7 threads takes long where there
     * are fewer processors. */
    static const int team_sizes[] = {1, 2, 3, 1, 2, 3, 7, 3};
    enum { SIZES = 2 };
    for (size_t n = 0; n < CM_COUNT(odd_networks); ++n) {
        cm_network *network = network_of(odd_networks[n].text);
        cm_model *model = model_of(network, BATCH, 1, CM_ISA_SCALAR, true);
        outcome expected, got;
        live(model, BATCH, &expected);
        cm_model_free(model);
        for (cm_isa isa = 0; isa < CM_ISA_COUNT; ++isa) {
            for (size_t t = n; cm_kernels_of(isa) != NULL && t < n + SIZES; ++t) {
                const int threads = team_sizes[t % CM_COUNT(team_sizes)];
                char how[64];
                snprintf(how, sizeof how, "on %s, %d threads", cm_isa_name(isa), threads);
                model = model_of(network, BATCH, threads, isa, true);
                live(model, BATCH, &got);
                compare(odd_networks[n].what, how, &got, &expected);
                cm_model_free(model);
            }
        }
        model = model_of(network, MODELS_MAX_BATCH, 2, CM_ISA_BEST, true);
        live(model, BATCH, &got);
        compare(odd_networks[n].what, "with a plan for a larger batch", &got, &expected);
        live(model, BATCH, &got);
        compare(odd_networks[n].what, "in a model that was used before", &got, &expected);
        cm_model_free(model);
        cm_network_free(network);
    }
}

static void test_evaluation_is_that_of_an_inference_model(void **state) {
    (void)state;
    for (size_t n = 0; n < CM_COUNT(odd_networks); ++n) {
        cm_network *network = network_of(odd_networks[n].text);
        cm_model *trained = model_of(network, BATCH, 2, CM_ISA_BEST, true);
        cm_model *inference = model_of(network, BATCH, 1, CM_ISA_BEST, false);
        model_batch batch;
        outcome ignored;
        live(trained, BATCH, &ignored);
        copy_tensors(trained, inference);
        draw_batch(network, 9, &batch);
        const cm_batch_result a = cm_model_evaluate(trained, BATCH, batch.images, batch.labels);
        const cm_batch_result b = cm_model_evaluate(inference, BATCH, batch.images, batch.labels);
        float expected[BATCH * 16] = {0}, got[BATCH * 16] = {0};
        cm_model_predict(trained, BATCH, batch.images, expected);
        cm_model_predict(inference, BATCH, batch.images, got);
        if (memcmp(expected, got, sizeof got) != 0 || a.loss != b.loss || a.correct != b.correct) {
            fail_msg("%s: an inference model answers differently", odd_networks[n].what);
        }
        cm_model_free(trained);
        cm_model_free(inference);
        cm_network_free(network);
    }
}

/* Dropout works in place, but never on what the caller owns. */
static void test_images_of_the_caller_stay_as_they_are(void **state) {
    (void)state;
    for (size_t n = 0; n < CM_COUNT(odd_networks); ++n) {
        cm_network *network = network_of(odd_networks[n].text);
        cm_model *model = model_of(network, BATCH, 1, CM_ISA_BEST, true);
        model_batch batch, before;
        draw_batch(network, 3, &batch);
        before = batch;
        initialize_all(model, 1);
        (void)cm_model_train_step(model, BATCH, batch.images, batch.labels, &adam_defaults, 1);
        (void)cm_model_evaluate(model, BATCH, batch.images, batch.labels);
        if (memcmp(&batch, &before, sizeof batch) != 0) {
            fail_msg("%s: the images were written to", odd_networks[n].what);
        }
        cm_model_free(model);
        cm_network_free(network);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_gradients_are_those_of_the_loss),
        cmocka_unit_test(test_bits_do_not_depend_on_machine_or_plan),
        cmocka_unit_test(test_evaluation_is_that_of_an_inference_model),
        cmocka_unit_test(test_images_of_the_caller_stay_as_they_are),
    };
    return cmocka_run_group_tests_name("model gradients", tests, NULL, NULL);
}
