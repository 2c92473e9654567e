#include <jansson.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "core/files/atomic_file.h"
#include "core/files/json.h"
#include "core/network/safetensors.h"

enum { LENGTH_SIZE = 8, ALIGNMENT = 8 };

static bool add_metadata(json_t *header, const cm_safetensors_text *metadata, int count,
                         cm_error *error) {
    json_t *texts = json_object();
    for (int i = 0; i < count; ++i) {
        if (!cm_json_set(texts, metadata[i].key, cm_json_string(metadata[i].value), error)) {
            json_decref(texts);
            return false;
        }
    }
    return cm_json_set(header, "__metadata__", texts, error);
}

/* Moves *offset on to the tensor's end. */
static bool add_tensor(json_t *header, const cm_safetensor *tensor, size_t *offset,
                       cm_error *error) {
    json_t *shape = json_array();
    for (int i = 0; i < tensor->rank; ++i) {
        cm_json_append(&shape, json_integer(tensor->dims[i]));
    }
    const size_t not_finite = cm_safetensor_first_not_finite(tensor);
    if (not_finite < tensor->count) {
        json_decref(shape);
        cm_fail(error, CM_FAILED, "tensor \"%s\": element %zu is not a finite number", tensor->name,
                not_finite);
        return false;
    }
    size_t bytes = 0, end = 0;
    if (shape == NULL ||
        __builtin_mul_overflow(tensor->count, cm_dtype_size(tensor->dtype), &bytes) ||
        __builtin_add_overflow(*offset, bytes, &end) || end > PTRDIFF_MAX / 2) {
        json_decref(shape);
        cm_fail(error, CM_FAILED, "tensor \"%s\": too large or out of memory", tensor->name);
        return false;
    }
    json_t *entry = json_pack("{s:s, s:o, s:[I, I]}", "dtype", cm_dtype_name(tensor->dtype),
                              "shape", shape, "data_offsets", (json_int_t)*offset, (json_int_t)end);
    *offset = end;
    return cm_json_set(header, tensor->name, entry, error);
}

/* The header's text; NULL when it cannot be made. */
static char *header_text(const cm_safetensor *tensors, int count,
                         const cm_safetensors_text *metadata, int metadata_count, size_t *text_size,
                         size_t *data_size, cm_error *error) {
    json_t *header = json_object();
    *data_size = 0;
    bool ok = add_metadata(header, metadata, metadata_count, error);
    for (int i = 0; ok && i < count; ++i) {
        ok = add_tensor(header, &tensors[i], data_size, error);
    }
    if (ok && json_object_size(header) != (size_t)count + 1) {
        cm_fail(error, CM_FAILED, "two tensors have the same name");
        ok = false;
    }
    char *text = ok ? cm_json_text(header, JSON_COMPACT, text_size) : NULL;
    json_decref(header);
    if (ok && text == NULL) {
        cm_fail(error, CM_FAILED, "out of memory; close some programs");
    }
    return text;
}

cm_status cm_safetensors_write(const char *path, const cm_safetensor *tensors, int count,
                               const cm_safetensors_text *metadata, int metadata_count,
                               cm_error *error) {
    cm_error reason = {{0}};
    size_t text_size = 0, data_size = 0;
    char *text =
        header_text(tensors, count, metadata, metadata_count, &text_size, &data_size, &reason);
    if (text == NULL) {
        return cm_fail(error, CM_FAILED, "%s: cannot write: %s", path, reason.message);
    }
    const size_t length = (text_size + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
    char *bytes = malloc(LENGTH_SIZE + length + data_size);
    if (bytes == NULL) {
        free(text);
        return cm_fail(error, CM_FAILED, "%s: cannot write: out of memory", path);
    }
    const uint64_t length64 = length;
    memcpy(bytes, &length64, LENGTH_SIZE);
    memcpy(bytes + LENGTH_SIZE, text, text_size);
    memset(bytes + LENGTH_SIZE + text_size, ' ', length - text_size);
    free(text);
    char *next = bytes + LENGTH_SIZE + length;
    for (int i = 0; i < count; ++i) {
        const size_t size = tensors[i].count * cm_dtype_size(tensors[i].dtype);
        if (size > 0) {
            memcpy(next, tensors[i].data, size);
        }
        next += size;
    }
    const cm_status status = cm_file_write(path, bytes, LENGTH_SIZE + length + data_size, error);
    free(bytes);
    return status;
}
