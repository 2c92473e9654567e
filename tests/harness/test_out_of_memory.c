/* Every reader of files without memory: each allocation in turn fails, its own, Jansson's and
 * zlib's. It then returns CM_FAILED and one line that says so, and nothing leaks or is freed
 * twice (the address sanitizer looks on). Linked with ld's --wrap, which works under it as well. */
#include "support/temporary.h"

#include <errno.h>
#include <jansson.h>
#include <png.h>
#include <zlib.h>

#include "bench/shapes.h"
#include "convmark/model_file.h"
#include "convmark/trainer.h"
#include "core/data/idx.h"
#include "core/data/png_image.h"
#include "core/files/json.h"
#include "core/network/safetensors.h"
#include "harness/compare/compare.h"
#include "support/models.h"

/* ---- Allocations that fail ---- */

static int calls, failing; /* the number of the one that fails; 0: none */

static bool fails(void) {
    if (failing != 0 && ++calls == failing) {
        errno = ENOMEM;
        return true;
    }
    return false;
}

#define WRAP(type, name, parameters, arguments, failure)      \
    type __real_##name parameters;                            \
    type __wrap_##name parameters;                            \
    type __wrap_##name parameters {                           \
        return fails() ? (failure) : __real_##name arguments; \
    }

WRAP(void *, malloc, (size_t size), (size), NULL)
WRAP(void *, calloc, (size_t count, size_t size), (count, size), NULL)
WRAP(void *, realloc, (void *old, size_t size), (old, size), NULL)
WRAP(char *, strdup, (const char *text), (text), NULL)
WRAP(FILE *, open_memstream, (char **text, size_t *size), (text, size), NULL)
WRAP(int, inflateInit2_, (z_streamp s, int bits, const char *version, int size),
     (s, bits, version, size), Z_MEM_ERROR)
WRAP(int, inflate, (z_streamp s, int flush), (s, flush), Z_MEM_ERROR)

/* At the end of a memory stream: its last write. */
int __real_fclose(FILE *file);
int __wrap_fclose(FILE *file);
int __wrap_fclose(FILE *file) {
    const bool failed = fails();
    const int result = __real_fclose(file);
    return failed ? EOF : result;
}

static bool failed_in_jansson;

static void *jansson_malloc(size_t size) {
    const bool failed = fails();
    failed_in_jansson = failed_in_jansson || failed;
    return failed ? NULL : __real_malloc(size);
}

/* ---- Readers: each does its whole work, and leaves nothing ---- */

static cm_status read_idx(const char *name, cm_error *error) {
    static const cm_idx_shape shape = {1, {4}};
    uint8_t *data = NULL;
    char sha256[CM_SHA256_HEX_SIZE];
    const cm_status status = cm_idx_read(temporary_path(name), &shape, &data, sha256, error);
    assert_true((data == NULL) == (status != CM_OK));
    free(data);
    return status;
}

static cm_status read_plain_idx(cm_error *error) {
    return read_idx("plain", error);
}

static cm_status read_packed_idx(cm_error *error) {
    return read_idx("packed", error);
}

static cm_status read_png(cm_error *error) {
    uint8_t pixels[9];
    return cm_png_read(temporary_path("png"), 3, 3, false, pixels, error);
}

static cm_status read_network(cm_error *error) {
    static const char text[] = "input 1 6 6\nconv2d 2 kernel 3\nbatch_norm\nrelu\nflatten\n"
                               "dropout 0.5\nlinear 3\n";
    cm_network *network = NULL;
    char *again = NULL;
    cm_status status = cm_network_parse(text, strlen(text), "FILE", &network, error);
    if (status == CM_OK) {
        status = cm_network_to_text(network, &again, error);
    }
    assert_true((again == NULL) == (status != CM_OK));
    free(again);
    cm_network_free(network);
    return status;
}

static cm_model *model;

static cm_status read_model(cm_error *error) {
    return cm_model_load(model, temporary_path("model"), error);
}

static cm_status read_network_of_model(cm_error *error) {
    cm_network *network = NULL;
    const cm_status status = cm_model_file_network(temporary_path("model"), &network, error);
    assert_true((network == NULL) == (status != CM_OK));
    cm_network_free(network);
    return status;
}

static bool same_files(const char *left, const char *right) {
    static char bytes[2][1 << 12];
    const char *const names[] = {left, right};
    size_t sizes[2];
    for (int i = 0; i < 2; ++i) {
        FILE *file = fopen(temporary_path(names[i]), "rb");
        assert_non_null(file);
        sizes[i] = fread(bytes[i], 1, sizeof bytes[i], file);
        __real_fclose(file);
    }
    return sizes[0] == sizes[1] && memcmp(bytes[0], bytes[1], sizes[0]) == 0;
}

