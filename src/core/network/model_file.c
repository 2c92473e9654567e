#include "convmark/model_file.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/network/safetensors.h"

static const char NAME_KEY[] = "convmark.network";
static const char TEXT_KEY[] = "convmark.network_text";

static cm_dtype dtype_of(const cm_tensor_spec *spec) {
    return spec->kind == CM_TENSOR_NUM_BATCHES_TRACKED ? CM_DTYPE_I64 : CM_DTYPE_F32;
}

static size_t bytes_of(const cm_tensor_spec *spec) {
    return spec->count * cm_dtype_size(dtype_of(spec));
}

/* Bytes of all tensors of a model. */
static size_t model_bytes(const cm_model *model) {
    size_t total = 0;
    for (int i = 0; i < cm_model_tensor_count(model); ++i) {
        total += bytes_of(cm_model_tensor(model, i));
    }
    return total;
}

static cm_status model_file_no_memory(const char *path, cm_error *error) {
    return cm_fail(error, CM_FAILED, "%s: out of memory; close some programs", path);
}

/* ---- save ---- */

/* `values` has room for the tensor and is aligned for its type. */
static cm_safetensor describe_tensor(const cm_tensor_spec *spec, const void *values) {
    cm_safetensor tensor = {.name = spec->name,
                            .dtype = dtype_of(spec),
                            .rank = spec->rank,
                            .count = spec->count,
                            .data = values};
    for (int i = 0; i < spec->rank; ++i) {
        tensor.dims[i] = spec->dims[i];
    }
    return tensor;
}

static cm_status write_tensors(const cm_model *model, const char *path, const char *network_text,
                               cm_error *error) {
    const int count = cm_model_tensor_count(model);
    cm_safetensor *tensors = calloc((size_t)count + 1, sizeof *tensors);
    /* Each tensor begins at a multiple of 8 bytes. */
    char *values = malloc(model_bytes(model) + 8 * ((size_t)count + 1));
    cm_status status = CM_OK;
    if (tensors == NULL || values == NULL) {
        status = model_file_no_memory(path, error);
    } else {
        char *next = values;
        for (int i = 0; i < count; ++i) {
            const cm_tensor_spec *spec = cm_model_tensor(model, i);
            cm_model_get_tensor(model, i, next);
            tensors[i] = describe_tensor(spec, next);
            next += (bytes_of(spec) + 7) / 8 * 8;
        }
        const cm_safetensors_text metadata[] = {
            {"format", "pt"}, {NAME_KEY, cm_model_network(model)->name}, {TEXT_KEY, network_text}};
        status = cm_safetensors_write(path, tensors, count, metadata,
                                      sizeof metadata / sizeof *metadata, error);
    }
    free(values);
    free(tensors);
    return status;
}

cm_status cm_model_save(const cm_model *model, const char *path, cm_error *error) {
    char *text = NULL;
    cm_status status = cm_network_to_text(cm_model_network(model), &text, error);
    if (status == CM_OK) {
        status = write_tensors(model, path, text, error);
        free(text);
    }
    return status;
}

/* ---- load ---- */

enum { SHAPE_TEXT = CM_SAFETENSORS_MAX_RANK * 22 + 3 }; /* "[", digits, ", " ... "]" */

static void shape_text(char text[SHAPE_TEXT], int rank, const int64_t *dims) {
    size_t used = (size_t)snprintf(text, SHAPE_TEXT, "[");
    for (int i = 0; i < rank; ++i) {
        used += (size_t)snprintf(text + used, SHAPE_TEXT - used, "%s%lld", i > 0 ? ", " : "",
                                 (long long)dims[i]);
    }
    snprintf(text + used, SHAPE_TEXT - used, "]");
}

static cm_status check_fits(const cm_tensor_spec *spec, const cm_safetensor *tensor,
                            const char *path, cm_error *error) {
    if (tensor->dtype != dtype_of(spec)) {
        return cm_fail(error, CM_BAD_INPUT,
                       "%s: tensor \"%s\" has type %s where the network has %s; is it the right "
                       "network?",
                       path, spec->name, cm_dtype_name(tensor->dtype),
                       cm_dtype_name(dtype_of(spec)));
    }
    if (tensor->rank != spec->rank ||
        memcmp(tensor->dims, spec->dims, (size_t)spec->rank * sizeof *spec->dims) != 0) {
        char theirs[SHAPE_TEXT], ours[SHAPE_TEXT];
        shape_text(theirs, tensor->rank, tensor->dims);
        shape_text(ours, spec->rank, spec->dims);
        return cm_fail(error, CM_BAD_INPUT,
                       "%s: tensor \"%s\" has shape %s where the network has %s; is it the right "
                       "network?",
                       path, spec->name, theirs, ours);
    }
    return CM_OK;
}

