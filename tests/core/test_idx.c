#include "support/temporary.h"

#include <zlib.h>

#include "convmark/philox.h"
#include "core/data/idx.h"

/* The smallest file with everything: 3 images of 2 x 5 pixels. */
static const cm_idx_shape shape = {3, {3, 2, 5}};
enum { HEADER = 16, ELEMENTS = 30, TOTAL = HEADER + ELEMENTS, GZIP_SIZE = 512 };

static void make_plain(uint8_t plain[TOTAL]) {
    static const uint8_t header[HEADER] = {0, 0, 8, 3, 0, 0, 0, 3, 0, 0, 0, 2, 0, 0, 0, 5};
    memcpy(plain, header, HEADER);
    for (int i = 0; i < ELEMENTS; ++i) {
        plain[HEADER + i] = (uint8_t)(i * 37);
    }
}

static size_t compress_gzip(const uint8_t *bytes, size_t size, uint8_t *out, size_t room) {
    z_stream stream = {0};
    assert_int_equal(deflateInit2(&stream, 9, Z_DEFLATED, 15 + 16, 9, Z_DEFAULT_STRATEGY), Z_OK);
    stream.next_in = (uint8_t *)(uintptr_t)bytes;
    stream.avail_in = (uInt)size;
    stream.next_out = out;
    stream.avail_out = (uInt)room;
    assert_int_equal(deflate(&stream, Z_FINISH), Z_STREAM_END);
    const size_t written = room - stream.avail_out;
    deflateEnd(&stream);
    return written;
}

static void assert_reads(const char *path, const uint8_t plain[TOTAL]) {
    uint8_t *data = NULL;
    char sha256[CM_SHA256_HEX_SIZE], expected[CM_SHA256_HEX_SIZE];
    cm_error error = {""};
    assert_int_equal(cm_idx_read(path, &shape, &data, sha256, &error), CM_OK);
    assert_memory_equal(data, plain + HEADER, ELEMENTS);
    cm_sha256_buffer(plain, TOTAL, expected);
    assert_string_equal(sha256, expected);
    free(data);
}

static void assert_refused(const char *path, const char *contains) {
    uint8_t *data = (uint8_t *)1;
    char sha256[CM_SHA256_HEX_SIZE];
    cm_error error = {""};
    assert_int_equal(cm_idx_read(path, &shape, &data, sha256, &error), CM_BAD_INPUT);
    assert_null(data);
    assert_message(error.message, path, contains);
}

