/* The trainer against a loop written out here over cm_model_train_step(), and its ends: stop flag,
 * losses that are not finite, plateau, early stopping, nothing to do. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "convmark/stream.h"
#include "convmark/trainer.h"
#include "support/models.h"

enum { HEIGHT = 6, WIDTH = 5, PIXELS = HEIGHT * WIDTH, CLASSES = 3, TRAIN = 37, VALID = 20 };
enum { BATCH = 7 };

static const char with_batch_norm[] = "input 1 6 5\nconv2d 4 kernel 3 padding 1\nbatch_norm\nrelu\n"
                                      "max_pool2d 2\nflatten\ndropout 0.2\nlinear 3\n";
static const char without_batch_norm[] = "input 1 6 5\nconv2d 8 kernel 3\nrelu\nflatten\n"
                                         "linear 8\nrelu\nlinear 3\n";

static uint8_t pixels[TRAIN + VALID][PIXELS], labels[TRAIN + VALID];
static cm_dataset dataset;
static cm_network *network;
static cm_model *model;

/* Images whose label can be learnt: one of three thirds is brighter. */
static int make_dataset(void **state) {
    (void)state;
    const cm_random_key key = {.seed = 1, .purpose = CM_RANDOM_TEST};
    for (int n = 0; n < TRAIN + VALID; ++n) {
        labels[n] = (uint8_t)(n * 7 % CLASSES);
        for (int i = 0; i < PIXELS; ++i) {
            const uint32_t noise = cm_random_u32(&key, (uint64_t)(n * PIXELS + i)) % 120;
            pixels[n][i] = (uint8_t)(noise + (i * CLASSES / PIXELS == labels[n] ? 80 : 0));
        }
    }
    dataset = (cm_dataset){.name = "test", .classes = CLASSES};
    dataset.train = (cm_images){TRAIN, HEIGHT, WIDTH, pixels[0], labels, 1};
    dataset.validation = (cm_images){VALID, HEIGHT, WIDTH, pixels[TRAIN], labels + TRAIN, 1};
    return 0;
}

static cm_train_options options_of(int epochs, int steps, int valid_steps) {
    cm_train_options options = cm_train_options_default();
    options.seed = 5;
    options.epochs = epochs;
    options.steps = steps;
    options.valid_steps = valid_steps;
    options.batch = BATCH;
    options.optimizer.learning_rate = 1e-2;
    return options;
}

/* A new model of the network text, with initial values. */
static void new_model(const char *text) {
    network = network_of(text);
    model = model_of(network, BATCH, 1, CM_ISA_BEST, true);
    cm_model_initialize(model, 5);
}

static int free_model(void **state) {
    (void)state;
    cm_model_free(model);
    cm_network_free(network);
    model = NULL;
    network = NULL;
    return 0;
}

/* Batch `index` of an unshuffled stream over `count` images: a batch that would not be whole
 * begins again at the first image. */
static void take_in_order(const cm_images *images, int index, float *values, uint8_t *classes) {
    const int first = index % (images->count / BATCH) * BATCH;
    for (int i = 0; i < BATCH * PIXELS; ++i) {
        values[i] = (float)images->pixels[first * PIXELS + i] / 255.0F;
    }
    memcpy(classes, images->labels + first, BATCH);
}

