/* The safetensors layer on named arrays, and model files on top of it. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "convmark/model_file.h"
#include "core/files/atomic_file.h"
#include "core/network/safetensors.h"

static char path[] = "/tmp/convmark-model-XXXXXX";

static int set_up(void **state) {
    (void)state;
    strcpy(path + sizeof path - 7, "XXXXXX");
    const int fd = mkstemp(path);
    return fd >= 0 ? close(fd) : -1;
}

static int tear_down(void **state) {
    (void)state;
    return unlink(path);
}

static void assert_mentions(const cm_error *error, const char *text) {
    if (strstr(error->message, text) == NULL) {
        fail_msg("\"%s\" does not mention \"%s\"", error->message, text);
    }
}

/* A file's bytes from header text and data; malloc'd, *size of them. */
static char *file_bytes(const char *header, const void *data, size_t data_size, size_t *size) {
    const uint64_t length = strlen(header);
    char *bytes = malloc(8 + length + data_size + 1);
    assert_non_null(bytes);
    memcpy(bytes, &length, 8);
    memcpy(bytes + 8, header, length);
    memcpy(bytes + 8 + length, data, data_size);
    *size = 8 + (size_t)length + data_size;
    return bytes;
}

static cm_status parse(const char *header, const void *data, size_t data_size,
                       cm_safetensors **file, cm_error *error) {
    size_t size = 0;
    char *bytes = file_bytes(header, data, data_size, &size);
    return cm_safetensors_parse(bytes, size, "FILE", file, error);
}

static void assert_refused(const char *header, size_t data_size, const char *mentions) {
    static const char zeros[64];
    cm_safetensors *file = NULL;
    cm_error error = {{0}};
    if (parse(header, zeros, data_size, &file, &error) != CM_BAD_INPUT) {
        fail_msg("accepted: %s", header);
    }
    assert_null(file);
    assert_mentions(&error, "FILE: ");
    assert_mentions(&error, mentions);
}

#define ENTRY(dtype, shape, offsets) \
    "{\"dtype\":" dtype ",\"shape\":" shape ",\"data_offsets\":" offsets "}"
#define F32(shape, offsets) ENTRY("\"F32\"", shape, offsets)

static void test_parses(void **state) {
    (void)state;
    /* The order of the header is not that of the data; an odd header makes the data unaligned. */
    const char header[] = "{\"__metadata__\":{\"format\":\"pt\"}, \"n\":" ENTRY(
        "\"I64\"", "[]", "[8,16]") ",\"w\":" F32("[2,1]", "[0,8]") ",\"none\":" F32("[0]",
                                                                                    "[8,8]") "}  ";
    char data[16];
    const float weights[] = {1.5f, -2.0f};
    const int64_t number = -7;
    memcpy(data, weights, 8);
    memcpy(data + 8, &number, 8);
    cm_safetensors *file = NULL;
    cm_error error = {{0}};
    assert_int_equal(parse(header, data, sizeof data, &file, &error), CM_OK);
    assert_int_equal(cm_safetensors_count(file), 3);
    assert_string_equal(cm_safetensors_at(file, 0)->name, "w");
    assert_string_equal(cm_safetensors_at(file, 1)->name, "none");
    assert_string_equal(cm_safetensors_at(file, 2)->name, "n");
    const cm_safetensor *w = cm_safetensors_find(file, "w");
    assert_int_equal(w->dtype, CM_DTYPE_F32);
    assert_int_equal(w->rank, 2);
    assert_int_equal(w->dims[0], 2);
    assert_int_equal(w->dims[1], 1);
    assert_int_equal(w->count, 2);
    assert_memory_equal(w->data, weights, 8);
    const cm_safetensor *n = cm_safetensors_find(file, "n");
    assert_int_equal(n->dtype, CM_DTYPE_I64);
    assert_int_equal(n->rank, 0);
    assert_int_equal(n->count, 1);
    assert_memory_equal(n->data, &number, 8);
    assert_null(cm_safetensors_find(file, "W"));
    assert_null(cm_safetensors_find(file, "__metadata__"));
    cm_safetensors_free(file);
}

