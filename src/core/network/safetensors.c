#include "core/network/safetensors.h"

#include <inttypes.h>
#include <jansson.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "core/files/atomic_file.h"
#include "core/files/file_kind.h"
#include "core/files/json.h"
#include "core/network/foreign_model.h"

_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__,
               "tensors are copied between memory and files as they are");

static const struct {
    const char *name;
    size_t size;
} DTYPES[CM_DTYPE_COUNT] = {
    [CM_DTYPE_F32] = {"F32", 4},         [CM_DTYPE_I64] = {"I64", 8},
    [CM_DTYPE_F64] = {"F64", 8},         [CM_DTYPE_F16] = {"F16", 2},
    [CM_DTYPE_BF16] = {"BF16", 2},       [CM_DTYPE_I32] = {"I32", 4},
    [CM_DTYPE_I16] = {"I16", 2},         [CM_DTYPE_I8] = {"I8", 1},
    [CM_DTYPE_U64] = {"U64", 8},         [CM_DTYPE_U32] = {"U32", 4},
    [CM_DTYPE_U16] = {"U16", 2},         [CM_DTYPE_U8] = {"U8", 1},
    [CM_DTYPE_BOOL] = {"BOOL", 1},       [CM_DTYPE_F8_E4M3] = {"F8_E4M3", 1},
    [CM_DTYPE_F8_E5M2] = {"F8_E5M2", 1},
};

enum {
    LENGTH_SIZE = 8, /* bytes of the header's length */
    /* More commas and brackets than any real header has, enough for 100,000 tensors: they bound the
     * memory that a hostile one takes, which is some hundred times its length. */
    MAX_SEPARATORS = 1 << 20
};

static const char METADATA_KEY[] = "__metadata__";

/* A tensor, and where its bytes begin in the data. */
typedef struct placed_tensor {
    cm_safetensor tensor;
    size_t begin;
} placed_tensor;

struct cm_safetensors {
    char *bytes;
    json_t *header; /* owns the names */
    const char *name;
    const char *data; /* after the header; NULL: only that was read */
    size_t data_size;
    placed_tensor *tensors;
    int count;
};

const char *cm_dtype_name(cm_dtype dtype) {
    return DTYPES[dtype].name;
}

size_t cm_dtype_size(cm_dtype dtype) {
    return DTYPES[dtype].size;
}

static cm_status safetensors_no_memory(cm_error *error, const char *name) {
    return cm_fail(error, CM_FAILED, "%s: out of memory; close some programs", name);
}

/* ---- header ---- */

static bool too_many_separators(const char *text, size_t size) {
    size_t separators = 0;
    bool quoted = false;
    for (size_t i = 0; i < size; ++i) {
        if (quoted && text[i] == '\\') {
            ++i;
        } else if (text[i] == '"') {
            quoted = !quoted;
        } else if (!quoted && (text[i] == ',' || text[i] == '[' || text[i] == '{')) {
            ++separators;
        }
    }
    return separators > MAX_SEPARATORS;
}

/* A file that is known to be of another kind. */
static cm_status check_file_kind(const char *bytes, size_t size, const char *name,
                                 cm_error *error) {
    const char *title = NULL;
    const cm_file_kind kind = cm_file_kind_of(bytes, size, &title);
    if (size < LENGTH_SIZE || kind == CM_FILE_UNKNOWN || kind == CM_FILE_SAFETENSORS) {
        return CM_OK;
    }
    return cm_fail(error, CM_BAD_INPUT, "%s: is %s, not a safetensors model; %s", name, title,
                   cm_foreign_model_advice(kind));
}

