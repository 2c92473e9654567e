#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "convmark/stream.h"

/* Images that say which they are: image i has label i, and its two pixels are i and 255 - i. */
enum { MAX_COUNT = 250 };
static uint8_t image_pixels[MAX_COUNT][2], image_labels[MAX_COUNT];

static cm_images make_images(int count) {
    for (int i = 0; i < count; ++i) {
        image_labels[i] = (uint8_t)i;
        image_pixels[i][0] = (uint8_t)i;
        image_pixels[i][1] = (uint8_t)(255 - i);
    }
    return (cm_images){count, 1, 2, &image_pixels[0][0], image_labels, 1};
}

static cm_stream *create(const cm_images *images, int batch, bool shuffle, uint64_t seed,
                         cm_random_purpose purpose) {
    cm_stream *stream = NULL;
    cm_error error = {""};
    assert_int_equal(cm_stream_create(images, batch, shuffle, seed, purpose, &stream, &error),
                     CM_OK);
    return stream;
}

/* Writes the images of `batches` batches, after checking the pixels. */
static void take(cm_stream *stream, int batches, int batch, uint8_t *indices) {
    float pixels[2 * MAX_COUNT];
    for (int b = 0; b < batches; ++b, indices += batch) {
        cm_stream_next(stream, pixels, indices);
        for (int i = 0; i < batch; ++i) {
            assert_true(pixels[2 * i] == (float)indices[i] / 255.0F);
            assert_true(pixels[2 * i + 1] == (float)(255 - indices[i]) / 255.0F);
        }
    }
}

static void assert_distinct(const uint8_t *indices, int count) {
    bool seen[256] = {false};
    for (int i = 0; i < count; ++i) {
        assert_false(seen[indices[i]]);
        seen[indices[i]] = true;
    }
}

static void test_shows_every_image_once_a_permutation(void **state) {
    (void)state;
    enum { COUNT = 240, BATCH = 16, ROUNDS = 3 };
    const cm_images images = make_images(COUNT);
    cm_stream *stream = create(&images, BATCH, true, 1, CM_RANDOM_TRAIN_ORDER);
    uint8_t taken[ROUNDS][COUNT];
    take(stream, ROUNDS * COUNT / BATCH, BATCH, &taken[0][0]);
    for (int round = 0; round < ROUNDS; ++round) {
        assert_distinct(taken[round], COUNT); /* COUNT distinct of COUNT: all */
    }
    assert_memory_not_equal(taken[0], taken[1], COUNT);
    assert_memory_not_equal(taken[1], taken[2], COUNT);
    cm_stream_free(stream);
}

/* 10 images by 4: two batches a permutation, the two left are dropped. With 12 by 4 none is. */
static void test_draws_again_when_fewer_than_a_batch_are_left(void **state) {
    (void)state;
    cm_images images = make_images(10);
    cm_stream *stream = create(&images, 4, false, 1, CM_RANDOM_TRAIN_ORDER);
    uint8_t taken[24];
    static const uint8_t dropped[16] = {0, 1, 2, 3, 4, 5, 6, 7, 0, 1, 2, 3, 4, 5, 6, 7};
    take(stream, 4, 4, taken);
    assert_memory_equal(taken, dropped, sizeof dropped);
    cm_stream_free(stream);

    images = make_images(12);
    stream = create(&images, 4, false, 1, CM_RANDOM_TRAIN_ORDER);
    static const uint8_t whole[16] = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 0, 1, 2, 3};
    take(stream, 4, 4, taken);
    assert_memory_equal(taken, whole, sizeof whole);
    cm_stream_free(stream);

    images = make_images(10);
    stream = create(&images, 4, true, 1, CM_RANDOM_TRAIN_ORDER);
    take(stream, 6, 4, taken);
    for (int round = 0; round < 3; ++round) {
        assert_distinct(taken + 8 * round, 8);
    }
    cm_stream_free(stream);
}

static void test_order_depends_on_seed_and_purpose_only(void **state) {
    (void)state;
    enum { COUNT = 200, TAKEN = 400 };
    const cm_images images = make_images(COUNT);
    uint8_t first[TAKEN], other[TAKEN];
    static const struct {
        uint64_t seed;
        cm_random_purpose purpose;
        bool same;
    } rows[] = {{7, CM_RANDOM_TRAIN_ORDER, true},
                {8, CM_RANDOM_TRAIN_ORDER, false},
                {7 + (UINT64_C(1) << 32), CM_RANDOM_TRAIN_ORDER, false},
                {7, CM_RANDOM_VALIDATION_ORDER, false}};
    cm_stream *stream = create(&images, 20, true, 7, CM_RANDOM_TRAIN_ORDER);
    take(stream, TAKEN / 20, 20, first);
    cm_stream_free(stream);
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; ++i) {
        /* The batch only cuts the order. */
        stream = create(&images, 50, true, rows[i].seed, rows[i].purpose);
        take(stream, TAKEN / 50, 50, other);
        assert_int_equal(memcmp(first, other, TAKEN) == 0, rows[i].same);
        cm_stream_free(stream);
    }
}

