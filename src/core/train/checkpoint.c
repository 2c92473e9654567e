#include "core/train/checkpoint.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "convmark/kernels.h"
#include "core/files/file_kind.h"
#include "core/files/sha256.h"
#include "core/train/checkpoint_values.h"

_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__,
               "checkpoints are little-endian, and their arrays are copied");

enum { FORMAT_VERSION = 2, HASH_SIZE = 64, VALUE_SIZE = 8 };

static const char MAGIC[8] = {'\x89', 'C', 'M', 'C', 'K', 'P', 'T', '\n'};

/* ---- Writing ---- */

typedef struct writer {
    uint8_t *bytes; /* NULL: only counts */
    size_t size;
} writer;

static void put(writer *to, const void *data, size_t size) {
    if (to->bytes != NULL) {
        memcpy(to->bytes + to->size, data, size);
    }
    to->size += size;
}

static void put_number(writer *to, uint64_t value) {
    put(to, &value, sizeof value);
}

static void put_text(writer *to, const char *text) {
    put_number(to, strlen(text));
    put(to, text, strlen(text));
}

static void put_values(writer *to, const cm_values *values, const void *structure) {
    put_number(to, (uint64_t)values->count);
    for (int i = 0; i < values->count; ++i) {
        put_text(to, values->rows[i].name);
        put_number(to, cm_value_get(&values->rows[i], structure));
    }
}

static void put_identity(writer *to, const cm_checkpoint *run) {
    const cm_run_identity *identity = run->identity;
    put_text(to, cm_model_network(run->model)->name);
    put_text(to, identity->network_text);
    put_text(to, cm_conv2d_algorithm_name(cm_model_conv_algorithm(run->model)));
    put_text(to, identity->data_sha256);
    put_text(to, identity->initial_sha256);
    put_values(to, &cm_option_values, identity->options);
}

static void put_cursor(writer *to, const cm_stream *stream) {
    const cm_stream_cursor cursor = cm_stream_tell(stream);
    put_number(to, cursor.permutation);
    put_number(to, cursor.position);
}

static void put_log(writer *to, const cm_train_result *result) {
    put_number(to, (uint64_t)result->step_count);
    put(to, result->step_losses, (size_t)result->step_count * sizeof(double));
    put_number(to, (uint64_t)result->epoch_count);
    for (int i = 0; i < result->epoch_count; ++i) {
        for (int k = 0; k < cm_epoch_values.count; ++k) {
            put_number(to, cm_value_get(&cm_epoch_values.rows[k], &result->epochs[i]));
        }
    }
}

static size_t value_bytes(const cm_tensor_spec *spec) {
    return spec->count *
           (spec->kind == CM_TENSOR_NUM_BATCHES_TRACKED ? sizeof(int64_t) : sizeof(float));
}

static void put_tensor(writer *to, const cm_checkpoint *run, int index) {
    const cm_tensor_spec *spec = cm_model_tensor(run->model, index);
    const size_t bytes = value_bytes(spec);
    put_text(to, spec->name);
    put_number(to, spec->count);
    if (to->bytes != NULL) {
        cm_model_get_tensor(run->model, index, run->scratch);
    }
    put(to, run->scratch, bytes);
    if (spec->learned) {
        if (to->bytes != NULL) {
            cm_model_get_moments(run->model, index, (float *)(void *)run->scratch,
                                 (float *)(void *)run->scratch + spec->count);
        }
        put(to, run->scratch, 2 * bytes);
    }
}

static void put_model(writer *to, const cm_checkpoint *run) {
    const cm_adam_state adam = cm_model_get_adam(run->model);
    const int count = cm_model_tensor_count(run->model);
    put_number(to, (uint64_t)adam.step_count);
    put(to, &adam.beta1_power, sizeof adam.beta1_power);
    put(to, &adam.beta2_power, sizeof adam.beta2_power);
    put_number(to, (uint64_t)count);
    for (int i = 0; i < count; ++i) {
        put_tensor(to, run, i);
    }
}

/* All but the hash at the end. */
static void put_run(writer *to, const cm_checkpoint *run) {
    put(to, MAGIC, sizeof MAGIC);
    put_number(to, FORMAT_VERSION);
    put_number(to, CM_NUMERIC_CONTRACT);
    put_identity(to, run);
    put_values(to, &cm_state_values, run->state);
    put_cursor(to, run->train_stream);
    put_cursor(to, run->valid_stream);
    put_log(to, run->result);
    put_model(to, run);
}

