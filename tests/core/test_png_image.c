#include "support/temporary.h"

#include <zlib.h>

#include "core/data/png_image.h"

/* A writer of any kind of PNG file (ISO/IEC 15948), also of invalid ones. */
enum { GREY = 0, RGB = 2, PALETTE = 3, GREY_ALPHA = 4, RGB_ALPHA = 6, ROOM = 1 << 16 };

typedef struct png_bytes {
    uint8_t bytes[ROOM];
    size_t size;
} png_bytes;

static void put_u32(uint8_t *at, uint32_t value) {
    for (int i = 0; i < 4; ++i) {
        at[i] = (uint8_t)(value >> (24 - 8 * i));
    }
}

static void put_chunk(png_bytes *png, const char *type, const uint8_t *data, size_t size) {
    uint8_t *at = png->bytes + png->size;
    assert_true(png->size + size + 12 <= ROOM);
    put_u32(at, (uint32_t)size);
    memcpy(at + 4, type, 4);
    if (size > 0) {
        memcpy(at + 8, data, size);
    }
    put_u32(at + 8 + size, (uint32_t)crc32(0, at + 4, (uInt)(size + 4)));
    png->size += size + 12;
}

static void put_start(png_bytes *png, uint32_t width, uint32_t height, int depth, int colour) {
    uint8_t header[13] = {0};
    put_u32(header, width);
    put_u32(header + 4, height);
    header[8] = (uint8_t)depth;
    header[9] = (uint8_t)colour;
    memcpy(png->bytes, "\x89PNG\r\n\x1A\n", 8);
    png->size = 8;
    put_chunk(png, "IHDR", header, sizeof header);
}

/* `rows`: height rows of row_size bytes as they are in the file, without filter bytes. */
static void put_rows(png_bytes *png, const uint8_t *rows, size_t row_size, int height) {
    static uint8_t filtered[ROOM], compressed[ROOM];
    assert_true((row_size + 1) * (size_t)height <= ROOM);
    for (int y = 0; y < height; ++y) {
        filtered[(size_t)y * (row_size + 1)] = 0;
        memcpy(filtered + (size_t)y * (row_size + 1) + 1, rows + (size_t)y * row_size, row_size);
    }
    uLongf size = ROOM;
    assert_int_equal(compress(compressed, &size, filtered, (row_size + 1) * (uLong)height), Z_OK);
    put_chunk(png, "IDAT", compressed, size);
    put_chunk(png, "IEND", NULL, 0);
}

static const char *write_png(const png_bytes *png) {
    return temporary_write("picture.png", png->bytes, png->size);
}

static void assert_reads(const png_bytes *png, int height, int width, bool invert,
                         uint8_t *pixels) {
    cm_error error = {""};
    const cm_status status = cm_png_read(write_png(png), height, width, invert, pixels, &error);
    assert_string_equal(error.message, "");
    assert_int_equal(status, CM_OK);
}

static void assert_refused(const char *path, const char *contains) {
    uint8_t pixels[4] = {1, 2, 3, 4};
    cm_error error = {""};
    assert_int_equal(cm_png_read(path, 2, 2, false, pixels, &error), CM_BAD_INPUT);
    assert_message(error.message, path, contains);
    assert_memory_equal(pixels, ((const uint8_t[]){1, 2, 3, 4}), 4);
}

static void test_grey_bytes_come_unchanged_or_inverted(void **state) {
    (void)state;
    uint8_t rows[28 * 28], pixels[28 * 28];
    for (int i = 0; i < 28 * 28; ++i) {
        rows[i] = (uint8_t)(i * 7);
    }
    png_bytes png;
    put_start(&png, 28, 28, 8, GREY);
    put_rows(&png, rows, 28, 28);
    assert_reads(&png, 28, 28, false, pixels);
    assert_memory_equal(pixels, rows, sizeof rows);
    assert_reads(&png, 28, 28, true, pixels);
    for (int i = 0; i < 28 * 28; ++i) {
        assert_int_equal(pixels[i], 255 - rows[i]);
    }
}

