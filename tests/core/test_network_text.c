#include <dirent.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "convmark/network.h"
#include "core/files/atomic_file.h"

static cm_network *parse(const char *text) {
    cm_network *network = NULL;
    cm_error error = {""};
    if (cm_network_parse(text, strlen(text), "net.txt", &network, &error) != CM_OK) {
        fail_msg("%s", error.message);
    }
    return network;
}

static void assert_refused(const char *text, size_t size, const char *message) {
    cm_network *network = NULL;
    cm_error error = {""};
    assert_int_equal(cm_network_parse(text, size, "net.txt", &network, &error), CM_BAD_INPUT);
    assert_null(network);
    assert_string_equal(error.message, message);
}

static void assert_same_layers(const cm_network *a, const cm_network *b) {
    assert_memory_equal(&a->input, &b->input, sizeof a->input);
    assert_int_equal(a->classes, b->classes);
    assert_int_equal(a->layer_count, b->layer_count);
    for (int i = 0; i < a->layer_count; ++i) {
        const cm_layer *p = &a->layers[i];
        const cm_layer *q = &b->layers[i];
        assert_int_equal(p->kind, q->kind);
        assert_memory_equal(&p->in, &q->in, sizeof p->in);
        assert_memory_equal(&p->out, &q->out, sizeof p->out);
        const int p_window[] = {p->kernel_h, p->kernel_w,  p->stride_h,
                                p->stride_w, p->padding_h, p->padding_w};
        const int q_window[] = {q->kernel_h, q->kernel_w,  q->stride_h,
                                q->stride_w, q->padding_h, q->padding_w};
        assert_memory_equal(p_window, q_window, sizeof p_window);
        assert_true(p->p == q->p);
        assert_string_equal(p->name, q->name);
    }
}

/* tests/data/networks/good/ID.txt were written from the report, not by this program. */
static void test_variants_as_text_are_the_variants(void **state) {
    (void)state;
    int count = 0;
    const cm_variant *variants = cm_variants(&count);
    for (int i = 0; i < count; ++i) {
        cm_network *from_table = NULL;
        cm_network *from_text = NULL;
        cm_error error = {""};
        char path[128];
        snprintf(path, sizeof path, "data/networks/good/%s.txt", variants[i].id);
        assert_int_equal(cm_network_from_variant(&variants[i], &from_table, &error), CM_OK);
        assert_int_equal(cm_network_open(path, &from_text, &error), CM_OK);
        assert_same_layers(from_table, from_text);
        assert_string_equal(from_text->name, variants[i].id);
        cm_network_free(from_table);
        cm_network_free(from_text);
    }
}

/* Files of `folder`, each given to `check` with its path; how many there were. */
static int for_each_file(const char *folder, void (*check)(const char *path)) {
    int count = 0;
    DIR *directory = opendir(folder);
    assert_non_null(directory);
    for (const struct dirent *entry = readdir(directory); entry != NULL;
         entry = readdir(directory)) {
        if (entry->d_name[0] != '.') {
            char path[512];
            snprintf(path, sizeof path, "%s/%s", folder, entry->d_name);
            check(path);
            ++count;
        }
    }
    closedir(directory);
    return count;
}

static void check_round_trip(const char *path) {
    cm_network *first = NULL;
    cm_network *second = NULL;
    char *text = NULL;
    char *again = NULL;
    cm_error error = {""};
    assert_int_equal(cm_network_open(path, &first, &error), CM_OK);
    assert_int_equal(cm_network_to_text(first, &text, &error), CM_OK);
    assert_int_equal(cm_network_parse(text, strlen(text), path, &second, &error), CM_OK);
    assert_same_layers(first, second);
    assert_int_equal(cm_network_to_text(second, &again, &error), CM_OK);
    assert_string_equal(text, again);
    free(text);
    free(again);
    cm_network_free(first);
    cm_network_free(second);
}

static void test_text_round_trip(void **state) {
    (void)state;
    assert_true(for_each_file("data/networks/good", check_round_trip) >= 9);
}