/* The header's length, checked against the format's limit and the file's size. */
static cm_status header_length(const char *bytes, size_t size, uint64_t file_size, const char *name,
                               size_t *length, cm_error *error) {
    const cm_status known = check_file_kind(bytes, size, name, error);
    if (known != CM_OK) {
        return known;
    }
    if (size < LENGTH_SIZE) {
        return cm_fail(error, CM_BAD_INPUT,
                       "%s: is %zu bytes long, too short for a safetensors file; is it complete?",
                       name, size);
    }
    uint64_t value = 0;
    memcpy(&value, bytes, LENGTH_SIZE);
    if (value > CM_SAFETENSORS_MAX_HEADER) {
        return cm_fail(error, CM_BAD_INPUT,
                       "%s: byte 0: header length %" PRIu64 " is above %d; not a safetensors file?",
                       name, value, CM_SAFETENSORS_MAX_HEADER);
    }
    if (value > file_size - LENGTH_SIZE) {
        return cm_fail(error, CM_BAD_INPUT,
                       "%s: byte 0: the header's %" PRIu64 " bytes go beyond the end of the file "
                       "(%" PRIu64 " bytes); is it complete?",
                       name, value, file_size);
    }
    *length = (size_t)value;
    return CM_OK;
}

static cm_status check_metadata(const json_t *header, const char *name, cm_error *error) {
    json_t *metadata = json_object_get(header, METADATA_KEY);
    if (metadata != NULL && !json_is_object(metadata)) {
        return cm_fail(error, CM_BAD_INPUT, "%s: __metadata__ is not an object; write it again",
                       name);
    }
    const char *key = NULL;
    json_t *value = NULL;
    json_object_foreach(metadata, key, value) {
        if (!json_is_string(value)) {
            return cm_fail(error, CM_BAD_INPUT,
                           "%s: __metadata__: \"%.100s\" is not text; write the file again", name,
                           key);
        }
    }
    return CM_OK;
}

static cm_status parse_header(const char *text, size_t length, const char *name, json_t **header,
                              cm_error *error) {
    *header = NULL;
    if (length == 0 || text[0] != '{') {
        return cm_fail(error, CM_BAD_INPUT,
                       "%s: byte 8: the header does not begin with '{'; not a safetensors file?",
                       name);
    }
    if (too_many_separators(text, length)) {
        return cm_fail(error, CM_BAD_INPUT, "%s: the header has more than %d values", name,
                       (int)MAX_SEPARATORS);
    }
    json_error_t problem;
    const cm_status status = cm_json_decode(text, length, name, header, &problem, error);
    if (status == CM_BAD_INPUT) {
        return cm_fail(error, CM_BAD_INPUT, "%s: byte %d: header: %s; is the file damaged?", name,
                       LENGTH_SIZE + problem.position, problem.text);
    }
    return status == CM_OK ? check_metadata(*header, name, error) : status;
}

/* ---- tensors ---- */

static cm_status bad_tensor(cm_error *error, const char *file, const char *tensor,
                            const char *what) {
    return cm_fail(error, CM_BAD_INPUT, "%s: tensor \"%.100s\": %s; is the file damaged?", file,
                   tensor, what);
}

static cm_status check_keys(const json_t *entry, const char *file, const char *tensor,
                            cm_error *error) {
    static const char *const keys[] = {"dtype", "shape", "data_offsets"};
    if (!json_is_object(entry)) {
        return bad_tensor(error, file, tensor, "its header entry is not an object");
    }
    for (size_t i = 0; i < sizeof keys / sizeof *keys; ++i) {
        if (json_object_get(entry, keys[i]) == NULL) {
            return cm_fail(error, CM_BAD_INPUT,
                           "%s: tensor \"%.100s\": has no \"%s\"; is the file damaged?", file,
                           tensor, keys[i]);
        }
    }
    if (json_object_size(entry) != sizeof keys / sizeof *keys) {
        return bad_tensor(error, file, tensor,
                          "has more than \"dtype\", \"shape\" and \"data_offsets\"");
    }
    return CM_OK;
}

