/* Traces of teams, and the work that a profile counts. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "convmark/trace.h"
#include "core/system/counters.h"
#include "harness/profile/profile.h"
#include "support/models.h"

enum { THREADS = 3 };

static void marks_body(const cm_team *team, void *context) {
    (void)context;
    cm_trace_task(team, 7);
    cm_trace_phase(team, CM_PHASE_MULTIPLY);
    cm_team_barrier(team);
    cm_trace_task(team, 9);
}

/* Task, phase, waiting, the phase again, next task: in the order of time, on each thread. */
static void test_marks(void **state) {
    (void)state;
    cm_trace *trace = cm_trace_create(THREADS, 16);
    assert_non_null(trace);
    cm_team_run_traced(THREADS, marks_body, NULL, trace);
    static const int expected[][2] = {{7, CM_PHASE_WORK},
                                      {7, CM_PHASE_MULTIPLY},
                                      {7, CM_PHASE_BARRIER},
                                      {7, CM_PHASE_MULTIPLY},
                                      {9, CM_PHASE_WORK}};
    for (int t = 0; t < THREADS; ++t) {
        const cm_trace_thread *thread = &trace->thread[t];
#ifndef _OPENMP
        if (t == 0) { /* a team of one does not wait */
            assert_int_equal(thread->count, 3);
        }
        continue;
#endif
        assert_int_equal(thread->count, CM_COUNT(expected));
        assert_false(thread->full);
        for (size_t i = 0; i < thread->count; ++i) {
            assert_int_equal(thread->marks[i].task, expected[i][0]);
            assert_int_equal(thread->marks[i].phase, expected[i][1]);
            assert_true(i == 0 || thread->marks[i].ns >= thread->marks[i - 1].ns);
        }
    }
    cm_trace_clear(trace);
    assert_int_equal(trace->thread[0].count, 0);
    cm_trace_free(trace);
    cm_team_run(THREADS, marks_body, NULL); /* without a trace */
}

static void test_a_full_trace_says_so(void **state) {
    (void)state;
    cm_trace *trace = cm_trace_create(1, 2);
    assert_non_null(trace);
    cm_team_run_traced(1, marks_body, NULL, trace);
    assert_int_equal(trace->thread[0].count, 2);
    assert_true(trace->thread[0].full);
    cm_trace_free(trace);
}

/* A step of a model with a trace gives the bits of one without; its tasks are all stages. */
static void test_tracing_changes_nothing(void **state) {
    (void)state;
    cm_network *network = network_of(odd_networks[0].text);
    cm_model *model[2];
    model_batch batch;
    char hex[2][65];
    cm_trace *trace = cm_trace_create(2, 4096);
    assert_non_null(trace);
    draw_batch(network, 1, &batch);
    for (int i = 0; i < 2; ++i) {
        model[i] = model_of(network, MODELS_MAX_BATCH, 2, CM_ISA_BEST, true);
        cm_model_initialize(model[i], 3);
        cm_model_set_trace(model[i], i == 1 ? trace : NULL);
        cm_model_train_step(model[i], MODELS_MAX_BATCH, batch.images, batch.labels, &adam_defaults,
                            1);
        cm_model_sha256(model[i], hex[i]);
    }
    assert_string_equal(hex[0], hex[1]);
    const cm_plan *plan = cm_model_plan(model[1], true);
    for (int stage = 0; stage < plan->stage_count; ++stage) {
        for (cm_pass pass = CM_PASS_FORWARD; pass <= CM_PASS_BACKWARD; ++pass) {
            bool found = false;
            for (size_t i = 0; i < trace->thread[0].count; ++i) {
                found = found || trace->thread[0].marks[i].task == ((int)pass << 16 | stage);
            }
            assert_true(found);
        }
    }
    for (int i = 0; i < 2; ++i) {
        cm_model_free(model[i]);
    }
    cm_trace_free(trace);
    cm_network_free(network);
}

