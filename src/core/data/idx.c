#include "core/data/idx.h"

#include <inttypes.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

#include "core/files/atomic_file.h"

enum { MAX_HEADER_SIZE = 4 + 4 * CM_IDX_MAX_RANK };

/** A plain or gzip file in memory, read as the bytes it stands for. */
typedef struct source {
    const char *path;
    uint8_t *bytes;
    size_t size;
    size_t position; /* plain: of the next byte */
    bool gzip;
    bool ended; /* gzip: the stream's own end, its CRC and length checked, was reached */
    z_stream stream;
} source;

static cm_status source_open(source *in, const char *path, size_t limit, cm_error *error) {
    *in = (source){.path = path};
    char *bytes = NULL;
    const cm_status status = cm_file_read(path, limit, &bytes, &in->size, error);
    if (status != CM_OK) {
        return status;
    }
    in->bytes = (uint8_t *)bytes;
    if (in->size >= 2 && in->bytes[0] == 0x1F && in->bytes[1] == 0x8B) {
        in->stream.next_in = in->bytes;
        in->stream.avail_in = (uInt)in->size;
        if (inflateInit2(&in->stream, 15 + 16) != Z_OK) { /* + 16: gzip, and nothing else */
            free(in->bytes);
            return cm_fail(error, CM_FAILED, "%s: out of memory for zlib", path);
        }
        in->gzip = true;
    }
    return CM_OK;
}

static void source_close(source *in) {
    if (in->gzip) {
        inflateEnd(&in->stream);
    }
    free(in->bytes);
}

static cm_status source_inflate(source *in, uint8_t *buffer, size_t size, size_t *count,
                                cm_error *error) {
    in->stream.next_out = buffer;
    in->stream.avail_out = (uInt)size;
    while (in->stream.avail_out > 0 && !in->ended) {
        if (in->stream.avail_in == 0) {
            return cm_fail(error, CM_BAD_INPUT,
                           "%s: cut off: the gzip stream continues after the file's %zu bytes",
                           in->path, in->size);
        }
        const int result = inflate(&in->stream, Z_NO_FLUSH);
        if (result == Z_MEM_ERROR) {
            return cm_fail(error, CM_FAILED, "%s: out of memory for zlib", in->path);
        }
        if (result != Z_OK && result != Z_STREAM_END) {
            return cm_fail(error, CM_BAD_INPUT, "%s: damaged gzip stream at byte %zu: %s", in->path,
                           in->size - in->stream.avail_in,
                           in->stream.msg != NULL ? in->stream.msg : "not deflate data");
        }
        in->ended = result == Z_STREAM_END;
    }
    *count = size - in->stream.avail_out;
    return CM_OK;
}

/** Reads up to `size` bytes; *count is less only at the end of the data. */
static cm_status source_read(source *in, uint8_t *buffer, size_t size, size_t *count,
                             cm_error *error) {
    if (in->gzip) {
        return source_inflate(in, buffer, size, count, error);
    }
    const size_t left = in->size - in->position;
    *count = size < left ? size : left;
    memcpy(buffer, in->bytes + in->position, *count);
    in->position += *count;
    return CM_OK;
}

/** The data must end here, after `size` bytes, and the file with it. */
static cm_status check_end(source *in, size_t size, cm_error *error) {
    uint8_t extra;
    size_t count = 0;
    const cm_status status = source_read(in, &extra, 1, &count, error);
    if (status != CM_OK) {
        return status;
    }
    if (count != 0) {
        return cm_fail(error, CM_BAD_INPUT, "%s: data continue after the %zu bytes expected%s",
                       in->path, size, in->gzip ? " when decompressed" : "");
    }
    if (in->gzip && in->stream.avail_in > 0) {
        return cm_fail(error, CM_BAD_INPUT,
                       "%s: other bytes follow the gzip stream, which ends at byte %zu", in->path,
                       in->size - in->stream.avail_in);
    }
    return CM_OK;
}

static uint32_t idx_big_endian(const uint8_t *bytes) {
    return (uint32_t)bytes[0] << 24 | (uint32_t)bytes[1] << 16 | (uint32_t)bytes[2] << 8 | bytes[3];
}

static cm_status cut_off(const source *in, size_t count, size_t expected, cm_error *error) {
    return cm_fail(error, CM_BAD_INPUT, "%s: cut off: %zu of %zu bytes%s", in->path, count,
                   expected, in->gzip ? " when decompressed" : "");
}