static cm_status parse_dtype(const json_t *value, const char *file, cm_safetensor *tensor,
                             cm_error *error) {
    const char *text = json_string_value(value);
    if (text == NULL) {
        return bad_tensor(error, file, tensor->name, "its \"dtype\" is not text");
    }
    for (int i = 0; i < CM_DTYPE_COUNT; ++i) {
        if (strcmp(text, DTYPES[i].name) == 0) {
            tensor->dtype = (cm_dtype)i;
            return CM_OK;
        }
    }
    return cm_fail(error, CM_BAD_INPUT,
                   "%s: tensor \"%.100s\": type %.20s is not supported; convert it to F32", file,
                   tensor->name, text);
}

static cm_status parse_tensor_shape(const json_t *value, const char *file, cm_safetensor *tensor,
                                    cm_error *error) {
    if (!json_is_array(value)) {
        return bad_tensor(error, file, tensor->name, "its \"shape\" is not a list");
    }
    if (json_array_size(value) > CM_SAFETENSORS_MAX_RANK) {
        return bad_tensor(error, file, tensor->name, "its shape has more than 8 dimensions");
    }
    tensor->rank = (int)json_array_size(value);
    tensor->count = 1;
    for (int i = 0; i < tensor->rank; ++i) {
        const json_t *dim = json_array_get(value, (size_t)i);
        if (!json_is_integer(dim) || json_integer_value(dim) < 0) {
            return bad_tensor(error, file, tensor->name,
                              "its shape has something other than whole numbers from 0 up");
        }
        tensor->dims[i] = json_integer_value(dim);
        size_t bytes = 0;
        if (__builtin_mul_overflow(tensor->count, (uint64_t)tensor->dims[i], &tensor->count) ||
            __builtin_mul_overflow(tensor->count, cm_dtype_size(tensor->dtype), &bytes)) {
            return bad_tensor(error, file, tensor->name, "its shape has too many elements");
        }
    }
    return CM_OK;
}

static cm_status parse_offsets(const json_t *value, const cm_safetensors *file,
                               placed_tensor *placed, cm_error *error) {
    cm_safetensor *tensor = &placed->tensor;
    const json_t *first = json_array_get(value, 0);
    const json_t *second = json_array_get(value, 1);
    if (json_array_size(value) != 2 || !json_is_integer(first) || !json_is_integer(second)) {
        return bad_tensor(error, file->name, tensor->name,
                          "its \"data_offsets\" are not two whole numbers");
    }
    const json_int_t begin = json_integer_value(first), end = json_integer_value(second);
    if (begin < 0 || end < begin) {
        return bad_tensor(error, file->name, tensor->name,
                          "its \"data_offsets\" are negative or reversed");
    }
    if ((uint64_t)end > file->data_size) {
        return bad_tensor(error, file->name, tensor->name,
                          "its data go beyond the end of the file");
    }
    if ((size_t)(end - begin) != tensor->count * cm_dtype_size(tensor->dtype)) {
        return bad_tensor(error, file->name, tensor->name,
                          "its \"data_offsets\" do not fit its shape and type");
    }
    placed->begin = (size_t)begin;
    tensor->data = file->data == NULL ? NULL : file->data + begin;
    return CM_OK;
}

size_t cm_safetensor_first_not_finite(const cm_safetensor *tensor) {
    static const uint64_t exponents[CM_DTYPE_COUNT] = {[CM_DTYPE_F32] = 0x7F800000,
                                                       [CM_DTYPE_F64] = 0x7FF0000000000000,
                                                       [CM_DTYPE_F16] = 0x7C00,
                                                       [CM_DTYPE_BF16] = 0x7F80};
    const uint64_t exponent = exponents[tensor->dtype];
    const size_t size = cm_dtype_size(tensor->dtype);
    const char *data = tensor->data;
    size_t i = exponent != 0 ? 0 : tensor->count;
    for (; i < tensor->count; ++i) {
        uint64_t bits = 0;
        memcpy(&bits, data + size * i, size);
        if ((bits & exponent) == exponent) {
            break;
        }
    }
    return i;
}