/* Multiply-adds that are really done. */
static void test_cost_of_convolutions(void **state) {
    (void)state;
    static const struct {
        cm_conv2d_shape shape;
        double products; /* an image and pair of channels */
    } rows[] = {
        {{4, 3, 9, 9, 5, 3, 3, 1, 1, 1, 1, 0, CM_CONV2D_DIRECT, 0, 0}, 625},
        {{4, 3, 3, 3, 5, 3, 3, 1, 1, 1, 1, 0, CM_CONV2D_DIRECT, 0, 0}, 49},
        {{4, 3, 1, 1, 5, 3, 3, 1, 1, 1, 1, 0, CM_CONV2D_DIRECT, 0, 0}, 1},
        {{4, 3, 8, 6, 5, 2, 3, 2, 1, 0, 0, 0, CM_CONV2D_DIRECT, 0, 0}, 4 * 4 * 2 * 3},
        {{4, 3, 9, 9, 5, 3, 3, 1, 1, 1, 1, 0, CM_CONV2D_DFT10, 0, 0}, 148},
        {{4, 3, 3, 3, 5, 3, 3, 1, 1, 1, 1, 0, CM_CONV2D_T4, 0, 0}, 16},
    };
    for (size_t i = 0; i < CM_COUNT(rows); ++i) {
        cm_conv2d_shape shape = rows[i].shape;
        assert_true(cm_conv2d_shape_init(&shape));
        const cm_conv2d_cost cost = cm_conv2d_cost_of(&shape);
        assert_true(cost.multiply_adds == rows[i].products * 4 * 3 * 5);
        assert_int_equal(cost.planes > 0, shape.algorithm != CM_CONV2D_DIRECT);
    }
}

/* Every part of a step but the waits and the loss has bytes that it moves. */
static void test_work_is_known(void **state) {
    (void)state;
    for (size_t n = 0; n < CM_COUNT(odd_networks); ++n) {
        cm_network *network = network_of(odd_networks[n].text);
        cm_model *model = model_of(network, 4, 1, CM_ISA_BEST, true);
        const cm_plan *plan = cm_model_plan(model, true);
        for (int stage = 0; stage < plan->stage_count; ++stage) {
            const bool conv = plan->stages[stage].kind == CM_STAGE_CONV2D;
            const cm_phase phase = conv ? CM_PHASE_MULTIPLY : CM_PHASE_WORK;
            for (cm_pass pass = CM_PASS_FORWARD; pass <= CM_PASS_BACKWARD; ++pass) {
                const cm_work work = cm_work_of(plan, pass, stage, phase, 4);
                assert_true(work.bytes > 0);
                assert_true(!conv || work.flops > 0);
            }
            assert_true(cm_work_of(plan, CM_PASS_FORWARD, stage, CM_PHASE_BARRIER, 4).bytes == 0);
        }
        const cm_work update = cm_work_of(plan, CM_PASS_UPDATE, 0, CM_PHASE_WORK, 4);
        assert_true(update.bytes == 28.0 * (double)plan->parameter_floats);
        cm_model_free(model);
        cm_network_free(network);
    }
}

/* ---- Counters: granted, denied, broken ---- */

enum { FIRST_FD = 1000 };

static atomic_int opened;
static int closed, refuse_with;

static int fake_open(struct perf_event_attr *attr, int group) {
    (void)attr;
    (void)group;
    if (refuse_with != 0) {
        errno = refuse_with;
        return -1;
    }
    return FIRST_FD + atomic_fetch_add(&opened, 1);
}

/* Each thread ran half of the time and counted 10, 20, 30, 40. */
static ssize_t fake_read(int fd, void *data, size_t size) {
    const uint64_t values[] = {4, 200, 100, 10, 20, 30, 40};
    assert_true(fd >= FIRST_FD);
    assert_int_equal(size, sizeof values);
    memcpy(data, values, sizeof values);
    return (ssize_t)size;
}

static ssize_t short_read(int fd, void *data, size_t size) {
    (void)fd;
    memset(data, 0, size);
    return 8;
}

static int fake_close(int fd) {
    assert_true(fd >= FIRST_FD);
    ++closed;
    return 0;
}

static const cm_counter_system fake = {fake_open, fake_read, fake_close, "/nonexistent"};

static void test_counters(void **state) {
    (void)state;
    const cm_counter_system broken = {fake_open, short_read, fake_close, "/nonexistent"};
    cm_counters counters;
    double values[CM_COUNTER_COUNT];
#ifdef _OPENMP
    const int threads = 2;
#else
    const int threads = 1;
#endif
    closed = refuse_with = 0;
    atomic_store(&opened, 0);
    cm_counters_open(&counters, threads, &fake);
    assert_true(counters.available);
    assert_int_equal(atomic_load(&opened), threads * CM_COUNTER_COUNT);
    assert_true(cm_counters_read(&counters, values));
    for (int i = 0; i < CM_COUNTER_COUNT; ++i) {
        assert_true(values[i] == 2.0 * 10.0 * (i + 1) * threads);
    }
    counters.system = &broken;
    assert_false(cm_counters_read(&counters, values));
    cm_counters_close(&counters);
    assert_int_equal(closed, threads * CM_COUNTER_COUNT);
}

