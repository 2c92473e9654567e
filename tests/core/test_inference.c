/* Inference: the same bits as the separate kernels, in chunks as in one piece, and never with
 * weights that were packed before a change. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "core/network/plan.h"
#include "support/models.h"

enum { MAX_FLOATS = 1 << 17 };

typedef struct conv_case {
    const cm_kernels *kernels;
    cm_conv2d_shape shape;
    cm_conv2d_plan plan;
    bool batch_norm, relu;
    float x[MAX_FLOATS], weight[MAX_FLOATS], bias[64], scale[64], shift[64];
    float expected[MAX_FLOATS], found[MAX_FLOATS];
    void *workspace, *packed;
} conv_case;

static void separately(const cm_team *team, void *context) {
    conv_case *c = context;
    const cm_kernels *k = c->kernels;
    const cm_map_shape map = {c->shape.batch, c->shape.out_height, c->shape.out_width,
                              c->shape.out_channels};
    const cm_conv2d_forward_args args = {.plan = &c->plan,
                                         .x = c->x,
                                         .weight = c->weight,
                                         .bias = c->bias,
                                         .relu = c->relu && !c->batch_norm,
                                         .y = c->expected,
                                         .workspace = c->workspace};
    k->conv2d_forward(team, &args);
    cm_team_barrier(team);
    if (c->batch_norm) {
        k->batch_norm_forward(team, &map, c->expected, c->scale, c->shift, c->relu, c->expected);
    }
}

static void at_once(const cm_team *team, void *context) {
    conv_case *c = context;
    const cm_kernels *k = c->kernels;
    const cm_conv2d_inference_args args = {.plan = &c->plan,
                                           .x = c->x,
                                           .packed = c->packed,
                                           .bias = c->bias,
                                           .scale = c->batch_norm ? c->scale : NULL,
                                           .shift = c->batch_norm ? c->shift : NULL,
                                           .relu = c->relu,
                                           .y = c->found,
                                           .workspace = c->workspace};
    k->conv2d_pack(team, &c->plan, c->weight, c->packed);
    cm_team_barrier(team);
    k->conv2d_inference(team, &args);
}

static void test_batch_norm_in_the_epilogue(void **state) {
    (void)state;
    static const cm_conv2d_shape shapes[] = {
        {5, 17, 9, 9, 21, 3, 3, 1, 1, 1, 1, 0, CM_CONV2D_DFT10, 0, 0},
        {7, 19, 3, 3, 35, 3, 3, 1, 1, 1, 1, 0, CM_CONV2D_T4, 0, 0},
        {3, 9, 6, 5, 37, 3, 2, 2, 1, 1, 1, 0, CM_CONV2D_DIRECT, 0, 0},
        {16, 10, 1, 1, 33, 1, 1, 1, 1, 0, 0, 0, CM_CONV2D_DIRECT, 0, 0},
        {2, 1, 8, 8, 12, 3, 3, 1, 1, 1, 1, 0, CM_CONV2D_DIRECT, 0, 0},
        /* Several chunks of weights where they are not packed before. */
        {1, 600, 3, 2, 64, 2, 1, 1, 1, 1, 0, 0, CM_CONV2D_DIRECT, 0, 0},
        {7, 1200, 1, 1, 64, 1, 1, 1, 1, 0, 0, 0, CM_CONV2D_DIRECT, 0, 0},
    };
    conv_case *c = malloc(sizeof *c);
    assert_non_null(c);
    draw_reals(1, MAX_FLOATS, c->x);
    draw_reals(2, MAX_FLOATS, c->weight);
    draw_reals(3, 64, c->bias);
    draw_reals(4, 64, c->scale);
    draw_reals(5, 64, c->shift);
    for (size_t i = 0; i < CM_COUNT(shapes) * CM_ISA_COUNT * 4; ++i) {
        c->kernels = cm_kernels_of((cm_isa)(i / 4 % CM_ISA_COUNT));
        if (c->kernels == NULL) {
            continue;
        }
        c->shape = shapes[i / 4 / CM_ISA_COUNT];
        assert_true(cm_conv2d_shape_init(&c->shape));
        c->batch_norm = i % 2 == 1;
        c->relu = i / 2 % 2 == 1;
        const int threads = 3;
        c->plan = cm_conv2d_plan_of(&c->shape, threads);
        c->workspace = aligned_alloc(64, (c->plan.workspace + 63) / 64 * 64);
        c->packed = aligned_alloc(64, (c->plan.packed + 63) / 64 * 64);
        assert_true(c->workspace != NULL && c->packed != NULL);
        cm_team_run(threads, separately, c);
        cm_team_run(threads, at_once, c);
        const size_t count = (size_t)c->shape.batch * (size_t)c->shape.out_height *
                             (size_t)c->shape.out_width * (size_t)c->shape.out_channels;
        assert_true(count <= MAX_FLOATS);
        assert_memory_equal(c->expected, c->found, count * sizeof(float));
        free(c->workspace);
        free(c->packed);
    }
    free(c);
}