static cm_status check_finite(const cm_safetensor *tensor, const char *file, cm_error *error) {
    const size_t index =
        tensor->data != NULL ? cm_safetensor_first_not_finite(tensor) : tensor->count;
    if (index < tensor->count) {
        return cm_fail(error, CM_BAD_INPUT,
                       "%s: tensor \"%.100s\": element %zu is not a finite number; the model is of "
                       "no use",
                       file, tensor->name, index);
    }
    return CM_OK;
}

static cm_status parse_tensor(const json_t *entry, const cm_safetensors *file,
                              placed_tensor *placed, cm_error *error) {
    cm_safetensor *tensor = &placed->tensor;
    cm_status status = check_keys(entry, file->name, tensor->name, error);
    if (status == CM_OK) {
        status = parse_dtype(json_object_get(entry, "dtype"), file->name, tensor, error);
    }
    if (status == CM_OK) {
        status = parse_tensor_shape(json_object_get(entry, "shape"), file->name, tensor, error);
    }
    if (status == CM_OK) {
        status = parse_offsets(json_object_get(entry, "data_offsets"), file, placed, error);
    }
    return status == CM_OK ? check_finite(tensor, file->name, error) : status;
}

static size_t tensor_bytes(const cm_safetensor *tensor) {
    return tensor->count * cm_dtype_size(tensor->dtype);
}

static int compare_tensor_places(const void *a, const void *b) {
    const placed_tensor *x = a, *y = b;
    if (x->begin != y->begin) {
        return x->begin < y->begin ? -1 : 1;
    }
    /* Tensors without elements have no bytes: they come before the one that begins there. */
    const size_t size_x = tensor_bytes(&x->tensor), size_y = tensor_bytes(&y->tensor);
    return size_x < size_y ? -1 : size_x > size_y;
}

/* In the order of the tensors, every byte of the data belongs to exactly one. */
static cm_status check_places(const cm_safetensors *file, cm_error *error) {
    size_t next = 0;
    for (int i = 0; i < file->count; ++i) {
        const cm_safetensor *tensor = &file->tensors[i].tensor;
        const size_t begin = file->tensors[i].begin;
        if (begin != next) {
            return bad_tensor(error, file->name, tensor->name,
                              begin < next ? "its data overlap with another tensor's"
                                           : "there is a hole in the file before its data");
        }
        next += tensor_bytes(tensor);
    }
    const size_t rest = file->data_size - next;
    if (rest != 0) {
        return cm_fail(error, CM_BAD_INPUT,
                       "%s: %zu bytes after the last tensor; is the file damaged?", file->name,
                       rest);
    }
    return CM_OK;
}

static cm_status parse_tensors(cm_safetensors *file, cm_error *error) {
    file->tensors = calloc(json_object_size(file->header) + 1, sizeof *file->tensors);
    if (file->tensors == NULL) {
        return safetensors_no_memory(error, file->name);
    }
    const char *key = NULL;
    json_t *entry = NULL;
    json_object_foreach(file->header, key, entry) {
        if (strcmp(key, METADATA_KEY) != 0) {
            placed_tensor *tensor = &file->tensors[file->count++];
            tensor->tensor.name = key;
            const cm_status status = parse_tensor(entry, file, tensor, error);
            if (status != CM_OK) {
                return status;
            }
        }
    }
    qsort(file->tensors, (size_t)file->count, sizeof *file->tensors, compare_tensor_places);
    return check_places(file, error);
}

/* `file_size`: of the whole file, of which `bytes` may hold the header only. */
static cm_status parse_safetensors(char *bytes, size_t size, uint64_t file_size, const char *name,
                                   cm_safetensors **file, cm_error *error) {
    *file = NULL;
    cm_safetensors *parsed = calloc(1, sizeof *parsed);
    if (parsed == NULL) {
        free(bytes);
        return safetensors_no_memory(error, name);
    }
    parsed->bytes = bytes;
    parsed->name = name;
    size_t length = 0;
    cm_status status = header_length(bytes, size, file_size, name, &length, error);
    if (status == CM_OK) {
        parsed->data = size == file_size ? bytes + LENGTH_SIZE + length : NULL;
        parsed->data_size = (size_t)file_size - LENGTH_SIZE - length;
        status = parse_header(bytes + LENGTH_SIZE, length, name, &parsed->header, error);
    }
    if (status == CM_OK) {
        status = parse_tensors(parsed, error);
    }
    if (status != CM_OK) {
        cm_safetensors_free(parsed);
        return status;
    }
    parsed->name = NULL; /* the caller's, for messages only */
    *file = parsed;
    return CM_OK;
}

