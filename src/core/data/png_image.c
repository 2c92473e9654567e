#include "core/data/png_image.h"

#include <inttypes.h>
#include <png.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

#include "core/files/atomic_file.h"
#include "core/files/file_kind.h"

/** A whole file in memory. */
typedef struct file_bytes {
    const char *path;
    char *bytes;
    size_t size;
} file_bytes;

static uint32_t png_big_endian(const uint8_t *bytes) {
    return (uint32_t)bytes[0] << 24 | (uint32_t)bytes[1] << 16 | (uint32_t)bytes[2] << 8 | bytes[3];
}

/** What to do with a file that is not a PNG picture. */
static const char *picture_advice(cm_file_kind kind) {
    switch (kind) {
    case CM_FILE_TEXT_MODE_PNG:
        return "it was damaged on its way: transfer it as binary";
    case CM_FILE_APPLE_PNG:
        return "open it in a program for pictures and save it as PNG";
    case CM_FILE_SAFETENSORS:
        return "give the model first, then the pictures";
    case CM_FILE_IDX:
        return "evaluate reads data sets; a picture must be a PNG file";
    case CM_FILE_HTML:
    case CM_FILE_XML:
    case CM_FILE_ZEROS:
    case CM_FILE_LFS_POINTER:
        return "the download failed: download it again";
    case CM_FILE_GZIP:
    case CM_FILE_ZIP:
    case CM_FILE_ARCHIVE:
        return "unpack it first";
    case CM_FILE_NUMPY:
        return "convert it with Pillow: Image.fromarray(numpy.load(FILE)).save(\"picture.png\")";
    default:
        return "convert the picture to PNG, with Pillow (Image.open(FILE).save(\"picture.png\")) "
               "or "
               "ImageMagick (convert FILE picture.png)";
    }
}

/** Walks over the chunks: libpng alone stops at the last row, and would take files that are cut
 * off or damaged after it. */
