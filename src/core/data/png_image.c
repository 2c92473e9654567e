#include "core/data/png_image.h"

#include <inttypes.h>
#include <png.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

#include "core/files/atomic_file.h"

/** A whole file in memory. */
typedef struct file_bytes {
    const char *path;
    char *bytes;
    size_t size;
} file_bytes;

static uint32_t png_big_endian(const uint8_t *bytes) {
    return (uint32_t)bytes[0] << 24 | (uint32_t)bytes[1] << 16 | (uint32_t)bytes[2] << 8 | bytes[3];
}

/** Walks over the chunks: libpng alone stops at the last row, and would take files that are cut
 * off or damaged after it. */
static cm_status check_chunks(const file_bytes *file, cm_error *error) {
    enum { SIGNATURE = 8, FRAME = 12 /* length, type, CRC */ };
    if (file->size < SIGNATURE || png_sig_cmp((const uint8_t *)file->bytes, 0, SIGNATURE) != 0) {
        return cm_fail(error, CM_BAD_INPUT, "%s: not a PNG file; convert the picture to PNG",
                       file->path);
    }
    size_t offset = SIGNATURE;
    bool ended = false;
    while (!ended) {
        const uint8_t *chunk = (const uint8_t *)file->bytes + offset;
        const size_t left = file->size - offset;
        if (left < FRAME || png_big_endian(chunk) > left - FRAME) {
            return cm_fail(error, CM_BAD_INPUT,
                           "%s: cut off: the chunk at byte %zu goes beyond the end of the file",
                           file->path, offset);
        }
        const uint32_t length = png_big_endian(chunk);
        if (crc32(0, chunk + 4, length + 4) != png_big_endian(chunk + 8 + length)) {
            return cm_fail(error, CM_BAD_INPUT, "%s: damaged: wrong CRC in the chunk at byte %zu",
                           file->path, offset);
        }
        ended = memcmp(chunk + 4, "IEND", 4) == 0;
        offset += FRAME + length;
    }
    if (offset != file->size) {
        return cm_fail(error, CM_BAD_INPUT,
                       "%s: other bytes follow the picture, which ends at byte %zu", file->path,
                       offset);
    }
    return CM_OK;
}

/** Overlaps of source rows (or columns) with row `index` of `count`, in units of 1/count of a
 * source row: the result's rows are `size` such units high. */
typedef struct cover {
    uint64_t begin, end; /* in units */
} cover;

static cover cover_of(uint32_t index, uint32_t size) {
    return (cover){(uint64_t)index * size, (uint64_t)(index + 1) * size};
}

static uint64_t overlap(cover span, uint64_t item, uint32_t count) {
    const uint64_t begin = item * count, end = begin + count;
    return (end < span.end ? end : span.end) - (begin > span.begin ? begin : span.begin);
}

/** Mean of the source area that one output pixel covers, rounded to nearest. */
static uint8_t area_mean(const uint8_t *grey, const png_image *image, cover rows, cover columns,
                         uint32_t height, uint32_t width) {
    uint64_t sum = 0;
    for (uint64_t y = rows.begin / height; y * height < rows.end; ++y) {
        uint64_t row_sum = 0;
        for (uint64_t x = columns.begin / width; x * width < columns.end; ++x) {
            row_sum += overlap(columns, x, width) * grey[y * image->width + x];
        }
        sum += overlap(rows, y, height) * row_sum;
    }
    const uint64_t area = (uint64_t)image->height * image->width;
    return (uint8_t)((sum + area / 2) / area);
}

static void resize(const uint8_t *grey, const png_image *image, uint32_t height, uint32_t width,
                   bool invert, uint8_t *pixels) {
    for (uint32_t y = 0; y < height; ++y) {
        for (uint32_t x = 0; x < width; ++x) {
            const uint8_t mean = area_mean(grey, image, cover_of(y, image->height),
                                           cover_of(x, image->width), height, width);
            pixels[(size_t)y * width + x] = invert ? (uint8_t)(255 - mean) : mean;
        }
    }
}

static cm_status decode(const file_bytes *file, png_image *image, int height, int width,
                        bool invert, uint8_t *pixels, cm_error *error) {
    if (!png_image_begin_read_from_memory(image, file->bytes, file->size)) {
        return cm_fail(error, CM_BAD_INPUT, "%s: damaged PNG file: %s", file->path, image->message);
    }
    if (image->width > CM_PNG_MAX_SIDE || image->height > CM_PNG_MAX_SIDE ||
        (uint64_t)image->width * image->height > CM_PNG_MAX_PIXELS) {
        return cm_fail(error, CM_BAD_INPUT,
                       "%s: %" PRIu32 " x %" PRIu32 " pixels are too many: up to %d a side and %d "
                       "in all are read",
                       file->path, image->width, image->height, CM_PNG_MAX_SIDE, CM_PNG_MAX_PIXELS);
    }
    image->format = PNG_FORMAT_GRAY;
    image->flags |= PNG_IMAGE_FLAG_16BIT_sRGB; /* as for 8 bit, where the file does not say */
    const png_byte ground = invert ? 255 : 0;
    const png_color background = {ground, ground, ground};
    uint8_t *grey = malloc(PNG_IMAGE_SIZE(*image));
    if (grey == NULL) {
        return cm_fail(error, CM_FAILED, "%s: out of memory: %zu bytes", file->path,
                       (size_t)PNG_IMAGE_SIZE(*image));
    }
    cm_status status = CM_OK;
    if (png_image_finish_read(image, &background, grey, 0, NULL)) {
        resize(grey, image, (uint32_t)height, (uint32_t)width, invert, pixels);
    } else {
        status =
            cm_fail(error, CM_BAD_INPUT, "%s: damaged PNG file: %s", file->path, image->message);
    }
    free(grey);
    return status;
}

cm_status cm_png_read(const char *path, int height, int width, bool invert, uint8_t *pixels,
                      cm_error *error) {
    if (height < 1 || width < 1 || height > CM_PNG_MAX_SIDE || width > CM_PNG_MAX_SIDE) {
        return cm_fail(error, CM_USAGE, "%s: cannot scale to %d x %d pixels: 1 to %d a side", path,
                       height, width, CM_PNG_MAX_SIDE);
    }
    file_bytes file = {.path = path};
    cm_status status = cm_file_read(path, CM_PNG_MAX_FILE_BYTES, &file.bytes, &file.size, error);
    if (status != CM_OK) {
        return status;
    }
    status = check_chunks(&file, error);
    if (status == CM_OK) {
        png_image image = {.version = PNG_IMAGE_VERSION};
        status = decode(&file, &image, height, width, invert, pixels, error);
        png_image_free(&image);
    }
    free(file.bytes);
    return status;
}
