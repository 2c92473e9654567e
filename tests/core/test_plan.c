/* Plans: how layers are fused into stages, and that no two arrays share memory that both need. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "core/network/plan.h"
#include "support/models.h"

enum { BATCH = 3, THREADS = 3 };

static cm_plan plan_of(const cm_network *network, int batch, bool training) {
    cm_plan plan;
    cm_error error = {""};
    const cm_model_options options = {
        .batch = batch, .threads = THREADS, .isa = CM_ISA_BEST, .training = training};
    if (cm_plan_create(network, &options, options.training, &plan, &error) != CM_OK) {
        fail_msg("%s", error.message);
    }
    return plan;
}

/* Stages as letters: C conv2d or linear, S conv2d with its pool, B batch norm, P pool, R ReLU, D
 * dropout; after it what is fused: b a batch norm, r a ReLU. */
static void assert_stages(const char *layers, bool training, const char *expected) {
    static const char letters[] = {[CM_STAGE_CONV2D] = 'C',     [CM_STAGE_BATCH_NORM] = 'B',
                                   [CM_STAGE_MAX_POOL2D] = 'P', [CM_STAGE_CONV2D_MAX_POOL2D] = 'S',
                                   [CM_STAGE_RELU] = 'R',       [CM_STAGE_DROPOUT] = 'D'};
    char text[512] = "input 1 8 8\n", got[64] = "";
    strcat(text, layers);
    cm_network *network = network_of(text);
    cm_plan plan = plan_of(network, BATCH, training);
    size_t at = 0;
    for (int i = 0; i < plan.stage_count; ++i) {
        const cm_stage *stage = &plan.stages[i];
        assert_true(at + 4 < sizeof got);
        got[at++] = letters[stage->kind];
        if (stage->batch_norm_layer >= 0 && stage->kind != CM_STAGE_BATCH_NORM) {
            got[at++] = 'b';
        }
        if (stage->relu && stage->kind != CM_STAGE_RELU) {
            got[at++] = 'r';
        }
    }
    assert_string_equal(got, expected);
    cm_plan_free(&plan);
    cm_network_free(network);
}

static void test_layers_are_fused(void **state) {
    (void)state;
    static const struct {
        const char *layers, *stages;
    } rows[] = {
        {"flatten\nlinear 2\n", "C"},
        {"conv2d 2 kernel 3\nrelu\nflatten\nlinear 4\nrelu\nlinear 2\n", "CrCrC"},
        {"conv2d 2 kernel 3\nrelu\nmax_pool2d 2\nflatten\nlinear 2\n", "SrC"},
        {"conv2d 2 kernel 3\nbatch_norm\nrelu\nmax_pool2d 2\nflatten\nlinear 2\n", "SbrC"},
        {"conv2d 2 kernel 3\nbatch_norm\nmax_pool2d 2\nrelu\nflatten\nlinear 2\n", "SbRC"},
        {"relu\nconv2d 2 kernel 3\nrelu\nmax_pool2d 2\nflatten\nlinear 2\n", "RCPrC"},
        {"conv2d 9 kernel 1\nconv2d 2 kernel 3\nbatch_norm\nrelu\nmax_pool2d 2\nflatten\nlinear "
         "2\n",
         "CCPbrC"},
        {"conv2d 2 kernel 3\nbatch_norm\nrelu\nflatten\nrelu\nlinear 2\n", "CBrRC"},
        {"conv2d 2 kernel 3\nbatch_norm\nbatch_norm\nflatten\nlinear 2\n", "CBBC"},
        {"relu\nmax_pool2d 2\nmax_pool2d 2\nflatten\nlinear 2\n", "PrPC"},
        {"relu\nbatch_norm\nflatten\nlinear 2\n", "RBC"},
        {"relu\nrelu\nmax_pool2d 2\nflatten\nlinear 2\n", "RPrC"},
        {"dropout 0\nconv2d 2 kernel 3\ndropout 0.5\nrelu\nflatten\nlinear 2\n", "DCDRC"},
        {"conv2d 2 kernel 3\nflatten\nrelu\nlinear 2\n", "CRC"},
    };
    for (size_t i = 0; i < CM_COUNT(rows); ++i) {
        assert_stages(rows[i].layers, true, rows[i].stages);
    }
}