/* Four pixels of every colour type and depth, in one row. */
static void test_every_colour_type_becomes_grey(void **state) {
    (void)state;
    static const uint8_t palette[] = {0, 0, 0, 85, 85, 85, 170, 170, 170, 255, 255, 255};
    static const struct {
        int colour, depth;
        uint8_t row[32];
        size_t row_size;
        uint8_t expected[4];
    } cases[] = {
        {GREY, 1, {0x50}, 1, {0, 255, 0, 255}},
        {GREY, 2, {0x1B}, 1, {0, 85, 170, 255}},
        {GREY, 4, {0x05, 0xAF}, 2, {0, 85, 170, 255}},
        {GREY, 8, {0, 85, 170, 255}, 4, {0, 85, 170, 255}},
        {GREY, 16, {0, 0, 85, 85, 170, 170, 255, 255}, 8, {0, 85, 170, 255}},
        {RGB, 8, {0, 0, 0, 85, 85, 85, 170, 170, 170, 255, 255, 255}, 12, {0, 85, 170, 255}},
        {RGB,
         16,
         {0,   0,   0,   0,   0,   0,   85,  85,  85,  85,  85,  85,
          170, 170, 170, 170, 170, 170, 255, 255, 255, 255, 255, 255},
         24,
         {0, 85, 170, 255}},
        {PALETTE, 2, {0x1B}, 1, {0, 85, 170, 255}},
        {PALETTE, 8, {0, 1, 2, 3}, 4, {0, 85, 170, 255}},
        {GREY_ALPHA, 8, {0, 255, 85, 255, 170, 255, 255, 255}, 8, {0, 85, 170, 255}},
        {GREY_ALPHA,
         16,
         {0, 0, 255, 255, 85, 85, 255, 255, 170, 170, 255, 255, 255, 255, 255, 255},
         16,
         {0, 85, 170, 255}},
        {RGB_ALPHA,
         8,
         {0, 0, 0, 255, 85, 85, 85, 255, 170, 170, 170, 255, 255, 255, 255, 255},
         16,
         {0, 85, 170, 255}},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; ++i) {
        png_bytes png;
        uint8_t pixels[4];
        put_start(&png, 4, 1, cases[i].depth, cases[i].colour);
        if (cases[i].colour == PALETTE) {
            put_chunk(&png, "PLTE", palette, sizeof palette);
        }
        put_rows(&png, cases[i].row, cases[i].row_size, 1);
        assert_reads(&png, 1, 4, false, pixels);
        for (int j = 0; j < 4; ++j) {
            if (abs(pixels[j] - cases[i].expected[j]) > 1) {
                fail_msg("colour type %d, depth %d: pixel %d is %d, not %d", cases[i].colour,
                         cases[i].depth, j, pixels[j], cases[i].expected[j]);
            }
        }
    }
}

static void test_colour_becomes_luminance(void **state) {
    (void)state;
    static const uint8_t rows[] = {255, 0, 0, 0, 255, 0, 0, 0, 255, 255, 255, 255};
    uint8_t pixels[4];
    png_bytes png;
    put_start(&png, 4, 1, 8, RGB);
    put_rows(&png, rows, 12, 1);
    assert_reads(&png, 1, 4, false, pixels);
    assert_int_equal(pixels[3], 255);
    assert_true(pixels[1] > pixels[0] && pixels[0] > pixels[2] && pixels[2] > 0);
}

/* Pixels: clear black, clear white, opaque 200, half-clear 200. */
static void test_transparent_becomes_ground(void **state) {
    (void)state;
    static const uint8_t rows[] = {0, 0, 255, 0, 200, 255, 200, 128};
    uint8_t pixels[4];
    png_bytes png;
    put_start(&png, 4, 1, 8, GREY_ALPHA);
    put_rows(&png, rows, 8, 1);
    assert_reads(&png, 1, 4, false, pixels);
    assert_memory_equal(pixels, ((const uint8_t[]){0, 0, 200}), 3);
    assert_in_range(pixels[3], 1, 199);
    assert_reads(&png, 1, 4, true, pixels);
    assert_memory_equal(pixels, ((const uint8_t[]){0, 0, 55}), 3);
    assert_in_range(pixels[3], 1, 54);

    put_start(&png, 2, 1, 8, GREY); /* tRNS names the value that is clear */
    put_chunk(&png, "tRNS", (const uint8_t[]){0, 77}, 2);
    put_rows(&png, (const uint8_t[]){77, 78}, 2, 1);
    assert_reads(&png, 1, 2, true, pixels);
    assert_memory_equal(pixels, ((const uint8_t[]){0, 255 - 78}), 2);
}