static void test_hash_is_sha256(void **state) {
    (void)state;
    char hex[CM_SHA256_HEX_SIZE];
    cm_sha256_buffer("abc", 3, hex); /* FIPS 180-4's example */
    assert_string_equal(hex, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    cm_sha256_buffer(NULL, 0, hex);
    assert_string_equal(hex, "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
    cm_sha256 parts;
    cm_sha256_init(&parts);
    cm_sha256_update(&parts, "a", 1);
    cm_sha256_update(&parts, NULL, 0);
    cm_sha256_update(&parts, "bc", 2);
    cm_sha256_final(&parts, hex);
    assert_string_equal(hex, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
}

static void test_reads_plain_and_gzip(void **state) {
    (void)state;
    uint8_t plain[TOTAL], gzip[GZIP_SIZE];
    make_plain(plain);
    assert_reads(temporary_write("plain", plain, TOTAL), plain);
    const size_t size = compress_gzip(plain, TOTAL, gzip, GZIP_SIZE);
    assert_reads(temporary_write("gzip.gz", gzip, size), plain);
}

/* A header field, in a plain file and in a gzip one. */
static void test_refuses_each_wrong_header_field(void **state) {
    (void)state;
    static const struct {
        int byte;
        uint8_t value;
        const char *contains;
    } rows[] = {
        {0, 1, "magic number at byte 0 is 0x01000803, not 0x00000803"},
        {1, 1, "magic number at byte 0 is 0x00010803"},
        {2, 9, "magic number at byte 0 is 0x00000903"}, /* signed bytes */
        {3, 1, "magic number at byte 0 is 0x00000801"}, /* labels in place of images */
        {7, 4, "dimension 0 at byte 4 is 4, not 3"},
        {8, 0x80, "dimension 1 at byte 8 is 2147483650, not 2"},
        {15, 0, "dimension 2 at byte 12 is 0, not 5"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; ++i) {
        uint8_t plain[TOTAL], gzip[GZIP_SIZE];
        make_plain(plain);
        plain[rows[i].byte] = rows[i].value;
        assert_refused(temporary_write("header", plain, TOTAL), rows[i].contains);
        const size_t size = compress_gzip(plain, TOTAL, gzip, GZIP_SIZE);
        assert_refused(temporary_write("header.gz", gzip, size), rows[i].contains);
    }
}

static void test_refuses_plain_files_of_every_other_length(void **state) {
    (void)state;
    uint8_t bytes[TOTAL + 9] = {0};
    make_plain(bytes);
    for (size_t size = 0; size < TOTAL; ++size) {
        assert_refused(temporary_write("short", bytes, size), "cut off: ");
    }
    assert_refused(temporary_write("long", bytes, TOTAL + 1),
                   "continue after the 46 bytes expected");
    assert_refused(temporary_write("longer", bytes, TOTAL + 9),
                   "continue after the 46 bytes expected");
}

static void test_refuses_gzip_cut_off_anywhere(void **state) {
    (void)state;
    uint8_t plain[TOTAL], gzip[GZIP_SIZE];
    make_plain(plain);
    const size_t size = compress_gzip(plain, TOTAL, gzip, GZIP_SIZE);
    for (size_t cut = 2; cut < size; ++cut) { /* the last 8 bytes are CRC and length */
        assert_refused(temporary_write("cut.gz", gzip, cut), "cut off: the gzip stream");
    }
}

static void test_refuses_gzip_of_other_lengths(void **state) {
    (void)state;
    uint8_t plain[TOTAL + 1] = {0}, gzip[GZIP_SIZE];
    make_plain(plain);
    size_t size = compress_gzip(plain, TOTAL + 1, gzip, GZIP_SIZE);
    assert_refused(temporary_write("long.gz", gzip, size),
                   "continue after the 46 bytes expected when decompressed");
    size = compress_gzip(plain, TOTAL - 1, gzip, GZIP_SIZE);
    assert_refused(temporary_write("short.gz", gzip, size),
                   "cut off: 45 of 46 bytes when decompressed");
    size = compress_gzip(plain, 7, gzip, GZIP_SIZE);
    assert_refused(temporary_write("header.gz", gzip, size),
                   "cut off: 7 of 46 bytes when decompressed");
    size = compress_gzip(plain, 0, gzip, GZIP_SIZE);
    assert_refused(temporary_write("empty.gz", gzip, size), "cut off: 0 of 46");
}

static void test_refuses_damaged_gzip(void **state) {
    (void)state;
    uint8_t plain[TOTAL], gzip[GZIP_SIZE];
    make_plain(plain);
    const size_t size = compress_gzip(plain, TOTAL, gzip, GZIP_SIZE);
    const struct {
        size_t byte;
        const char *contains;
    } rows[] = {
        {2, "unknown compression method"},    {3, "unknown header flags set"},
        {10, "damaged gzip stream"},          {size - 8, "incorrect data check"},
        {size - 4, "incorrect length check"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; ++i) {
        gzip[rows[i].byte] ^= 0xFF;
        assert_refused(temporary_write("damaged.gz", gzip, size), rows[i].contains);
        gzip[rows[i].byte] ^= 0xFF;
    }
    assert_reads(temporary_write("damaged.gz", gzip, size), plain);
}

static void test_refuses_bytes_after_gzip(void **state) {
    (void)state;
    uint8_t plain[TOTAL], gzip[2 * GZIP_SIZE] = {0};
    make_plain(plain);
    const size_t size = compress_gzip(plain, TOTAL, gzip, GZIP_SIZE);
    gzip[size] = 1;
    assert_refused(temporary_write("tail.gz", gzip, size + 1), "other bytes follow");
    gzip[size] = 0;
    gzip[size + 1] = 0x1F;
    assert_refused(temporary_write("tail.gz", gzip, size + 2), "other bytes follow");
    memcpy(gzip + size, gzip, size); /* the whole again, as a second member */
    assert_refused(temporary_write("tail.gz", gzip, 2 * size),
                   "continue after the 46 bytes expected when decompressed");
}

/* RFC 1952: members one after another, some of them empty; zeros after them. */
static void test_reads_members_and_padding(void **state) {
    (void)state;
    static const size_t cuts[][2] = {{0, TOTAL},  {1, 2},         {4, 4},  {HEADER, HEADER},
                                     {45, TOTAL}, {TOTAL, TOTAL}, {17, 30}};
    uint8_t plain[TOTAL];
    make_plain(plain);
    for (size_t i = 0; i < sizeof cuts / sizeof *cuts; ++i) {
        for (size_t zeros = 0; zeros < 3; ++zeros) {
            const size_t ends[] = {cuts[i][0], cuts[i][1], TOTAL};
            uint8_t gzip[4 * GZIP_SIZE] = {0};
            size_t size = 0, begin = 0;
            for (int member = 0; member < 3; ++member) {
                size += compress_gzip(plain + begin, ends[member] - begin, gzip + size, GZIP_SIZE);
                memset(gzip + size, 0, zeros * 100);
                size += zeros * 100;
                begin = ends[member];
            }
            assert_reads(temporary_write("members.gz", gzip, size), plain);
            const size_t last = size - zeros * 100;
            assert_refused(temporary_write("cut.gz", gzip, last - 1), "cut off: the gzip stream");
        }
    }
}

/* A file of any size: its shape is what its header says, if the file can hold that. */
static void test_reads_any_size(void **state) {
    (void)state;
    uint8_t plain[TOTAL], gzip[GZIP_SIZE], *data = NULL;
    char sha256[CM_SHA256_HEX_SIZE], expected[CM_SHA256_HEX_SIZE];
    cm_error error = {""};
    cm_idx_shape found;
    make_plain(plain);
    cm_sha256_buffer(plain, TOTAL, expected);
    const size_t size = compress_gzip(plain, TOTAL, gzip, GZIP_SIZE);
    for (int packed = 0; packed < 2; ++packed) {
        const char *path = temporary_write("any", packed ? gzip : plain, packed ? size : TOTAL);
        assert_int_equal(cm_idx_read_any(path, 3, &found, &data, sha256, &error), CM_OK);
        assert_int_equal(found.rank, 3);
        assert_memory_equal(found.dims, shape.dims, sizeof shape.dims);
        assert_memory_equal(data, plain + HEADER, ELEMENTS);
        assert_string_equal(sha256, expected);
        free(data);
    }
    static const struct {
        int rank, byte;
        uint8_t value;
        const char *contains, *packed;
    } rows[] = {{3, 7, 0, "dimension 0 at byte 4 is 0: the set is empty", "is empty"},
                {3, 5, 1, "cut off: ", "cut off: "},
                {3, 4, 1, "cut off: ", "cannot hold the "},
                {3, 4, 0xFF, "has more than 1073741824 elements", "has more than"},
                {3, 2, 0x0D, "it is an IDX file of floats: write its elements as unsigned bytes",
                 "it is an IDX file of floats in gzip"},
                {1, 7, 3, "it is an IDX file of grey pictures: labels and pictures are exchanged",
                 "exchanged"}};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; ++i) {
        uint8_t bad[TOTAL];
        memcpy(bad, plain, TOTAL);
        bad[rows[i].byte] = rows[i].value;
        const size_t bad_size = compress_gzip(bad, TOTAL, gzip, GZIP_SIZE);
        for (int packed = 0; packed < 2; ++packed) {
            const char *path =
                temporary_write("bad", packed ? gzip : bad, packed ? bad_size : TOTAL);
            assert_int_equal(cm_idx_read_any(path, rows[i].rank, &found, &data, sha256, &error),
                             CM_BAD_INPUT);
            assert_null(data);
            assert_message(error.message, path, packed ? rows[i].packed : rows[i].contains);
        }
    }
    assert_int_equal(cm_idx_read_any("file", 4, &found, &data, sha256, &error), CM_USAGE);
}

/* 64 MiB of zeros in 64 KiB: decompression stops one byte after the expected size. Sizes that the
 * header promises are not believed, so that nothing is allocated for them. */
static void test_stops_at_the_expected_size(void **state) {
    (void)state;
    enum { BOMB = 1 << 26, ROOM = 1 << 17 };
    uint8_t *zeros = calloc(BOMB, 1), *gzip = malloc(ROOM);
    assert_non_null(zeros);
    assert_non_null(gzip);
    make_plain(zeros);
    const size_t size = compress_gzip(zeros, BOMB, gzip, ROOM);
    assert_refused(temporary_write("bomb.gz", gzip, size), "continue after the 46 bytes expected");
    free(zeros);
    free(gzip);
}

static void test_refuses_files_beyond_the_limit(void **state) {
    (void)state;
    uint8_t plain[TOTAL];
    make_plain(plain);
    const char *path = temporary_write("sparse", plain, TOTAL);
    assert_int_equal(truncate(path, (off_t)1 << 40), 0);
    assert_refused(path, "1099511627776 bytes");
}

static void test_refuses_what_is_not_a_regular_file(void **state) {
    (void)state;
    assert_refused(temporary_path("missing"), "no such file");
    assert_refused("/dev/null", "is a device");
    assert_refused(temporary_folder, "is a folder");
    const char *path = temporary_path("pipe");
    assert_int_equal(mkfifo(path, 0600), 0);
    assert_refused(path, "pipe"); /* and does not wait for a writer */
    path = temporary_path("dangling");
    assert_int_equal(symlink("nowhere", path), 0);
    assert_refused(path, "no such file");
    path = temporary_path("loop");
    assert_int_equal(symlink("loop", path), 0);
    assert_refused(path, "symbolic links");
    if (geteuid() != 0) { /* root may read everything */
        path = temporary_write("secret", "", 0);
        assert_int_equal(chmod(path, 0), 0);
        assert_refused(path, "permission denied");
    }
}

static void test_follows_links(void **state) {
    (void)state;
    uint8_t plain[TOTAL];
    make_plain(plain);
    temporary_write("target", plain, TOTAL);
    const char *path = temporary_path("link");
    assert_int_equal(symlink("target", path), 0);
    assert_reads(path, plain);
}

static void test_refuses_shapes_out_of_limits(void **state) {
    (void)state;
    static const cm_idx_shape shapes[] = {
        {0, {1, 1, 1}},
        {4, {1, 1, 1}},
        {1, {0}},
        {1, {CM_IDX_MAX_BYTES + 1U}},
        {3, {0xFFFFFFFFU, 0xFFFFFFFFU, 0xFFFFFFFFU}},
        {3, {65536, 65536, 0}},
    };
    for (size_t i = 0; i < sizeof shapes / sizeof shapes[0]; ++i) {
        uint8_t *data = (uint8_t *)1;
        char sha256[CM_SHA256_HEX_SIZE];
        cm_error error = {""};
        assert_int_equal(cm_idx_read("file", &shapes[i], &data, sha256, &error), CM_USAGE);
        assert_null(data);
        assert_message(error.message, "file", "limits");
    }
}

/* Random damage of one to three bytes: the file is refused, or the damage was in a field of the
 * gzip header that says nothing of the data, and they come out right. */
static void test_survives_random_damage(void **state) {
    (void)state;
    const cm_random_key key = {.purpose = CM_RANDOM_TEST, .index = 1};
    uint8_t plain[TOTAL], good[GZIP_SIZE], bad[GZIP_SIZE];
    make_plain(plain);
    const size_t size = compress_gzip(plain, TOTAL, good, GZIP_SIZE);
    int refused = 0;
    for (uint32_t i = 0; i < 1000; ++i) {
        uint32_t words[4];
        cm_philox4x32(&key, i, words);
        memcpy(bad, good, size);
        for (uint32_t j = 0; j <= words[3] % 3; ++j) {
            bad[words[j] % size] ^= (uint8_t)(1U << (words[j] >> 29));
        }
        uint8_t *data = NULL;
        char sha256[CM_SHA256_HEX_SIZE];
        cm_error error = {""};
        const char *path = temporary_write("random.gz", bad, size);
        const cm_status status = cm_idx_read(path, &shape, &data, sha256, &error);
        if (status == CM_OK) {
            assert_memory_equal(data, plain + HEADER, ELEMENTS);
            free(data);
        } else {
            assert_int_equal(status, CM_BAD_INPUT);
            assert_null(data);
            assert_message(error.message, path, ": ");
            ++refused;
        }
    }
    assert_in_range(refused, 500, 1000);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_hash_is_sha256),
        cmocka_unit_test(test_reads_plain_and_gzip),
        cmocka_unit_test(test_refuses_each_wrong_header_field),
        cmocka_unit_test(test_refuses_plain_files_of_every_other_length),
        cmocka_unit_test(test_refuses_gzip_cut_off_anywhere),
        cmocka_unit_test(test_refuses_gzip_of_other_lengths),
        cmocka_unit_test(test_refuses_damaged_gzip),
        cmocka_unit_test(test_refuses_bytes_after_gzip),
        cmocka_unit_test(test_reads_members_and_padding),
        cmocka_unit_test(test_reads_any_size),
        cmocka_unit_test(test_stops_at_the_expected_size),
        cmocka_unit_test(test_refuses_files_beyond_the_limit),
        cmocka_unit_test(test_refuses_what_is_not_a_regular_file),
        cmocka_unit_test(test_follows_links),
        cmocka_unit_test(test_refuses_shapes_out_of_limits),
        cmocka_unit_test(test_survives_random_damage),
    };
    return cmocka_run_group_tests(tests, temporary_create, temporary_remove);
}
