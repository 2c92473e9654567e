/**
 * SHA-256 (FIPS 180-4) as 64 lower-case hexadecimal digits; a thin wrapper over libmd.
 */
#ifndef CM_CORE_FILES_SHA256_H
#define CM_CORE_FILES_SHA256_H

#include <sha2.h>
#include <stddef.h>

#ifdef __cplusplus
extern "C" {
#endif

enum { CM_SHA256_HEX_SIZE = 65 }; /* digits and the final NUL */

/** A hash under way: cm_sha256_init(), any number of cm_sha256_update(), cm_sha256_final(). Owns
 * no memory, so it may be dropped at any time. */
typedef struct cm_sha256 {
    SHA2_CTX context;
} cm_sha256;

void cm_sha256_init(cm_sha256 *hash);
/** Adds `size` bytes; `data` may be NULL when size is 0. */
void cm_sha256_update(cm_sha256 *hash, const void *data, size_t size);
/** Writes the digest of everything added. The hash is used up: init it before using it again. */
void cm_sha256_final(cm_sha256 *hash, char hex[CM_SHA256_HEX_SIZE]);

/** Hash of one whole buffer; `data` may be NULL when size is 0. */
void cm_sha256_buffer(const void *data, size_t size, char hex[CM_SHA256_HEX_SIZE]);

#ifdef __cplusplus
}
#endif

#endif
