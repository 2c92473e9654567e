/*
 * Any bytes as a safetensors file, and as a model file. Where the first byte says so, the header's
 * length is put before the rest here: as many bytes as there are before the first NUL.
 */
#include "convmark/model_file.h"
#include "core/files/sha256.h"
#include "core/network/safetensors.h"
#include "fuzz.h"

enum { LENGTH_SIZE = 8 };

static const char NETWORK[] = "input 1 2 2\nconv2d 2 kernel 1\nbatch_norm\nflatten\nlinear 2\n";

/* The file that the input means; free() it. */
static char *make_file(const uint8_t *data, size_t size, size_t *file_size) {
    const uint8_t *rest = size > 0 ? data + 1 : data;
    const size_t rest_size = size > 0 ? size - 1 : 0;
    const uint8_t *end = memchr(rest, 0, rest_size);
    const size_t front = size > 0 && data[0] & 1 ? LENGTH_SIZE : 0;
    const uint64_t length = end != NULL ? (uint64_t)(end - rest) : rest_size;
    char *file = malloc(front + rest_size + 1);
    FUZZ_EXPECT(file != NULL);
    memcpy(file, &length, front);
    size_t used = front;
    for (size_t i = 0; i < rest_size; ++i) {
        if (front == 0 || i != length) { /* the NUL itself is no part of the file */
            file[used++] = (char)rest[i];
        }
    }
    *file_size = used;
    return file;
}

static void check_tensors(const cm_safetensors *file, size_t size) {
    const char *next = NULL;
    size_t total = 0;
    for (int i = 0; i < cm_safetensors_count(file); ++i) {
        const cm_safetensor *tensor = cm_safetensors_at(file, i);
        FUZZ_EXPECT(cm_safetensors_find(file, tensor->name) == tensor);
        FUZZ_EXPECT(next == NULL || tensor->data == next);
        FUZZ_EXPECT(tensor->rank >= 0 && tensor->rank <= CM_SAFETENSORS_MAX_RANK);
        uint64_t count = 1;
        for (int k = 0; k < tensor->rank; ++k) {
            count *= (uint64_t)tensor->dims[k];
        }
        FUZZ_EXPECT(tensor->count == count);
        FUZZ_EXPECT(cm_safetensor_first_not_finite(tensor) == tensor->count);
        next = (const char *)tensor->data + count * cm_dtype_size(tensor->dtype);
        total += count * cm_dtype_size(tensor->dtype);
    }
    FUZZ_EXPECT(total + LENGTH_SIZE <= size);
}

/* The model is as it was, or as the whole file says. */
static void check_model(const char *path, bool parsed) {
    static cm_network *network;
    static cm_model *model;
    static char before[CM_SHA256_HEX_SIZE];
    char after[CM_SHA256_HEX_SIZE];
    cm_error error = {""};
    if (model == NULL) {
        const cm_model_options options = {.batch = 1, .threads = 1, .isa = CM_ISA_SCALAR};
        FUZZ_EXPECT(cm_network_parse(NETWORK, strlen(NETWORK), "n", &network, &error) == CM_OK);
        FUZZ_EXPECT(cm_model_create(network, &options, &model, &error) == CM_OK);
        cm_model_initialize(model, 0);
        cm_model_sha256(model, before);
    }
    const cm_status status = cm_model_load(model, path, &error);
    cm_model_sha256(model, after);
    if (status != CM_OK) {
        fuzz_expect_refused(status, &error, path);
        FUZZ_EXPECT(strcmp(before, after) == 0);
    }
    FUZZ_EXPECT(status != CM_OK || parsed);
    memcpy(before, after, sizeof before);
    cm_network *found = NULL;
    const cm_status named = cm_model_file_network(path, &found, &error);
    FUZZ_EXPECT(named == CM_OK || (named == CM_BAD_INPUT && found == NULL));
    cm_network_free(found);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    size_t file_size = 0;
    char *bytes = make_file(data, size, &file_size);
    const char *path = fuzz_file(bytes, file_size);
    cm_safetensors *file = NULL;
    cm_error error = {""};
    char *format = NULL;
    const cm_status status = cm_safetensors_parse(bytes, file_size, "FILE", &file, &error);
    const cm_status metadata = cm_safetensors_read_metadata(path, "format", &format, &error);
    if (status == CM_OK) {
        check_tensors(file, file_size);
        FUZZ_EXPECT(metadata == CM_OK);
    } else {
        FUZZ_EXPECT(status == CM_BAD_INPUT && file == NULL);
        FUZZ_EXPECT(metadata == CM_OK || metadata == CM_BAD_INPUT);
    }
    check_model(path, status == CM_OK);
    free(format);
    cm_safetensors_free(file);
    return 0;
}