static cm_status write_model(cm_error *error) {
    const cm_status status = cm_model_save(model, temporary_path("model.copy"), error);
    assert_true(status != CM_OK || same_files("model", "model.copy"));
    return status;
}

static cm_status read_json(cm_error *error) {
    json_t *value = NULL;
    cm_status status = cm_json_load(temporary_path("results"), 1 << 20, &value, error);
    if (status == CM_OK) {
        status = cm_json_write(temporary_path("json.copy"), value, error);
    }
    assert_true(status != CM_OK || same_files("json", "json.copy"));
    json_decref(value);
    return status;
}

static cm_status read_results(const char *name, cm_error *error) {
    cm_results_file file;
    char *csv = NULL;
    cm_status status = cm_results_file_open(temporary_path(name), &file, error);
    for (int i = 0; status == CM_OK && i < file.measurements.count; ++i) {
        json_t *json = cm_measurement_json(&file.measurements.items[i], error);
        status = json == NULL ? CM_FAILED : CM_OK;
        json_decref(json);
    }
    if (status == CM_OK && (csv = cm_measurements_csv(&file.measurements)) == NULL) {
        status = cm_fail(error, CM_FAILED, "out of memory"); /* the caller's to say */
    }
    free(csv);
    cm_results_file_close(&file);
    return status;
}

static cm_status read_own_results(cm_error *error) {
    return read_results("results", error);
}

static cm_status read_google_results(cm_error *error) {
    return read_results("google", error);
}

/* A slowdown by a third, with enough samples to show it: it is found, or memory was short. */
static cm_status compare_results(cm_error *error) {
    double samples[2][8];
    cm_measurement items[2] = {{.n = 8, .samples = samples[0]}, {.n = 8, .samples = samples[1]}};
    cm_results_file files[2] = {{.path = "a", .measurements = {1, &items[0]}},
                                {.path = "b", .measurements = {1, &items[1]}}};
    for (int i = 0; i < 8; ++i) {
        samples[0][i] = 3.0 + 0.01 * i;
        samples[1][i] = 4.0 + 0.01 * i;
    }
    const cm_compare_options options = cm_compare_options_default();
    cm_comparisons result;
    char *text = NULL;
    cm_status status = cm_compare(&options, files, 2, &result, error);
    if (status == CM_OK) {
        assert_int_equal(result.items[0].verdict, CM_SPEED_SLOWER);
        text = cm_compare_text(files, &result, false);
        status = text != NULL ? CM_OK : cm_fail(error, CM_FAILED, "out of memory");
    }
    assert_true(status != CM_OK || strstr(text, "1 slower") != NULL);
    free(text);
    cm_comparisons_free(&result);
    return status;
}

/* Text of bytes that are not UTF-8, and lists of numbers; a plan of a measurement. */
static cm_status write_json(cm_error *error) {
    static const int numbers[] = {1, 2, 3};
    cm_measurement m = {.n = 0};
    json_t *text = cm_json_string("\xFF"), *list = cm_json_integers(numbers, CM_COUNT(numbers));
    const bool planned =
        cm_measurement_plan_throughput(&m, "train", "bn-3", 64, 1, "scalar", CM_COUNT(numbers));
    const cm_status status = text != NULL && json_array_size(list) == 3 && planned
                                 ? CM_OK
                                 : cm_fail(error, CM_FAILED, "out of memory");
    free(m.samples);
    json_decref(m.attributes);
    json_decref(list);
    json_decref(text);
    return status;
}

static cm_status read_shapes(cm_error *error) {
    bench_shapes shapes = {0};
    const cm_status status = bench_shapes_open(temporary_path("shapes"), NULL, &shapes, error);
    bench_shapes_free(&shapes);
    return status;
}

static const struct {
    const char *what;
    cm_status (*read)(cm_error *error);
    int least; /* allocations, at the least */
} readers[] = {
    {"an IDX file", read_plain_idx, 2},
    {"an IDX file in gzip", read_packed_idx, 4},
    {"a PNG file", read_png, 2},
    {"network text", read_network, 3},
    {"a model", read_model, 5},
    {"the network of a model", read_network_of_model, 6},
    {"writing a model", write_model, 4},
    {"JSON", read_json, 4},
    {"strings, lists and plans", write_json, 8},
    {"results", read_own_results, 10},
    {"results of Google Benchmark", read_google_results, 8},
    {"shapes", read_shapes, 2},
    {"comparing", compare_results, 8},
};

static void test_each_allocation_fails(void **state) {
    (void)state;
    for (size_t i = 0; i < CM_COUNT(readers); ++i) {
        int point = 0;
        bool failed = true;
        while (failed) {
            cm_error error = {""};
            calls = 0;
            failing = ++point;
            failed_in_jansson = false;
            const cm_status status = readers[i].read(&error);
            failed = calls >= failing;
            failing = 0;
            const bool said = status == CM_FAILED && strstr(error.message, "memory") != NULL &&
                              strchr(error.message, '\n') == NULL;
            /* Jansson's writer continues without some of its memory; files are then the same. */
            if (failed && !failed_in_jansson ? !said : status != CM_OK && !said) {
                fail_msg("%s, allocation %d: status %d, '%s'", readers[i].what, point, (int)status,
                         error.message);
            }
        }
        if (point <= readers[i].least) {
            fail_msg("%s: %d allocations only", readers[i].what, point - 1);
        }
    }
}