static void test_refuses_headers(void **state) {
    (void)state;
    assert_refused("", 0, "'{'");
    assert_refused(" {}", 0, "'{'");
    assert_refused("[]", 0, "'{'");
    assert_refused("{", 0, "header");
    assert_refused("{} x", 0, "header");
    assert_refused("{\"a\":" F32("[]", "[0,4]") ",\"a\":" F32("[]", "[4,8]") "}", 8, "duplicate");
    assert_refused("{\"a\":" F32("[]", "[0,4]") ",\"\\u0061\":" F32("[]", "[4,8]") "}", 8,
                   "duplicate");
    assert_refused("{\"a\":{\"dtype\":\"F32\",\"shape\":[],\"sh\\u0061pe\":[],"
                   "\"data_offsets\":[0,4]}}",
                   4, "duplicate");
    assert_refused("{\"a\\u0000\":" F32("[]", "[0,4]") "}", 4, "NUL");
    assert_refused("{\"__metadata__\":{},\"\\u005f_metadata__\":{}}", 0, "duplicate");
    assert_refused("{\"__metadata__\":[]}", 0, "__metadata__");
    assert_refused("{\"__metadata__\":{\"x\":{}}}", 0, "\"x\" is not text");
    assert_refused("{\"__metadata__\":{\"x\":1}}", 0, "\"x\" is not text");
    assert_refused("{\"a\":1}", 0, "not an object");
    assert_refused("{\"a\":{\"b\":" F32("[]", "[0,4]") "}}", 4, "has no \"dtype\"");
    assert_refused("{\"a\":{\"dtype\":\"F32\",\"shape\":[]}}", 4, "has no \"data_offsets\"");
    assert_refused("{\"a\":{\"dtype\":\"F32\",\"data_offsets\":[0,4]}}", 4, "has no \"shape\"");
    assert_refused("{\"a\":{\"dtype\":\"F32\",\"shape\":[],\"data_offsets\":[0,4],\"x\":1}}", 4,
                   "has more than");
}

static void test_refuses_tensors(void **state) {
    (void)state;
    assert_refused("{\"a\":" ENTRY("\"C64\"", "[2]", "[0,4]") "}", 4, "type C64");
    assert_refused("{\"a\":" ENTRY("\"f32\"", "[1]", "[0,4]") "}", 4, "type f32");
    assert_refused("{\"a\":" ENTRY("3", "[1]", "[0,4]") "}", 4, "\"dtype\" is not text");
    assert_refused("{\"a\":" F32("3", "[0,12]") "}", 12, "not a list");
    assert_refused("{\"a\":" F32("[1,1,1,1,1,1,1,1,1]", "[0,4]") "}", 4, "8 dimensions");
    assert_refused("{\"a\":" F32("[-1]", "[0,4]") "}", 4, "whole numbers");
    assert_refused("{\"a\":" F32("[1.0]", "[0,4]") "}", 4, "whole numbers");
    assert_refused("{\"a\":" F32("[[1]]", "[0,4]") "}", 4, "whole numbers");
    assert_refused("{\"a\":" F32("[4294967296,4294967296]", "[0,0]") "}", 0, "too many elements");
    assert_refused("{\"a\":" F32("[4611686018427387904]", "[0,0]") "}", 0, "too many elements");
    /* Sizes whose product is small modulo 2^64: 2^32 * 2^32, (2^32 + 1) * (2^32 - 1) + 1. */
    assert_refused("{\"a\":" F32("[4294967296,4294967296,1]", "[0,4]") "}", 4, "too many elements");
    assert_refused("{\"a\":" F32("[6148914691236517206,3]", "[0,8]") "}", 8, "too many elements");
    assert_refused("{\"a\":" F32("[18446744073709551617]", "[0,4]") "}", 4, "too big");
    assert_refused("{\"a\":" F32("[1]", "[0,18446744073709551620]") "}", 4, "too big");
    assert_refused("{\"a\":" F32("[1]", "[9223372036854775803,9223372036854775807]") "}", 4,
                   "beyond the end");
    assert_refused("{\"a\":" F32("[1]", "[0,8]") "}", 8, "do not fit its shape");
    assert_refused("{\"a\":" ENTRY("\"I64\"", "[1]", "[0,4]") "}", 4, "do not fit its shape");
}