size_t cm_checkpoint_limit(const cm_checkpoint *run) {
    const cm_train_options *options = run->identity->options;
    cm_train_result empty = {0};
    cm_checkpoint counted = *run;
    counted.result = &empty;
    writer to = {0};
    put_run(&to, &counted);
    const size_t steps = (size_t)options->epochs * (size_t)options->steps;
    return to.size + steps * VALUE_SIZE +
           (size_t)options->epochs * (size_t)cm_epoch_values.count * VALUE_SIZE + HASH_SIZE;
}

size_t cm_checkpoint_scratch(const cm_model *model) {
    size_t largest = sizeof(int64_t);
    for (int i = 0; i < cm_model_tensor_count(model); ++i) {
        const size_t bytes = 2 * value_bytes(cm_model_tensor(model, i));
        largest = bytes > largest ? bytes : largest;
    }
    return largest;
}

size_t cm_checkpoint_encode(const cm_checkpoint *run, uint8_t *bytes) {
    writer to = {.bytes = bytes};
    put_run(&to, run);
    char hash[CM_SHA256_HEX_SIZE];
    cm_sha256_buffer(bytes, to.size, hash);
    put(&to, hash, HASH_SIZE);
    return to.size;
}

/* ---- Reading ---- */

/* A cursor over the bytes that remembers the first thing that was wrong. Log and tensors are read
 * twice: to check them, and to keep them. */
typedef struct reader {
    const uint8_t *next, *end;
    const char *name;
    bool keeps;
    cm_status status;
    cm_error *error;
} reader;

static void refuse_checkpoint(reader *from, const char *field, const char *what) {
    if (from->status == CM_OK) {
        from->status = cm_fail(from->error, CM_BAD_INPUT, "%s: field %s: %s; is the file damaged?",
                               from->name, field, what);
    }
}

static void refuse_if(reader *from, bool wrong, const char *field, const char *what) {
    if (wrong) {
        refuse_checkpoint(from, field, what);
    }
}

/* NULL when fewer bytes are left. */
static const uint8_t *take_field(reader *from, const char *field, uint64_t size) {
    if (from->status == CM_OK && size > (uint64_t)(from->end - from->next)) {
        refuse_checkpoint(from, field, "reaches beyond the end of the file");
    }
    if (from->status != CM_OK) {
        return NULL;
    }
    const uint8_t *taken = from->next;
    from->next += size;
    return taken;
}

static uint64_t take_number(reader *from, const char *field) {
    uint64_t value = 0;
    const uint8_t *bytes = take_field(from, field, sizeof value);
    if (bytes != NULL) {
        memcpy(&value, bytes, sizeof value);
    }
    return value;
}

/* A number that can only be this one. */
static void expect_number(reader *from, const char *field, uint64_t expected) {
    const uint64_t value = take_number(from, field);
    if (from->status == CM_OK && value != expected) {
        char what[80];
        snprintf(what, sizeof what, "%" PRIu64 " where %" PRIu64 " is expected", value, expected);
        refuse_checkpoint(from, field, what);
    }
}

/* Whether the text that comes next is this one. */
static bool take_text(reader *from, const char *field, const char *expected) {
    const uint64_t length = take_number(from, field);
    const uint8_t *bytes = take_field(from, field, length);
    return bytes != NULL && length == strlen(expected) && memcmp(bytes, expected, length) == 0;
}

static void expect_text(reader *from, const char *field, const char *expected) {
    refuse_if(from, !take_text(from, field, expected), field, "is not the name of this place");
}

static void differs(reader *from, const char *what) {
    if (from->status == CM_OK) {
        from->status = cm_fail(from->error, CM_USAGE,
                               "%s: is the checkpoint of a run with another %s; repeat the "
                               "options of that run, or start over with a new checkpoint",
                               from->name, what);
    }
}

static void same_text(reader *from, const char *field, const char *what, const char *expected) {
    if (!take_text(from, field, expected)) {
        differs(from, what);
    }
}

