/* Lists of shapes: what they mean, and every way in which they are wrong. */
#include "support/temporary.h"

#include "bench/shapes.h"

static bench_shapes parse(const char *text) {
    bench_shapes shapes = {0};
    cm_error error = {""};
    if (bench_shapes_parse(text, strlen(text), "a.txt", &shapes, &error) != CM_OK) {
        fail_msg("%s", error.message);
    }
    return shapes;
}

static void test_values_and_defaults(void **state) {
    (void)state;
    bench_shapes shapes = parse("# a comment\r\n\n"
                                "  conv2d\tn2_c3_h8_w9_k4_r5_s2_p1 # after it\r\n"
                                "conv2d n2_c3_h8_w9_k4_r5\n"
                                "max_pool2d n1_c2_h6_w6_r2\n"
                                "linear n4_c5_k6\n"
                                "adam k77");
    assert_int_equal(shapes.count, 5);
    const cm_conv2d_shape *a = &shapes.items[0].conv, *b = &shapes.items[1].conv;
    assert_int_equal(shapes.items[0].operation, BENCH_CONV2D);
    assert_string_equal(shapes.items[0].text, "n2_c3_h8_w9_k4_r5_s2_p1");
    assert_int_equal(a->batch * 1000 + a->in_channels * 100 + a->height * 10 + a->width, 2389);
    assert_int_equal(a->out_channels * 100 + a->kernel_h * 10 + a->kernel_w, 455);
    assert_int_equal(a->stride_h * 10 + a->padding_w, 21);
    assert_int_equal(b->stride_w * 10 + b->padding_h, 12);
    assert_int_equal(b->out_height, 8);
    assert_int_equal(shapes.items[2].pool.stride_h, 2);
    assert_int_equal(shapes.items[2].count, 72);
    assert_int_equal(shapes.items[3].conv.in_channels, 5);
    assert_int_equal(shapes.items[4].count, 77);
    bench_shapes_free(&shapes);
}

static void test_repeated_shapes_are_one(void **state) {
    (void)state;
    bench_shapes shapes = parse("linear n4_c5_k6\nlinear n4_c5_k6\nlinear n4_c5_k7\n");
    assert_int_equal(shapes.count, 2);
    cm_error error;
    assert_int_equal(bench_shapes_parse("linear n4_c5_k6\n", 16, "b.txt", &shapes, &error), CM_OK);
    assert_int_equal(shapes.count, 2);
    /* A file with a fault adds nothing. */
    assert_int_equal(bench_shapes_parse("adam k1\nadam k0\n", 16, "c.txt", &shapes, &error),
                     CM_BAD_INPUT);
    assert_message(error.message, "c.txt:2: ", "field 'k'");
    assert_int_equal(shapes.count, 2);
    bench_shapes_free(&shapes);
}

static void test_too_many(void **state) {
    (void)state;
    char *text = malloc((BENCH_MAX_SHAPES + 1) * 16), *at = text;
    assert_non_null(text);
    for (int i = 1; i <= BENCH_MAX_SHAPES + 1; ++i) {
        at += snprintf(at, 16, "adam k%d\n", i);
    }
    bench_shapes shapes = {0};
    cm_error error;
    assert_int_equal(bench_shapes_parse(text, (size_t)(at - text), "many.txt", &shapes, &error),
                     CM_BAD_INPUT);
    assert_message(error.message, "many.txt:1025: ", "more than 1024 shapes");
    bench_shapes_free(&shapes);
    free(text);
}

/* Every file of the folder is refused, with its name and a line. */
static void test_bad_files(void **state) {
    (void)state;
    DIR *folder = opendir("data/shapes/bad");
    assert_non_null(folder);
    int count = 0;
    for (const struct dirent *entry; (entry = readdir(folder)) != NULL;) {
        if (entry->d_name[0] == '.') {
            continue;
        }
        char path[TEMPORARY_PATH_SIZE];
        snprintf(path, sizeof path, "data/shapes/bad/%s", entry->d_name);
        bench_shapes shapes = {0};
        cm_error error = {""};
        if (bench_shapes_open(path, NULL, &shapes, &error) != CM_BAD_INPUT) {
            fail_msg("%s is taken", path);
        }
        char place[TEMPORARY_PATH_SIZE + 8];
        snprintf(place, sizeof place, "%s:%d: ", path,
                 strcmp(entry->d_name, "operation-unknown.txt") == 0 ? 2 : 1);
        assert_message(error.message, place, "");
        bench_shapes_free(&shapes);
        ++count;
    }
    closedir(folder);
    assert_true(count >= 28);
}

