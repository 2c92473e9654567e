#include "core/files/file_kind.h"

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

/* The first row whose bytes stand at its offset decides. */
static const struct magic {
    cm_file_kind kind;
    unsigned char offset, length;
    const char *bytes, *title;
} magics[] = {
#define MAGIC(offset, bytes) offset, sizeof(bytes) - 1, bytes
    {CM_FILE_APPLE_PNG, MAGIC(12, "CgBI"), "a PNG picture of Apple's own variety"},
    {CM_FILE_PNG, MAGIC(0, "\x89PNG\r\n\x1A\n"), "a PNG picture"},
    {CM_FILE_TEXT_MODE_PNG, MAGIC(0, "\x89PNG"), "a PNG picture with changed line ends"},
    {CM_FILE_TEXT_MODE_PNG, MAGIC(0, "\xC2\x89PNG"), "a PNG picture with changed characters"},
    {CM_FILE_TEXT_MODE_PNG, MAGIC(0, "\xEF\xBF\xBDPNG"), "a PNG picture with changed characters"},
    {CM_FILE_JPEG, MAGIC(0, "\xFF\xD8\xFF"), "a JPEG picture"},
    {CM_FILE_PICTURE, MAGIC(0, "GIF8"), "a GIF picture"},
    {CM_FILE_PICTURE, MAGIC(8, "WEBP"), "a WebP picture"},
    {CM_FILE_PICTURE, MAGIC(0, "BM"), "a BMP picture"},
    {CM_FILE_PICTURE, MAGIC(0, "II*\0"), "a TIFF picture"},
    {CM_FILE_PICTURE, MAGIC(0, "MM\0*"), "a TIFF picture"},
    {CM_FILE_PICTURE, MAGIC(4, "ftypavi"), "an AVIF picture"},
    {CM_FILE_PICTURE, MAGIC(4, "ftyphei"), "a HEIC picture"},
    {CM_FILE_PICTURE, MAGIC(4, "ftypmif"), "a HEIF picture"},
    {CM_FILE_PICTURE, MAGIC(4, "ftyp"), "a video"},
    {CM_FILE_PICTURE, MAGIC(0, "\0\0\0\x0CJXL "), "a JPEG XL picture"},
    {CM_FILE_PICTURE, MAGIC(0, "\0\0\0\x0CjP  "), "a JPEG 2000 picture"},
    {CM_FILE_PICTURE, MAGIC(0, "\xFF\x0A"), "a JPEG XL picture"},
    {CM_FILE_PICTURE, MAGIC(0, "qoif"), "a QOI picture"},
    {CM_FILE_PICTURE, MAGIC(0, "8BPS"), "a Photoshop picture"},
    {CM_FILE_PICTURE, MAGIC(0, "gimp xcf"), "a GIMP picture"},
    {CM_FILE_PICTURE, MAGIC(0, "\0\0\1\0"), "an icon"},
    {CM_FILE_PDF, MAGIC(0, "%PDF"), "a PDF document"},
    {CM_FILE_NUMPY, MAGIC(0, "\x93NUMPY"), "a NumPy array (.npy)"},
    {CM_FILE_TFLITE, MAGIC(4, "TFL3"), "a TensorFlow Lite model"},
    {CM_FILE_HDF5, MAGIC(0, "\x89HDF\r\n\x1A\n"), "an HDF5 file"},
    {CM_FILE_GGUF, MAGIC(0, "GGUF"), "a GGUF model"},
    {CM_FILE_GGUF, MAGIC(0, "lmgg"), "a GGML model"},
    {CM_FILE_GGUF, MAGIC(0, "tjgg"), "a GGML model"},
    {CM_FILE_CHECKPOINT,
     MAGIC(0, "\x89"
              "CMCKPT\n"),
     "a checkpoint of convmark train"},
    {CM_FILE_PARQUET, MAGIC(0, "PAR1"), "a Parquet file"},
    {CM_FILE_GZIP, MAGIC(0, "\x1F\x8B"), "a gzip file"},
    {CM_FILE_ARCHIVE, MAGIC(0, "BZh"), "a bzip2 file"},
    {CM_FILE_ARCHIVE,
     MAGIC(0, "\xFD"
              "7zXZ"),
     "an xz file"},
    {CM_FILE_ARCHIVE, MAGIC(0, "\x28\xB5\x2F\xFD"), "a zstd file"},
    {CM_FILE_ARCHIVE, MAGIC(0, "\x04\x22\x4D\x18"), "an lz4 file"},
    {CM_FILE_ARCHIVE, MAGIC(0, "\x1F\x9D"), "a compress (.Z) file"},
    {CM_FILE_ARCHIVE, MAGIC(0, "7z\xBC\xAF\x27\x1C"), "a 7-Zip archive"},
    {CM_FILE_ARCHIVE, MAGIC(0, "Rar!"), "a RAR archive"},
    {CM_FILE_ARCHIVE, MAGIC(0, "PK\5\6"), "an empty ZIP archive"},
    {CM_FILE_LFS_POINTER, MAGIC(0, "version https://git-lfs"), "a Git LFS pointer"},
    {CM_FILE_LFS_POINTER, MAGIC(0, "version https://hawser"), "a Git LFS pointer"},
    {CM_FILE_LFS_POINTER, MAGIC(0, "/annex/objects/"), "a git-annex pointer"},
    {CM_FILE_UTF16, MAGIC(0, "\xFF\xFE"), "text in UTF-16"},
    {CM_FILE_UTF16, MAGIC(0, "\xFE\xFF"), "text in UTF-16"},
    {CM_FILE_IDX, MAGIC(0, "\0\0\x08\1"), "an IDX file of labels"},
    {CM_FILE_IDX, MAGIC(0, "\0\0\x08\3"), "an IDX file of grey pictures"},
    {CM_FILE_IDX, MAGIC(0, "\0\0\x08"), "an IDX file"},
    {CM_FILE_IDX_OTHER, MAGIC(0, "\0\0\x09"), "an IDX file of signed bytes"},
    {CM_FILE_IDX_OTHER, MAGIC(0, "\0\0\x0B"), "an IDX file of 16-bit numbers"},
    {CM_FILE_IDX_OTHER, MAGIC(0, "\0\0\x0C"), "an IDX file of 32-bit numbers"},
    {CM_FILE_IDX_OTHER, MAGIC(0, "\0\0\x0D"), "an IDX file of floats"},
    {CM_FILE_IDX_OTHER, MAGIC(0, "\0\0\x0E"), "an IDX file of doubles"},
#undef MAGIC
};