/** Reads the magic number (0, 0, 8: unsigned bytes, rank) and the dimensions into `header`. */
static cm_status read_header(source *in, const cm_idx_shape *shape, size_t total, uint8_t *header,
                             cm_error *error) {
    const size_t header_size = 4 + 4 * (size_t)shape->rank;
    size_t count = 0;
    const cm_status status = source_read(in, header, header_size, &count, error);
    if (status != CM_OK) {
        return status;
    }
    const uint32_t magic = 0x800U + (uint32_t)shape->rank;
    if (count >= 4 && idx_big_endian(header) != magic) {
        return cm_fail(error, CM_BAD_INPUT,
                       "%s: not the IDX file expected: magic number at byte 0 is 0x%08" PRIX32
                       ", not 0x%08" PRIX32 " (unsigned bytes, %d-dimensional)%s",
                       in->path, idx_big_endian(header), magic, shape->rank,
                       in->gzip ? "" : ", nor is it gzip");
    }
    if (count < header_size) {
        return cut_off(in, count, total, error);
    }
    for (int i = 0; i < shape->rank; ++i) {
        const uint32_t dim = idx_big_endian(header + 4 + 4 * i);
        if (dim != shape->dims[i]) {
            return cm_fail(error, CM_BAD_INPUT,
                           "%s: dimension %d at byte %d is %" PRIu32 ", not %" PRIu32, in->path, i,
                           4 + 4 * i, dim, shape->dims[i]);
        }
    }
    return CM_OK;
}

/** Number of elements; false when the shape is out of the limits of idx.h. */
static bool element_count(const cm_idx_shape *shape, size_t *count) {
    if (shape->rank < 1 || shape->rank > CM_IDX_MAX_RANK) {
        return false;
    }
    uint64_t elements = 1;
    for (int i = 0; i < shape->rank; ++i) {
        elements *= shape->dims[i]; /* < 2^28 * 2^32: no overflow */
        if (elements < 1 || elements > CM_IDX_MAX_BYTES) {
            return false;
        }
    }
    *count = (size_t)elements;
    return true;
}

static cm_status read_whole_idx(source *in, const cm_idx_shape *shape, size_t elements,
                                uint8_t **data, char *sha256, cm_error *error) {
    uint8_t header[MAX_HEADER_SIZE];
    const size_t header_size = 4 + 4 * (size_t)shape->rank;
    const size_t total = header_size + elements;
    cm_status status = read_header(in, shape, total, header, error);
    if (status != CM_OK) {
        return status;
    }
    uint8_t *elements_read = malloc(elements);
    if (elements_read == NULL) {
        return cm_fail(error, CM_FAILED, "%s: out of memory: %zu bytes", in->path, elements);
    }
    size_t count = 0;
    status = source_read(in, elements_read, elements, &count, error);
    if (status == CM_OK && count < elements) {
        status = cut_off(in, header_size + count, total, error);
    }
    if (status == CM_OK) {
        status = check_end(in, total, error);
    }
    if (status != CM_OK) {
        free(elements_read);
        return status;
    }
    cm_sha256 hash;
    cm_sha256_init(&hash);
    cm_sha256_update(&hash, header, header_size);
    cm_sha256_update(&hash, elements_read, elements);
    cm_sha256_final(&hash, sha256);
    *data = elements_read;
    return CM_OK;
}

cm_status cm_idx_read(const char *path, const cm_idx_shape *shape, uint8_t **data,
                      char sha256[CM_SHA256_HEX_SIZE], cm_error *error) {
    *data = NULL;
    size_t elements = 0;
    if (!element_count(shape, &elements)) {
        return cm_fail(error, CM_USAGE,
                       "%s: IDX shape out of limits: 1 to %d dimensions, 1 to %d elements", path,
                       CM_IDX_MAX_RANK, CM_IDX_MAX_BYTES);
    }
    /* Deflate adds 5 bytes to 16 KiB at worst: a file of this size is no IDX file of the shape. */
    const size_t limit = elements + elements / 8 + 65536;
    source in;
    cm_status status = source_open(&in, path, limit, error);
    if (status == CM_OK) {
        status = read_whole_idx(&in, shape, elements, data, sha256, error);
        source_close(&in);
    }
    return status;
}
