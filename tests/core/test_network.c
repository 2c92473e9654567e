#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "convmark/network.h"
#include "harness/record/network_listing.h"
#include "harness/studies/report/published.h"
#include "harness/studies/report/variants_table.h"

static cm_network *open_network(const char *name) {
    cm_network *network = NULL;
    cm_error error = {""};
    if (cm_network_open(name, &network, &error) != CM_OK) {
        fail_msg("%s", error.message);
    }
    return network;
}

/* Counts of the report, bn-8's corrected: 1,052,170 + 8 x 256. */
static void test_variants_have_the_reports_parameters(void **state) {
    (void)state;
    static const struct {
        const char *id;
        int64_t parameters, published;
        int layers;
    } rows[] = {
        {"baseline", 314250, 314250, 14},
        {"dropout-out-0.5", 314250, 314250, 14},
        {"dropout-conv-0.5", 314250, 314250, 15},
        {"dropout-conv-0.3", 314250, 314250, 15},
        {"bn-3", 315018, 315018, 17},
        {"plain-8", 1052170, 1052170, 24},
        {"bn-8", 1054218, 1052170, 32},
        {"bn-16", 2236938, 2236938, 56},
    };
    int count = 0;
    const cm_variant *variants = cm_variants(&count);
    assert_int_equal(count, (int)(sizeof rows / sizeof rows[0]));
    for (int i = 0; i < count; ++i) {
        assert_string_equal(variants[i].id, rows[i].id);
        assert_ptr_equal(cm_variant_find(rows[i].id), &variants[i]);
        assert_int_equal(cm_published_figures_of(rows[i].id)->parameters, rows[i].published);
        cm_network *network = open_network(rows[i].id);
        assert_string_equal(network->name, rows[i].id);
        assert_int_equal(cm_network_parameter_count(network), rows[i].parameters);
        assert_int_equal(network->layer_count, rows[i].layers);
        assert_int_equal(network->classes, 10);
        cm_network_free(network);
    }
    assert_null(cm_variant_find("bn-4"));
}

/* Every published accuracy is a multiple of 1/6400, 100 batches of 64, which a typing slip would
 * rarely be; the losses are plausible ones. */
static void test_published_figures_are_of_6400_images(void **state) {
    (void)state;
    int count = 0;
    const cm_variant *variants = cm_variants(&count);
    for (int i = 0; i < count; ++i) {
        const cm_published_figures *published = cm_published_figures_of(variants[i].id);
        assert_non_null(published);
        const double right = published->accuracy * 6400.0;
        assert_true(right == (double)(int)right);
        assert_true(right > 4500.0 && right < 5500.0);
        assert_true(published->train_loss > 0.4 && published->test_loss > 0.4);
        assert_true(published->train_loss < 0.8 && published->test_loss < 0.8);
    }
}

static void test_pools_follow_the_period(void **state) {
    (void)state;
    static const struct {
        const char *id;
        const char *pools[3];
    } rows[] = {
        {"baseline", {"conv.2", "conv.5", "conv.8"}}, {"bn-3", {"conv.3", "conv.7", "conv.11"}},
        {"plain-8", {"conv.2", "conv.9", "conv.16"}}, {"bn-8", {"conv.3", "conv.13", "conv.23"}},
        {"bn-16", {"conv.3", "conv.22", "conv.41"}},
    };
    static const int sizes[] = {9, 3, 1};
    for (size_t r = 0; r < sizeof rows / sizeof rows[0]; ++r) {
        cm_network *network = open_network(rows[r].id);
        int pools = 0;
        for (int i = 0; i < network->layer_count; ++i) {
            const cm_layer *layer = &network->layers[i];
            if (layer->kind == CM_LAYER_MAX_POOL2D) {
                assert_true(pools < 3);
                assert_string_equal(layer->name, rows[r].pools[pools]);
                assert_int_equal(layer->out.height, sizes[pools]);
                assert_int_equal(layer->out.width, sizes[pools]);
                assert_int_equal(layer->out.channels, 128);
                ++pools;
            }
        }
        assert_int_equal(pools, 3);
        cm_network_free(network);
    }
}