/* Values that no training can give and that would make every answer NaN. */
static cm_status check_values(const cm_tensor_spec *spec, const void *values, const char *path,
                              cm_error *error) {
    size_t bad = spec->count;
    if (spec->kind == CM_TENSOR_RUNNING_VAR) {
        const float *variances = values;
        for (bad = 0; bad < spec->count && variances[bad] >= 0; ++bad) {
        }
    } else if (spec->kind == CM_TENSOR_NUM_BATCHES_TRACKED) {
        const int64_t batches = *(const int64_t *)values;
        bad = batches < 0 || batches > INT64_MAX / 2 ? 0 : 1; /* it is counted on from there */
    }
    if (bad < spec->count) {
        return cm_fail(error, CM_BAD_INPUT,
                       "%s: tensor \"%s\": element %zu is negative or too large; is the file "
                       "damaged?",
                       path, spec->name, bad);
    }
    return CM_OK;
}

/* Checks all tensors and copies them, aligned, into `values`; the model is not touched. */
static cm_status collect(const cm_model *model, const cm_safetensors *file, const char *path,
                         char *values, cm_error *error) {
    const int count = cm_model_tensor_count(model);
    char *next = values;
    for (int i = 0; i < count; ++i) {
        const cm_tensor_spec *spec = cm_model_tensor(model, i);
        const cm_safetensor *tensor = cm_safetensors_find(file, spec->name);
        if (tensor == NULL) {
            return cm_fail(error, CM_BAD_INPUT,
                           "%s: has no tensor \"%s\" of network %s; is it the right network?", path,
                           spec->name, cm_model_network(model)->name);
        }
        cm_status status = check_fits(spec, tensor, path, error);
        if (status != CM_OK) {
            return status;
        }
        memcpy(next, tensor->data, bytes_of(spec));
        status = check_values(spec, next, path, error);
        if (status != CM_OK) {
            return status;
        }
        next += (bytes_of(spec) + 7) / 8 * 8;
    }
    return CM_OK;
}

static cm_status check_unexpected(const cm_model *model, const cm_safetensors *file,
                                  const char *path, cm_error *error) {
    for (int i = 0; i < cm_safetensors_count(file); ++i) {
        const char *name = cm_safetensors_at(file, i)->name;
        int k = 0;
        while (k < cm_model_tensor_count(model) &&
               strcmp(cm_model_tensor(model, k)->name, name) != 0) {
            ++k;
        }
        if (k == cm_model_tensor_count(model)) {
            return cm_fail(error, CM_BAD_INPUT,
                           "%s: tensor \"%.100s\" is not in network %s; is it the right network?",
                           path, name, cm_model_network(model)->name);
        }
    }
    return CM_OK;
}

cm_status cm_model_load(cm_model *model, const char *path, cm_error *error) {
    const int count = cm_model_tensor_count(model);
    cm_safetensors *file = NULL;
    cm_status status = cm_safetensors_load(path, model_bytes(model), &file, error);
    if (status != CM_OK) {
        return status;
    }
    char *values = malloc(model_bytes(model) + 8 * ((size_t)count + 1));
    status = values == NULL ? model_file_no_memory(path, error) : CM_OK;
    if (status == CM_OK) {
        status = collect(model, file, path, values, error);
    }
    if (status == CM_OK) {
        status = check_unexpected(model, file, path, error);
    }
    if (status == CM_OK) {
        const char *next = values;
        for (int i = 0; i < count; ++i) {
            cm_model_set_tensor(model, i, next);
            next += (bytes_of(cm_model_tensor(model, i)) + 7) / 8 * 8;
        }
        cm_model_reset_optimizer(model);
    }
    free(values);
    cm_safetensors_free(file);
    return status;
}

/* ---- network of a file ---- */

/* The name is shown on terminals and in results: printable ASCII, as network text gives it. */
static bool name_is_plain(const char *name) {
    const size_t length = strlen(name);
    if (length == 0 || length >= CM_NETWORK_NAME_SIZE) {
        return false;
    }
    for (const char *c = name; *c != '\0'; ++c) {
        if (*c <= ' ' || *c > '~') {
            return false;
        }
    }
    return true;
}

cm_status cm_model_file_network(const char *path, cm_network **network, cm_error *error) {
    *network = NULL;
    char *name = NULL, *text = NULL;
    cm_status status = cm_safetensors_read_metadata(path, NAME_KEY, &name, error);
    if (status == CM_OK) {
        status = cm_safetensors_read_metadata(path, TEXT_KEY, &text, error);
    }
    if (status == CM_OK && (name == NULL || text == NULL)) {
        status = cm_fail(error, CM_BAD_INPUT,
                         "%s: does not say which network it is of; name the network", path);
    }
    if (status == CM_OK && !name_is_plain(name)) {
        status = cm_fail(error, CM_BAD_INPUT,
                         "%s: metadata %s is empty, too long or not plain text; name the network",
                         path, NAME_KEY);
    }
    if (status == CM_OK) {
        cm_error reason = {{0}};
        status = cm_network_parse(text, strlen(text), TEXT_KEY, network, &reason);
        if (status != CM_OK) {
            cm_fail(error, status, "%.400s: metadata %s", path, reason.message);
        } else {
            snprintf((*network)->name, CM_NETWORK_NAME_SIZE, "%s", name);
        }
    }
    free(name);
    free(text);
    return status;
}