static void assert_protocol(bool shuffle, cm_schedule_kind kind) {
    enum { EPOCHS = 3, STEPS = 7, VALID_STEPS = 3 };
    cm_train_options options = options_of(EPOCHS, STEPS, VALID_STEPS);
    options.shuffle = shuffle;
    options.schedule = kind;
    cm_train_result result;
    cm_error error = {""};
    new_model(with_batch_norm);
    cm_model_train_step(model, 1, (const float[PIXELS]){0}, labels, &options.optimizer, 1);
    cm_model_initialize(model, 5); /* a model that was used before starts like a new one */
    assert_int_equal(cm_train(model, &dataset, &options, NULL, NULL, NULL, &result, &error), CM_OK);
    assert_int_equal(result.step_count, EPOCHS * STEPS);
    assert_int_equal(result.epoch_count, EPOCHS);
    assert_false(result.early_stopped);
    char sha256[65];
    cm_model_sha256(model, sha256);
    assert_string_equal(result.sha256, sha256);

    cm_model_initialize(model, 5);
    cm_stream *train = NULL, *valid = NULL;
    cm_stream_create(&dataset.train, BATCH, true, 5, CM_RANDOM_TRAIN_ORDER, &train, &error);
    cm_stream_create(&dataset.validation, BATCH, true, 5, CM_RANDOM_VALIDATION_ORDER, &valid,
                     &error);
    float values[BATCH * PIXELS];
    uint8_t classes[BATCH];
    cm_schedule schedule = cm_schedule_init(&options);
    cm_optimizer optimizer = options.optimizer;
    for (int epoch = 0; epoch < EPOCHS; ++epoch) {
        double train_sum = 0.0, valid_sum = 0.0;
        int correct = 0;
        for (int step = 0; step < STEPS; ++step) {
            const int index = epoch * STEPS + step;
            if (shuffle) {
                cm_stream_next(train, values, classes);
            } else {
                take_in_order(&dataset.train, index, values, classes);
            }
            optimizer.learning_rate = cm_schedule_next(&schedule);
            assert_true(step > 0 || result.epochs[epoch].learning_rate == optimizer.learning_rate);
            const double loss =
                cm_model_train_step(model, BATCH, values, classes, &optimizer, 5).loss;
            assert_true(result.step_losses[index] == loss);
            train_sum += loss;
        }
        for (int step = 0; step < VALID_STEPS; ++step) {
            if (shuffle) {
                cm_stream_next(valid, values, classes);
            } else {
                take_in_order(&dataset.validation, epoch * VALID_STEPS + step, values, classes);
            }
            const cm_batch_result batch = cm_model_evaluate(model, BATCH, values, classes);
            valid_sum += batch.loss;
            correct += batch.correct;
        }
        assert_true(result.epochs[epoch].train_loss == train_sum / STEPS);
        assert_true(result.epochs[epoch].test_loss == valid_sum / VALID_STEPS);
        assert_true(result.epochs[epoch].accuracy == (double)correct / (VALID_STEPS * BATCH));
    }
    assert_true((optimizer.learning_rate == 1e-2) == (kind <= CM_SCHEDULE_CONSTANT));
    cm_model_sha256(model, sha256);
    assert_string_equal(result.sha256, sha256);
    cm_stream_free(train);
    cm_stream_free(valid);
    cm_train_result_free(&result);
    assert_null(result.step_losses);
}

static void test_protocol_unshuffled(void **state) {
    (void)state;
    assert_protocol(false, CM_SCHEDULE_PLATEAU);
}

static void test_protocol_shuffled(void **state) {
    (void)state;
    assert_protocol(true, CM_SCHEDULE_PLATEAU);
}

static void test_protocol_under_every_schedule(void **state) {
    for (cm_schedule_kind kind = CM_SCHEDULE_CONSTANT; kind < CM_SCHEDULE_COUNT; ++kind) {
        assert_protocol(true, kind);
        free_model(state);
    }
}

static cm_train_result run(const char *text, const cm_train_options *options, cm_status expected) {
    cm_train_result result;
    cm_error error = {""};
    new_model(text);
    const cm_status status = cm_train(model, &dataset, options, NULL, NULL, NULL, &result, &error);
    if (status != expected) {
        fail_msg("status %d, not %d: %s", (int)status, (int)expected, error.message);
    }
    return result;
}

static void test_validation_leaves_the_model_as_it_is(void **state) {
    (void)state;
    cm_train_options options = options_of(2, 4, 5);
    cm_train_result with = run(with_batch_norm, &options, CM_OK);
    int64_t batches = 0;
    cm_model_get_tensor(model, tensor_named(model, "conv.1.num_batches_tracked"), &batches);
    assert_int_equal(batches, 2 * 4);
    assert_int_equal(cm_model_step_count(model), 2 * 4);
    free_model(NULL);
    options.valid_steps = 0;
    cm_train_result without = run(with_batch_norm, &options, CM_OK);
    assert_string_equal(with.sha256, without.sha256);
    assert_int_equal(without.epoch_count, 2);
    assert_true(without.epochs[1].test_loss == 0.0 && without.epochs[1].accuracy == 0.0);
    assert_true(with.epochs[1].test_loss > 0.0);
    cm_train_result_free(&with);
    cm_train_result_free(&without);
}