static void test_text_is_canonical(void **state) {
    (void)state;
    cm_network *network = NULL;
    char *text = NULL;
    cm_error error = {""};
    assert_int_equal(cm_network_open("data/networks/good/rectangles.txt", &network, &error), CM_OK);
    assert_int_equal(cm_network_to_text(network, &text, &error), CM_OK);
    assert_string_equal(text, "input 3 20 31\n"
                              "relu\n"
                              "conv2d 7 kernel 3x5 stride 1 padding 0\n"
                              "dropout 0.25\n"
                              "conv2d 5 kernel 1x4 stride 2x3 padding 0x2\n"
                              "batch_norm\n"
                              "max_pool2d 2x3 stride 2x3\n"
                              "max_pool2d 2 stride 1x2\n"
                              "flatten\n"
                              "dropout 0\n"
                              "linear 33\n"
                              "linear 2\n");
    free(text);
    cm_network_free(network);
}

static void test_probabilities_are_the_nearest_floats(void **state) {
    (void)state;
    static const struct {
        const char *written, *back;
        float p;
    } rows[] = {
        {"0", "0", 0.0F},
        {"0.", "0", 0.0F},
        {"00.50", "0.5", 0.5F},
        {".1", "0.1", 0.1F},
        {"0.3", "0.3", 0.3F},
        {"0.7", "0.7", 0.7F},
        {"0.05", "0.05", 0.05F},
        {"0.000000001", "0.000000001", 0.000000001F},
        {"0.123456789", "0.12345679", 0.123456789F}, /* the shortest of the same float */
        {"0.9999999", "0.9999999", 0.9999999F},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; ++i) {
        char text[128];
        char *back = NULL;
        char line[64];
        cm_error error = {""};
        snprintf(text, sizeof text, "input 1 2 2\nflatten\ndropout %s\nlinear 2", rows[i].written);
        snprintf(line, sizeof line, "\ndropout %s\n", rows[i].back);
        cm_network *network = parse(text);
        assert_true(network->layers[1].p == rows[i].p);
        assert_int_equal(cm_network_to_text(network, &back, &error), CM_OK);
        assert_non_null(strstr(back, line));
        free(back);
        cm_network_free(network);
    }
}

/* A bad network's first line is "# LINE: message", what follows the file's name in the error. */
static void check_refused(const char *path) {
    cm_network *network = NULL;
    cm_error error = {""};
    char *text = NULL;
    char expected[1024];
    assert_int_equal(cm_file_read(path, 4096, &text, NULL, &error), CM_OK);
    assert_int_equal(strncmp(text, "# ", 2), 0);
    snprintf(expected, sizeof expected, "%s:%.*s", path, (int)strcspn(text + 2, "\n"), text + 2);
    free(text);
    if (cm_network_open(path, &network, &error) != CM_BAD_INPUT) {
        fail_msg("%s was not refused", path);
    }
    assert_null(network);
    assert_string_equal(error.message, expected);
}

static void test_bad_networks_name_line_fault_and_remedy(void **state) {
    (void)state;
    assert_true(for_each_file("data/networks/bad", check_refused) >= 56);
}

static void test_bytes_that_are_no_text(void **state) {
    (void)state;
    static const char nul[] = "input 1 2 2\nflatten # \0\nlinear 2\n";
    static const char control[] = "input 1 2 2\n\033[2Jflatten\nlinear 2\n";
    assert_refused(nul, sizeof nul - 1,
                   "net.txt:2: a NUL byte, so this is not a text; give a file of network text");
    assert_refused(control, sizeof control - 1,
                   "net.txt:2: unknown layer '?[2Jflatten'; did you mean 'flatten'?");
    assert_refused("", 0, "net.txt:1: no layers; start with 'input CHANNELS HEIGHT WIDTH'");
}

static void test_line_ends_and_byte_order_mark(void **state) {
    (void)state;
    cm_network *unix_ends = parse("input 1 2 2\nflatten\nlinear 2");
    cm_network *windows_ends = parse("\xEF\xBB\xBFinput 1 2 2\r\n\r\nflatten\r\nlinear 2\r\n");
    assert_same_layers(unix_ends, windows_ends);
    cm_network_free(unix_ends);
    cm_network_free(windows_ends);
}

static void test_line_length_limit(void **state) {
    (void)state;
    enum { LIMIT = 1000 };
    char text[LIMIT + 64];
    const char *end = "\ninput 1 2 2\nflatten\nlinear 2\n";
    memset(text, '#', LIMIT + 1);
    memcpy(text + LIMIT, end, strlen(end) + 1);
    cm_network_free(parse(text));
    text[LIMIT] = '#';
    memcpy(text + LIMIT + 1, end, strlen(end) + 1);
    assert_refused(text, strlen(text),
                   "net.txt:1: a line of more than 1000 bytes; write one layer per line");
}