cm_status cm_safetensors_parse(char *bytes, size_t size, const char *name, cm_safetensors **file,
                               cm_error *error) {
    return parse_safetensors(bytes, size, size, name, file, error);
}

cm_status cm_safetensors_load(const char *path, size_t data_limit, cm_safetensors **file,
                              cm_error *error) {
    *file = NULL;
    const size_t front = (size_t)LENGTH_SIZE + CM_SAFETENSORS_MAX_HEADER;
    const size_t limit = data_limit < SIZE_MAX - front ? data_limit + front : SIZE_MAX;
    char *bytes = NULL;
    size_t size = 0;
    const cm_status status = cm_file_read(path, limit, &bytes, &size, error);
    return status == CM_OK ? cm_safetensors_parse(bytes, size, path, file, error) : status;
}

void cm_safetensors_free(cm_safetensors *file) {
    if (file != NULL) {
        json_decref(file->header);
        free(file->tensors);
        free(file->bytes);
        free(file);
    }
}

int cm_safetensors_count(const cm_safetensors *file) {
    return file->count;
}

const cm_safetensor *cm_safetensors_at(const cm_safetensors *file, int index) {
    return &file->tensors[index].tensor;
}

const cm_safetensor *cm_safetensors_find(const cm_safetensors *file, const char *name) {
    for (int i = 0; i < file->count; ++i) {
        if (strcmp(file->tensors[i].tensor.name, name) == 0) {
            return &file->tensors[i].tensor;
        }
    }
    return NULL;
}

/* The bytes of a file up to its header's end; free() them. */
static cm_status read_front(const char *path, char **bytes, size_t *size, uint64_t *file_size,
                            cm_error *error) {
    size_t length = 0;
    *bytes = NULL;
    char *start = NULL;
    cm_status status = cm_file_read_start(path, CM_FILE_KIND_BYTES, &start, size, file_size, error);
    if (status == CM_OK) {
        status = header_length(start, *size, *file_size, path, &length, error);
        free(start);
    }
    if (status == CM_OK) {
        status = cm_file_read_start(path, LENGTH_SIZE + length, bytes, size, NULL, error);
    }
    if (status == CM_OK && *size != LENGTH_SIZE + length) {
        free(*bytes);
        *bytes = NULL;
        status = cm_fail(error, CM_BAD_INPUT, "%s: changed while it was read; try again", path);
    }
    return status;
}

cm_status cm_safetensors_load_header(const char *path, cm_safetensors **file, cm_error *error) {
    *file = NULL;
    char *bytes = NULL;
    size_t size = 0;
    uint64_t file_size = 0;
    const cm_status status = read_front(path, &bytes, &size, &file_size, error);
    return status == CM_OK ? parse_safetensors(bytes, size, file_size, path, file, error) : status;
}

cm_status cm_safetensors_read_metadata(const char *path, const char *key, char **value,
                                       cm_error *error) {
    *value = NULL;
    char *bytes = NULL;
    size_t size = 0;
    uint64_t file_size = 0;
    cm_status status = read_front(path, &bytes, &size, &file_size, error);
    json_t *header = NULL;
    if (status == CM_OK) {
        status = parse_header(bytes + LENGTH_SIZE, size - LENGTH_SIZE, path, &header, error);
    }
    const json_t *text = json_object_get(json_object_get(header, METADATA_KEY), key);
    if (status == CM_OK && text != NULL) {
        *value = strdup(json_string_value(text));
        status = *value != NULL ? CM_OK : safetensors_no_memory(error, path);
    }
    json_decref(header);
    free(bytes);
    return status;
}
