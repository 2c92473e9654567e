/**
 * What a file is, by its first bytes: for messages about a file of another kind than the one that
 * was expected. Nothing is decided by names.
 */
#ifndef CM_CORE_FILES_FILE_KIND_H
#define CM_CORE_FILES_FILE_KIND_H

#include <stddef.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef enum cm_file_kind {
    CM_FILE_UNKNOWN,
    CM_FILE_EMPTY,
    CM_FILE_ZEROS, /* nothing but zeros, as an interrupted download leaves */
    CM_FILE_PNG,
    CM_FILE_TEXT_MODE_PNG, /* its line ends were changed in a transfer */
    CM_FILE_APPLE_PNG,     /* Apple's own variety, of iOS programs */
    CM_FILE_JPEG,
    CM_FILE_PICTURE, /* of another format: the title says which */
    CM_FILE_PDF,
    CM_FILE_PYTORCH,
    CM_FILE_PICKLE,
    CM_FILE_NUMPY,
    CM_FILE_ONNX,
    CM_FILE_TFLITE,
    CM_FILE_HDF5,
    CM_FILE_KERAS,
    CM_FILE_GGUF,
    CM_FILE_SAFETENSORS,
    CM_FILE_SAFETENSORS_INDEX,
    CM_FILE_CHECKPOINT,
    CM_FILE_IDX,
    CM_FILE_IDX_OTHER, /* IDX of another element type than unsigned bytes */
    CM_FILE_PARQUET,
    CM_FILE_GZIP,
    CM_FILE_ZIP,
    CM_FILE_ARCHIVE, /* of another format: the title says which */
    CM_FILE_LFS_POINTER,
    CM_FILE_HTML,
    CM_FILE_XML,
    CM_FILE_RESULTS, /* convmark's own JSON */
    CM_FILE_JSON,
    CM_FILE_NETWORK_TEXT,
    CM_FILE_UTF16,
    CM_FILE_TEXT,
    CM_FILE_KIND_COUNT
} cm_file_kind;

enum { CM_FILE_KIND_BYTES = 512 }; /* that are looked at */

/** The kind of a file that begins with these bytes; `size`: of the file, or at least
 * CM_FILE_KIND_BYTES. *title is words for it, such as "a JPEG picture"; never NULL. */
cm_file_kind cm_file_kind_of(const void *bytes, size_t size, const char **title);

#ifdef __cplusplus
}
#endif

#endif