/* "value of seed (1 there, 0 here)"; reals with as many digits as show the difference. */
static void option_differs(reader *from, const cm_value_row *row, uint64_t there, uint64_t here) {
    char what[160], left[40] = "", right[40] = "";
    for (int digits = 6; digits <= 17 && strcmp(left, right) == 0; ++digits) {
        cm_value_format(row, there, digits, left, sizeof left);
        cm_value_format(row, here, digits, right, sizeof right);
    }
    snprintf(what, sizeof what, "value of %s (%s there, %s here)", row->name, left, right);
    differs(from, what);
}

/* A run may be continued for more epochs where no rate so far depended on their number: the bits
 * are then those of one longer run. */
static void check_epochs(reader *from, const cm_train_options *options, uint64_t there) {
    const uint64_t here = (uint64_t)options->epochs;
    if (from->status != CM_OK || here == there) {
        return;
    }
    if (here < there) {
        from->status = cm_fail(from->error, CM_USAGE,
                               "%s: is the checkpoint of a run of %" PRIu64 " epochs, which cannot "
                               "be cut to %" PRIu64 "; give %" PRIu64 " epochs or more, or start "
                               "over with a new checkpoint",
                               from->name, there, here, there);
    } else if (cm_schedule_knows_end(options->schedule)) {
        from->status = cm_fail(from->error, CM_USAGE,
                               "%s: is the checkpoint of a run of %" PRIu64 " epochs, whose %s "
                               "schedule ends with them; it cannot be extended to %" PRIu64
                               ": repeat its %" PRIu64 " epochs, or start over with a new "
                               "checkpoint",
                               from->name, there, cm_schedule_name(options->schedule), here, there);
    }
}

static void same_options(reader *from, const cm_train_options *options) {
    uint64_t epochs = (uint64_t)options->epochs;
    expect_number(from, "options", (uint64_t)cm_option_values.count);
    for (int i = 0; i < cm_option_values.count; ++i) {
        const cm_value_row *row = &cm_option_values.rows[i];
        expect_text(from, row->name, row->name);
        const uint64_t there = take_number(from, row->name), here = cm_value_get(row, options);
        if (row->offset == offsetof(cm_train_options, epochs)) {
            epochs = there;
        } else if (from->status == CM_OK && there != here) {
            option_differs(from, row, there, here);
        }
    }
    check_epochs(from, options, epochs);
}

static void take_identity(reader *from, const cm_checkpoint *run) {
    const cm_run_identity *identity = run->identity;
    same_text(from, "network", "network", cm_model_network(run->model)->name);
    same_text(from, "network_text", "network (its layers differ)", identity->network_text);
    same_text(from, "conv_algorithm", "convolution algorithm",
              cm_conv2d_algorithm_name(cm_model_conv_algorithm(run->model)));
    same_text(from, "data_sha256", "data set", identity->data_sha256);
    /* Before the initial values, which depend on the seed. */
    const uint8_t *initial = from->next;
    (void)take_text(from, "initial_sha256", "");
    same_options(from, identity->options);
    reader again = *from;
    again.next = initial;
    same_text(&again, "initial_sha256", "initial model", identity->initial_sha256);
    from->status = again.status;
}

/* What the state says of batches and epochs has to fit the place in the run. */
static void check_state(reader *from, const cm_train_options *options,
                        const cm_train_state *state) {
    const cm_plateau *plateau = &state->schedule.plateau;
    refuse_if(from,
              state->epoch > options->epochs ||
                  (state->epoch == options->epochs && state->step > 0),
              "epoch", "is beyond the end of the run");
    refuse_if(from, state->step > options->steps, "step", "is beyond the end of the epoch");
    refuse_if(from,
              state->valid_step > options->valid_steps ||
                  (state->valid_step > 0 && state->step < options->steps),
              "valid_step", "is beyond the end of the epoch, or before that of training");
    refuse_if(from, state->correct > (int64_t)state->valid_step * options->batch, "correct",
              "is more than were asked");
    refuse_if(from, state->schedule.step != (int64_t)state->epoch * options->steps + state->step,
              "schedule.step", "is not the number of steps done");
    refuse_if(from, plateau->bad_epochs > state->epoch || plateau->since_best > state->epoch,
              "schedule.plateau", "counts more epochs than were done");
}

static void take_state(reader *from, const cm_train_options *options, cm_train_state *state) {
    expect_number(from, "state", (uint64_t)cm_state_values.count);
    for (int i = 0; i < cm_state_values.count; ++i) {
        const cm_value_row *row = &cm_state_values.rows[i];
        expect_text(from, row->name, row->name);
        refuse_if(from, !cm_value_set(row, take_number(from, row->name), state), row->name,
                  "is out of range");
    }
    check_state(from, options, state);
}

