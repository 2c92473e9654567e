/* Checkpoints: a run that resumes from one at any batch ends with the same bits, on other threads
 * and instruction sets too; what is damaged, or of another run, is refused, and the one before
 * used.
 */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "core/files/atomic_file.h"
#include "core/files/sha256.h"
#include "core/train/checkpoint.h"
#include "support/models.h"
#include "support/temporary.h"

enum { HEIGHT = 6, WIDTH = 5, PIXELS = HEIGHT * WIDTH, CLASSES = 3, TRAIN = 37, VALID = 20 };
enum { BATCH = 7, EPOCHS = 5, STEPS = 4, VALID_STEPS = 2, HASH_SIZE = 64 };

static const char text[] = "input 1 6 5\nconv2d 4 kernel 3 padding 1\nbatch_norm\nrelu\n"
                           "max_pool2d 2\nflatten\ndropout 0.2\nlinear 3\n";

static uint8_t pixels[TRAIN + VALID][PIXELS], labels[TRAIN + VALID];
static cm_dataset dataset;
static char path[TEMPORARY_PATH_SIZE], previous[TEMPORARY_PATH_SIZE];

static int make(void **state) {
    const cm_random_key key = {.seed = 1, .purpose = CM_RANDOM_TEST};
    for (int n = 0; n < TRAIN + VALID; ++n) {
        labels[n] = (uint8_t)(n * 7 % CLASSES);
        for (int i = 0; i < PIXELS; ++i) {
            pixels[n][i] = (uint8_t)(cm_random_u32(&key, (uint64_t)(n * PIXELS + i)) % 256);
        }
    }
    dataset = (cm_dataset){.name = "test", .classes = CLASSES};
    dataset.train = (cm_images){TRAIN, HEIGHT, WIDTH, pixels[0], labels, 1};
    dataset.validation = (cm_images){VALID, HEIGHT, WIDTH, pixels[TRAIN], labels + TRAIN, 1};
    /* Each checkpoint waits for the disk: where there is a folder in memory there is no disk. */
    snprintf(temporary_folder, sizeof temporary_folder, "/dev/shm/convmark-test-XXXXXX");
    if (mkdtemp(temporary_folder) == NULL && temporary_create(state) != 0) {
        return -1;
    }
    snprintf(path, sizeof path, "%s/c", temporary_folder);
    snprintf(previous, sizeof previous, "%s/c.previous", temporary_folder);
    return 0;
}

static int clean(void **state) {
    (void)state;
    temporary_empty(temporary_folder);
    return 0;
}

/* A rate at which the plateau is met in the run, so that its state matters. */
static cm_train_options options_of(void) {
    cm_train_options options = cm_train_options_default();
    options.seed = 5;
    options.epochs = EPOCHS;
    options.steps = STEPS;
    options.valid_steps = VALID_STEPS;
    options.batch = BATCH;
    options.optimizer.learning_rate = 0.1;
    options.plateau_patience = 1;
    return options;
}

/* One run: its options, where it stops, and all that came out. */
typedef struct trial {
    const char *network_text;
    cm_train_options options;
    cm_checkpoint_options checkpoints;
    cm_isa isa;
    int threads;
    int stop_at; /* batch of either kind, from 1; 0: never */
    int batches;
    volatile sig_atomic_t stop;
    char notice[CM_ERROR_SIZE];
    cm_status status;
    cm_error error;
    cm_network *network;
    cm_model *model;
    cm_train_result result;
} trial;

static void observe(const cm_train_progress *progress, const cm_epoch_result *epoch,
                    void *context) {
    (void)progress;
    trial *it = context;
    if (epoch == NULL && ++it->batches == it->stop_at) {
        it->stop = 1;
    }
}

static void notice(const char *message, void *context) {
    trial *it = context;
    snprintf(it->notice, sizeof it->notice, "%s", message);
}

static trial trial_of(const char *checkpoint, const char *resume) {
    return (trial){.network_text = text,
                   .options = options_of(),
                   .checkpoints = {.path = checkpoint, .resume = resume, .every = 3},
                   .isa = CM_ISA_BEST,
                   .threads = 1};
}

static void run(trial *it) {
    it->network = network_of(it->network_text);
    it->model = model_of(it->network, it->options.batch, it->threads, it->isa, true);
    cm_model_initialize(it->model, it->options.seed);
    it->checkpoints.notice = notice;
    it->checkpoints.notice_context = it;
    const bool with = it->checkpoints.path != NULL || it->checkpoints.resume != NULL;
    const cm_train_watch watch = {observe, it, &it->stop};
    it->status =
        cm_train_with_checkpoints(it->model, &dataset, &it->options, with ? &it->checkpoints : NULL,
                                  &watch, &it->result, &it->error);
}

