/*
 * Any bytes as an IDX file. The first byte chooses the shape that is expected and whether the rest
 * is packed by gzip here: past its check sums no mutation gets.
 */
#include <zlib.h>

#include "core/data/idx.h"
#include "fuzz.h"

enum { LABELS = 1, PACK = 2, MAX_PACKED = 1 << 16 };

static size_t pack(const uint8_t *bytes, size_t size, uint8_t *out) {
    z_stream stream = {0};
    FUZZ_EXPECT(deflateInit2(&stream, 1, Z_DEFLATED, 15 + 16, 8, Z_DEFAULT_STRATEGY) == Z_OK);
    stream.next_in = (uint8_t *)(uintptr_t)bytes;
    stream.avail_in = (uInt)size;
    stream.next_out = out;
    stream.avail_out = MAX_PACKED;
    const int result = deflate(&stream, Z_FINISH);
    const size_t written = MAX_PACKED - stream.avail_out;
    deflateEnd(&stream);
    return result == Z_STREAM_END ? written : 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static const cm_idx_shape labels = {1, {12}}, images = {3, {3, 2, 5}};
    static uint8_t packed[MAX_PACKED];
    const uint8_t choice = size > 0 ? *data : 0;
    const cm_idx_shape *shape = choice & LABELS ? &labels : &images;
    const size_t header = 4 + 4 * (size_t)shape->rank;
    const size_t elements = shape->rank == 1 ? 12 : 30;
    const uint8_t *plain = size > 0 ? data + 1 : data;
    const size_t plain_size = size > 0 ? size - 1 : 0;
    const char *path = choice & PACK ? fuzz_file(packed, pack(plain, plain_size, packed))
                                     : fuzz_file(plain, plain_size);
    uint8_t *read = NULL;
    char sha256[CM_SHA256_HEX_SIZE], expected[CM_SHA256_HEX_SIZE];
    cm_error error = {""};
    const cm_status status = cm_idx_read(path, shape, &read, sha256, &error);
    if (status != CM_OK) {
        FUZZ_EXPECT(read == NULL);
        fuzz_expect_refused(status, &error, path);
        cm_idx_shape other;
        const cm_status taken = cm_idx_read_any(path, shape->rank, &other, &read, sha256, &error);
        if (taken != CM_OK) {
            fuzz_expect_refused(taken, &error, path);
        }
        free(read);
        return 0;
    }
    cm_idx_shape any;
    uint8_t *again = NULL;
    FUZZ_EXPECT(cm_idx_read_any(path, shape->rank, &any, &again, expected, &error) == CM_OK);
    FUZZ_EXPECT(memcmp(any.dims, shape->dims, sizeof any.dims) == 0);
    FUZZ_EXPECT(memcmp(read, again, elements) == 0 && strcmp(sha256, expected) == 0);
    free(again);
    if (choice & PACK || plain[0] != 0x1F) {
        FUZZ_EXPECT(plain_size == header + elements);
        FUZZ_EXPECT(memcmp(read, plain + header, elements) == 0);
        cm_sha256_buffer(plain, plain_size, expected);
        FUZZ_EXPECT(strcmp(sha256, expected) == 0);
    }
    free(read);
    return 0;
}