typedef struct first_bytes {
    const unsigned char *bytes;
    size_t size;
} first_bytes;

static bool has(first_bytes file, size_t offset, const char *bytes, size_t length) {
    return file.size >= offset + length && memcmp(file.bytes + offset, bytes, length) == 0;
}

/* Whether the text occurs anywhere in the bytes. */
static bool holds(first_bytes file, const char *text) {
    const size_t length = strlen(text);
    bool found = false;
    for (size_t i = 0; !found && i + length <= file.size; ++i) {
        found = memcmp(file.bytes + i, text, length) == 0;
    }
    return found;
}

static bool only_zeros(first_bytes file) {
    size_t i = 0;
    while (i < file.size && file.bytes[i] == 0) {
        ++i;
    }
    return i == file.size;
}

/* A ZIP archive is what its first file is part of. */
static cm_file_kind kind_of_zip(first_bytes file, const char **title) {
    static const struct {
        cm_file_kind kind;
        const char *name, *title;
    } rows[] = {{CM_FILE_PYTORCH, "data.pkl", "a PyTorch file (.pt)"},
                {CM_FILE_PYTORCH, ".format_version", "a PyTorch file (.pt)"},
                {CM_FILE_PYTORCH, "/data/0", "a PyTorch file (.pt, TorchScript)"},
                {CM_FILE_NUMPY, ".npy", "NumPy arrays (.npz)"},
                {CM_FILE_KERAS, "config.json", "a Keras model"},
                {CM_FILE_KERAS, "metadata.json", "a Keras model"}};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; ++i) {
        if (holds(file, rows[i].name)) {
            *title = rows[i].title;
            return rows[i].kind;
        }
    }
    *title = "a ZIP archive";
    return CM_FILE_ZIP;
}

static bool is_safetensors(first_bytes file) {
    uint64_t length = 0;
    if (file.size < 10) {
        return false;
    }
    for (int i = 7; i >= 0; --i) {
        length = length << 8 | file.bytes[i];
    }
    return length >= 2 && length <= 100000000 && file.bytes[8] == '{';
}

/* Protocol buffers: field 1, the version of the format, and another field of a model. */
static bool is_onnx(first_bytes file) {
    return file.size >= 3 && file.bytes[0] == 0x08 && file.bytes[1] >= 1 && file.bytes[1] <= 32 &&
           memchr("\x12\x1A\x22\x28\x32\x3A\x42", file.bytes[2], 7) != NULL;
}