static void end(trial *it) {
    cm_train_result_free(&it->result);
    cm_model_free(it->model);
    cm_network_free(it->network);
}

static void assert_ok(const trial *it) {
    if (it->status != CM_OK) {
        fail_msg("%s", it->error.message);
    }
}

static void assert_fails(trial *it, cm_status status, const char *mentions) {
    run(it);
    if (it->status != status || strstr(it->error.message, mentions) == NULL) {
        fail_msg("status %d, '%s', not %d, '%s'", (int)it->status, it->error.message, (int)status,
                 mentions);
    }
    end(it);
}

/* SHA-256 of everything that a model and a log hold, times left out. */
static void hash_all(const trial *it, char hex[CM_SHA256_HEX_SIZE]) {
    cm_sha256 hash;
    cm_sha256_init(&hash);
    float values[2][128];
    for (int i = 0; i < cm_model_tensor_count(it->model); ++i) {
        const cm_tensor_spec *spec = cm_model_tensor(it->model, i);
        assert_true(spec->count <= 128);
        memset(values, 0, sizeof values);
        cm_model_get_tensor(it->model, i, values);
        cm_sha256_update(&hash, values, sizeof values);
        if (spec->learned) {
            cm_model_get_moments(it->model, i, values[0], values[1]);
            cm_sha256_update(&hash, values, sizeof values);
        }
    }
    const cm_adam_state adam = cm_model_get_adam(it->model);
    cm_sha256_update(&hash, &adam, sizeof adam);
    const cm_train_result *result = &it->result;
    cm_sha256_update(&hash, result->step_losses, (size_t)result->step_count * sizeof(double));
    for (int i = 0; i < result->epoch_count; ++i) {
        const cm_epoch_result *epoch = &result->epochs[i];
        const double kept[] = {epoch->train_loss, epoch->test_loss, epoch->accuracy,
                               epoch->learning_rate};
        cm_sha256_update(&hash, kept, sizeof kept);
    }
    const int ends[] = {result->step_count, result->epoch_count, result->early_stopped,
                        result->reached_accuracy};
    cm_sha256_update(&hash, ends, sizeof ends);
    cm_sha256_final(&hash, hex);
}

static char expected[CM_SHA256_HEX_SIZE]; /* of a run without checkpoints */

static void expect_of(const cm_train_options *options) {
    trial it = trial_of(NULL, NULL);
    it.options = *options;
    run(&it);
    assert_ok(&it);
    hash_all(&it, expected);
    end(&it);
}

static void assert_resumes(const char *mentions) {
    trial it = trial_of(NULL, path);
    char hash[CM_SHA256_HEX_SIZE];
    run(&it);
    assert_ok(&it);
    hash_all(&it, hash);
    assert_string_equal(hash, expected);
    if (mentions == NULL) {
        assert_string_equal(it.notice, "");
    } else {
        assert_non_null(strstr(it.notice, mentions));
        assert_non_null(strstr(it.notice, previous));
    }
    end(&it);
}

static void test_checkpoints_change_nothing(void **state) {
    (void)state;
    const cm_train_options options = options_of();
    expect_of(&options);
    trial it = trial_of(path, NULL);
    char hash[CM_SHA256_HEX_SIZE];
    run(&it);
    assert_ok(&it);
    hash_all(&it, hash);
    assert_string_equal(hash, expected);
    assert_true(it.result.epochs[EPOCHS - 1].learning_rate < it.result.epochs[0].learning_rate);
    end(&it);
    assert_resumes(NULL); /* from the end: nothing is left to do */
}

/* Stops at every batch of training and validation, resumes with what the loop says. */
static void test_goes_on_from_every_batch(void **state) {
    (void)state;
    const cm_train_options options = options_of();
    expect_of(&options);
    for (int stop = 1; stop < EPOCHS * (STEPS + VALID_STEPS); ++stop) {
        trial first = trial_of(path, NULL), second = trial_of(NULL, path);
        char hash[CM_SHA256_HEX_SIZE];
        first.stop_at = stop;
        first.isa = CM_ISA_SCALAR;
        run(&first);
        assert_int_equal(first.status, CM_INTERRUPTED);
        second.threads = 1 + stop % 3;
        second.checkpoints.every = 1;
        run(&second);
        assert_ok(&second);
        hash_all(&second, hash);
        assert_string_equal(hash, expected);
        assert_int_equal(first.batches + second.batches, EPOCHS * (STEPS + VALID_STEPS));
        end(&first);
        end(&second);
        clean(NULL);
    }
}

