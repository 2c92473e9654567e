/**
 * The safetensors format (https://huggingface.co/docs/safetensors): 8 bytes of header length
 * (little-endian), a JSON header, the tensors' bytes without gaps.
 */
#ifndef CM_CORE_NETWORK_SAFETENSORS_H
#define CM_CORE_NETWORK_SAFETENSORS_H

#include <stddef.h>
#include <stdint.h>

#include "convmark/status.h"

#ifdef __cplusplus
extern "C" {
#endif

/** Types that a model may have: F32 and I64 as they are, others to be converted
 * (tensor_values.h). BOOL and 8-bit floats are read past. */
typedef enum cm_dtype {
    CM_DTYPE_F32,
    CM_DTYPE_I64,
    CM_DTYPE_F64,
    CM_DTYPE_F16,
    CM_DTYPE_BF16,
    CM_DTYPE_I32,
    CM_DTYPE_I16,
    CM_DTYPE_I8,
    CM_DTYPE_U64,
    CM_DTYPE_U32,
    CM_DTYPE_U16,
    CM_DTYPE_U8,
    CM_DTYPE_BOOL,
    CM_DTYPE_F8_E4M3,
    CM_DTYPE_F8_E5M2,
    CM_DTYPE_COUNT
} cm_dtype;

enum { CM_SAFETENSORS_MAX_RANK = 8, CM_SAFETENSORS_MAX_HEADER = 100000000 };

/** A named array, row-major. */
typedef struct cm_safetensor {
    const char *name;
    cm_dtype dtype;
    int rank;
    int64_t dims[CM_SAFETENSORS_MAX_RANK];
    size_t count;     /* elements: the product of dims */
    const void *data; /* little-endian; in a parsed file of any alignment: memcpy() from it */
} cm_safetensor;

/** A parsed file. */
typedef struct cm_safetensors cm_safetensors;

/** "F32", "I64" ..., and bytes of an element. */
const char *cm_dtype_name(cm_dtype dtype);
size_t cm_dtype_size(cm_dtype dtype);

/** Index of the first element of F32, F64, F16 or BF16 that is NaN or infinite; tensor->count when
 * there is none. */
size_t cm_safetensor_first_not_finite(const cm_safetensor *tensor);

/**
 * Parses a file's bytes and takes them over (free()d with the result, and on failure); `name` is
 * the file in messages. CM_BAD_INPUT for everything that the format does not allow: a header that
 * is too long, not JSON, with duplicate, unknown or missing keys; types other than those above;
 * shapes that overflow; byte ranges that are reversed, overlap, leave holes, go beyond the end or
 * do not fit shape and type; bytes after the last tensor; floats that are not finite. A file of
 * another kind (file_kind.h) is named, with what to do.
 */
cm_status cm_safetensors_parse(char *bytes, size_t size, const char *name, cm_safetensors **file,
                               cm_error *error);

/** Reads and parses a file whose tensors have at most `data_limit` bytes in all. */
cm_status cm_safetensors_load(const char *path, size_t data_limit, cm_safetensors **file,
                              cm_error *error);
/** Reads and parses the header only: tensors have no data (NULL). */
cm_status cm_safetensors_load_header(const char *path, cm_safetensors **file, cm_error *error);
void cm_safetensors_free(cm_safetensors *file);

/** Tensors in the order of their bytes. */
int cm_safetensors_count(const cm_safetensors *file);
const cm_safetensor *cm_safetensors_at(const cm_safetensors *file, int index);
/** The tensor of this name; NULL: none. */
const cm_safetensor *cm_safetensors_find(const cm_safetensors *file, const char *name);

/** A text of a file's __metadata__; reads its header only. *value is NULL, with CM_OK, when the
 * file has none of this key; free() it. CM_BAD_INPUT as for cm_safetensors_load(). */
cm_status cm_safetensors_read_metadata(const char *path, const char *key, char **value,
                                       cm_error *error);

/** Key and text of __metadata__. */
typedef struct cm_safetensors_text {
    const char *key, *value;
} cm_safetensors_text;

/** Writes tensors in the given order, whole or not at all (cm_file_write). The header is padded
 * with spaces so that the data begins at a multiple of 8 bytes. Names must differ and F32
 * values be finite, else CM_FAILED. */
cm_status cm_safetensors_write(const char *path, const cm_safetensor *tensors, int count,
                               const cm_safetensors_text *metadata, int metadata_count,
                               cm_error *error);

#ifdef __cplusplus
}
#endif

#endif