/* Layers of all algorithms, batch norms before a pool and not. */
static const char text[] = "input 1 9 9\nconv2d 17 kernel 1\nconv2d 18 kernel 3 padding 1\n"
                           "batch_norm\nrelu\nmax_pool2d 3\nconv2d 19 kernel 3 padding 1\n"
                           "batch_norm\nrelu\ndropout 0.5\nflatten\nlinear 5\n";

enum { PIXELS = 81, CLASSES = 5 };

/* A batch of several chunks, the last one not full, has the logits of its parts. */
static void test_chunks(void **state) {
    (void)state;
    enum { BATCH = 150, PART = 10 };
    cm_network *network = network_of(text);
    cm_model *whole = model_of(network, BATCH, 2, CM_ISA_BEST, false);
    cm_model *part = model_of(network, PART, 1, CM_ISA_BEST, false);
    initialize_all(whole, 3);
    copy_tensors(whole, part);
    float *images = malloc(BATCH * PIXELS * sizeof *images);
    float logits[2][BATCH * CLASSES];
    uint8_t labels[BATCH] = {0};
    assert_non_null(images);
    draw_reals(7, BATCH * PIXELS, images);
    cm_model_predict(whole, BATCH, images, logits[0]);
    double loss = 0.0;
    int correct = 0;
    for (int first = 0; first < BATCH; first += PART) {
        cm_model_predict(part, PART, images + first * PIXELS, logits[1] + first * CLASSES);
        const cm_batch_result r = cm_model_evaluate(part, PART, images + first * PIXELS, labels);
        loss += r.loss * PART / BATCH;
        correct += r.correct;
    }
    assert_memory_equal(logits[0], logits[1], sizeof logits[0]);
    const cm_batch_result all = cm_model_evaluate(whole, BATCH, images, labels);
    assert_int_equal(all.correct, correct);
    assert_true(all.loss - loss < 1e-12 && loss - all.loss < 1e-12);
    free(images);
    cm_model_free(whole);
    cm_model_free(part);
    cm_network_free(network);
}

static void assert_as_a_new_model(cm_model *model, const float *images) {
    cm_model *fresh = model_of(cm_model_network(model), MODELS_MAX_BATCH, 1, CM_ISA_BEST, false);
    float logits[2][MODELS_MAX_BATCH * CLASSES];
    copy_tensors(model, fresh);
    cm_model_predict(model, MODELS_MAX_BATCH, images, logits[0]);
    cm_model_predict(fresh, MODELS_MAX_BATCH, images, logits[1]);
    assert_memory_equal(logits[0], logits[1], sizeof logits[0]);
    cm_model_free(fresh);
}

/* Whatever changes parameters or statistics: the next prediction packs again. */
static void test_changes_are_seen(void **state) {
    (void)state;
    cm_network *network = network_of(text);
    cm_model *model = model_of(network, MODELS_MAX_BATCH, 2, CM_ISA_BEST, true);
    model_batch batch;
    draw_batch(network, 1, &batch);
    cm_model_initialize(model, 1);
    assert_as_a_new_model(model, batch.images);
    cm_model_initialize(model, 2);
    assert_as_a_new_model(model, batch.images);
    for (int step = 0; step < 2; ++step) {
        cm_model_train_step(model, MODELS_MAX_BATCH, batch.images, batch.labels, &adam_defaults, 1);
        assert_as_a_new_model(model, batch.images);
    }
    for (int i = 0; i < cm_model_tensor_count(model); ++i) {
        const cm_tensor_spec *spec = cm_model_tensor(model, i);
        if (spec->kind == CM_TENSOR_NUM_BATCHES_TRACKED) {
            continue;
        }
        float *values = malloc(spec->count * sizeof *values);
        assert_non_null(values);
        cm_model_get_tensor(model, i, values);
        values[0] += 1.0F;
        cm_model_set_tensor(model, i, values);
        free(values);
        assert_as_a_new_model(model, batch.images);
    }
    cm_model_gradients(model, MODELS_MAX_BATCH, batch.images, batch.labels, 1);
    assert_as_a_new_model(model, batch.images);
    cm_model_free(model);
    cm_network_free(network);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_batch_norm_in_the_epilogue),
        cmocka_unit_test(test_chunks),
        cmocka_unit_test(test_changes_are_seen),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