/* `count` layers: relu, flatten and linear. */
static char *text_of_layers(int count) {
    char *text = calloc(1, 64 + (size_t)count * 5);
    assert_non_null(text);
    strcpy(text, "input 1 2 2\n");
    char *end = text + strlen(text);
    for (int i = 0; i < count - 2; ++i) {
        memcpy(end, "relu\n", 5);
        end += 5;
    }
    strcpy(end, "flatten\nlinear 2\n");
    return text;
}

static void test_layer_count_limit(void **state) {
    (void)state;
    char *most = text_of_layers(CM_MAX_LAYERS);
    char *more = text_of_layers(CM_MAX_LAYERS + 1);
    cm_network *network = parse(most);
    assert_int_equal(network->layer_count, CM_MAX_LAYERS);
    assert_string_equal(network->layers[CM_MAX_LAYERS - 3].name, "conv.509");
    assert_string_equal(network->layers[CM_MAX_LAYERS - 1].name, "dense.1");
    cm_network_free(network);
    assert_refused(more, strlen(more),
                   "net.txt:514: more than 512 layers; make the network smaller");
    free(most);
    free(more);
}

static void test_size_limit(void **state) {
    (void)state;
    const char *end = "input 1 2 2\nflatten\nlinear 2\n";
    char *text = malloc(CM_MAX_NETWORK_TEXT + 1);
    assert_non_null(text);
    memset(text, '\n', CM_MAX_NETWORK_TEXT + 1);
    memcpy(text + CM_MAX_NETWORK_TEXT - strlen(end), end, strlen(end));
    cm_network *network = NULL;
    cm_error error = {""};
    assert_int_equal(cm_network_parse(text, CM_MAX_NETWORK_TEXT, "net.txt", &network, &error),
                     CM_OK);
    cm_network_free(network);
    assert_refused(text, CM_MAX_NETWORK_TEXT + 1,
                   "net.txt: 1048577 bytes are too many for network text; the limit is 1048576");
    free(text);
}

/* Just inside the limits whose other side is in tests/data/networks/bad. */
static void test_limits_are_reached(void **state) {
    (void)state;
    static const char *const texts[] = {
        "input 1 8192 8192\nconv2d 2 kernel 1\nmax_pool2d 255x257 stride 8192\nflatten\nlinear 2",
        "input 1 1024 1023\nflatten\nlinear 1024\nlinear 256",
        "input 1 28 28\nconv2d 1 kernel 28x29 padding 0x1\nflatten\nlinear 256",
        "input 1048576 1 1\nflatten\nlinear 2",
    };
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; ++i) {
        cm_network_free(parse(texts[i]));
    }
}

static void test_name_comes_from_the_file(void **state) {
    (void)state;
    static const char *const rows[][2] = {
        {"net.txt", "net"},
        {"/a.b/my.net.v2.txt", "my.net.v2"},
        {"folder/net", "net"},
        {".hidden", ".hidden"},
        {"a\nb c\xC3\xA4.txt", "a_b_c__"},
        {"0123456789012345678901234567890123456789012345678901234567890123456789.txt",
         "012345678901234567890123456789012345678901234567890123456789012"},
    };
    const char *text = "input 1 2 2\nflatten\nlinear 2";
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; ++i) {
        cm_network *network = NULL;
        cm_error error = {""};
        assert_int_equal(cm_network_parse(text, strlen(text), rows[i][0], &network, &error), CM_OK);
        assert_string_equal(network->name, rows[i][1]);
        cm_network_free(network);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_variants_as_text_are_the_variants),
        cmocka_unit_test(test_text_round_trip),
        cmocka_unit_test(test_text_is_canonical),
        cmocka_unit_test(test_probabilities_are_the_nearest_floats),
        cmocka_unit_test(test_bad_networks_name_line_fault_and_remedy),
        cmocka_unit_test(test_bytes_that_are_no_text),
        cmocka_unit_test(test_line_ends_and_byte_order_mark),
        cmocka_unit_test(test_line_length_limit),
        cmocka_unit_test(test_layer_count_limit),
        cmocka_unit_test(test_size_limit),
        cmocka_unit_test(test_limits_are_reached),
        cmocka_unit_test(test_name_comes_from_the_file),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