static void test_other_sizes_are_averaged_by_area(void **state) {
    (void)state;
    static const struct {
        int from_height, from_width;
        uint8_t rows[12];
        int height, width;
        uint8_t expected[12];
    } cases[] = {
        {2, 2, {10, 20, 30, 41}, 1, 1, {25}},  /* 25.25 */
        {1, 2, {0, 1}, 1, 1, {1}},             /* 0.5: to above */
        {1, 3, {0, 90, 240}, 1, 2, {30, 190}}, /* (0 + 90/2) / 1.5 */
        {3, 1, {0, 90, 240}, 2, 1, {30, 190}},
        {1, 2, {9, 90}, 2, 4, {9, 9, 90, 90, 9, 9, 90, 90}},
        {1, 2, {30, 90}, 1, 3, {30, 60, 90}},
        {2, 3, {1, 2, 3, 4, 5, 6}, 2, 3, {1, 2, 3, 4, 5, 6}},
        {2, 6, {0, 60, 1, 1, 9, 9, 0, 60, 3, 3, 7, 7}, 1, 3, {30, 2, 8}},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; ++i) {
        png_bytes png;
        uint8_t pixels[12];
        put_start(&png, (uint32_t)cases[i].from_width, (uint32_t)cases[i].from_height, 8, GREY);
        put_rows(&png, cases[i].rows, (size_t)cases[i].from_width, cases[i].from_height);
        assert_reads(&png, cases[i].height, cases[i].width, false, pixels);
        assert_memory_equal(pixels, cases[i].expected, (size_t)(cases[i].height * cases[i].width));
    }
}

static void make_small(png_bytes *png) {
    put_start(png, 2, 2, 8, GREY);
    put_rows(png, (const uint8_t[]){1, 2, 3, 4}, 2, 2);
}

static void test_refuses_files_cut_off_anywhere(void **state) {
    (void)state;
    png_bytes png;
    make_small(&png);
    const size_t size = png.size;
    for (png.size = 0; png.size < size; ++png.size) {
        assert_refused(write_png(&png), png.size < 8 ? "not a PNG file" : "cut off");
    }
}

/* A line end that an editor or a mailer added, or anything else. */
static void test_passes_over_bytes_after_the_picture(void **state) {
    (void)state;
    static const char *const tails[] = {"\n", "\r\n", "more bytes than a chunk has"};
    for (size_t i = 0; i < sizeof tails / sizeof *tails; ++i) {
        png_bytes png;
        uint8_t pixels[4];
        make_small(&png);
        memcpy(png.bytes + png.size, tails[i], strlen(tails[i]));
        png.size += strlen(tails[i]);
        assert_reads(&png, 2, 2, false, pixels);
        assert_memory_equal(pixels, ((const uint8_t[]){1, 2, 3, 4}), 4);
    }
}

static void test_reads_colours(void **state) {
    (void)state;
    static const uint8_t rows[] = {255, 0, 0, 9, 8, 7, 1, 2, 3, 10, 20, 30};
    const cm_png_format format = {3, 2, 2, false}, half = {3, 1, 1, true}, two = {2, 1, 1, false};
    png_bytes png;
    uint8_t pixels[12];
    int size[2] = {0, 0};
    cm_error error = {""};
    put_start(&png, 2, 2, 8, RGB);
    put_rows(&png, rows, 6, 2);
    assert_int_equal(cm_png_read_as(write_png(&png), &format, pixels, size, &error), CM_OK);
    assert_memory_equal(pixels, rows, sizeof rows);
    assert_true(size[0] == 2 && size[1] == 2);
    assert_int_equal(cm_png_read_as(write_png(&png), &half, pixels, NULL, &error), CM_OK);
    assert_memory_equal(pixels, ((const uint8_t[]){255 - 69, 255 - 8, 255 - 10}), 3);
    assert_int_equal(cm_png_read_as("file", &two, pixels, NULL, &error), CM_USAGE);
}

