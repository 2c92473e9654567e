#include "core/data/idx.h"

#include <inttypes.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

#include "core/files/atomic_file.h"
#include "core/files/file_kind.h"

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

/** After a member: skips zeros, which tapes and some programs pad with, and begins the next member
 * (RFC 1952, 2.2: a file is a series of members). False where none begins. */
static bool next_member(source *in) {
    while (in->stream.avail_in > 0 && *in->stream.next_in == 0) {
        ++in->stream.next_in;
        --in->stream.avail_in;
    }
    return in->stream.avail_in >= 2 && in->stream.next_in[0] == 0x1F &&
           in->stream.next_in[1] == 0x8B && inflateReset(&in->stream) == Z_OK;
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
        in->ended = result == Z_STREAM_END && !next_member(in);
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

/** What to do with a file that is no IDX file. */
static const char *idx_advice(cm_file_kind kind) {
    switch (kind) {
    case CM_FILE_HTML:
    case CM_FILE_XML:
    case CM_FILE_LFS_POINTER:
    case CM_FILE_ZEROS:
        return "the download failed: download it again";
    case CM_FILE_ZIP:
    case CM_FILE_ARCHIVE:
        return "unpack it, and give the folder of what is in it";
    case CM_FILE_IDX:
        return "labels and pictures are exchanged, or the pictures are not grey";
    case CM_FILE_IDX_OTHER:
        return "write its elements as unsigned bytes, 0 to 255";
    default:
        return "write it as IDX";
    }
}

static cm_status not_idx(const source *in, const uint8_t *header, size_t count, int rank,
                         cm_error *error) {
    const char *title = NULL;
    const cm_file_kind kind = in->gzip ? cm_file_kind_of(header, count, &title)
                                       : cm_file_kind_of(in->bytes, in->size, &title);
    return cm_fail(error, CM_BAD_INPUT,
                   "%s: not the IDX file expected: magic number at byte 0 is 0x%08" PRIX32
                   ", not 0x%08X (unsigned bytes, %d-dimensional)%s; it is %s%s: %s",
                   in->path, idx_big_endian(header), 0x800U + (unsigned)rank, rank,
                   in->gzip ? "" : ", nor is it gzip", title, in->gzip ? " in gzip" : "",
                   idx_advice(kind));
}

/** Reads the magic number (0, 0, 8: unsigned bytes, rank) and the dimensions into `header`. */
static cm_status read_header(source *in, int rank, uint8_t *header, size_t *count,
                             cm_error *error) {
    const cm_status status = source_read(in, header, 4 + 4 * (size_t)rank, count, error);
    if (status == CM_OK && *count >= 4 && idx_big_endian(header) != 0x800U + (uint32_t)rank) {
        return not_idx(in, header, *count, rank, error);
    }
    return status;
}

static cm_status check_dims(const source *in, const cm_idx_shape *shape, const uint8_t *header,
                            cm_error *error) {
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

/** The elements after the header, and the hash of both. */
static cm_status read_elements(source *in, const uint8_t *header, size_t header_size,
                               size_t elements, uint8_t **data, char *sha256, cm_error *error) {
    const size_t total = header_size + elements;
    uint8_t *elements_read = malloc(elements);
    if (elements_read == NULL) {
        return cm_fail(error, CM_FAILED, "%s: out of memory: %zu bytes", in->path, elements);
    }
    size_t count = 0;
    cm_status status = source_read(in, elements_read, elements, &count, error);
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

static cm_status read_expected(source *in, const cm_idx_shape *shape, size_t elements,
                               uint8_t **data, char *sha256, cm_error *error) {
    uint8_t header[MAX_HEADER_SIZE];
    const size_t header_size = 4 + 4 * (size_t)shape->rank;
    size_t count = 0;
    cm_status status = read_header(in, shape->rank, header, &count, error);
    if (status == CM_OK && count < header_size) {
        status = cut_off(in, count, header_size + elements, error);
    }
    if (status == CM_OK) {
        status = check_dims(in, shape, header, error);
    }
    return status == CM_OK ? read_elements(in, header, header_size, elements, data, sha256, error)
                           : status;
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
        status = read_expected(&in, shape, elements, data, sha256, error);
        source_close(&in);
    }
    return status;
}

/** The shape that a header gives, checked against the limits and against what a file of this size
 * can hold: deflate's ratio is at most 1032. */
static cm_status take_shape(const source *in, const uint8_t *header, cm_idx_shape *shape,
                            size_t *elements, cm_error *error) {
    for (int i = 0; i < shape->rank; ++i) {
        shape->dims[i] = idx_big_endian(header + 4 + 4 * i);
        if (shape->dims[i] == 0) {
            return cm_fail(error, CM_BAD_INPUT,
                           "%s: dimension %d at byte %d is 0: the set is empty; write it again",
                           in->path, i, 4 + 4 * i);
        }
    }
    if (!element_count(shape, elements)) {
        return cm_fail(error, CM_BAD_INPUT,
                       "%s: has more than %d elements; write fewer pictures, or smaller ones",
                       in->path, CM_IDX_MAX_BYTES);
    }
    const size_t header_size = 4 + 4 * (size_t)shape->rank;
    if (!in->gzip && header_size + *elements > in->size) {
        return cut_off(in, in->size, header_size + *elements, error);
    }
    if (*elements / 1032 > in->size) {
        return cm_fail(error, CM_BAD_INPUT,
                       "%s: cut off: %zu bytes of gzip cannot hold the %zu that the header gives",
                       in->path, in->size, header_size + *elements);
    }
    return CM_OK;
}

static cm_status read_any(source *in, cm_idx_shape *shape, uint8_t **data, char *sha256,
                          cm_error *error) {
    uint8_t header[MAX_HEADER_SIZE];
    const size_t header_size = 4 + 4 * (size_t)shape->rank;
    size_t count = 0, elements = 0;
    cm_status status = read_header(in, shape->rank, header, &count, error);
    if (status == CM_OK && count < header_size) {
        status = cut_off(in, count, header_size, error);
    }
    if (status == CM_OK) {
        status = take_shape(in, header, shape, &elements, error);
    }
    return status == CM_OK ? read_elements(in, header, header_size, elements, data, sha256, error)
                           : status;
}

cm_status cm_idx_read_any(const char *path, int rank, cm_idx_shape *shape, uint8_t **data,
                          char sha256[CM_SHA256_HEX_SIZE], cm_error *error) {
    *data = NULL;
    *shape = (cm_idx_shape){.rank = rank};
    if (rank < 1 || rank > CM_IDX_MAX_RANK) {
        return cm_fail(error, CM_USAGE, "%s: IDX shape out of limits: 1 to %d dimensions", path,
                       CM_IDX_MAX_RANK);
    }
    source in;
    cm_status status = source_open(&in, path, CM_IDX_MAX_BYTES + CM_IDX_MAX_BYTES / 8, error);
    if (status == CM_OK) {
        status = read_any(&in, shape, data, sha256, error);
        source_close(&in);
    }
    return status;
}