static void test_refuses_places(void **state) {
    (void)state;
    assert_refused("{\"a\":" F32("[1]", "[4,0]") "}", 4, "reversed");
    assert_refused("{\"a\":" F32("[1]", "[-4,0]") "}", 4, "negative");
    assert_refused("{\"a\":" F32("[1]", "[0,4.0]") "}", 4, "two whole numbers");
    assert_refused("{\"a\":" F32("[1]", "[0,\"4\"]") "}", 4, "two whole numbers");
    assert_refused("{\"a\":" F32("[1]", "[0]") "}", 4, "two whole numbers");
    assert_refused("{\"a\":" F32("[1]", "[0,4,8]") "}", 8, "two whole numbers");
    assert_refused("{\"a\":" F32("[1]", "{}") "}", 4, "two whole numbers");
    assert_refused("{\"a\":" F32("[2]", "[0,8]") "}", 7, "beyond the end");
    assert_refused("{\"a\":" F32("[1]", "[0,4]") "}", 5, "1 bytes after");
    assert_refused("{}", 4, "4 bytes after");
    assert_refused("{\"a\":" F32("[1]", "[4,8]") "}", 8, "hole");
    assert_refused("{\"a\":" F32("[1]", "[0,4]") ",\"b\":" F32("[1]", "[8,12]") "}", 12, "hole");
    assert_refused("{\"a\":" F32("[2]", "[0,8]") ",\"b\":" F32("[2]", "[4,12]") "}", 12, "overlap");
    assert_refused("{\"a\":" F32("[1]", "[0,4]") ",\"b\":" F32("[1]", "[0,4]") "}", 4, "overlap");
    assert_refused("{\"a\":" F32("[2]", "[0,8]") ",\"b\":" F32("[0]", "[4,4]") "}", 8, "overlap");
}

static void test_refuses_values(void **state) {
    (void)state;
    const float values[][3] = {{0, 0, NAN}, {0, 0, INFINITY}, {0, 0, -INFINITY}};
    for (size_t i = 0; i < sizeof values / sizeof *values; ++i) {
        cm_safetensors *file = NULL;
        cm_error error = {{0}};
        assert_int_equal(parse("{\"a\":" F32("[3]", "[0,12]") "}", values[i], 12, &file, &error),
                         CM_BAD_INPUT);
        assert_mentions(&error, "element 2 is not a finite number");
    }
}

static cm_status parse_length(uint64_t length, size_t size, cm_error *error) {
    char *bytes = calloc(size + 8, 1);
    assert_non_null(bytes);
    memcpy(bytes, &length, 8);
    cm_safetensors *file = NULL;
    const cm_status status = cm_safetensors_parse(bytes, size, "FILE", &file, error);
    assert_null(file);
    return status;
}

