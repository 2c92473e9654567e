/**
 * IDX files of unsigned bytes (the format of MNIST, http://yann.lecun.com/exdb/mnist/), plain or
 * compressed by gzip (RFC 1952). Strict: a file holds exactly what is expected of it and nothing
 * more. The reader allocates only after the file's header has been checked.
 */
#ifndef CM_CORE_DATA_IDX_H
#define CM_CORE_DATA_IDX_H

#include <stdint.h>

#include "convmark/status.h"
#include "core/files/sha256.h"

#ifdef __cplusplus
extern "C" {
#endif

enum {
    CM_IDX_MAX_RANK = 3,
    CM_IDX_MAX_BYTES = 1 << 30 /* of elements: 20 times Fashion-MNIST's largest file */
};

/** What a file must be: `rank` dimensions (1 .. CM_IDX_MAX_RANK) of these sizes, none of them 0, at
 * most CM_IDX_MAX_BYTES elements. */
typedef struct cm_idx_shape {
    int rank;
    uint32_t dims[CM_IDX_MAX_RANK];
} cm_idx_shape;

/**
 * Reads `path`, which is gzip if its first two bytes are 1F 8B and plain IDX otherwise. On success
 * *data is the elements in file order (free() it) and `sha256` the hash of the decompressed file,
 * header included.
 *
 * A gzip file may have several members, and zeros after each.
 *
 * CM_BAD_INPUT, with *data NULL, when `path` is missing, unreadable or not a regular file; its
 * magic number or a dimension is not the expected one; it is shorter or longer than its header
 * says; the gzip stream is cut off, damaged (CRC and length are checked) or followed by other
 * bytes. Decompression ends one byte after the expected size, however much the file would expand
 * to. CM_USAGE when `shape` is out of its limits; CM_FAILED when there is no memory.
 */
cm_status cm_idx_read(const char *path, const cm_idx_shape *shape, uint8_t **data,
                      char sha256[CM_SHA256_HEX_SIZE], cm_error *error);

/** The same for a file of `rank` dimensions of any size, none of them 0, which *shape gets. Nothing
 * is allocated for more elements than a file of this size can hold. */
cm_status cm_idx_read_any(const char *path, int rank, cm_idx_shape *shape, uint8_t **data,
                          char sha256[CM_SHA256_HEX_SIZE], cm_error *error);

#ifdef __cplusplus
}
#endif

#endif