static void test_dropout_stands_where_the_report_has_it(void **state) {
    (void)state;
    static const struct {
        const char *id;
        cm_layer_kind last_conv; /* the layer before flatten, and its p */
        float conv, output;
    } rows[] = {
        {"baseline", CM_LAYER_MAX_POOL2D, 0.0F, 0.0F},
        {"dropout-out-0.5", CM_LAYER_MAX_POOL2D, 0.0F, 0.5F},
        {"dropout-conv-0.5", CM_LAYER_DROPOUT, 0.5F, 0.0F},
        {"dropout-conv-0.3", CM_LAYER_DROPOUT, 0.3F, 0.0F},
        {"bn-3", CM_LAYER_MAX_POOL2D, 0.0F, 0.1F},
        {"plain-8", CM_LAYER_RELU, 0.0F, 0.1F},
        {"bn-8", CM_LAYER_RELU, 0.0F, 0.1F},
        {"bn-16", CM_LAYER_RELU, 0.0F, 0.1F},
    };
    for (size_t r = 0; r < sizeof rows / sizeof rows[0]; ++r) {
        cm_network *network = open_network(rows[r].id);
        const cm_layer *end = network->layers + network->layer_count;
        assert_int_equal(end[-2].kind, CM_LAYER_DROPOUT);
        assert_string_equal(end[-2].name, "dense.3");
        assert_true(end[-2].p == rows[r].output);
        assert_int_equal(end[-5].kind, CM_LAYER_FLATTEN);
        assert_string_equal(end[-5].name, "dense.0");
        assert_int_equal(end[-6].kind, rows[r].last_conv);
        assert_true(end[-6].p == rows[r].conv);
        cm_network_free(network);
    }
}

typedef struct expected_tensor {
    const char *name;
    cm_tensor_kind kind;
    int rank;
    int64_t dims[4];
    bool learned;
} expected_tensor;

static void check_tensor(const cm_tensor_spec *tensor, const expected_tensor *expected) {
    size_t count = 1;
    assert_string_equal(tensor->name, expected->name);
    assert_int_equal(tensor->kind, expected->kind);
    assert_int_equal(tensor->rank, expected->rank);
    assert_int_equal(tensor->learned, expected->learned);
    for (int d = 0; d < expected->rank; ++d) {
        assert_int_equal(tensor->dims[d], expected->dims[d]);
        count *= (size_t)expected->dims[d];
    }
    assert_int_equal(tensor->count, count);
}

#define BATCH_NORM_TENSORS(layer)                                                  \
    {layer ".weight", CM_TENSOR_WEIGHT, 1, {128}, true},                           \
        {layer ".bias", CM_TENSOR_BIAS, 1, {128}, true},                           \
        {layer ".running_mean", CM_TENSOR_RUNNING_MEAN, 1, {128}, false},          \
        {layer ".running_var", CM_TENSOR_RUNNING_VAR, 1, {128}, false}, {          \
        layer ".num_batches_tracked", CM_TENSOR_NUM_BATCHES_TRACKED, 0, {0}, false \
    }

/* As list(net.state_dict()) prints them in PyTorch for the report's module. */
static void test_tensors_are_those_of_pytorch(void **state) {
    (void)state;
    static const expected_tensor expected[] = {
        {"conv.0.weight", CM_TENSOR_WEIGHT, 4, {128, 1, 3, 3}, true},
        {"conv.0.bias", CM_TENSOR_BIAS, 1, {128}, true},
        BATCH_NORM_TENSORS("conv.1"),
        {"conv.4.weight", CM_TENSOR_WEIGHT, 4, {128, 128, 3, 3}, true},
        {"conv.4.bias", CM_TENSOR_BIAS, 1, {128}, true},
        BATCH_NORM_TENSORS("conv.5"),
        {"conv.8.weight", CM_TENSOR_WEIGHT, 4, {128, 128, 3, 3}, true},
        {"conv.8.bias", CM_TENSOR_BIAS, 1, {128}, true},
        BATCH_NORM_TENSORS("conv.9"),
        {"dense.1.weight", CM_TENSOR_WEIGHT, 2, {128, 128}, true},
        {"dense.1.bias", CM_TENSOR_BIAS, 1, {128}, true},
        {"dense.4.weight", CM_TENSOR_WEIGHT, 2, {10, 128}, true},
        {"dense.4.bias", CM_TENSOR_BIAS, 1, {10}, true},
    };
    cm_network *network = open_network("bn-3");
    int count = 0;
    size_t learned = 0;
    cm_tensor_spec *tensors = cm_network_tensors(network, &count);
    assert_non_null(tensors);
    assert_int_equal(count, (int)(sizeof expected / sizeof expected[0]));
    for (int i = 0; i < count; ++i) {
        check_tensor(&tensors[i], &expected[i]);
        assert_memory_equal(tensors[i].name, network->layers[tensors[i].layer].name,
                            strlen(network->layers[tensors[i].layer].name));
        learned += tensors[i].learned ? tensors[i].count : 0;
    }
    assert_int_equal(learned, 315018);
    free(tensors);
    cm_network_free(network);
}