static void test_refuses_lengths(void **state) {
    (void)state;
    static const struct {
        uint64_t length;
        size_t size;
        const char *mentions;
    } cases[] = {
        {0, 0, "too short"},
        {0, 7, "too short"},
        {1, 8, "beyond the end"},
        {100000000, 64, "beyond the end"},
        {100000001, 64, "above 100000000"},
        {UINT64_MAX, 64, "above 100000000"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; ++i) {
        cm_error error = {{0}};
        assert_int_equal(parse_length(cases[i].length, cases[i].size, &error), CM_BAD_INPUT);
        assert_mentions(&error, cases[i].mentions);
    }
}

/* Values that would take a hundred times the header's memory are not parsed at all. */
static void test_refuses_floods(void **state) {
    (void)state;
    enum { VALUES = 1 << 21 };
    char *header = malloc(2 * VALUES + 16);
    assert_non_null(header);
    strcpy(header, "{\"a\":[");
    for (size_t i = 0; i < VALUES; ++i) {
        memcpy(header + 6 + 2 * i, "0,", 3);
    }
    strcat(header + 6 + 2 * VALUES - 2, "0]}");
    assert_refused(header, 0, "more than 1048576 values");
    free(header);
}

/* As many tensors as no model has: each one is looked at a fixed number of times, but for a sort.
 */
static void test_many_tensors(void **state) {
    (void)state;
    enum { TENSORS = 100000, ROOM = 80 };
    char *header = malloc((size_t)TENSORS * ROOM + 2);
    float *data = calloc(TENSORS, sizeof *data);
    assert_non_null(header);
    assert_non_null(data);
    size_t used = 0;
    for (int i = 0; i < TENSORS; ++i) {
        const int place = (int)(INT64_C(77777) * i % TENSORS); /* each one once, in no order */
        used += (size_t)snprintf(header + used, ROOM, "%c\"%d\":" F32("[]", "[%d,%d]"),
                                 i == 0 ? '{' : ',', i, 4 * place, 4 * place + 4);
    }
    strcpy(header + used, "}");
    cm_safetensors *file = NULL;
    cm_error error = {{0}};
    if (parse(header, data, TENSORS * sizeof *data, &file, &error) != CM_OK) {
        fail_msg("%s", error.message);
    }
    assert_int_equal(cm_safetensors_count(file), TENSORS);
    assert_string_equal(cm_safetensors_at(file, 0)->name, "0");
    assert_string_equal(cm_safetensors_at(file, 77777)->name, "1");
    cm_safetensors_free(file);
    free(header);
    free(data);
}

/* Brackets in brackets to the depth that would exhaust the stack. */
static void test_refuses_nesting(void **state) {
    (void)state;
    enum { DEPTH = 1 << 19 };
    char *header = malloc(DEPTH + 6);
    assert_non_null(header);
    strcpy(header, "{\"a\":");
    memset(header + 5, '[', DEPTH);
    header[5 + DEPTH] = '\0';
    assert_refused(header, 0, "depth");
    free(header);
}

/* Every truncation and every changed byte of a good file is refused or read without harm. */
static void test_damaged_files(void **state) {
    (void)state;
    const char header[] = "{\"a\":" F32("[2,1]", "[0,8]") ",\"b\":" F32("[1]", "[8,12]") "}";
    const float values[] = {1, 2, 3};
    size_t size = 0;
    char *good = file_bytes(header, values, sizeof values, &size);
    for (size_t length = 0; length < size; ++length) {
        char *bytes = malloc(length + 1);
        assert_non_null(bytes);
        memcpy(bytes, good, length);
        cm_safetensors *file = NULL;
        assert_int_equal(cm_safetensors_parse(bytes, length, "FILE", &file, NULL), CM_BAD_INPUT);
    }
    for (size_t at = 0; at < 256 * size; ++at) {
        char *bytes = malloc(size);
        assert_non_null(bytes);
        memcpy(bytes, good, size);
        bytes[at / 256] = (char)(at % 256);
        cm_safetensors *file = NULL;
        if (cm_safetensors_parse(bytes, size, "FILE", &file, NULL) == CM_OK) {
            assert_int_equal(cm_safetensors_count(file), 2);
        }
        cm_safetensors_free(file);
    }
    free(good);
}

static void test_round_trip(void **state) {
    (void)state;
    const float weights[] = {0.1f, -0.0f, 1e-45f, 3.4e38f, 5, 6};
    const int64_t number = INT64_MAX;
    const cm_safetensor tensors[] = {
        {"z.weight", CM_DTYPE_F32, 2, {3, 2}, 6, weights},
        {"a.count", CM_DTYPE_I64, 0, {0}, 1, &number},
        {"empty", CM_DTYPE_F32, 1, {0}, 0, NULL},
    };
    const cm_safetensors_text metadata[] = {{"format", "pt"}, {"text", "line 1\nline \"2\"\n"}};
    cm_error error = {{0}};
    assert_int_equal(cm_safetensors_write(path, tensors, 3, metadata, 2, &error), CM_OK);

    char *bytes = NULL;
    size_t size = 0;
    uint64_t length = 0;
    assert_int_equal(cm_file_read(path, 10000, &bytes, &size, &error), CM_OK);
    memcpy(&length, bytes, 8);
    assert_int_equal(length % 8, 0);
    assert_int_equal(8 + length + sizeof weights + sizeof number, size);
    assert_memory_equal(bytes + 8 + length, weights, sizeof weights);
    const char start[] = "{\"__metadata__\":{\"format\":\"pt\",";
    assert_memory_equal(bytes + 8, start, sizeof start - 1);
    free(bytes);

    cm_safetensors *file = NULL;
    assert_int_equal(cm_safetensors_load(path, 32, &file, &error), CM_OK);
    assert_int_equal(cm_safetensors_count(file), 3);
    assert_memory_equal(cm_safetensors_find(file, "z.weight")->data, weights, sizeof weights);
    assert_memory_equal(cm_safetensors_find(file, "a.count")->data, &number, sizeof number);
    assert_int_equal(cm_safetensors_find(file, "empty")->count, 0);
    cm_safetensors_free(file);

    char *text = NULL;
    assert_int_equal(cm_safetensors_read_metadata(path, "text", &text, &error), CM_OK);
    assert_string_equal(text, metadata[1].value);
    free(text);
    assert_int_equal(cm_safetensors_read_metadata(path, "other", &text, &error), CM_OK);
    assert_null(text);
}

static void test_writer_refuses(void **state) {
    (void)state;
    const float good = 1, bad = NAN;
    const cm_safetensor same[] = {{"a", CM_DTYPE_F32, 0, {0}, 1, &good},
                                  {"a", CM_DTYPE_F32, 0, {0}, 1, &good}};
    const cm_safetensor not_finite[] = {{"b", CM_DTYPE_F32, 0, {0}, 1, &bad}};
    cm_error error = {{0}};
    assert_int_equal(cm_safetensors_write(path, same, 2, NULL, 0, &error), CM_FAILED);
    assert_mentions(&error, "same name");
    assert_int_equal(cm_safetensors_write(path, not_finite, 1, NULL, 0, &error), CM_FAILED);
    assert_mentions(&error, "\"b\"");
    char *bytes = NULL;
    size_t size = 1;
    assert_int_equal(cm_file_read(path, 0, &bytes, &size, &error), CM_OK);
    assert_int_equal(size, 0);
    free(bytes);
}

/* ---- model files ---- */

static const char NETWORK[] = "input 1 6 6\nconv2d 4 kernel 3 padding 1\nbatch_norm\nrelu\n"
                              "max_pool2d 3 stride 3\nflatten\nlinear 3\n";

static cm_network *network_of(const char *text) {
    cm_network *network = NULL;
    cm_error error = {{0}};
    if (cm_network_parse(text, strlen(text), "small.txt", &network, &error) != CM_OK) {
        fail_msg("%s", error.message);
    }
    return network;
}

static cm_model *model_of(const cm_network *network, uint64_t seed) {
    const cm_model_options options = {
        .batch = 2, .threads = 1, .isa = CM_ISA_SCALAR, .training = false};
    cm_model *model = NULL;
    cm_error error = {{0}};
    if (cm_model_create(network, &options, &model, &error) != CM_OK) {
        fail_msg("%s", error.message);
    }
    cm_model_initialize(model, seed);
    return model;
}

static void test_model_round_trip(void **state) {
    (void)state;
    cm_network *network = network_of(NETWORK);
    cm_model *saved = model_of(network, 1), *loaded = model_of(network, 2);
    char before[65], after[65];
    cm_error error = {{0}};
    cm_model_sha256(saved, before);
    cm_model_sha256(loaded, after);
    assert_string_not_equal(before, after);
    assert_int_equal(cm_model_save(saved, path, &error), CM_OK);
    assert_int_equal(cm_model_load(loaded, path, &error), CM_OK);
    cm_model_sha256(loaded, after);
    assert_string_equal(before, after);

    cm_safetensors *file = NULL;
    assert_int_equal(cm_safetensors_load(path, SIZE_MAX, &file, &error), CM_OK);
    static const char *const names[] = {"conv.0.weight",
                                        "conv.0.bias",
                                        "conv.1.weight",
                                        "conv.1.bias",
                                        "conv.1.running_mean",
                                        "conv.1.running_var",
                                        "conv.1.num_batches_tracked",
                                        "dense.1.weight",
                                        "dense.1.bias"};
    assert_int_equal(cm_safetensors_count(file), 9);
    for (int i = 0; i < 9; ++i) {
        assert_string_equal(cm_safetensors_at(file, i)->name, names[i]);
    }
    const cm_safetensor *weight = cm_safetensors_find(file, "conv.0.weight");
    assert_int_equal(weight->rank, 4);
    assert_int_equal(weight->dims[0], 4);
    assert_int_equal(weight->dims[1], 1);
    assert_int_equal(weight->dims[2], 3);
    assert_int_equal(cm_safetensors_find(file, names[6])->dtype, CM_DTYPE_I64);
    cm_safetensors_free(file);

    cm_network *back = NULL;
    assert_int_equal(cm_model_file_network(path, &back, &error), CM_OK);
    assert_string_equal(back->name, "small");
    assert_int_equal(back->layer_count, network->layer_count);
    assert_int_equal(cm_network_parameter_count(back), cm_network_parameter_count(network));
    cm_network_free(back);
    cm_model_free(saved);
    cm_model_free(loaded);
    cm_network_free(network);
}

/* Loading `path` fails, says why, and changes nothing. */
static void assert_does_not_fit(cm_model *model, const char *mentions) {
    char before[65], after[65];
    cm_error error = {{0}};
    cm_model_sha256(model, before);
    assert_int_equal(cm_model_load(model, path, &error), CM_BAD_INPUT);
    assert_mentions(&error, mentions);
    assert_mentions(&error, path);
    cm_model_sha256(model, after);
    assert_string_equal(before, after);
}

static void test_model_of_another_network(void **state) {
    (void)state;
    static const struct {
        const char *text, *mentions;
    } cases[] = {
        {"input 1 6 6\nconv2d 4 kernel 3 padding 1\nrelu\nmax_pool2d 3 stride 3\nflatten\n"
         "linear 3\n",
         "conv.1.weight"},
        {"input 1 6 6\nconv2d 4 kernel 3 padding 1\nbatch_norm\nrelu\nmax_pool2d 3 stride 3\n"
         "flatten\nlinear 4\n",
         "shape [4, 16]"},
        {"input 1 6 6\nconv2d 4 kernel 3 padding 1\nbatch_norm\nrelu\nmax_pool2d 3 stride 3\n"
         "flatten\nlinear 3\nrelu\nlinear 3\n",
         "dense.3.weight"},
    };
    cm_network *network = network_of(NETWORK);
    cm_model *model = model_of(network, 1);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; ++i) {
        cm_network *other_network = network_of(cases[i].text);
        cm_model *other = model_of(other_network, 2);
        cm_error error = {{0}};
        assert_int_equal(cm_model_save(other, path, &error), CM_OK);
        assert_does_not_fit(model, cases[i].mentions);
        cm_model_free(other);
        cm_network_free(other_network);
    }
    cm_model_free(model);
    cm_network_free(network);
}