static void test_layers_are_fused_in_inference(void **state) {
    (void)state;
    static const struct {
        const char *layers, *stages;
    } rows[] = {
        {"conv2d 2 kernel 3\nbatch_norm\nrelu\nmax_pool2d 2\nflatten\nlinear 2\n", "SbrC"},
        {"conv2d 2 kernel 3\nbatch_norm\nrelu\nflatten\nrelu\nlinear 2\n", "CbrRC"},
        {"conv2d 2 kernel 3\nbatch_norm\nbatch_norm\nflatten\nlinear 2\n", "CbBC"},
        {"conv2d 9 kernel 1\nconv2d 2 kernel 3\nbatch_norm\nrelu\nmax_pool2d 2\nflatten\nlinear "
         "2\n",
         "CCPbrC"},
        {"conv2d 9 kernel 1\nconv2d 2 kernel 3\nbatch_norm\nmax_pool2d 2\nflatten\nlinear 2\n",
         "CCPbC"},
        {"conv2d 9 kernel 1\nconv2d 2 kernel 3\nrelu\nmax_pool2d 2\nflatten\nlinear 2\n", "CCPrC"},
        {"conv2d 2 kernel 3\ndropout 0.5\nbatch_norm\nflatten\nlinear 2\n", "CDBC"},
    };
    for (size_t i = 0; i < CM_COUNT(rows); ++i) {
        assert_stages(rows[i].layers, false, rows[i].stages);
    }
}

/* A piece of the arena that an array needs. */
typedef struct piece {
    size_t begin, count;
} piece;

enum { MAX_PIECES = 256 };

static void add(piece *pieces, int *count, size_t begin, size_t floats) {
    assert_true(*count < MAX_PIECES);
    if (begin != CM_NO_ARRAY) {
        pieces[(*count)++] = (piece){begin, floats};
    }
}

static size_t elements(const cm_layer_shape *shape) {
    return (size_t)BATCH * (size_t)shape->channels * (size_t)shape->height * (size_t)shape->width;
}

/* The output of a stage has the shape of its last layer's: the one before the next stage. */
static size_t output_elements(const cm_network *network, const cm_plan *plan, int index) {
    const int next =
        index + 1 < plan->stage_count ? plan->stages[index + 1].layer : network->layer_count;
    return elements(&network->layers[next - 1].out);
}

static void assert_apart(const char *what, const piece *pieces, int count, size_t floats) {
    for (int i = 0; i < count; ++i) {
        if (pieces[i].begin % 16 != 0 || pieces[i].begin + pieces[i].count > floats) {
            fail_msg("%s: array %d is not aligned, or beyond the end", what, i);
        }
        for (int k = 0; k < i; ++k) {
            if (pieces[i].begin < pieces[k].begin + pieces[k].count &&
                pieces[k].begin < pieces[i].begin + pieces[i].count) {
                fail_msg("%s: arrays %d and %d overlap", what, k, i);
            }
        }
    }
}

static size_t workspace_floats(const cm_plan *plan) {
    size_t bytes = cm_softmax_cross_entropy_workspace(BATCH);
    for (int i = 0; i < plan->stage_count; ++i) {
        const cm_stage *stage = &plan->stages[i];
        size_t needed = 0;
        if (stage->kind == CM_STAGE_CONV2D) {
            needed = stage->conv.workspace;
        } else if (stage->batch_norm_layer >= 0) {
            needed = cm_batch_norm_workspace(&stage->map);
        }
        if (stage->kind == CM_STAGE_CONV2D_MAX_POOL2D) {
            needed = cm_conv2d_max_pool2d_workspace(&stage->conv.shape, &stage->pool, THREADS);
        }
        bytes = needed > bytes ? needed : bytes;
    }
    return bytes / sizeof(float);
}

static void check_training_plan(const char *what, const cm_network *network) {
    cm_plan plan = plan_of(network, BATCH, true);
    piece arena[MAX_PIECES], parameters[MAX_PIECES];
    int arrays = 0, tensors = 0;
    size_t largest = elements(&network->input);
    for (int i = 0; i < plan.stage_count; ++i) {
        const cm_stage *stage = &plan.stages[i];
        const size_t count = output_elements(network, &plan, i);
        largest = count > largest ? count : largest;
        add(arena, &arrays, stage->out, count);
        add(arena, &arrays, stage->argmax, (count + 1) / 2);
        add(arena, &arrays, stage->x_at_max, count);
        add(arena, &arrays, stage->kept,
            stage->kept == CM_NO_ARRAY ? 0 : stage->conv.kept / sizeof(float));
        add(arena, &arrays, stage->moments,
            stage->moments == CM_NO_ARRAY ? 0 : 2 * cm_patch_moments_count(&stage->conv.shape));
        if (stage->kind == CM_STAGE_CONV2D || stage->kind == CM_STAGE_CONV2D_MAX_POOL2D) {
            const size_t weights =
                (size_t)stage->conv.shape.kernel_h * (size_t)stage->conv.shape.kernel_w *
                (size_t)stage->conv.shape.in_channels * (size_t)stage->conv.shape.out_channels;
            add(parameters, &tensors, stage->weight, weights);
            add(parameters, &tensors, stage->bias, (size_t)stage->conv.shape.out_channels);
        }
        if (stage->batch_norm_layer >= 0) {
            const size_t channels = (size_t)stage->map.channels;
            const size_t own[] = {stage->mean, stage->rstd, stage->scale, stage->shift};
            for (size_t k = 0; k < CM_COUNT(own); ++k) {
                add(arena, &arrays, own[k], channels);
            }
            add(parameters, &tensors, stage->gamma, channels);
            add(parameters, &tensors, stage->beta, channels);
        }
    }
    add(arena, &arrays, plan.gradient[0], largest);
    add(arena, &arrays, plan.gradient[1], largest);
    add(arena, &arrays, plan.workspace, workspace_floats(&plan));
    add(arena, &arrays, plan.dlogits, (size_t)BATCH * (size_t)network->classes);
    assert_apart(what, arena, arrays, plan.arena_floats);
    assert_apart(what, parameters, tensors, plan.parameter_floats);
    cm_plan_free(&plan);
}