static void test_judges_pictures(void **state) {
    (void)state;
    const cm_png_format format = {1, 4, 4, false}, colour = {3, 1, 2, false};
    static const struct {
        uint8_t pixels[16];
        cm_picture_doubt doubt;
    } rows[] = {
        {{0}, CM_PICTURE_EMPTY},
        {{5, 0, 31, 3}, CM_PICTURE_EMPTY},
        {{0, 0, 0, 0, 0, 60}, CM_PICTURE_GOOD},
        {{255, 255, 255, 255, 255, 0, 9, 255, 255, 0, 0, 255, 255, 255, 255, 255},
         CM_PICTURE_LIGHT_GROUND},
        /* One dark corner, as of a thing that fills the picture. */
        {{255, 255, 255, 255, 255, 0, 9, 255, 255, 0, 0, 255, 255, 255, 255, 9}, CM_PICTURE_GOOD},
        /* Light corners, dark between. */
        {{255, 0, 0, 255, 0, 255, 255, 0, 0, 255, 255, 0, 255, 0, 0, 255}, CM_PICTURE_GOOD},
        {{0, 0, 0, 0, 0, 255, 255, 0, 0, 255, 255, 0, 0, 0, 0, 0}, CM_PICTURE_GOOD},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; ++i) {
        assert_int_equal(cm_picture_judge(&format, rows[i].pixels), rows[i].doubt);
    }
    assert_int_equal(cm_picture_judge(&colour, (const uint8_t[]){255, 255, 200, 99, 255, 255}),
                     CM_PICTURE_LIGHT_GROUND);
    assert_int_equal(cm_picture_judge(&colour, (const uint8_t[]){9, 9, 9, 9, 9, 9}),
                     CM_PICTURE_EMPTY);
}

/* Every single bit is covered by the signature, a length, a CRC or the final chunk's name. */
static void test_refuses_any_flipped_bit(void **state) {
    (void)state;
    png_bytes png;
    make_small(&png);
    for (size_t bit = 0; bit < 8 * png.size; ++bit) {
        png.bytes[bit / 8] ^= (uint8_t)(1U << (bit % 8));
        assert_refused(write_png(&png), ": ");
        png.bytes[bit / 8] ^= (uint8_t)(1U << (bit % 8));
    }
    uint8_t pixels[4];
    assert_reads(&png, 2, 2, false, pixels); /* whole again */
}

/* Right CRCs, wrong content. */
static void test_refuses_wrong_content(void **state) {
    (void)state;
    static const uint8_t rows[64] = {0};
    png_bytes png;
    put_start(&png, 2, 2, 3, GREY); /* no such depth */
    put_rows(&png, rows, 2, 2);
    assert_refused(write_png(&png), "damaged PNG file");
    put_start(&png, 2, 4, 8, GREY); /* half of the rows */
    put_rows(&png, rows, 2, 2);
    assert_refused(write_png(&png), "damaged PNG file");
    put_start(&png, 2, 2, 8, PALETTE); /* without a palette */
    put_rows(&png, rows, 2, 2);
    assert_refused(write_png(&png), "damaged PNG file");
    put_start(&png, 0, 2, 8, GREY);
    put_rows(&png, rows, 2, 2);
    assert_refused(write_png(&png), "damaged PNG file");
    put_start(&png, 2, 2, 8, GREY);
    put_chunk(&png, "IDAT", rows, 20); /* not zlib */
    put_chunk(&png, "IEND", NULL, 0);
    assert_refused(write_png(&png), "damaged PNG file");
}

static void test_refuses_sizes_beyond_the_limits(void **state) {
    (void)state;
    static const uint32_t sizes[][2] = {
        {CM_PNG_MAX_SIDE + 1, 1}, {1, CM_PNG_MAX_SIDE + 1}, {CM_PNG_MAX_SIDE, CM_PNG_MAX_SIDE}};
    png_bytes png;
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; ++i) {
        put_start(&png, sizes[i][0], sizes[i][1], 8, GREY);
        put_rows(&png, (const uint8_t[]){0}, 1, 1);
        assert_refused(write_png(&png), "too many");
    }
    make_small(&png);
    const char *path = write_png(&png);
    assert_int_equal(truncate(path, (off_t)CM_PNG_MAX_FILE_BYTES + 1), 0);
    assert_refused(path, "67108865 bytes");
}