static void test_rectangular_weights_keep_pytorchs_order(void **state) {
    (void)state;
    cm_network *network = open_network("data/networks/good/rectangles.txt");
    int count = 0;
    cm_tensor_spec *tensors = cm_network_tensors(network, &count);
    const expected_tensor first = {"conv.1.weight", CM_TENSOR_WEIGHT, 4, {7, 3, 3, 5}, true};
    const expected_tensor last = {"dense.3.bias", CM_TENSOR_BIAS, 1, {2}, true};
    assert_non_null(tensors);
    check_tensor(&tensors[0], &first);
    check_tensor(&tensors[count - 1], &last);
    free(tensors);
    cm_network_free(network);
}

/* Worked out by hand from the shapes of tests/data/networks/good/rectangles.txt. */
static void test_shapes_parameters_and_macs(void **state) {
    (void)state;
    static const struct {
        cm_layer_shape out;
        int64_t parameters, macs;
    } rows[] = {
        {{3, 20, 31}, 0, 0},        /* relu */
        {{7, 18, 27}, 322, 153090}, /* conv2d 7 3x5: 7 (3 15 + 1); 7 18 27 (3 15) */
        {{7, 18, 27}, 0, 0},        /* dropout */
        {{5, 9, 10}, 145, 12600},   /* conv2d 5 1x4, stride 2x3: 5 (7 4 + 1); 5 9 10 (7 4) */
        {{5, 9, 10}, 10, 0},        /* batch_norm */
        {{5, 4, 3}, 0, 0},          /* max_pool2d 2x3 */
        {{5, 3, 1}, 0, 0},          /* max_pool2d 2 stride 1x2 */
        {{15, 1, 1}, 0, 0},         /* flatten */
        {{15, 1, 1}, 0, 0},         /* dropout */
        {{33, 1, 1}, 528, 495},     /* linear 33 */
        {{2, 1, 1}, 68, 66},        /* linear 2 */
    };
    cm_network *network = open_network("data/networks/good/rectangles.txt");
    assert_int_equal(network->layer_count, (int)(sizeof rows / sizeof rows[0]));
    cm_layer_shape in = network->input;
    for (int i = 0; i < network->layer_count; ++i) {
        const cm_layer *layer = &network->layers[i];
        assert_memory_equal(&layer->in, &in, sizeof in);
        assert_memory_equal(&layer->out, &rows[i].out, sizeof in);
        assert_int_equal(cm_layer_parameter_count(layer), rows[i].parameters);
        assert_int_equal(cm_layer_macs(layer), rows[i].macs);
        in = layer->out;
    }
    assert_int_equal(cm_network_parameter_count(network), 1073);
    cm_network_free(network);
}