/* Sees every batch; sets the flag when the run is at a place. */
typedef struct spy {
    int stop_epoch, stop_step;
    bool stop_validating;
    volatile sig_atomic_t stop;
    int train_calls, valid_calls, epoch_calls;
    double last_loss;
} spy;

static void spy_observe(const cm_train_progress *progress, const cm_epoch_result *epoch,
                        void *context) {
    spy *watch = context;
    if (epoch != NULL) {
        ++watch->epoch_calls;
        assert_int_equal(progress->epoch + 1, watch->epoch_calls);
        return;
    }
    int *calls = progress->validating ? &watch->valid_calls : &watch->train_calls;
    ++*calls;
    assert_int_equal(progress->epoch * progress->steps + progress->step, *calls);
    if (!progress->validating) {
        watch->last_loss = progress->loss;
    }
    if (progress->epoch == watch->stop_epoch && progress->step == watch->stop_step &&
        progress->validating == watch->stop_validating) {
        watch->stop = 1;
    }
}

static void test_stop_flag_ends_the_run_after_its_step(void **state) {
    (void)state;
    static const struct {
        int epoch, step;
        bool validating;
        int steps, epochs; /* done */
    } rows[] = {{0, 1, false, 1, 0},
                {0, 4, false, 4, 0},
                {0, 2, true, 4, 0},
                {1, 2, false, 6, 1},
                {1, 3, true, 8, 2}};
    for (size_t i = 0; i < CM_COUNT(rows); ++i) {
        const cm_train_options options = options_of(3, 4, 3);
        spy watch = {rows[i].epoch, rows[i].step, rows[i].validating, 0, 0, 0, 0, 0.0};
        cm_train_result result;
        cm_error error = {""};
        new_model(with_batch_norm);
        assert_int_equal(
            cm_train(model, &dataset, &options, spy_observe, &watch, &watch.stop, &result, &error),
            CM_INTERRUPTED);
        assert_int_equal(result.step_count, rows[i].steps);
        assert_int_equal(result.epoch_count, rows[i].epochs);
        assert_int_equal(watch.train_calls, rows[i].steps);
        assert_int_equal(watch.epoch_calls, rows[i].epochs);
        assert_true(watch.last_loss == result.step_losses[rows[i].steps - 1]);
        assert_int_equal(cm_model_step_count(model), rows[i].steps);
        assert_non_null(strstr(error.message, "interrupted"));
        char sha256[65];
        cm_model_sha256(model, sha256);
        assert_string_equal(result.sha256, sha256);
        cm_train_result_free(&result);
        free_model(NULL);
    }
}

static void test_observer_sees_every_batch(void **state) {
    (void)state;
    const cm_train_options options = options_of(2, 3, 2);
    spy watch = {.stop_epoch = -1};
    cm_train_result result;
    cm_error error = {""};
    new_model(with_batch_norm);
    assert_int_equal(
        cm_train(model, &dataset, &options, spy_observe, &watch, &watch.stop, &result, &error),
        CM_OK);
    assert_int_equal(watch.train_calls, 6);
    assert_int_equal(watch.valid_calls, 4);
    assert_int_equal(watch.epoch_calls, 2);
    cm_train_result_free(&result);
}

static void assert_not_finite(int steps, const char *message) {
    cm_train_options options = options_of(2, steps, 2);
    options.optimizer.learning_rate = 1e30;
    cm_train_result result;
    cm_error error = {""};
    new_model(without_batch_norm);
    assert_int_equal(cm_train(model, &dataset, &options, NULL, NULL, NULL, &result, &error),
                     CM_FAILED);
    if (strstr(error.message, message) == NULL) {
        fail_msg("'%s' is not in '%s'", message, error.message);
    }
    assert_int_equal(result.epoch_count, 0);
    assert_true(isfinite(result.step_losses[0]));
    cm_train_result_free(&result);
    free_model(NULL);
}

static void test_losses_that_are_not_finite_end_the_run(void **state) {
    (void)state;
    assert_not_finite(5, "in epoch 1 at step 2;"); /* the first step's loss is still good */
    assert_not_finite(1, "the validation loss is");
}

/* Values of the validation loss that do not change by a ten-thousandth: a tiny learning rate, and
 * an unshuffled validation that shows the same images in each epoch. */