/* Each part is one batch: what a schedule needs of the batches before is in the file, or the rates
 * that follow are others. */
static void test_every_schedule_goes_on(void **state) {
    (void)state;
    for (cm_schedule_kind kind = 0; kind < CM_SCHEDULE_COUNT; ++kind) {
        cm_train_options options = options_of();
        options.schedule = kind;
        options.schedule_step = 2;
        options.schedule_factor = 0.7;
        expect_of(&options);
        trial it = {0};
        char hash[CM_SHA256_HEX_SIZE];
        int parts = 0;
        do {
            end(&it);
            it = trial_of(parts == 0 ? path : NULL, parts == 0 ? NULL : path);
            it.options = options;
            it.stop_at = 1;
            run(&it);
            ++parts;
        } while (it.status == CM_INTERRUPTED);
        assert_ok(&it);
        hash_all(&it, hash);
        assert_string_equal(hash, expected);
        assert_int_equal(parts, EPOCHS * (STEPS + VALID_STEPS));
        end(&it);
        clean(NULL);
    }
}

static void test_ends_are_kept(void **state) {
    (void)state;
    cm_train_options options[2] = {options_of(), options_of()};
    options[0].until_accuracy = 0.01;
    options[1].optimizer.learning_rate = 1e-9;
    options[1].early_stopping_patience = 1;
    options[1].shuffle = false;
    for (int i = 0; i < 2; ++i) {
        expect_of(&options[i]);
        for (int k = 0; k < 2; ++k) {
            trial it = trial_of(k == 0 ? path : NULL, k == 0 ? NULL : path);
            char hash[CM_SHA256_HEX_SIZE];
            it.options = options[i];
            run(&it);
            assert_ok(&it);
            assert_true(i == 0 ? it.result.reached_accuracy : it.result.early_stopped);
            assert_true(k == 0 || it.batches == 0);
            hash_all(&it, hash);
            assert_string_equal(hash, expected);
            end(&it);
        }
        clean(NULL);
    }
}

/* A file of a run that stopped in its second epoch, and one before it. */
static char *stopped_run(size_t *size) {
    trial it = trial_of(path, NULL);
    cm_error error = {""};
    char *bytes = NULL;
    const cm_train_options options = options_of();
    expect_of(&options);
    it.stop_at = STEPS + VALID_STEPS + 3;
    run(&it);
    assert_int_equal(it.status, CM_INTERRUPTED);
    end(&it);
    assert_int_equal(cm_file_read(path, 1 << 20, &bytes, size, &error), CM_OK);
    return bytes;
}

static void put(const char *file, const char *bytes, size_t size) {
    FILE *to = fopen(file, "wb");
    assert_non_null(to);
    assert_int_equal(fwrite(bytes, 1, size, to), size);
    assert_int_equal(fclose(to), 0);
}

/* Every length and every flipped bit, straight to the parser; files now and then. */
static void test_damage(void **state) {
    (void)state;
    size_t size = 0;
    char *bytes = stopped_run(&size);
    for (size_t cut = 0; cut < size; cut += cut % 8 == 0 && cut > 200 ? 61 : 1) {
        put(path, bytes, cut);
        trial it = trial_of(NULL, path);
        it.stop = 1; /* only the reading matters */
        run(&it);
        assert_int_equal(it.status, CM_INTERRUPTED);
        assert_non_null(strstr(it.notice, "field "));
        assert_true(it.result.step_count > 0);
        end(&it);
    }
    for (size_t at = 0; at < 8 * size; at += 8 * 37 + 1) {
        bytes[at / 8] = (char)(bytes[at / 8] ^ (1 << at % 8));
        put(path, bytes, size);
        bytes[at / 8] = (char)(bytes[at / 8] ^ (1 << at % 8));
        trial it = trial_of(NULL, path);
        it.stop = 1;
        run(&it);
        assert_int_equal(it.status, CM_INTERRUPTED);
        assert_non_null(strstr(it.notice, "field "));
        end(&it);
    }
    free(bytes);
}