static void test_opening_says_what_was_wrong(void **state) {
    (void)state;
    static const struct {
        const char *name;
        cm_status status;
        const char *message; /* its beginning */
    } rows[] = {
        {"bn3", CM_USAGE, "unknown variant 'bn3'; did you mean 'bn-3'?"},
        {"dropout-out-0.6", CM_USAGE,
         "unknown variant 'dropout-out-0.6'; did you mean 'dropout-out-0.5'?"},
        {"resnet", CM_USAGE, "unknown variant 'resnet'; 'convmark variants' lists them"},
        {"", CM_USAGE, "unknown variant ''; 'convmark variants' lists them"},
        {"networks", CM_USAGE, "unknown variant 'networks'; 'convmark variants' lists them"},
        {"networks/none.txt", CM_BAD_INPUT, "networks/none.txt: "},
        {"none.txt", CM_BAD_INPUT, "none.txt: "},
        {"data/networks/good", CM_BAD_INPUT, "data/networks/good: "},
        {"/dev/zero", CM_BAD_INPUT, "/dev/zero: "},
        {"data/networks/bad/zero.txt", CM_BAD_INPUT, "data/networks/bad/zero.txt:4: linear"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; ++i) {
        cm_network *network = NULL;
        cm_error error = {""};
        assert_int_equal(cm_network_open(rows[i].name, &network, &error), rows[i].status);
        assert_null(network);
        assert_int_equal(strncmp(error.message, rows[i].message, strlen(rows[i].message)), 0);
    }
}

/* What `write` printed, to be freed. */
static char *printed(void (*write)(FILE *out, const void *what), const void *what) {
    enum { LONGEST = 16384 };
    char *text = calloc(1, LONGEST);
    FILE *out = tmpfile();
    assert_non_null(text);
    assert_non_null(out);
    write(out, what);
    rewind(out);
    const size_t size = fread(text, 1, LONGEST, out);
    assert_true(size > 0 && size < LONGEST);
    assert_int_equal(fclose(out), 0);
    return text;
}

static void write_network(FILE *out, const void *network) {
    cm_network_listing_print(out, network);
}

static void write_variants(FILE *out, const void *nothing) {
    (void)nothing;
    cm_error error = {""};
    assert_int_equal(cm_variants_table_print(out, &error), CM_OK);
}

static void check_lines(const char *text, const char *const *lines, size_t count) {
    for (size_t i = 0; i < count; ++i) {
        const char *found = strstr(text, lines[i]);
        if (found == NULL) {
            fail_msg("no line '%s' in\n%s", lines[i], text);
        } else {
            assert_true(found == text || found[-1] == '\n');
        }
    }
    assert_null(strstr(text, " \n")); /* no blanks at the end of a line */
}

static void test_listing_of_a_network(void **state) {
    (void)state;
    static const char *const lines[] = {
        "network bn-3: 17 layers, 10 classes\n",
        "name     layer                                    output shape  parameters        MACs\n",
        "         input                                     1 x 28 x 28\n",
        "conv.0   conv2d 128 kernel 3 stride 1 padding 1  128 x 28 x 28       1,280     903,168\n",
        "conv.1   batch_norm                              128 x 28 x 28         256           0\n",
        "conv.11  max_pool2d 3 stride 3                     128 x 1 x 1           0           0\n",
        "dense.0  flatten                                           128           0           0\n",
        "dense.3  dropout 0.1                                       128           0           0\n",
        "dense.4  linear 10                                          10       1,290       1,280\n",
        "total                                                              315,018  14,191,872\n",
    };
    cm_network *network = open_network("bn-3");
    char *text = printed(write_network, network);
    check_lines(text, lines, sizeof lines / sizeof lines[0]);
    free(text);
    cm_network_free(network);
}

static void test_table_of_variants(void **state) {
    (void)state;
    static const char *const lines[] = {
        "baseline          3 conv                                               314,250   "
        "14,191,872   80.53 %\n",
        "plain-8           8 conv, no batch norm                              1,052,170   "
        "40,881,408   71.02 %\n",
        "bn-8              8 conv, batch norm after each                      1,054,218*  "
        "40,881,408   84.53 %\n",
        "bn-16             16 conv, batch norm after each                     2,236,938   "
        "80,989,440   78.38 %\n",
        "* The report prints 1,052,170 parameters for bn-8: a copy slip",
    };
    char *text = printed(write_variants, NULL);
    check_lines(text, lines, sizeof lines / sizeof lines[0]);
    /* The mark and its footnote: bn-8's alone. */
    const char *mark = strchr(text, '*');
    const char *footnote = mark == NULL ? NULL : strchr(mark + 1, '*');
    assert_non_null(footnote);
    assert_null(strchr(footnote + 1, '*'));
    free(text);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_variants_have_the_reports_parameters),
        cmocka_unit_test(test_published_figures_are_of_6400_images),
        cmocka_unit_test(test_pools_follow_the_period),
        cmocka_unit_test(test_dropout_stands_where_the_report_has_it),
        cmocka_unit_test(test_tensors_are_those_of_pytorch),
        cmocka_unit_test(test_rectangular_weights_keep_pytorchs_order),
        cmocka_unit_test(test_shapes_parameters_and_macs),
        cmocka_unit_test(test_opening_says_what_was_wrong),
        cmocka_unit_test(test_listing_of_a_network),
        cmocka_unit_test(test_table_of_variants),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