static void take_cursor(reader *from, const char *field, cm_stream *stream) {
    const uint64_t permutation = take_number(from, field), position = take_number(from, field);
    if (from->status == CM_OK &&
        (permutation > UINT32_MAX || position > UINT32_MAX ||
         !cm_stream_seek(stream, (cm_stream_cursor){(uint32_t)permutation, (uint32_t)position}))) {
        refuse_checkpoint(from, field, "is beyond the images");
    }
}

/* Whether `count` floats or doubles, which need not be aligned, are finite. */
static bool values_are_finite(const uint8_t *bytes, size_t count, size_t size) {
    for (size_t i = 0; i < count; ++i) {
        float single = 0.0F;
        double value = 0.0;
        memcpy(size == sizeof single ? (void *)&single : (void *)&value, bytes + i * size, size);
        if (!isfinite(single) || !isfinite(value)) {
            return false;
        }
    }
    return true;
}

static void take_epoch(reader *from, cm_epoch_result *epoch) {
    for (int k = 0; k < cm_epoch_values.count; ++k) {
        refuse_if(from, !cm_value_set(&cm_epoch_values.rows[k], take_number(from, "epochs"), epoch),
                  cm_epoch_values.rows[k].name, "is out of range");
    }
}

/* As many steps and epochs as the state tells: never more than there is room for. */
static void take_log(reader *from, const cm_checkpoint *run, const cm_train_state *state) {
    cm_train_result *result = run->result;
    const int64_t count = state->schedule.step;
    const size_t steps = from->status == CM_OK ? (size_t)count : 0, size = steps * sizeof(double);
    expect_number(from, "step_losses", steps);
    const uint8_t *losses = take_field(from, "step_losses", size);
    refuse_if(from, losses != NULL && !values_are_finite(losses, steps, sizeof(double)),
              "step_losses", "holds a loss that is not finite");
    expect_number(from, "epochs", (uint64_t)state->epoch);
    for (int i = 0; from->status == CM_OK && i < state->epoch; ++i) {
        cm_epoch_result checked;
        take_epoch(from, from->keeps ? &result->epochs[i] : &checked);
    }
    if (from->keeps) {
        memcpy(result->step_losses, losses, size);
        result->step_count = (int)count;
        result->epoch_count = state->epoch;
    }
}

/* num_batches_tracked is a count; the other tensors are floats. */
static void check_tensor(reader *from, const cm_tensor_spec *spec, const uint8_t *values) {
    int64_t batches = 0;
    if (spec->kind == CM_TENSOR_NUM_BATCHES_TRACKED) {
        memcpy(&batches, values, sizeof batches);
        refuse_if(from, batches < 0 || batches > INT64_MAX / 2, spec->name, "is out of range");
    } else {
        refuse_if(from, !values_are_finite(values, spec->count, sizeof(float)), spec->name,
                  "holds a value that is not finite");
    }
}

static void take_tensor(reader *from, const cm_checkpoint *run, int index) {
    const cm_tensor_spec *spec = cm_model_tensor(run->model, index);
    const size_t bytes = value_bytes(spec);
    expect_text(from, spec->name, spec->name);
    expect_number(from, spec->name, spec->count);
    const uint8_t *values = take_field(from, spec->name, bytes);
    const uint8_t *moments = spec->learned ? take_field(from, spec->name, 2 * bytes) : NULL;
    if (values != NULL) {
        check_tensor(from, spec, values);
    }
    if (!from->keeps) {
        return;
    }
    memcpy(run->scratch, values, bytes); /* aligned */
    cm_model_set_tensor(run->model, index, run->scratch);
    if (moments != NULL) {
        memcpy(run->scratch, moments, 2 * bytes);
        cm_model_set_moments(run->model, index, (const float *)(void *)run->scratch,
                             (const float *)(void *)run->scratch + spec->count);
    }
}

static double take_power(reader *from, const char *field) {
    const uint64_t bits = take_number(from, field);
    double value;
    memcpy(&value, &bits, sizeof value);
    refuse_if(from, !(value >= 0.0 && value <= 1.0), field, "is not from 0 to 1");
    return value;
}

