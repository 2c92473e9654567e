/* The JSON of a training run, from a made-up result. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "core/files/json.h"
#include "core/system/energy.h"
#include "harness/record/train_json.h"

static uint8_t pixels[] = {0, 1, 2, 3}, labels[] = {1, 0};

typedef struct fixture {
    cm_network *network;
    cm_model *model;
    cm_dataset dataset;
    cm_train_options options;
    double losses[2];
    cm_epoch_result epoch;
    cm_train_result result;
    cm_train_record record;
} fixture;

static const char *const COMMAND[] = {"convmark", "train", "M\xfcller.txt"};

static int set_up(void **state) {
    static fixture f;
    static const char text[] = "input 1 1 2\nflatten\nlinear 2\n";
    memset(&f, 0, sizeof f);
    const cm_model_options model_options = {
        .batch = 1, .threads = 1, .isa = CM_ISA_SCALAR, .training = false};
    if (cm_network_parse(text, strlen(text), "tiny.txt", &f.network, NULL) != CM_OK ||
        cm_model_create(f.network, &model_options, &f.model, NULL) != CM_OK) {
        return -1;
    }
    f.dataset = (cm_dataset){.name = "synthetic",
                             .classes = 2,
                             .train = {2, 1, 2, pixels, labels},
                             .validation = {1, 1, 2, pixels, labels}};
    f.options = cm_train_options_default();
    f.options.seed = 7;
    f.losses[0] = 0.1;
    f.losses[1] = 1.0 / 3;
    f.epoch = (cm_epoch_result){0.5, 0.6, 0.75, 1e-3, 2, 1, 40};
    f.result = (cm_train_result){.step_count = 2,
                                 .step_losses = f.losses,
                                 .epoch_count = 1,
                                 .epochs = &f.epoch,
                                 .images_per_second = 1234.5,
                                 .sha256 = "abc"};
    f.record = (cm_train_record){.model = f.model,
                                 .dataset = &f.dataset,
                                 .options = &f.options,
                                 .result = &f.result,
                                 .complete = true,
                                 .argc = 3,
                                 .argv = COMMAND};
    *state = &f;
    return 0;
}

static int tear_down(void **state) {
    fixture *f = *state;
    cm_model_free(f->model);
    cm_network_free(f->network);
    return 0;
}

static json_t *build(const fixture *f) {
    json_t *train = NULL;
    cm_error error = {{0}};
    if (cm_train_json(&f->record, &train, &error) != CM_OK) {
        fail_msg("%s", error.message);
    }
    return train;
}

static void assert_text(const json_t *object, const char *key, const char *text) {
    const char *value = json_string_value(json_object_get(object, key));
    assert_non_null(value);
    assert_string_equal(value, text);
}

static void assert_number(const json_t *object, const char *key, double number) {
    const json_t *value = json_object_get(object, key);
    assert_true(json_is_number(value));
    assert_true(json_number_value(value) == number);
}

static void test_content(void **state) {
    json_t *train = build(*state);
    assert_number(train, "schema_version", 1);
    assert_text(train, "kind", "train");
    assert_true(json_is_true(json_object_get(train, "complete")));
    assert_text(train, "variant", "tiny");
    assert_number(train, "params", 6);
    assert_number(train, "seed", 7);
    assert_number(train, "threads", 1);
    assert_text(train, "isa", "scalar");
    assert_text(train, "sha256", "abc");
    assert_number(train, "images_per_second", 1234.5);
    const json_t *losses = json_object_get(train, "step_losses");
    assert_int_equal(json_array_size(losses), 2);
    assert_true(json_real_value(json_array_get(losses, 1)) == 1.0 / 3);
    const json_t *epochs = json_object_get(train, "epochs");
    assert_int_equal(json_array_size(epochs), 1);
    assert_number(json_array_get(epochs, 0), "train_loss", 0.5);
    assert_number(json_array_get(epochs, 0), "test_loss", 0.6);
    assert_number(json_array_get(epochs, 0), "accuracy", 0.75);
    assert_number(train, "train_seconds", 2);
    assert_number(train, "images", 100 * 64);
    assert_number(train, "joules", 40);
    assert_true(json_is_null(json_object_get(train, "energy_note")));
    assert_number(json_object_get(train, "options"), "weight_decay", 1e-5);
    assert_number(json_object_get(train, "options"), "batch", 64);
    const json_t *command = json_object_get(train, "command");
    assert_int_equal(json_array_size(command), 3);
    assert_string_equal(json_string_value(json_array_get(command, 2)), "M?ller.txt");
    assert_true(json_is_null(json_object_get(train, "loaded_from")));
    assert_true(json_is_object(json_object_get(train, "machine")));
    json_decref(train);
}

/* sha256 of the bytes 0 1 2 3, 1 0, 0 1, 1, by another program. */
static void test_data_hash(void **state) {
    const fixture *f = *state;
    json_t *data = cm_dataset_json(&f->dataset);
    assert_text(data, "name", "synthetic");
    assert_text(data, "sha256", "58613a025419b800520963a4f4b284892fd02468497302a967a6e8864e079982");
    assert_true(json_is_false(json_object_get(data, "real")));
    assert_number(data, "train_images", 2);
    json_decref(data);
}