static bool is_pickle(first_bytes file) {
    return (file.size >= 2 && file.bytes[0] == 0x80 && file.bytes[1] >= 2 && file.bytes[1] <= 5) ||
           has(file, 0, "(dp0\n", 5) || has(file, 0, "ccollections\n", 13);
}

static bool is_text(first_bytes file) {
    size_t i = 0;
    while (i < file.size && (file.bytes[i] >= ' ' || strchr("\t\n\r\f", file.bytes[i]) != NULL) &&
           file.bytes[i] != 0 && file.bytes[i] != 0x7F) {
        ++i;
    }
    return i == file.size;
}

/* After white space and the comments of network text. */
static first_bytes first_word(first_bytes text) {
    bool comment = false;
    while (text.size > 0 && (comment || strchr(" \t\r\n#", *text.bytes) != NULL)) {
        comment = *text.bytes == '#' || (comment && *text.bytes != '\n');
        ++text.bytes;
        --text.size;
    }
    return text;
}

static bool begins(first_bytes text, const char *lower) {
    size_t i = 0;
    while (lower[i] != '\0' && i < text.size && (text.bytes[i] | 0x20) == (lower[i] | 0x20)) {
        ++i;
    }
    return lower[i] == '\0';
}

static cm_file_kind kind_of_text(first_bytes file, const char **title) {
    if (has(file, 0, "\xEF\xBB\xBF", 3)) {
        file.bytes += 3;
        file.size -= 3;
    }
    const first_bytes text = first_word(file);
    if (begins(text, "<!doctype html") || begins(text, "<html")) {
        *title = "a web page";
        return CM_FILE_HTML;
    }
    if (begins(text, "<svg") || (begins(text, "<?xml") && holds(file, "<svg"))) {
        *title = "an SVG picture";
        return CM_FILE_PICTURE;
    }
    if (begins(text, "<")) {
        *title = "an XML file";
        return CM_FILE_XML;
    }
    if (begins(text, "{") || begins(text, "[")) {
        const bool results = holds(file, "\"schema_version\"");
        const bool index = holds(file, "\"weight_map\"") || holds(file, ".safetensors\"");
        *title = results ? "a JSON file of results"
                 : index ? "the index of a model"
                         : "a JSON file";
        return results ? CM_FILE_RESULTS : index ? CM_FILE_SAFETENSORS_INDEX : CM_FILE_JSON;
    }
    if (begins(text, "input ") || begins(text, "input\t")) {
        *title = "a network text";
        return CM_FILE_NETWORK_TEXT;
    }
    if (has(file, 0, "P", 1) && file.size > 2 && file.bytes[1] >= '1' && file.bytes[1] <= '7' &&
        strchr(" \t\r\n", file.bytes[2]) != NULL) {
        *title = "a PNM picture";
        return CM_FILE_PICTURE;
    }
    *title = "a text file";
    return is_text(file) ? CM_FILE_TEXT : CM_FILE_UNKNOWN;
}

cm_file_kind cm_file_kind_of(const void *bytes, size_t size, const char **title) {
    const first_bytes file = {bytes, size < CM_FILE_KIND_BYTES ? size : CM_FILE_KIND_BYTES};
    *title = "of an unknown kind";
    if (file.size == 0) {
        *title = "an empty file";
        return CM_FILE_EMPTY;
    }
    if (file.size >= 16 && only_zeros(file)) {
        *title = "nothing but zeros";
        return CM_FILE_ZEROS;
    }
    if (is_safetensors(file)) {
        *title = "a safetensors file";
        return CM_FILE_SAFETENSORS;
    }
    if (has(file, 0, "PK\3\4", 4)) {
        return kind_of_zip(file, title);
    }
    if (has(file, 257, "ustar", 5)) {
        *title = "a tar archive";
        return CM_FILE_ARCHIVE;
    }
    for (size_t i = 0; i < sizeof magics / sizeof *magics; ++i) {
        const struct magic *row = &magics[i];
        if (has(file, row->offset, row->bytes, row->length)) {
            *title = row->title;
            return row->kind;
        }
    }
    if (is_pickle(file)) {
        *title = "a Python pickle";
        return CM_FILE_PICKLE;
    }
    if (is_onnx(file)) {
        *title = "an ONNX model";
        return CM_FILE_ONNX;
    }
    const cm_file_kind kind = kind_of_text(file, title);
    if (kind == CM_FILE_UNKNOWN) {
        *title = "of an unknown kind";
    }
    return kind;
}