/* The order is part of the numeric contract; the values come from a Python program of Philox and
 * Fisher-Yates that was written for this test. */
static void test_order_is_the_golden_one(void **state) {
    (void)state;
    static const uint8_t golden[2][10] = {{171, 43, 132, 196, 129, 124, 1, 224, 189, 150},
                                          {198, 97, 247, 95, 4, 107, 31, 117, 246, 128}};
    const cm_images images = make_images(250);
    cm_stream *stream = create(&images, 250, true, 42, CM_RANDOM_TRAIN_ORDER);
    for (int permutation = 0; permutation < 2; ++permutation) {
        uint8_t taken[250];
        take(stream, 1, 250, taken);
        assert_memory_equal(taken, golden[permutation], 10);
    }
    cm_stream_free(stream);
}

/* Each of 5 images comes to each place equally often: the chi-square of the 25 cells is 20 on
 * average and seldom above 45; the seed is fixed. */
static void test_permutations_are_uniform(void **state) {
    (void)state;
    enum { COUNT = 5, ROUNDS = 5000 };
    const cm_images images = make_images(COUNT);
    cm_stream *stream = create(&images, COUNT, true, 3, CM_RANDOM_TRAIN_ORDER);
    int cells[COUNT][COUNT] = {{0}};
    for (int round = 0; round < ROUNDS; ++round) {
        uint8_t taken[COUNT];
        take(stream, 1, COUNT, taken);
        for (int i = 0; i < COUNT; ++i) {
            ++cells[i][taken[i]];
        }
    }
    double chi_square = 0;
    for (int i = 0; i < COUNT * COUNT; ++i) {
        const double difference = cells[i / COUNT][i % COUNT] - ROUNDS / COUNT;
        chi_square += difference * difference / (ROUNDS / COUNT);
    }
    assert_true(chi_square < 45);
    assert_true(chi_square > 2); /* nor too even to be random */
    cm_stream_free(stream);
}

static void test_refuses_batches_out_of_range(void **state) {
    (void)state;
    const cm_images images = make_images(10), none = {0, 28, 28, NULL, NULL, 1};
    const struct {
        const cm_images *images;
        int batch;
        const char *contains;
    } rows[] = {{&images, 0, "batch 0"},
                {&images, -1, "batch -1"},
                {&images, 11, "1 to 10"},
                {&none, 1, "at least one image"}};
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; ++i) {
        cm_stream *stream = (cm_stream *)(uintptr_t)1;
        cm_error error = {""};
        assert_int_equal(cm_stream_create(rows[i].images, rows[i].batch, true, 0,
                                          CM_RANDOM_TRAIN_ORDER, &stream, &error),
                         CM_USAGE);
        assert_null(stream);
        assert_non_null(strstr(error.message, rows[i].contains));
    }
    cm_stream *stream = create(&images, 10, true, 0, CM_RANDOM_TRAIN_ORDER);
    cm_stream_free(stream);
    cm_stream_free(NULL);
}

/* The nearest float to x / 255: its error, exact in double as both have few bits, is at most half
 * the distance to either neighbour. */
static void test_pixels_are_rounded_once(void **state) {
    (void)state;
    uint8_t bytes[256];
    float pixels[256];
    for (int i = 0; i < 256; ++i) {
        bytes[i] = (uint8_t)i;
    }
    cm_pixels_to_float(bytes, 256, pixels);
    assert_true(pixels[0] == 0.0F && !signbit(pixels[0]));
    assert_true(pixels[255] == 1.0F);
    assert_true(pixels[51] == 0.2F);
    for (int i = 1; i < 255; ++i) {
        const double miss = fabs((double)pixels[i] * 255.0 - i);
        const double above = (double)nextafterf(pixels[i], 2.0F) * 255.0 - i;
        const double below = i - (double)nextafterf(pixels[i], 0.0F) * 255.0;
        assert_true(miss <= above && miss <= below);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_shows_every_image_once_a_permutation),
        cmocka_unit_test(test_draws_again_when_fewer_than_a_batch_are_left),
        cmocka_unit_test(test_order_depends_on_seed_and_purpose_only),
        cmocka_unit_test(test_order_is_the_golden_one),
        cmocka_unit_test(test_permutations_are_uniform),
        cmocka_unit_test(test_refuses_batches_out_of_range),
        cmocka_unit_test(test_pixels_are_rounded_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