static cm_train_options plateau_options(int patience, int early_stopping) {
    cm_train_options options = options_of(8, 1, VALID / BATCH);
    options.shuffle = false;
    options.optimizer.learning_rate = 1e-6;
    options.plateau_factor = 0.5;
    options.plateau_patience = patience;
    options.early_stopping_patience = early_stopping;
    return options;
}

static void test_plateau_lowers_the_learning_rate(void **state) {
    (void)state;
    static const struct {
        int patience, halvings[8]; /* of the rate of each epoch */
    } rows[] = {{0, {0, 0, 1, 2, 3, 4, 5, 6}},
                {1, {0, 0, 0, 1, 1, 2, 2, 3}},
                {10, {0, 0, 0, 0, 0, 0, 0, 0}}};
    char sha256[2][65];
    for (size_t i = 0; i < CM_COUNT(rows); ++i) {
        const cm_train_options options = plateau_options(rows[i].patience, 100);
        cm_train_result result = run(without_batch_norm, &options, CM_OK);
        assert_int_equal(result.epoch_count, 8);
        assert_false(result.early_stopped);
        for (int epoch = 0; epoch < 8; ++epoch) {
            assert_true(result.epochs[epoch].learning_rate ==
                        ldexp(1e-6, -rows[i].halvings[epoch]));
        }
        memcpy(sha256[i > 0], result.sha256, sizeof sha256[0]);
        assert_true(i == 0 || strcmp(sha256[0], sha256[1]) != 0); /* the rate is used */
        cm_train_result_free(&result);
        free_model(NULL);
    }
}

static void test_early_stopping(void **state) {
    (void)state;
    static const struct { int patience, epochs; } rows[] = {{0, 2}, {1, 2}, {3, 4}, {7, 8}, {8, 8}};
    for (size_t i = 0; i < CM_COUNT(rows); ++i) {
        const cm_train_options options = plateau_options(10, rows[i].patience);
        cm_train_result result = run(without_batch_norm, &options, CM_OK);
        assert_int_equal(result.epoch_count, rows[i].epochs);
        assert_int_equal(result.step_count, rows[i].epochs);
        assert_int_equal(result.early_stopped, rows[i].patience < 8);
        cm_train_result_free(&result);
        free_model(NULL);
    }
    /* Never while the loss falls, and not where nothing is validated. */
    cm_train_options options = plateau_options(0, 0);
    options.epochs = 3;
    options.steps = 10;
    options.optimizer.learning_rate = 1e-3;
    cm_train_result result = run(without_batch_norm, &options, CM_OK);
    assert_true(result.epochs[1].test_loss < result.epochs[0].test_loss * 0.999);
    assert_true(result.epochs[2].test_loss < result.epochs[1].test_loss * 0.999);
    assert_int_equal(result.epoch_count, 3);
    cm_train_result_free(&result);
    free_model(NULL);
    options.valid_steps = 0;
    result = run(without_batch_norm, &options, CM_OK);
    assert_int_equal(result.epoch_count, 3);
    assert_true(result.epochs[2].learning_rate == 1e-3);
    cm_train_result_free(&result);
}

static void test_nothing_to_train(void **state) {
    (void)state;
    char sha256[65];
    cm_train_options options = options_of(2, 0, 2);
    cm_train_result result = run(with_batch_norm, &options, CM_OK);
    assert_int_equal(result.step_count, 0);
    assert_int_equal(result.epoch_count, 2);
    assert_true(result.epochs[0].train_loss == 0.0);
    assert_true(result.epochs[0].test_loss > 0.5);
    assert_true(result.images_per_second == 0.0);
    cm_model_initialize(model, 5);
    cm_model_sha256(model, sha256);
    assert_string_equal(result.sha256, sha256);
    cm_train_result_free(&result);
    free_model(NULL);
    options.epochs = 0;
    result = run(with_batch_norm, &options, CM_OK);
    assert_int_equal(result.epoch_count, 0);
    assert_string_equal(result.sha256, sha256);
    cm_train_result_free(&result);
}

static void assert_refused(const char *text, int batch, int largest, const char *message) {
    cm_train_options options = options_of(1, 1, 1);
    options.batch = batch;
    cm_train_result result;
    cm_error error = {""};
    network = network_of(text);
    model = model_of(network, largest, 1, CM_ISA_BEST, true);
    assert_int_equal(cm_train(model, &dataset, &options, NULL, NULL, NULL, &result, &error),
                     CM_USAGE);
    if (strstr(error.message, message) == NULL) {
        fail_msg("'%s' is not in '%s'", message, error.message);
    }
    cm_train_result_free(&result);
    free_model(NULL);
}