static void test_the_one_before_is_used(void **state) {
    (void)state;
    size_t size = 0;
    char *bytes = stopped_run(&size);
    assert_int_equal(remove(path), 0);
    assert_resumes("no such file");
    clean(NULL);
    free(bytes);
    bytes = stopped_run(&size);
    put(path, bytes, size - 1);
    trial it = trial_of(NULL, path);
    it.stop_at = 1;
    run(&it);
    assert_int_equal(it.status, CM_INTERRUPTED);
    assert_non_null(strstr(it.notice, "damaged"));
    end(&it);
    /* The damaged file was replaced; the good one before it was not replaced by it. */
    assert_resumes(NULL);
    assert_int_equal(remove(path), 0);
    assert_resumes("no such file");
    put(path, "x", 1);
    put(previous, "y", 1);
    trial neither = trial_of(NULL, path);
    assert_fails(&neither, CM_BAD_INPUT,
                 "not a checkpoint but a text file; is it the right file?; and ");
    assert_int_equal(remove(previous), 0);
    trial alone = trial_of(NULL, path);
    assert_fails(&alone, CM_BAD_INPUT, "field magic");
    free(bytes);
}

/* Changes bytes of the file and makes its hash fit again, as only an enemy would. */
static void forge(const char *bytes, size_t size, size_t at, uint64_t value) {
    char *forged = malloc(size), hash[CM_SHA256_HEX_SIZE];
    assert_non_null(forged);
    memcpy(forged, bytes, size);
    memcpy(forged + at, &value, sizeof value);
    cm_sha256_buffer(forged, size - HASH_SIZE, hash);
    memcpy(forged + size - HASH_SIZE, hash, HASH_SIZE);
    put(path, forged, size);
    free(forged);
}

/* Every number of the file, replaced by ones that no run gives: refused, or taken as a value, but
 * never more than there is room for (the sanitizers look on). */
static void test_forged_numbers(void **state) {
    (void)state;
    static const uint64_t values[] = {0, 1, 1 << 20, UINT32_MAX, INT64_MAX, UINT64_MAX};
    size_t size = 0;
    char *bytes = stopped_run(&size);
    assert_int_equal(remove(previous), 0);
    forge(bytes, size, 8, 1);
    trial version = trial_of(NULL, path);
    assert_fails(&version, CM_BAD_INPUT, "field version: 1, this program reads 2");
    forge(bytes, size, 16, 77);
    trial contract = trial_of(NULL, path);
    assert_fails(&contract, CM_USAGE, "another version of the program");
    for (size_t at = 24; at + 8 <= size - HASH_SIZE; at += at < 1600 ? 1 : 41) {
        forge(bytes, size, at, values[at % CM_COUNT(values)]);
        trial it = trial_of(NULL, path);
        it.stop = 1;
        run(&it);
        assert_true(it.status == CM_BAD_INPUT || it.status == CM_USAGE ||
                    it.status == CM_INTERRUPTED || it.status == CM_OK);
        end(&it);
    }
    free(bytes);
}

/* Where the value after a name is: the last one, if a name is the end of several. */
static size_t value_of(const char *bytes, size_t size, const char *name) {
    const uint64_t length = strlen(name);
    size_t found = 0;
    for (size_t at = 0; at + sizeof length + length < size; ++at) {
        if (memcmp(bytes + at, &length, sizeof length) == 0 &&
            memcmp(bytes + at + sizeof length, name, length) == 0) {
            found = at + sizeof length + length;
        }
    }
    assert_true(found > 0);
    return found;
}

/* Counts that training would resume from: the field is named. */
static void test_forged_counts_are_named(void **state) {
    (void)state;
    static const struct {
        const char *name;
        size_t skip; /* a tensor's number of elements */
        uint64_t value;
        const char *mentions;
    } rows[] = {{"schedule.step", 0, INT64_MAX, "field schedule.step: is not the number of steps"},
                {"schedule.plateau.bad_epochs", 0, INT32_MAX, "field schedule.plateau: counts"},
                {"schedule.plateau.since_best", 0, 2, "field schedule.plateau: counts"},
                {"epoch", 0, EPOCHS + 1, "field epoch: is beyond"},
                {"correct", 0, 1, "field correct: is more"},
                {"conv.1.num_batches_tracked", 8, INT64_MAX, "tracked: is out of range"},
                {"conv.1.num_batches_tracked", 8, UINT64_MAX, "tracked: is out of range"}};
    size_t size = 0;
    char *bytes = stopped_run(&size);
    assert_int_equal(remove(previous), 0);
    for (size_t i = 0; i < CM_COUNT(rows); ++i) {
        forge(bytes, size, value_of(bytes, size, rows[i].name) + rows[i].skip, rows[i].value);
        trial it = trial_of(NULL, path);
        assert_fails(&it, CM_BAD_INPUT, rows[i].mentions);
    }
    free(bytes);
}

