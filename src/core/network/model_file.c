#include "convmark/model_file.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/network/model_tensors.h"
#include "core/network/safetensors.h"

static const char NAME_KEY[] = "convmark.network";
static const char TEXT_KEY[] = "convmark.network_text";
static const char DATA_KEY[] = "convmark.data";

static cm_dtype dtype_of(const cm_tensor_spec *spec) {
    return spec->kind == CM_TENSOR_NUM_BATCHES_TRACKED ? CM_DTYPE_I64 : CM_DTYPE_F32;
}

/* Bytes of all tensors of a model. */
static size_t model_bytes(const cm_model *model) {
    size_t total = 0;
    for (int i = 0; i < cm_model_tensor_count(model); ++i) {
        total += cm_tensor_spec_bytes(cm_model_tensor(model, i));
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

static cm_status write_tensors(const cm_model *model, const char *data, const char *path,
                               const char *network_text, cm_error *error) {
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
            next += (cm_tensor_spec_bytes(spec) + 7) / 8 * 8;
        }
        const cm_safetensors_text metadata[] = {{"format", "pt"},
                                                {NAME_KEY, cm_model_network(model)->name},
                                                {TEXT_KEY, network_text},
                                                {DATA_KEY, data}};
        status = cm_safetensors_write(path, tensors, count, metadata, data != NULL ? 4 : 3, error);
    }
    free(values);
    free(tensors);
    return status;
}

cm_status cm_model_save_as(const cm_model *model, const char *data, const char *path,
                           cm_error *error) {
    char *text = NULL;
    cm_status status = cm_network_to_text(cm_model_network(model), &text, error);
    if (status == CM_OK) {
        status = write_tensors(model, data, path, text, error);
        free(text);
    }
    return status;
}

cm_status cm_model_save(const cm_model *model, const char *path, cm_error *error) {
    return cm_model_save_as(model, NULL, path, error);
}

/* ---- load ---- */

/* Checks all tensors and copies them, aligned, into `values`; the model is not touched. */
static cm_status collect(const cm_tensor_match *match, char *values, cm_model_note *note,
                         cm_error *error) {
    const cm_safetensor **found = calloc((size_t)match->count + 1, sizeof(cm_safetensor *));
    if (found == NULL) {
        return model_file_no_memory(match->path, error);
    }
    cm_status status = cm_match_tensors(match, found, note, error);
    char *next = values;
    for (int i = 0; status == CM_OK && values != NULL && i < match->count; ++i) {
        status = cm_tensor_values(&match->specs[i], found[i], match->path, next, error);
        next += (cm_tensor_spec_bytes(&match->specs[i]) + 7) / 8 * 8;
    }
    free(found);
    return status;
}

cm_status cm_model_file_check(const char *path, const cm_network *network, cm_error *error) {
    cm_safetensors *file = NULL;
    cm_tensor_match match = {.path = path, .network = network->name};
    cm_status status = cm_safetensors_load_header(path, &file, error);
    if (status != CM_OK) {
        return status;
    }
    cm_tensor_spec *specs = cm_network_tensors(network, &match.count);
    match.specs = specs;
    match.file = file;
    cm_model_note ignored;
    status =
        specs == NULL ? model_file_no_memory(path, error) : collect(&match, NULL, &ignored, error);
    free(specs);
    cm_safetensors_free(file);
    return status;
}

/* Bytes of tensors that a file may have: wider types, and tensors that are passed over. */
static size_t most_bytes(const cm_model *model) {
    enum { OTHERS = 64 << 20 };
    size_t bytes = 0;
    return __builtin_mul_overflow(model_bytes(model), 4U, &bytes) ||
                   __builtin_add_overflow(bytes, (size_t)OTHERS, &bytes)
               ? SIZE_MAX
               : bytes;
}

cm_status cm_model_load_noting(cm_model *model, const char *path, cm_model_note *note,
                               cm_error *error) {
    const int count = cm_model_tensor_count(model);
    note->text[0] = '\0';
    cm_safetensors *file = NULL;
    cm_status status = cm_safetensors_load(path, most_bytes(model), &file, error);
    if (status != CM_OK) {
        return status;
    }
    char *values = malloc(model_bytes(model) + 8 * ((size_t)count + 1));
    const cm_tensor_match match = {.path = path,
                                   .network = cm_model_network(model)->name,
                                   .specs = cm_model_tensor(model, 0),
                                   .count = count,
                                   .file = file};
    status =
        values == NULL ? model_file_no_memory(path, error) : collect(&match, values, note, error);
    if (status == CM_OK) {
        const char *next = values;
        for (int i = 0; i < count; ++i) {
            cm_model_set_tensor(model, i, next);
            next += (cm_tensor_spec_bytes(cm_model_tensor(model, i)) + 7) / 8 * 8;
        }
        cm_model_reset_optimizer(model);
    }
    free(values);
    cm_safetensors_free(file);
    return status;
}

cm_status cm_model_load(cm_model *model, const char *path, cm_error *error) {
    cm_model_note ignored;
    return cm_model_load_noting(model, path, &ignored, error);
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

cm_status cm_model_file_data(const char *path, char data[CM_DATA_NAME_SIZE], cm_error *error) {
    char *name = NULL;
    const cm_status status = cm_safetensors_read_metadata(path, DATA_KEY, &name, error);
    snprintf(data, CM_DATA_NAME_SIZE, "%s", name != NULL ? name : "");
    free(name);
    return status;
}
