#include "core/files/sha256.h"

#include <stdint.h>

void cm_sha256_init(cm_sha256 *hash) {
    SHA256Init(&hash->context);
}

void cm_sha256_update(cm_sha256 *hash, const void *data, size_t size) {
    if (size > 0) { /* libmd hands the pointer to memcpy, which must not be NULL */
        SHA256Update(&hash->context, data, size);
    }
}

void cm_sha256_final(cm_sha256 *hash, char hex[CM_SHA256_HEX_SIZE]) {
    static const char digits[] = "0123456789abcdef";
    uint8_t digest[SHA256_DIGEST_LENGTH];
    SHA256Final(digest, &hash->context);
    for (int i = 0; i < SHA256_DIGEST_LENGTH; ++i) {
        hex[2 * i] = digits[digest[i] >> 4];
        hex[2 * i + 1] = digits[digest[i] & 15];
    }
    hex[2 * SHA256_DIGEST_LENGTH] = '\0';
}

void cm_sha256_buffer(const void *data, size_t size, char hex[CM_SHA256_HEX_SIZE]) {
    cm_sha256 hash;
    cm_sha256_init(&hash);
    cm_sha256_update(&hash, data, size);
    cm_sha256_final(&hash, hex);
}