static void test_not_measured_is_null(void **state) {
    fixture *f = *state;
    f->options.valid_steps = 0;
    f->epoch.test_loss = f->epoch.accuracy = (double)NAN;
    json_t *train = build(f);
    const json_t *epoch = json_array_get(json_object_get(train, "epochs"), 0);
    assert_true(json_is_null(json_object_get(epoch, "test_loss")));
    assert_true(json_is_null(json_object_get(epoch, "accuracy")));
    assert_number(epoch, "train_loss", 0.5);
    json_decref(train);

    f->options.steps = 0;
    f->result.step_count = 0;
    f->result.images_per_second = f->epoch.train_loss = (double)NAN;
    train = build(f);
    epoch = json_array_get(json_object_get(train, "epochs"), 0);
    assert_true(json_is_null(json_object_get(epoch, "train_loss")));
    assert_true(json_is_null(json_object_get(train, "images_per_second")));
    assert_int_equal(json_array_size(json_object_get(train, "step_losses")), 0);
    json_decref(train);
}

static void test_energy_that_is_not_known_is_null(void **state) {
    fixture *f = *state;
    cm_energy energy = {.package_count = 0, .note = "no counter"};
    f->options.energy = &energy;
    f->epoch.joules = (double)NAN;
    json_t *train = build(f);
    assert_true(json_is_null(json_object_get(train, "joules")));
    assert_text(train, "energy_note", "no counter");
    const json_t *epoch = json_array_get(json_object_get(train, "epochs"), 0);
    assert_true(json_is_null(json_object_get(epoch, "joules")));
    json_decref(train);
}

static void test_not_finite_is_refused(void **state) {
    fixture *f = *state;
    json_t *train = NULL;
    cm_error error = {{0}};
    f->losses[1] = (double)NAN;
    assert_int_equal(cm_train_json(&f->record, &train, &error), CM_FAILED);
    assert_null(train);
    assert_non_null(strstr(error.message, "step_losses"));
}

static void test_large_seed(void **state) {
    fixture *f = *state;
    f->options.seed = UINT64_MAX;
    json_t *train = build(f);
    assert_text(train, "seed", "18446744073709551615");
    json_decref(train);
}

#define TEST(name) cmocka_unit_test_setup_teardown(test_##name, set_up, tear_down)

int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(content),
        TEST(data_hash),
        TEST(not_measured_is_null),
        TEST(not_finite_is_refused),
        TEST(large_seed),
        TEST(energy_that_is_not_known_is_null),
    };
    return cmocka_run_group_tests_name("train_json", tests, NULL, NULL);
}