/* Saves a linear network's two tensors with one thing wrong. */
static void test_model_of_wrong_types_and_values(void **state) {
    (void)state;
    cm_network *network = network_of("input 2 1 1\nbatch_norm\nflatten\nlinear 2\n");
    cm_model *model = model_of(network, 1);
    const float f[4] = {1, 1, 1, 1}, negative[2] = {1, -1};
    const int64_t n[2] = {0, 0}, minus = -1, most = INT64_MAX;
    const cm_safetensor good[] = {
        {"conv.0.weight", CM_DTYPE_F32, 1, {2}, 2, f},
        {"conv.0.bias", CM_DTYPE_F32, 1, {2}, 2, f},
        {"conv.0.running_mean", CM_DTYPE_F32, 1, {2}, 2, negative},
        {"conv.0.running_var", CM_DTYPE_F32, 1, {2}, 2, f},
        {"conv.0.num_batches_tracked", CM_DTYPE_I64, 0, {0}, 1, n},
        {"dense.1.weight", CM_DTYPE_F32, 2, {2, 2}, 4, f},
        {"dense.1.bias", CM_DTYPE_F32, 1, {2}, 2, f},
    };
    enum { COUNT = sizeof good / sizeof *good };
    static const struct {
        int replaced;
        const char *mentions;
    } cases[] = {{3, "negative"}, {4, "negative"}, {4, "too large"},
                 {4, "type F32"}, {6, "type I64"}, {6, "shape"}};
    const cm_safetensor bad[] = {
        {"conv.0.running_var", CM_DTYPE_F32, 1, {2}, 2, negative},
        {"conv.0.num_batches_tracked", CM_DTYPE_I64, 0, {0}, 1, &minus},
        {"conv.0.num_batches_tracked", CM_DTYPE_I64, 0, {0}, 1, &most},
        {"conv.0.num_batches_tracked", CM_DTYPE_F32, 0, {0}, 1, f},
        {"dense.1.bias", CM_DTYPE_I64, 1, {2}, 2, n},
        {"dense.1.bias", CM_DTYPE_F32, 2, {2, 1}, 2, f},
    };
    cm_error error = {{0}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; ++i) {
        cm_safetensor tensors[COUNT];
        memcpy(tensors, good, sizeof good);
        tensors[cases[i].replaced] = bad[i];
        assert_int_equal(cm_safetensors_write(path, tensors, COUNT, NULL, 0, &error), CM_OK);
        assert_does_not_fit(model, cases[i].mentions);
    }
    assert_int_equal(cm_safetensors_write(path, good, COUNT, NULL, 0, &error), CM_OK);
    assert_int_equal(cm_model_load(model, path, &error), CM_OK);
    cm_network *none = NULL;
    assert_int_equal(cm_model_file_network(path, &none, &error), CM_BAD_INPUT);
    assert_mentions(&error, "name the network");
    assert_null(none);
    cm_model_free(model);
    cm_network_free(network);
}