static void test_sizes_that_do_not_fit(void **state) {
    (void)state;
    static const char *const lines[] = {
        "conv2d_max_pool2d n1_c1_h2_w2_k1_r9_p0_q1", /* no convolution */
        "conv2d_max_pool2d n1_c1_h9_w9_k1_r3_q99",   /* no pool after it */
        "conv2d_max_pool2d n1_c4_h9_w9_k1_r3_q3",    /* more than a patch has */
        "max_pool2d n1_c1_h2_w2_r3",                 /* window */
        "max_pool2d n65536_c65536_h1_w1_r1",         /* count */
        "relu n67108864_c1_h67108864_w1",            /* rows */
        "relu n1_c67108864_h1_w67108864",            /* columns */
        "softmax_cross_entropy n1_c257",             /* classes */
        "softmax_cross_entropy n1048577_c1",         /* images */
    };
    for (size_t i = 0; i < sizeof lines / sizeof *lines; ++i) {
        bench_shapes shapes = {0};
        cm_error error = {""};
        if (bench_shapes_parse(lines[i], strlen(lines[i]), "f", &shapes, &error) != CM_BAD_INPUT) {
            fail_msg("%s is taken", lines[i]);
        }
        assert_message(error.message, "f:1: ", "is not a shape of");
        bench_shapes_free(&shapes);
    }
}

static void test_words(void **state) {
    (void)state;
    bench_shapes shapes = parse("adam k7# seven\n");
    cm_error error = {""};
    assert_string_equal(shapes.items[0].text, "k7");
    bench_shapes_free(&shapes);
    assert_int_equal(bench_shapes_parse("xyzzyplugh k7", 13, "f", &shapes, &error), CM_BAD_INPUT);
    assert_message(error.message, "f:1: ", "docs/guide/bench.md lists them");
    bench_shapes_free(&shapes);
}

static void test_no_folder(void **state) {
    (void)state;
    static char deep[5000];
    const char *const none[] = {NULL}, *const long_one[] = {deep, NULL};
    bench_shapes shapes = {0};
    cm_error error = {""};
    memset(deep, 'd', sizeof deep - 1);
    assert_int_equal(bench_shapes_open("report", none, &shapes, &error), CM_BAD_INPUT);
    assert_message(error.message, "'report' in any folder", "no list of shapes");
    assert_int_equal(bench_shapes_open("report", long_one, &shapes, &error), CM_BAD_INPUT);
    assert_message(error.message, "'report' in ddd", "no list of shapes");
    assert_null(shapes.items);
}

static void test_lists_by_name(void **state) {
    (void)state;
    static const struct {
        const char *name;
        int count;
    } lists[] = {{"report", 18}, {"resnet50", 21}, {"vgg16", 14}, {"mobilenet", 11}};
    const char *const folders[] = {"/nonexistent", "../bench/shapes", NULL};
    cm_error error = {""};
    for (size_t i = 0; i < sizeof lists / sizeof *lists; ++i) {
        bench_shapes shapes = {0};
        if (bench_shapes_open(lists[i].name, folders, &shapes, &error) != CM_OK) {
            fail_msg("%s", error.message);
        }
        assert_int_equal(shapes.count, lists[i].count);
        bench_shapes_free(&shapes);
    }
    bench_shapes shapes = {0};
    assert_int_equal(bench_shapes_open("resnet51", folders, &shapes, &error), CM_BAD_INPUT);
    assert_message(error.message, "resnet51", "no list of shapes");
    /* A path, not a name. */
    const char *path = temporary_write("no.txt", "relu n1\n", 8);
    assert_int_equal(bench_shapes_open(path, folders, &shapes, &error), CM_BAD_INPUT);
    assert_message(error.message, path, ":1: ");
    assert_int_equal(bench_shapes_open("./no.txt", folders, &shapes, &error), CM_BAD_INPUT);
    assert_int_equal(bench_shapes_open("..", folders, &shapes, &error), CM_BAD_INPUT);
    assert_int_equal(shapes.count, 0);
    bench_shapes_free(&shapes);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_values_and_defaults),
        cmocka_unit_test(test_repeated_shapes_are_one),
        cmocka_unit_test(test_too_many),
        cmocka_unit_test(test_bad_files),
        cmocka_unit_test(test_sizes_that_do_not_fit),
        cmocka_unit_test(test_words),
        cmocka_unit_test(test_no_folder),
        cmocka_unit_test(test_lists_by_name),
    };
    return cmocka_run_group_tests(tests, temporary_create, temporary_remove);
}
