/*
 * Any bytes as a PNG file. The first byte chooses whether the chunks' check sums are put right
 * here, so that mutations reach what comes after them.
 */
#include <zlib.h>

#include "core/data/png_image.h"
#include "fuzz.h"

enum { REPAIR = 1, HEIGHT = 4, WIDTH = 3, SIGNATURE = 8, FRAME = 12 };

static uint32_t big_endian(const uint8_t *b) {
    return (uint32_t)b[0] << 24 | (uint32_t)b[1] << 16 | (uint32_t)b[2] << 8 | b[3];
}

static void repair(uint8_t *bytes, size_t size) {
    size_t at = SIGNATURE;
    while (at + FRAME <= size && big_endian(bytes + at) <= size - at - FRAME) {
        const uint32_t length = big_endian(bytes + at);
        const uint32_t crc = (uint32_t)crc32(0, bytes + at + 4, length + 4);
        for (int i = 0; i < 4; ++i) {
            bytes[at + 8 + length + (size_t)i] = (uint8_t)(crc >> (24 - 8 * i));
        }
        at += FRAME + length;
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    uint8_t *bytes = malloc(size + 1);
    FUZZ_EXPECT(bytes != NULL);
    memcpy(bytes, data, size);
    const size_t skip = size > 0 ? 1 : 0;
    if (skip == 1 && bytes[0] & REPAIR) {
        repair(bytes + 1, size - 1);
    }
    const char *path = fuzz_file(bytes + skip, size - skip);
    free(bytes);
    uint8_t pixels[HEIGHT * WIDTH], untouched[HEIGHT * WIDTH], inverse[HEIGHT * WIDTH];
    memset(pixels, 0xA5, sizeof pixels);
    memcpy(untouched, pixels, sizeof pixels);
    cm_error error = {""};
    const cm_status status = cm_png_read(path, HEIGHT, WIDTH, false, pixels, &error);
    if (status != CM_OK) {
        fuzz_expect_refused(status, &error, path);
        FUZZ_EXPECT(memcmp(pixels, untouched, sizeof pixels) == 0);
    }
    FUZZ_EXPECT(cm_png_read(path, HEIGHT, WIDTH, true, inverse, &error) == status);
    return 0;
}