/* Bytes that the stages' forward passes keep, of how many stages. */
static size_t kept_bytes(const cm_network *network, int batch, int *stages) {
    cm_plan plan = plan_of(network, batch, true);
    size_t bytes = 0;
    *stages = 0;
    for (int i = 0; i < plan.stage_count; ++i) {
        if (plan.stages[i].kept != CM_NO_ARRAY) {
            bytes += plan.stages[i].conv.kept;
            ++*stages;
        }
    }
    cm_plan_free(&plan);
    return bytes;
}

/* All whole-map convolutions of bn-16 at batch 64; of a large batch as many as fit. */
static void test_kept_is_limited(void **state) {
    (void)state;
    enum { LAYERS = 12 }; /* of 9x9 and of 3x3 maps */
    cm_network *network = NULL;
    assert_int_equal(cm_network_open("bn-16", &network, NULL), CM_OK);
    int stages = 0;
    assert_true(kept_bytes(network, 64, &stages) > 0);
    assert_int_equal(stages, LAYERS);
    const size_t bytes = kept_bytes(network, 512, &stages);
    assert_true(stages > 0 && stages < LAYERS && bytes <= (size_t)64 << 20);
    cm_network_free(network);
}

/* Each output differs from the one it is computed from, and is large enough. */
static void check_inference_plan(const char *what, const cm_network *network) {
    cm_plan plan = plan_of(network, BATCH, false);
    size_t last = CM_NO_ARRAY, room[2] = {0, 0}, at[2] = {CM_NO_ARRAY, CM_NO_ARRAY};
    piece pieces[MAX_PIECES];
    int arrays = 0;
    for (int i = 0; i < plan.stage_count; ++i) {
        const cm_stage *stage = &plan.stages[i];
        const size_t count = output_elements(network, &plan, i);
        assert_true(stage->argmax == CM_NO_ARRAY && stage->x_at_max == CM_NO_ARRAY);
        assert_true(stage->kept == CM_NO_ARRAY);
        if (stage->kind == CM_STAGE_CONV2D) {
            add(pieces, &arrays, stage->packed, stage->conv.packed / sizeof(float));
        }
        if (stage->batch_norm_layer >= 0) {
            add(pieces, &arrays, stage->scale, (size_t)stage->map.channels);
            add(pieces, &arrays, stage->shift, (size_t)stage->map.channels);
        }
        if (stage->kind == CM_STAGE_DROPOUT) {
            assert_true(stage->out == CM_NO_ARRAY);
            continue;
        }
        if (stage->out == last) {
            fail_msg("%s: stage %d overwrites its input", what, i);
        }
        const int which = at[0] == CM_NO_ARRAY || stage->out == at[0] ? 0 : 1;
        at[which] = stage->out;
        room[which] = count > room[which] ? count : room[which];
        last = stage->out;
    }
    add(pieces, &arrays, at[0], room[0]);
    add(pieces, &arrays, at[1], room[1]);
    add(pieces, &arrays, plan.workspace, workspace_floats(&plan));
    add(pieces, &arrays, plan.logits, (size_t)BATCH * (size_t)network->classes);
    assert_apart(what, pieces, arrays, plan.arena_floats);
    cm_plan_free(&plan);
}

static void test_arrays_do_not_overlap(void **state) {
    (void)state;
    for (size_t n = 0; n < CM_COUNT(odd_networks); ++n) {
        cm_network *network = network_of(odd_networks[n].text);
        check_training_plan(odd_networks[n].what, network);
        check_inference_plan(odd_networks[n].what, network);
        cm_network_free(network);
    }
}