static void test_another_run_is_refused(void **state) {
    (void)state;
    size_t size = 0;
    free(stopped_run(&size));
    struct {
        const char *mentions;
        cm_train_options options;
    } rows[] = {{"seed (5 there, 6 here)", options_of()},
                {"a run of 5 epochs, which cannot be cut to 4", options_of()},
                {"optimizer.learning_rate", options_of()},
                {"shuffle (1 there, 0", options_of()},
                {"until_accuracy (0 there, 0.7 here)", options_of()},
                {"decay (1.0000000000000001e-05 there, 1.0000000000000003e-05", options_of()},
                {"schedule (plateau there, one-cycle here)", options_of()}};
    rows[0].options.seed = 6;
    rows[1].options.epochs = 4;
    rows[2].options.optimizer.learning_rate = 1e-3;
    rows[3].options.shuffle = false;
    rows[4].options.until_accuracy = 0.7;
    rows[5].options.optimizer.weight_decay = nextafter(1e-5, 1.0);
    rows[6].options.schedule = CM_SCHEDULE_ONE_CYCLE;
    for (size_t i = 0; i < CM_COUNT(rows); ++i) {
        trial it = trial_of(NULL, path);
        it.options = rows[i].options;
        assert_fails(&it, CM_USAGE, rows[i].mentions);
    }
    trial network = trial_of(NULL, path);
    network.network_text = "input 1 6 5\nflatten\nlinear 3\n";
    assert_fails(&network, CM_USAGE, "another network");
    pixels[3][3] ^= 1;
    trial data = trial_of(NULL, path);
    assert_fails(&data, CM_USAGE, "another data set");
    pixels[3][3] ^= 1;
    assert_resumes(NULL); /* none of them has touched it */
}

static void test_two_runs_on_one_path(void **state) {
    (void)state;
    size_t size = 0;
    free(stopped_run(&size));
    trial anew = trial_of(path, NULL);
    assert_fails(&anew, CM_USAGE, "there is a checkpoint already");
    assert_int_equal(remove(path), 0);
    trial before = trial_of(path, NULL);
    assert_fails(&before, CM_USAGE, "there is a checkpoint already (.previous)");
    trial nowhere = trial_of(NULL, path);
    nowhere.checkpoints.every = 0;
    assert_fails(&nowhere, CM_USAGE, "at least 1");
    char lock[TEMPORARY_PATH_SIZE + 8];
    snprintf(lock, sizeof lock, "%s.lock", path);
    assert_int_equal(access(lock, F_OK), -1);
    assert_int_equal(symlink("elsewhere", path), 0);
    trial linked = trial_of(NULL, path);
    assert_fails(&linked, CM_FAILED, "is a link");
}

/* The loss of the second step is not finite: the checkpoint of the first one stays. */
static void test_not_finite_keeps_the_last_finite_one(void **state) {
    (void)state;
    trial it = trial_of(path, NULL);
    it.network_text = "input 1 6 5\nconv2d 8 kernel 3\nrelu\nflatten\nlinear 8\nrelu\nlinear 3\n";
    it.options.optimizer.learning_rate = 1e30;
    it.checkpoints.every = 1;
    run(&it);
    assert_int_equal(it.status, CM_FAILED);
    assert_non_null(strstr(it.error.message, "in epoch 1 at step 2; the first output that is not "
                                             "finite is that of layer dense.1;"));
    end(&it);
    trial again = trial_of(NULL, path);
    again.network_text = it.network_text;
    again.options = it.options;
    again.stop = 1;
    run(&again);
    assert_int_equal(again.status, CM_INTERRUPTED);
    assert_int_equal(again.result.step_count, 1);
    end(&again);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(test_checkpoints_change_nothing, clean),
        cmocka_unit_test_teardown(test_goes_on_from_every_batch, clean),
        cmocka_unit_test_teardown(test_every_schedule_goes_on, clean),
        cmocka_unit_test_teardown(test_ends_are_kept, clean),
        cmocka_unit_test_teardown(test_damage, clean),
        cmocka_unit_test_teardown(test_the_one_before_is_used, clean),
        cmocka_unit_test_teardown(test_forged_numbers, clean),
        cmocka_unit_test_teardown(test_forged_counts_are_named, clean),
        cmocka_unit_test_teardown(test_another_run_is_refused, clean),
        cmocka_unit_test_teardown(test_two_runs_on_one_path, clean),
        cmocka_unit_test_teardown(test_not_finite_keeps_the_last_finite_one, clean),
    };
    return cmocka_run_group_tests_name("checkpoint", tests, make, temporary_remove);
}
