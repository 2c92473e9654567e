/* Evaluation over a whole set of images: last batch included, counted by label and answer. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "convmark/trainer.h"
#include "support/models.h"

enum { COUNT = 23, PIXELS = 12, CLASSES = 3, MODEL_BATCH = 8 };

static uint8_t pixels[COUNT][PIXELS], labels[COUNT];
static const cm_images images = {COUNT, 3, 4, pixels[0], labels, 1};
static cm_network *network;
static cm_model *model;

static int create(void **state) {
    (void)state;
    const cm_random_key key = {.seed = 2, .purpose = CM_RANDOM_TEST};
    for (int n = 0; n < COUNT; ++n) {
        labels[n] = (uint8_t)(n % CLASSES);
        for (int i = 0; i < PIXELS; ++i) {
            pixels[n][i] = (uint8_t)cm_random_u32(&key, (uint64_t)(n * PIXELS + i));
        }
    }
    network = network_of("input 1 3 4\nconv2d 5 kernel 2\nbatch_norm\nrelu\nflatten\n"
                         "dropout 0.5\nlinear 3\n");
    model = model_of(network, MODEL_BATCH, 2, CM_ISA_BEST, false);
    initialize_all(model, 3);
    return 0;
}

static int destroy(void **state) {
    (void)state;
    cm_model_free(model);
    cm_network_free(network);
    return 0;
}

/* Whatever the batch, the same as one image after the other. */
static void test_is_the_mean_over_all_images(void **state) {
    (void)state;
    int64_t confusion[CLASSES][CLASSES] = {{0}};
    double loss = 0.0;
    int correct = 0;
    for (int n = 0; n < COUNT; ++n) {
        float values[PIXELS], logits[CLASSES];
        for (int i = 0; i < PIXELS; ++i) {
            values[i] = (float)pixels[n][i] / 255.0F;
        }
        const cm_batch_result one = cm_model_evaluate(model, 1, values, &labels[n]);
        cm_model_predict(model, 1, values, logits);
        loss += one.loss / COUNT;
        correct += one.correct;
        int answer = 0;
        for (int k = 1; k < CLASSES; ++k) {
            answer = logits[k] > logits[answer] ? k : answer;
        }
        ++confusion[labels[n]][answer];
    }
    assert_true(correct > 0 && correct < COUNT);
    for (int batch = 1; batch <= MODEL_BATCH; ++batch) {
        cm_evaluation evaluation;
        cm_error error = {""};
        assert_int_equal(cm_evaluate(model, &images, batch, &evaluation, &error), CM_OK);
        assert_int_equal(evaluation.images, COUNT);
        assert_int_equal(evaluation.classes, CLASSES);
        assert_true(fabs(evaluation.loss - loss) < 1e-14 * COUNT);
        assert_true(evaluation.accuracy == (double)correct / COUNT);
        assert_memory_equal(evaluation.confusion, confusion, sizeof confusion);
        cm_evaluation_free(&evaluation);
        assert_null(evaluation.confusion);
    }
}

static void assert_refused(const cm_images *set, int batch, cm_status status, const char *message) {
    cm_evaluation evaluation;
    cm_error error = {""};
    assert_int_equal(cm_evaluate(model, set, batch, &evaluation, &error), status);
    if (strstr(error.message, message) == NULL) {
        fail_msg("'%s' is not in '%s'", message, error.message);
    }
    cm_evaluation_free(&evaluation);
}

static void test_what_does_not_fit_is_refused(void **state) {
    (void)state;
    const cm_images turned = {COUNT, 4, 3, pixels[0], labels, 1};
    assert_refused(&turned, 4, CM_USAGE, "takes 1x3x4 images, not 1x4x3");
    assert_refused(&images, 0, CM_USAGE, "batch 0 is out of range: 1 to 8");
    assert_refused(&images, MODEL_BATCH + 1, CM_USAGE, "batch 9 is out of range: 1 to 8");
    labels[20] = CLASSES;
    assert_refused(&images, 4, CM_USAGE, "has 3 outputs, the data has 4 classes");
    labels[20] = 20 % CLASSES;
}

static void test_a_loss_that_is_not_finite_is_an_error(void **state) {
    (void)state;
    const int bias = tensor_named(model, "dense.2.bias");
    float values[CLASSES];
    cm_model_get_tensor(model, bias, values);
    cm_model_set_tensor(model, bias, (const float[CLASSES]){0.0F, (float)INFINITY, 0.0F});
    assert_refused(&images, 4, CM_FAILED, "the loss of network test is ");
    cm_model_set_tensor(model, bias, values);
}

/* A NaN that is not first in its window is dropped by max pool: the loss is finite, the network is
 * not sound. Finite weights do it (3e38 + 1e38 is infinite, and less itself NaN), or a NaN in one.
 */
static void test_not_finite_is_told_where_the_loss_is_finite(void **state) {
    (void)state;
    static const float first[2] = {3e38F, 3e38F}, bias[2] = {1e38F, 1e38F};
    static const float second[2] = {1.0F, -1.0F}, zero[1] = {0.0F};
    uint8_t bright[1][PIXELS] = {{0, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255}};
    uint8_t label = 0;
    const cm_images one = {1, 3, 4, bright[0], &label, 1};
    cm_network *pooled = network_of("input 1 3 4\nconv2d 2 kernel 1\nconv2d 1 kernel 1\n"
                                    "max_pool2d 3\nrelu\nflatten\nlinear 3\n");
    cm_model *broken = model_of(pooled, 1, 1, CM_ISA_BEST, false);
    initialize_all(broken, 3);
    cm_model_set_tensor(broken, 0, first);
    cm_model_set_tensor(broken, 1, bias);
    cm_model_set_tensor(broken, 2, second);
    cm_model_set_tensor(broken, 3, zero);
    cm_evaluation evaluation;
    cm_error error = {""};
    assert_int_equal(cm_evaluate(broken, &one, 1, &evaluation, &error), CM_FAILED);
    assert_true(isfinite(evaluation.loss));
    assert_non_null(strstr(error.message, "output of layer conv.0"));
    cm_evaluation_free(&evaluation);
    const float nan[2] = {(float)NAN, 0.0F};
    cm_model_set_tensor(broken, 2, nan);
    const float dark[PIXELS] = {0};
    assert_int_equal(cm_model_check_finite(broken, 1, dark, &error), CM_FAILED);
    assert_non_null(strstr(error.message, "tensor conv.1.weight"));
    cm_model_set_tensor(broken, 2, second);
    assert_int_equal(cm_model_check_finite(broken, 1, dark, &error), CM_OK);
    cm_model_free(broken);
    cm_network_free(pooled);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_is_the_mean_over_all_images),
        cmocka_unit_test(test_not_finite_is_told_where_the_loss_is_finite),
        cmocka_unit_test(test_what_does_not_fit_is_refused),
        cmocka_unit_test(test_a_loss_that_is_not_finite_is_an_error),
    };
    return cmocka_run_group_tests_name("evaluate", tests, create, destroy);
}