static cm_status check_chunks(const file_bytes *file, cm_error *error) {
    enum { SIGNATURE = 8, FRAME = 12 /* length, type, CRC */ };
    const char *title = NULL;
    const cm_file_kind kind = cm_file_kind_of(file->bytes, file->size, &title);
    if (file->size < SIGNATURE || kind != CM_FILE_PNG) {
        return cm_fail(error, CM_BAD_INPUT, "%s: not a PNG file but %s; %s", file->path, title,
                       picture_advice(kind));
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
    return CM_OK; /* what follows is no part of the picture: editors and mailers add line ends */
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

/** A decoded picture. */
typedef struct decoded {
    const uint8_t *bytes; /* [height][width][channels] */
    uint32_t height, width;
    size_t channels;
} decoded;

/** Mean of the source area that one output value covers, rounded to nearest. */
static uint8_t area_mean(const decoded *from, size_t channel, cover rows, cover columns,
                         uint32_t height, uint32_t width) {
    uint64_t sum = 0;
    for (uint64_t y = rows.begin / height; y * height < rows.end; ++y) {
        uint64_t row_sum = 0;
        for (uint64_t x = columns.begin / width; x * width < columns.end; ++x) {
            row_sum += overlap(columns, x, width) *
                       from->bytes[(y * from->width + x) * from->channels + channel];
        }
        sum += overlap(rows, y, height) * row_sum;
    }
    const uint64_t area = (uint64_t)from->height * from->width;
    return (uint8_t)((sum + area / 2) / area);
}

static void resize(const decoded *from, const cm_png_format *format, uint8_t *pixels) {
    const uint32_t height = (uint32_t)format->height, width = (uint32_t)format->width;
    for (uint32_t y = 0; y < height; ++y) {
        for (uint32_t x = 0; x < width; ++x) {
            for (size_t channel = 0; channel < from->channels; ++channel) {
                const uint8_t mean = area_mean(from, channel, cover_of(y, from->height),
                                               cover_of(x, from->width), height, width);
                pixels[((size_t)y * width + x) * from->channels + channel] =
                    format->invert ? (uint8_t)(255 - mean) : mean;
            }
        }
    }
}

static cm_status decode(const file_bytes *file, png_image *image, const cm_png_format *format,
                        uint8_t *pixels, cm_error *error) {
    if (!png_image_begin_read_from_memory(image, file->bytes, file->size)) {
        return cm_fail(error, CM_BAD_INPUT, "%s: damaged PNG file: %s", file->path, image->message);
    }
    if (image->width > CM_PNG_MAX_SIDE || image->height > CM_PNG_MAX_SIDE ||
        (uint64_t)image->width * image->height > CM_PNG_MAX_PIXELS) {
        return cm_fail(error, CM_BAD_INPUT,
                       "%s: %" PRIu32 " x %" PRIu32 " pixels are too many: up to %d a side and %d "
                       "in all are read; scale it down",
                       file->path, image->width, image->height, CM_PNG_MAX_SIDE, CM_PNG_MAX_PIXELS);
    }
    image->format = format->channels == 3 ? PNG_FORMAT_RGB : PNG_FORMAT_GRAY;
    image->flags |= PNG_IMAGE_FLAG_16BIT_sRGB; /* as for 8 bit, where the file does not say */
    const png_byte ground = format->invert ? 255 : 0;
    const png_color background = {ground, ground, ground};
    uint8_t *bytes = malloc(PNG_IMAGE_SIZE(*image));
    if (bytes == NULL) {
        return cm_fail(error, CM_FAILED, "%s: out of memory: %zu bytes", file->path,
                       (size_t)PNG_IMAGE_SIZE(*image));
    }
    cm_status status = CM_OK;
    if (png_image_finish_read(image, &background, bytes, 0, NULL)) {
        const decoded from = {bytes, image->height, image->width, (size_t)format->channels};
        resize(&from, format, pixels);
    } else {
        status =
            cm_fail(error, CM_BAD_INPUT, "%s: damaged PNG file: %s", file->path, image->message);
    }
    free(bytes);
    return status;
}

cm_status cm_png_read_as(const char *path, const cm_png_format *format, uint8_t *pixels,
                         int size[2], cm_error *error) {
    const int height = format->height, width = format->width;
    if (height < 1 || width < 1 || height > CM_PNG_MAX_SIDE || width > CM_PNG_MAX_SIDE ||
        (format->channels != 1 && format->channels != 3)) {
        return cm_fail(error, CM_USAGE,
                       "%s: cannot scale to %d channels of %d x %d pixels: 1 or 3, 1 to %d a side",
                       path, format->channels, height, width, CM_PNG_MAX_SIDE);
    }
    file_bytes file = {.path = path};
    cm_status status = cm_file_read(path, CM_PNG_MAX_FILE_BYTES, &file.bytes, &file.size, error);
    if (status != CM_OK) {
        return status;
    }
    status = check_chunks(&file, error);
    if (status == CM_OK) {
        png_image image = {.version = PNG_IMAGE_VERSION};
        status = decode(&file, &image, format, pixels, error);
        if (size != NULL) {
            size[0] = (int)image.height;
            size[1] = (int)image.width;
        }
        png_image_free(&image);
    }
    free(file.bytes);
    return status;
}

cm_status cm_png_read(const char *path, int height, int width, bool invert, uint8_t *pixels,
                      cm_error *error) {
    const cm_png_format format = {1, height, width, invert};
    return cm_png_read_as(path, &format, pixels, NULL, error);
}

/* ---- Is it what it should be? ---- */

/** Sum over the channels. */
static int brightness(const cm_png_format *format, const uint8_t *pixels, int y, int x) {
    int sum = 0;
    for (int channel = 0; channel < format->channels; ++channel) {
        sum += pixels[((ptrdiff_t)y * format->width + x) * format->channels + channel];
    }
    return sum;
}

/** Whether the border is light on average and in each corner: a bright thing may touch some of
 * them, a ground is all of them. */
static bool has_light_ground(const cm_png_format *format, const uint8_t *pixels) {
    const int bottom = format->height - 1, right = format->width - 1;
    const int half = 255 * format->channels / 2;
    if (brightness(format, pixels, 0, 0) <= half || brightness(format, pixels, 0, right) <= half ||
        brightness(format, pixels, bottom, 0) <= half ||
        brightness(format, pixels, bottom, right) <= half) {
        return false;
    }
    int64_t sum = 0, count = 0;
    for (int y = 0; y <= bottom; ++y) {
        const int step = y == 0 || y == bottom || right == 0 ? 1 : right;
        for (int x = 0; x <= right; x += step) {
            sum += brightness(format, pixels, y, x);
            ++count;
        }
    }
    return sum > count * half;
}

cm_picture_doubt cm_picture_judge(const cm_png_format *format, const uint8_t *pixels) {
    enum { NEARLY_THE_SAME = 32 };
    const size_t count = (size_t)format->height * (size_t)format->width * (size_t)format->channels;
    int least = 255, most = 0;
    for (size_t i = 0; i < count; ++i) {
        least = pixels[i] < least ? pixels[i] : least;
        most = pixels[i] > most ? pixels[i] : most;
    }
    if (most - least < NEARLY_THE_SAME) {
        return CM_PICTURE_EMPTY;
    }
    return has_light_ground(format, pixels) ? CM_PICTURE_LIGHT_GROUND : CM_PICTURE_GOOD;
}