static void test_bad_network_in_metadata(void **state) {
    (void)state;
    static const struct {
        const char *name, *text, *mentions;
    } cases[] = {
        {"x", "input 1 6 6\nconv3d 4\n", ":2: "},
        {"", "input 1 1 1\nflatten\nlinear 2\n", "plain"},
        {"a\nb", "input 1 1 1\nflatten\nlinear 2\n", "plain"},
        {"0123456789012345678901234567890123456789012345678901234567890123",
         "input 1 1 1\nflatten\nlinear 2\n", "plain"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; ++i) {
        const cm_safetensors_text metadata[] = {{"convmark.network", cases[i].name},
                                                {"convmark.network_text", cases[i].text}};
        cm_error error = {{0}};
        cm_network *network = NULL;
        assert_int_equal(cm_safetensors_write(path, NULL, 0, metadata, 2, &error), CM_OK);
        assert_int_equal(cm_model_file_network(path, &network, &error), CM_BAD_INPUT);
        assert_null(network);
        assert_mentions(&error, cases[i].mentions);
        assert_mentions(&error, path);
    }
}

#define TEST(name) cmocka_unit_test_setup_teardown(test_##name, set_up, tear_down)

int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(parses),
        TEST(refuses_headers),
        TEST(refuses_tensors),
        TEST(refuses_places),
        TEST(refuses_values),
        TEST(refuses_lengths),
        TEST(refuses_floods),
        TEST(many_tensors),
        TEST(refuses_nesting),
        TEST(damaged_files),
        TEST(round_trip),
        TEST(writer_refuses),
        TEST(model_round_trip),
        TEST(model_of_another_network),
        TEST(model_of_wrong_types_and_values),
        TEST(bad_network_in_metadata),
    };
    return cmocka_run_group_tests_name("safetensors", tests, NULL, NULL);
}