/* A model has both plans for one block of parameters. */
static void test_plans_agree_on_parameters(void **state) {
    (void)state;
    for (size_t n = 0; n < CM_COUNT(odd_networks); ++n) {
        cm_network *network = network_of(odd_networks[n].text);
        size_t places[2][MAX_PIECES];
        int count[2] = {0, 0};
        for (int training = 0; training < 2; ++training) {
            cm_plan plan = plan_of(network, BATCH, training == 1);
            places[training][count[training]++] = plan.parameter_floats;
            places[training][count[training]++] = plan.statistics_floats;
            for (int i = 0; i < plan.stage_count; ++i) {
                const cm_stage *stage = &plan.stages[i];
                if (stage->kind == CM_STAGE_CONV2D || stage->kind == CM_STAGE_CONV2D_MAX_POOL2D) {
                    places[training][count[training]++] = stage->weight;
                    places[training][count[training]++] = stage->bias;
                }
                if (stage->batch_norm_layer >= 0) {
                    places[training][count[training]++] = stage->gamma;
                    places[training][count[training]++] = stage->beta;
                    places[training][count[training]++] = stage->running_mean;
                    places[training][count[training]++] = stage->running_var;
                }
                assert_true(count[training] < MAX_PIECES - 6);
            }
            cm_plan_free(&plan);
        }
        assert_int_equal(count[0], count[1]);
        assert_memory_equal(places[0], places[1], (size_t)count[0] * sizeof places[0][0]);
        cm_network_free(network);
    }
}

/* Dropout has an array of its own only where it would otherwise write to the images. */
static void test_dropout_works_in_place(void **state) {
    (void)state;
    cm_network *network = network_of("input 1 4 4\ndropout 0\ndropout 0.5\ndropout 0.5\nflatten\n"
                                     "linear 4\ndropout 0.1\nlinear 2\n");
    cm_plan plan = plan_of(network, BATCH, true);
    static const bool own[] = {false, true, false, true, false, true};
    assert_int_equal(plan.stage_count, CM_COUNT(own));
    for (int i = 0; i < plan.stage_count; ++i) {
        assert_int_equal(plan.stages[i].out != CM_NO_ARRAY, own[i]);
    }
    cm_plan_free(&plan);
    cm_network_free(network);
}

/* Arrays hold at most 2^31 - 1 elements: 2^27 an image here, so 15 images and not 16. */
static void test_sizes_beyond_the_kernels_are_refused(void **state) {
    (void)state;
    static const char text[] = "input 1 1024 1024\nconv2d 128 kernel 1\nmax_pool2d 1024\nflatten\n"
                               "linear 2\n";
    cm_network *network = NULL;
    cm_plan plan;
    cm_error error = {""};
    assert_int_equal(cm_network_parse(text, sizeof text - 1, "large", &network, &error),
                     CM_BAD_INPUT); /* a window of more than 65,535 */
    static const char other[] = "input 1 1024 1024\nconv2d 128 kernel 1\nmax_pool2d 128\n"
                                "flatten\nlinear 2\n";
    assert_int_equal(cm_network_parse(other, sizeof other - 1, "large", &network, &error), CM_OK);
    plan = plan_of(network, 15, true);
    const cm_model_options options = {
        .batch = 16, .threads = THREADS, .isa = CM_ISA_BEST, .training = true};
    cm_plan_free(&plan);
    assert_int_equal(cm_plan_create(network, &options, options.training, &plan, &error), CM_USAGE);
    assert_string_equal(error.message, "layer conv.0 of network large is too large for batch 16; "
                                       "use a smaller batch");
    assert_null(plan.stages);
    cm_network_free(network);
}

/* Every kernel that network text may ask for can be planned. */
static void test_largest_kernel(void **state) {
    (void)state;
    static const char text[] = "input 1 64 64\nconv2d 2 kernel 64x64\nflatten\nlinear 2\n";
    cm_network *network = NULL;
    cm_error error = {""};
    assert_int_equal(cm_network_parse(text, sizeof text - 1, "kernel", &network, &error), CM_OK);
    cm_plan plan = plan_of(network, 1, true);
    cm_plan_free(&plan);
    cm_network_free(network);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_layers_are_fused),
        cmocka_unit_test(test_layers_are_fused_in_inference),
        cmocka_unit_test(test_plans_agree_on_parameters),
        cmocka_unit_test(test_arrays_do_not_overlap),
        cmocka_unit_test(test_dropout_works_in_place),
        cmocka_unit_test(test_sizes_beyond_the_kernels_are_refused),
        cmocka_unit_test(test_largest_kernel),
        cmocka_unit_test(test_kept_is_limited),
    };
    return cmocka_run_group_tests_name("plan", tests, NULL, NULL);
}