static void test_refuses_what_is_not_a_png_file(void **state) {
    (void)state;
    assert_refused(temporary_path("missing.png"), "no such file");
    assert_refused(temporary_folder, "folder");
    assert_refused("/dev/null", "device");
    static const struct {
        const char *bytes;
        size_t size;
        const char *says;
    } rows[] = {
        {"P5 2 2 255\nabcd", 15, "not a PNG file but a PNM picture; convert the picture to PNG"},
        {"\xFF\xD8\xFF\xE0\0\x10JFIF\0", 11, "a JPEG picture; convert the picture to PNG, with"},
        {"GIF89a\1\0\1\0", 10, "a GIF picture; convert"},
        {"RIFF\x24\0\0\0WEBPVP8 ", 16, "a WebP picture; convert"},
        {"BM\x46\0\0\0\0\0\0\0\x36", 11, "a BMP picture; convert"},
        {"II*\0\x08\0\0\0", 8, "a TIFF picture; convert"},
        {"\0\0\0\x1C"
         "ftypavif\0\0\0\0",
         16, "an AVIF picture; convert"},
        {"\0\0\0\x18"
         "ftypheic\0\0\0\0",
         16, "a HEIC picture; convert"},
        {"\xFF\x0A\x7F\0\1\2\3\4", 8, "a JPEG XL picture; convert"},
        {"<svg xmlns='http://www.w3.org/2000/svg'/>", 41, "an SVG picture; convert"},
        {"<?xml version='1.0'?><svg/>", 27, "an SVG picture; convert"},
        {"<!DOCTYPE html><html></html>", 28, "a web page; the download failed"},
        {"\x89PNG\n\x1A\n\0\0\0\x0DIHDR", 15, "line ends; it was damaged on its way"},
        {"\xEF\xBF\xBDPNG\r\n\x1A\n\0\0\0\x0D", 14, "it was damaged on its way"},
        {"\x89PNG\r\n\x1A\n\0\0\0\4CgBI", 16, "Apple's own variety; open it in a program"},
        {"\x1F\x8B\x08\0\0\0\0\0", 8, "a gzip file; unpack it first"},
        {"\0\0\x08\3\0\0\0\1", 8, "an IDX file of grey pictures; evaluate reads data sets"},
        {"\x02\0\0\0\0\0\0\0{}", 10, "a safetensors file; give the model first"},
        {"", 0, "not a PNG file but an empty file"},
        {"%PDF-1.7\n", 9, "a PDF document; convert"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; ++i) {
        assert_refused(temporary_write("other.png", rows[i].bytes, rows[i].size), rows[i].says);
    }
    const char *path = temporary_path("pipe.png");
    assert_int_equal(mkfifo(path, 0600), 0);
    assert_refused(path, "pipe");
}

static void test_refuses_result_sizes_out_of_range(void **state) {
    (void)state;
    static const int sizes[][2] = {{0, 2}, {2, 0}, {-1, 2}, {2, CM_PNG_MAX_SIDE + 1}};
    png_bytes png;
    make_small(&png);
    const char *path = write_png(&png);
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; ++i) {
        uint8_t pixels[4];
        cm_error error = {""};
        assert_int_equal(cm_png_read(path, sizes[i][0], sizes[i][1], false, pixels, &error),
                         CM_USAGE);
        assert_message(error.message, path, "1 to 16384");
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_grey_bytes_come_unchanged_or_inverted),
        cmocka_unit_test(test_every_colour_type_becomes_grey),
        cmocka_unit_test(test_colour_becomes_luminance),
        cmocka_unit_test(test_transparent_becomes_ground),
        cmocka_unit_test(test_other_sizes_are_averaged_by_area),
        cmocka_unit_test(test_refuses_files_cut_off_anywhere),
        cmocka_unit_test(test_passes_over_bytes_after_the_picture),
        cmocka_unit_test(test_reads_colours),
        cmocka_unit_test(test_judges_pictures),
        cmocka_unit_test(test_refuses_any_flipped_bit),
        cmocka_unit_test(test_refuses_wrong_content),
        cmocka_unit_test(test_refuses_sizes_beyond_the_limits),
        cmocka_unit_test(test_refuses_what_is_not_a_png_file),
        cmocka_unit_test(test_refuses_result_sizes_out_of_range),
    };
    return cmocka_run_group_tests(tests, temporary_create, temporary_remove);
}