static void take_model(reader *from, const cm_checkpoint *run, const cm_train_state *state) {
    cm_adam_state adam = {.step_count = (int64_t)take_number(from, "adam_steps")};
    refuse_if(from, adam.step_count < state->schedule.step || adam.step_count > INT64_MAX / 2,
              "adam_steps", "is less than the steps of the run, or too many");
    adam.beta1_power = take_power(from, "beta1_power");
    adam.beta2_power = take_power(from, "beta2_power");
    const int count = cm_model_tensor_count(run->model);
    expect_number(from, "tensors", (uint64_t)count);
    for (int i = 0; from->status == CM_OK && i < count; ++i) {
        take_tensor(from, run, i);
    }
    if (from->keeps) {
        cm_model_set_adam(run->model, &adam);
    }
}

/* What every version of the format has: the magic, its number, and the hash at the end. */
static bool has_frame(const uint8_t *bytes, size_t size) {
    char hash[CM_SHA256_HEX_SIZE];
    if (size < sizeof MAGIC + VALUE_SIZE + HASH_SIZE || memcmp(bytes, MAGIC, sizeof MAGIC) != 0) {
        return false;
    }
    cm_sha256_buffer(bytes, size - HASH_SIZE, hash);
    return memcmp(hash, bytes + size - HASH_SIZE, HASH_SIZE) == 0;
}

bool cm_checkpoint_is_of_another_version(const uint8_t *bytes, size_t size) {
    uint64_t version = 0;
    if (!has_frame(bytes, size)) {
        return false;
    }
    memcpy(&version, bytes + sizeof MAGIC, sizeof version);
    return version != FORMAT_VERSION;
}

/* Magic, hash and versions: in this order, so that damage is not taken for another version. */
static void take_frame(reader *from, const uint8_t *bytes, size_t size) {
    const char *title = NULL;
    if (size < sizeof MAGIC || memcmp(bytes, MAGIC, sizeof MAGIC) != 0) {
        (void)cm_file_kind_of(bytes, size, &title);
        from->status = cm_fail(from->error, CM_BAD_INPUT,
                               "%s: field magic: this is not a checkpoint but %s; is it the right "
                               "file?",
                               from->name, title);
    } else if (size < sizeof MAGIC + HASH_SIZE) {
        refuse_checkpoint(from, "sha256", "reaches beyond the end of the file");
    } else {
        from->next = bytes + sizeof MAGIC;
        from->end = bytes + size - HASH_SIZE;
        refuse_if(from, !has_frame(bytes, size), "sha256", "does not fit the content");
    }
    const uint64_t version = take_number(from, "version");
    if (from->status == CM_OK && version != FORMAT_VERSION) {
        from->status = cm_fail(from->error, CM_BAD_INPUT,
                               "%s: field version: %" PRIu64
                               ", this program reads %d; use the program that wrote the file",
                               from->name, version, FORMAT_VERSION);
    }
    const uint64_t contract = take_number(from, "numeric_contract");
    if (from->status == CM_OK && contract != CM_NUMERIC_CONTRACT) {
        differs(from, "version of the program, which gives other bits");
    }
}

cm_status cm_checkpoint_decode(const cm_checkpoint *run, const uint8_t *bytes, size_t size,
                               const char *name, cm_error *error) {
    reader from = {.name = name, .status = CM_OK, .error = error};
    cm_train_state state = {.schedule = run->state->schedule};
    const cm_stream_cursor train = cm_stream_tell(run->train_stream);
    const cm_stream_cursor valid = cm_stream_tell(run->valid_stream);
    take_frame(&from, bytes, size);
    take_identity(&from, run);
    take_state(&from, run->identity->options, &state);
    take_cursor(&from, "train_stream", run->train_stream);
    take_cursor(&from, "valid_stream", run->valid_stream);
    reader log = from;
    take_log(&from, run, &state);
    take_model(&from, run, &state);
    refuse_if(&from, from.next != from.end, "sha256", "is not where the tensors end");
    if (from.status != CM_OK) {
        cm_stream_seek(run->train_stream, train);
        cm_stream_seek(run->valid_stream, valid);
        return from.status;
    }
    log.keeps = true;
    take_log(&log, run, &state);
    take_model(&log, run, &state);
    *run->state = state;
    return CM_OK;
}
