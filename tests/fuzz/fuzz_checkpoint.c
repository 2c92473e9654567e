/*
 * Any bytes as a checkpoint of a small run that has come to its third batch of four. The first byte
 * says whether the hash at the end is put right here, so that mutations get past it, and whether
 * the rest are changes of the checkpoint that the run itself writes: place (two bytes), number of
 * bytes (one, up to eight), bytes. Refused, the run is as it was; accepted, the same bytes are
 * written again, and training continues.
 */
#include <math.h>

#include "core/files/sha256.h"
#include "core/train/checkpoint.h"
#include "fuzz.h"

enum { HASH = 1, CHANGES = 2 };
enum { HASH_SIZE = 64, SIDE = 4, PIXELS = SIDE * SIDE, IMAGES = 5, MAX_SIZE = 8192 };

static const char NETWORK[] = "input 1 4 4\nconv2d 2 kernel 3\nbatch_norm\nrelu\nflatten\n"
                              "dropout 0.5\nlinear 2\n";

static uint8_t pixels[IMAGES * PIXELS], labels[IMAGES] = {0, 1, 1, 0, 1};
static const cm_dataset dataset = {.name = "fuzz",
                                   .classes = 2,
                                   .train = {IMAGES, SIDE, SIDE, pixels, labels},
                                   .validation = {IMAGES, SIDE, SIDE, pixels, labels}};

/* ---- The run ---- */

static cm_train_options options;
static cm_run_identity identity = {.options = &options};
static cm_train_state state;
static cm_train_result result;
static double losses[8];
static cm_epoch_result epochs[4];
static char scratch[1024];
static cm_checkpoint run = {
    .identity = &identity, .state = &state, .result = &result, .scratch = scratch};

static uint8_t own[MAX_SIZE], before[MAX_SIZE], file[MAX_SIZE];
static size_t own_size;

static void train_batch(cm_stream *stream) {
    static float values[2 * PIXELS];
    static uint8_t answers[2];
    cm_stream_next(stream, values, answers);
    if (stream == run.valid_stream) {
        cm_model_evaluate(run.model, options.batch, values, answers);
        return;
    }
    cm_optimizer optimizer = options.optimizer;
    optimizer.learning_rate = cm_schedule_next(&state.schedule);
    const double loss =
        cm_model_train_step(run.model, options.batch, values, answers, &optimizer, options.seed)
            .loss;
    if (result.step_count < options.epochs * options.steps) {
        losses[result.step_count++] = loss;
    }
}

static void make_run(void) {
    cm_network *network = NULL;
    cm_error error = {""};
    const cm_model_options model_options = {
        .batch = 2, .threads = 1, .isa = CM_ISA_SCALAR, .training = true};
    options = cm_train_options_default();
    options.epochs = options.steps = options.batch = 2;
    options.valid_steps = 1;
    FUZZ_EXPECT(cm_network_parse(NETWORK, strlen(NETWORK), "n", &network, &error) == CM_OK);
    FUZZ_EXPECT(cm_model_create(network, &model_options, &run.model, &error) == CM_OK);
    cm_model_initialize(run.model, options.seed);
    FUZZ_EXPECT(cm_network_to_text(network, &identity.network_text, &error) == CM_OK);
    cm_model_sha256(run.model, identity.initial_sha256);
    for (int i = 0; i < IMAGES * PIXELS; ++i) {
        pixels[i] = (uint8_t)(37 * i % 251);
    }
    cm_dataset_sha256(&dataset, identity.data_sha256);
    FUZZ_EXPECT(cm_stream_create(&dataset.train, 2, true, 0, CM_RANDOM_TRAIN_ORDER,
                                 &run.train_stream, &error) == CM_OK);
    FUZZ_EXPECT(cm_stream_create(&dataset.validation, 2, true, 0, CM_RANDOM_VALIDATION_ORDER,
                                 &run.valid_stream, &error) == CM_OK);
    result = (cm_train_result){.step_losses = losses, .epochs = epochs, .epoch_count = 1};
    state = (cm_train_state){.epoch = 1, .step = 1, .schedule = cm_schedule_init(&options)};
    state.schedule.plateau.best = epochs[0].test_loss = 0.75;
    state.current.joules = epochs[0].joules = (double)NAN;
    for (int i = 0; i < 3; ++i) {
        train_batch(run.train_stream);
    }
    train_batch(run.valid_stream);
    FUZZ_EXPECT(cm_checkpoint_limit(&run) <= MAX_SIZE);
    FUZZ_EXPECT(cm_checkpoint_scratch(run.model) <= sizeof scratch);
    own_size = cm_checkpoint_encode(&run, own);
}

/* ---- The file ---- */

/* As the input says; its size. */
static size_t make_file(const uint8_t *data, size_t size) {
    const uint8_t choice = size > 0 ? data[0] : 0;
    const uint8_t *rest = size > 0 ? data + 1 : data, *end = data + size;
    size_t file_size = (size_t)(end - rest);
    if (choice & CHANGES) {
        file_size = own_size;
        memcpy(file, own, own_size);
        while (end - rest >= 3) {
            const size_t at = (size_t)(rest[0] | rest[1] << 8) % own_size;
            size_t count = rest[2] % 9;
            rest += 3;
            count = count < (size_t)(end - rest) ? count : (size_t)(end - rest);
            count = count < own_size - at ? count : own_size - at;
            memcpy(file + at, rest, count);
            rest += count;
        }
    } else {
        file_size = file_size < MAX_SIZE ? file_size : MAX_SIZE;
        memcpy(file, rest, file_size);
    }
    if (choice & HASH && file_size >= HASH_SIZE) {
        char hash[CM_SHA256_HEX_SIZE];
        cm_sha256_buffer(file, file_size - HASH_SIZE, hash);
        memcpy(file + file_size - HASH_SIZE, hash, HASH_SIZE);
    }
    return file_size;
}

/* In memory of just its size, so that the sanitizer sees a read beyond it. */
static cm_status decode(const uint8_t *bytes, size_t size, cm_error *error) {
    uint8_t *copy = malloc(size + 1);
    FUZZ_EXPECT(copy != NULL);
    memcpy(copy + 1, bytes, size);
    const cm_status status = cm_checkpoint_decode(&run, copy + 1, size, "FILE", error);
    free(copy);
    return status;
}

static void expect_refused(cm_status status, const cm_error *error) {
    static const char damaged[] = "FILE: field ", other[] = "FILE: is the checkpoint of a run ";
    if (status == CM_USAGE) {
        FUZZ_EXPECT(strncmp(error->message, other, strlen(other)) == 0);
        FUZZ_EXPECT(strchr(error->message, '\n') == NULL);
    } else {
        fuzz_expect_refused(status, error, damaged);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    cm_error error = {""};
    if (own_size == 0) {
        make_run();
    }
    FUZZ_EXPECT(decode(own, own_size, &error) == CM_OK);
    const size_t file_size = make_file(data, size);
    const cm_status status = decode(file, file_size, &error);
    const size_t written = cm_checkpoint_encode(&run, before);
    if (status != CM_OK) {
        expect_refused(status, &error);
        FUZZ_EXPECT(written == own_size && memcmp(before, own, own_size) == 0);
        return 0;
    }
    FUZZ_EXPECT(written == file_size && memcmp(before, file, file_size) == 0);
    train_batch(run.train_stream);
    train_batch(run.valid_stream);
    cm_schedule_observe(&state.schedule, 1.0);
    return 0;
}