static void test_counters_that_are_denied(void **state) {
    (void)state;
    static const struct {
        int failure;
        const char *reason;
    } rows[] = {{EACCES, "perf_event_paranoid"},
                {EPERM, "perf_event_paranoid"},
                {ENOENT, "virtual"},
                {EOPNOTSUPP, "virtual"},
                {ENOSYS, "no perf_event_open"},
                {EMFILE, "perf_event_open: "}};
    for (size_t i = 0; i < CM_COUNT(rows); ++i) {
        cm_counters counters;
        double values[CM_COUNTER_COUNT];
        refuse_with = rows[i].failure;
        cm_counters_open(&counters, 1, &fake);
        assert_false(counters.available);
        assert_non_null(strstr(counters.reason, rows[i].reason));
        assert_false(cm_counters_read(&counters, values));
        cm_counters_close(&counters);
    }
}

/* A profile with counters has them; one without says why, and all else is the same. */
static void test_profile_with_counters(void **state) {
    (void)state;
    cm_network *network = NULL;
    cm_dataset *dataset = NULL;
    cm_topology *topology = NULL;
    cm_error error = {""};
    static const char text[] = "input 1 28 28\nmax_pool2d 7\nflatten\nlinear 10\n";
    assert_int_equal(cm_network_parse(text, strlen(text), "t", &network, &error), CM_OK);
    assert_int_equal(cm_dataset_open("synthetic", &dataset, &error), CM_OK);
    assert_int_equal(cm_topology_load(&topology, &error), CM_OK);
    cm_model *model = model_of(network, 4, 1, CM_ISA_BEST, true);
    cm_profile_args args = {.model = model,
                            .mode = CM_MODE_TRAIN,
                            .dataset = dataset,
                            .batch = 4,
                            .steps = 3,
                            .topology = topology,
                            .counters = &fake};
    for (int granted = 0; granted < 2; ++granted) {
        cm_profile profile;
        refuse_with = granted == 1 ? 0 : ENOENT;
        assert_int_equal(cm_profile_make(&args, NULL, &profile, &error), CM_OK);
        assert_int_equal(profile.counted, granted);
        assert_int_equal(profile.no_counters[0] == '\0', granted);
        assert_true(profile.row_count > 5);
        json_t *json = cm_profile_json(&profile, json_null(), json_null(), json_null(), &error);
        assert_int_equal(json_is_object(json_object_get(json, "counters")), granted);
        assert_int_equal(json_is_string(json_object_get(json, "no_counters")), !granted);
        json_decref(json);
        cm_profile_free(&profile);
    }
    /* A trace that is too small is reported as that, not as a lack of memory. */
    cm_profile small;
    args.max_marks = 2;
    assert_int_equal(cm_profile_make(&args, NULL, &small, &error), CM_FAILED);
    assert_non_null(strstr(error.message, "the trace of thread 0 is full after 2 marks"));
    cm_profile_free(&small);
    cm_topology_free(topology);
    cm_dataset_close(dataset);
    cm_model_free(model);
    cm_network_free(network);
}

/* The planes of x are not made again where the forward pass has kept them. */
static void test_kept_planes_are_not_made_again(void **state) {
    (void)state;
    cm_network *network = NULL;
    assert_int_equal(cm_network_open("bn-3", &network, NULL), CM_OK);
    cm_model *model = model_of(network, 4, 1, CM_ISA_BEST, true);
    const cm_plan *plan = cm_model_plan(model, true);
    int kept = 0;
    for (int i = 0; i < plan->stage_count; ++i) {
        const cm_stage *stage = &plan->stages[i];
        if (stage->kind == CM_STAGE_CONV2D && stage->kept != CM_NO_ARRAY) {
            const double maps = 4.0 * stage->conv.shape.height * stage->conv.shape.width;
            const double planes = 4.0 * cm_conv2d_cost_of(&stage->conv.shape).planes;
            const cm_work work = cm_work_of(plan, CM_PASS_BACKWARD, i, CM_PHASE_TRANSFORM, 4);
            assert_true(work.bytes == 4 * (maps + planes) * stage->conv.shape.out_channels);
            ++kept;
        }
    }
    assert_int_equal(kept, 2);
    cm_model_free(model);
    cm_network_free(network);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_marks),
        cmocka_unit_test(test_a_full_trace_says_so),
        cmocka_unit_test(test_tracing_changes_nothing),
        cmocka_unit_test(test_cost_of_convolutions),
        cmocka_unit_test(test_work_is_known),
        cmocka_unit_test(test_kept_planes_are_not_made_again),
        cmocka_unit_test(test_counters),
        cmocka_unit_test(test_counters_that_are_denied),
        cmocka_unit_test(test_profile_with_counters),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