static void test_what_does_not_fit_is_refused(void **state) {
    (void)state;
    assert_refused("input 1 5 6\nflatten\nlinear 3\n", 7, 7, "takes 1x5x6 images");
    assert_refused("input 2 6 5\nflatten\nlinear 3\n", 7, 7, "takes 2x6x5 images");
    assert_refused("input 1 6 5\nflatten\nlinear 2\n", 7, 7, "has 2 outputs, the data has ");
    assert_refused(with_batch_norm, 8, 7, "batch 8 is larger than the 7");
    assert_refused("input 1 6 5\nmax_pool2d 6x5\nbatch_norm\nflatten\nlinear 3\n", 1, 7,
                   "batch norm conv.1 has one value per channel");
    assert_refused(with_batch_norm, 21, 21, "batch 21 is out of range: choose 1 to 20");
}

static void test_options_are_checked(void **state) {
    (void)state;
    cm_error error = {""};
    cm_train_options options = options_of(CM_MAX_TRAIN_STEPS / 1000, 1000, 1);
    assert_int_equal(cm_train_options_check(&options, &error), CM_OK);
    ++options.steps;
    assert_int_equal(cm_train_options_check(&options, &error), CM_USAGE);
    assert_non_null(strstr(error.message, "100000 epochs of 1001 training batches "));
    /* Before any memory is asked for. */
    network = network_of(with_batch_norm);
    model = model_of(network, 7, 1, CM_ISA_BEST, true);
    options.batch = 7;
    cm_train_result result;
    assert_int_equal(cm_train(model, &dataset, &options, NULL, NULL, NULL, &result, &error),
                     CM_USAGE);
    assert_null(result.step_losses);
    cm_train_result_free(&result);
    const cm_train_options refused[] = {options_of(-1, 1, 1), options_of(1, -1, 1),
                                        options_of(1, 1, -1)};
    for (size_t i = 0; i < sizeof refused / sizeof refused[0]; ++i) {
        assert_int_equal(cm_train_options_check(&refused[i], &error), CM_USAGE);
    }
    options = options_of(1, 1, 1);
    options.batch = 0;
    assert_int_equal(cm_train_options_check(&options, &error), CM_USAGE);
    options = options_of(1, 1, 0);
    assert_int_equal(cm_train_options_check(&options, &error), CM_OK);
    options.until_accuracy = 0.5;
    assert_int_equal(cm_train_options_check(&options, &error), CM_USAGE);
    assert_non_null(strstr(error.message, "needs training and validation"));
    cm_train_options schedules[4] = {options_of(1, 1, 1), options_of(1, 1, 1), options_of(1, 1, 1),
                                     options_of(1, 1, 1)};
    schedules[0].schedule = CM_SCHEDULE_COUNT;
    schedules[1].schedule_step = 0;
    schedules[2].schedule_factor = 0.0;
    schedules[3].schedule_factor = (double)NAN;
    for (size_t i = 0; i < CM_COUNT(schedules); ++i) {
        assert_int_equal(cm_train_options_check(&schedules[i], &error), CM_USAGE);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(test_protocol_unshuffled, free_model),
        cmocka_unit_test_teardown(test_protocol_shuffled, free_model),
        cmocka_unit_test(test_protocol_under_every_schedule),
        cmocka_unit_test_teardown(test_validation_leaves_the_model_as_it_is, free_model),
        cmocka_unit_test_teardown(test_stop_flag_ends_the_run_after_its_step, free_model),
        cmocka_unit_test_teardown(test_observer_sees_every_batch, free_model),
        cmocka_unit_test(test_losses_that_are_not_finite_end_the_run),
        cmocka_unit_test_teardown(test_plateau_lowers_the_learning_rate, free_model),
        cmocka_unit_test_teardown(test_early_stopping, free_model),
        cmocka_unit_test_teardown(test_nothing_to_train, free_model),
        cmocka_unit_test(test_what_does_not_fit_is_refused),
        cmocka_unit_test_teardown(test_options_are_checked, free_model),
    };
    return cmocka_run_group_tests_name("trainer", tests, make_dataset, NULL);
}