/* ---- A file that becomes shorter while its front is read ---- */

static bool shrinks;

cm_status __real_cm_file_read_start(const char *path, size_t limit, char **bytes, size_t *size,
                                    uint64_t *file_size, cm_error *error);
cm_status __wrap_cm_file_read_start(const char *path, size_t limit, char **bytes, size_t *size,
                                    uint64_t *file_size, cm_error *error);
cm_status __wrap_cm_file_read_start(const char *path, size_t limit, char **bytes, size_t *size,
                                    uint64_t *file_size, cm_error *error) {
    const cm_status status = __real_cm_file_read_start(path, limit, bytes, size, file_size, error);
    return shrinks && truncate(path, 20) != 0 ? CM_FAILED : status;
}

static void test_file_that_shrinks(void **state) {
    (void)state;
    cm_error error = {""};
    cm_network *network = NULL;
    const char *path = temporary_path("model.shrinks");
    assert_int_equal(cm_model_save(model, path, &error), CM_OK);
    shrinks = true;
    const cm_status status = cm_model_file_network(path, &network, &error);
    shrinks = false;
    assert_int_equal(status, CM_BAD_INPUT);
    assert_null(network);
    assert_message(error.message, path, "changed while it was read");
}

/* ---- Their files ---- */

static void pack(const uint8_t *bytes, size_t size) {
    uint8_t packed[256];
    z_stream stream = {0};
    assert_int_equal(deflateInit2(&stream, 6, Z_DEFLATED, 15 + 16, 8, Z_DEFAULT_STRATEGY), Z_OK);
    stream.next_in = (uint8_t *)(uintptr_t)bytes;
    stream.avail_in = (uInt)size;
    stream.next_out = packed;
    stream.avail_out = sizeof packed;
    assert_int_equal(deflate(&stream, Z_FINISH), Z_STREAM_END);
    temporary_write("packed", packed, sizeof packed - stream.avail_out);
    deflateEnd(&stream);
}

static int make(void **state) {
    static const uint8_t idx[] = {0, 0, 8, 1, 0, 0, 0, 4, 1, 2, 3, 4}, grey[4] = {0, 50, 100, 255};
    static const char results[] =
        "{\"schema_version\": 1, \"kind\": \"sweep\", \"measurements\": [{\"name\": \"a\", "
        "\"metric\": \"seconds\", \"unit\": \"s\", \"higher_is_better\": false, \"n\": 2, "
        "\"variant\": \"bn-3\", \"samples\": [1.5, 2]}]}";
    static const char google[] =
        "{\"context\": {}, \"benchmarks\": [{\"name\": \"a\", \"real_time\": 3, \"time_unit\": "
        "\"ns\"}, {\"name\": \"a\", \"real_time\": 4, \"time_unit\": \"ns\"}]}";
    if (temporary_create(state) != 0) {
        return -1;
    }
    temporary_write("plain", idx, sizeof idx);
    pack(idx, sizeof idx);
    png_image image = {
        .version = PNG_IMAGE_VERSION, .width = 2, .height = 2, .format = PNG_FORMAT_GRAY};
    assert_true(png_image_write_to_file(&image, temporary_path("png"), 0, grey, 2, NULL));
    temporary_write("results", results, strlen(results));
    temporary_write("google", google, strlen(google));
    temporary_write("shapes", "adam k1\n", 8);
    cm_error error = {""};
    cm_network *network = network_of("input 2 1 1\nbatch_norm\nflatten\nlinear 2\n");
    model = model_of(network, 1, 1, CM_ISA_SCALAR, false);
    cm_model_initialize(model, 1);
    assert_int_equal(cm_model_save(model, temporary_path("model"), &error), CM_OK);
    json_t *value = NULL;
    assert_int_equal(cm_json_load(temporary_path("results"), 1 << 20, &value, &error), CM_OK);
    assert_int_equal(cm_json_write(temporary_path("json"), value, &error), CM_OK);
    json_decref(value);
    *state = network;
    return 0;
}

static int clean(void **state) {
    cm_model_free(model);
    cm_network_free(*state);
    return temporary_remove(state);
}

int main(void) {
    json_set_alloc_funcs(jansson_malloc, free); /* first of all: the program's come before it */
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_each_allocation_fails),
                                       cmocka_unit_test(test_file_that_shrinks)};
    return cmocka_run_group_tests_name("out_of_memory", tests, make, clean);
}
