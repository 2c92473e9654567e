/* What convmark-bench measures is checked first: right results pass, and a wrong one is seen. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "bench/jobs.h"
#include "bench/options.h"
#include "bench/steps.h"

/* One of each operation, small. */
static const char text[] = "conv2d n2_c3_h9_w9_k5_r3\n"
                           "conv2d n3_c4_h3_w3_k5_r3\n"
                           "conv2d_max_pool2d n2_c1_h9_w9_k5_r3_q3\n"
                           "linear n3_c5_k7\n"
                           "max_pool2d n2_c5_h6_w6_r3\n"
                           "batch_norm n2_c5_h3_w3\n"
                           "batch_norm_max_pool2d n2_c5_h6_w6_r3\n"
                           "relu n2_c5_h3_w3\n"
                           "dropout n2_c5_h3_w3\n"
                           "softmax_cross_entropy n4_c10\n"
                           "adam k100\n";

static bench_jobs make_jobs(void) {
    bench_shapes shapes = {0};
    bench_jobs jobs;
    cm_error error;
    assert_int_equal(bench_shapes_parse(text, sizeof text - 1, "text", &shapes, &error), CM_OK);
    assert_int_equal(bench_jobs_create(&shapes, &jobs, &error), CM_OK);
    bench_shapes_free(&shapes);
    return jobs;
}

static bench_job *find(const bench_jobs *jobs, const char *name) {
    for (int i = 0; i < jobs->count; ++i) {
        if (strcmp(jobs->items[i].name, name) == 0) {
            return &jobs->items[i];
        }
    }
    fail_msg("no %s", name);
    return NULL;
}

static void test_every_job_is_right(void **state) {
    (void)state;
    bench_jobs jobs = make_jobs();
    const cm_kernels *scalar = cm_kernels_of(CM_ISA_SCALAR);
    cm_error error;
    for (int i = 0; i < jobs.count; ++i) {
        for (cm_isa isa = 0; isa < CM_ISA_COUNT; ++isa) {
            for (int threads = 1; threads <= 2 && cm_kernels_of(isa) != NULL; ++threads) {
                if (bench_job_check(&jobs.items[i], scalar, cm_kernels_of(isa), threads, &error) !=
                    CM_OK) {
                    fail_msg("%s: %s", jobs.items[i].name, error.message);
                }
            }
        }
    }
    bench_jobs_free(&jobs);
}

static void test_names_and_work(void **state) {
    (void)state;
    bench_jobs jobs = make_jobs();
    find(&jobs, "conv2d/forward/dft10/n2_c3_h9_w9_k5_r3");
    find(&jobs, "conv2d/backward/t4/n3_c4_h3_w3_k5_r3");
    find(&jobs, "max_pool2d/backward/n2_c5_h6_w6_r3");
    const bench_job *job = find(&jobs, "linear/forward/direct/n3_c5_k7");
    bench_arrays arrays;
    cm_error error;
    assert_int_equal(bench_arrays_create(job, 1, 0, &arrays, &error), CM_OK);
    const bench_work work = bench_job_work(job, &arrays);
    assert_int_equal(arrays.count, 1);
    assert_int_equal((int)work.images, 3);
    assert_int_equal((int)work.flops, 2 * 3 * 5 * 7);
    assert_int_equal((int)work.bytes, 4 * (3 * 5 + 5 * 7 + 7 + 3 * 7));
    bench_arrays_free(&arrays);
    /* Parameter and both moments are read and written. */
    job = find(&jobs, "adam/step/k100");
    assert_int_equal(bench_arrays_create(job, 1, 1 << 20, &arrays, &error), CM_OK);
    assert_int_equal((int)bench_job_work(job, &arrays).bytes, 7 * 4 * 100);
    assert_true(arrays.count * 4 * 4 * 100 >= 1 << 20);
    bench_arrays_free(&arrays);
    bench_jobs_free(&jobs);
}

/* Kernels with two faults: the last element, and an element that is not written. */
static void faulty_relu(const cm_team *team, size_t count, const float *x, float *y) {
    cm_kernels_of(CM_ISA_SCALAR)->relu_forward(team, count, x, y);
    cm_team_barrier(team);
    y[count - 1] += 1.0F;
}

static void lazy_dropout(const cm_team *team, size_t count, const float *x, float p,
                         const cm_random_key *key, float *y) {
    cm_kernels_of(CM_ISA_SCALAR)->dropout(team, count - 1, x, p, key, y);
}

static void test_wrong_results_are_seen(void **state) {
    (void)state;
    bench_jobs jobs = make_jobs();
    const cm_kernels *scalar = cm_kernels_of(CM_ISA_SCALAR);
    cm_kernels faulty = *scalar;
    faulty.relu_forward = faulty_relu;
    faulty.dropout = lazy_dropout;
    cm_error error = {""};
    bench_job *relu = find(&jobs, "relu/forward/n2_c5_h3_w3");
    assert_int_equal(bench_job_check(relu, scalar, &faulty, 1, &error), CM_FAILED);
    assert_non_null(strstr(error.message, "wrong result: y on scalar with 1 threads"));
    assert_int_equal(bench_job_check(relu, scalar, scalar, 1, &error), CM_OK);
    bench_job *dropout = find(&jobs, "dropout/forward/n2_c5_h3_w3");
    assert_int_equal(bench_job_check(dropout, scalar, &faulty, 1, &error), CM_FAILED);
    bench_jobs_free(&jobs);
}

static void test_steps(void **state) {
    (void)state;
    cm_error error;
    for (int mode = 0; mode < CM_MODE_COUNT; ++mode) {
        bench_step step = {.variant = cm_variant_find("bn-3"), .mode = (cm_mode)mode};
        const cm_isa isa = cm_kernels_best()->isa;
        assert_int_equal(bench_step_check(&step, isa, 2, &error), CM_OK);
        step.sha256[0] = step.sha256[0] == '0' ? '1' : '0';
        assert_int_equal(bench_step_check(&step, isa, 1, &error), CM_FAILED);
        assert_non_null(strstr(error.message, "wrong result"));
        bench_stepper stepper;
        assert_int_equal(bench_stepper_create(&step, isa, 1, &stepper, &error), CM_OK);
        assert_true(bench_stepper_flops(&step, &stepper) > 1e8);
        bench_stepper_free(&stepper);
    }
}

#ifdef _OPENMP
#define TEAMS "--threads=1,3"
enum { LAST_TEAM = 3 };
#else
#define TEAMS "--threads=1"
enum { LAST_TEAM = 1 };
#endif

static void test_options(void **state) {
    (void)state;
    char a[] = "bench", b[] = TEAMS, c[] = "--benchmark_filter=x", d[] = "--caches", e[] = "cold",
         f[] = "--isa", g[] = "scalar";
    char *words[] = {a, b, c, d, e, f, g, NULL};
    int count = 7;
    bench_options options;
    cm_error error;
    assert_int_equal(bench_options_parse(&count, words, &options, &error), CM_OK);
    assert_int_equal(count, 2);
    assert_ptr_equal(words[1], c);
    assert_int_equal(options.teams[options.team_count - 1], LAST_TEAM);
    assert_true(options.cold && !options.warm && options.isas[CM_ISA_SCALAR]);
    assert_false(options.isas[CM_ISA_AVX2]);
    assert_string_equal(options.filter, "x");
    bench_options_free(&options);
    static const char *const wrong[] = {"--threads=0",  "--threads=1,,2", "--threads=1025",
                                        "--threads=1x", "--isa=sse9",     "--caches=lukewarm",
                                        "--shapes="};
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; ++i) {
        char word[32];
        strcpy(word, wrong[i]);
        char *two[] = {a, word, NULL};
        count = 2;
        assert_int_equal(bench_options_parse(&count, two, &options, &error), CM_USAGE);
        bench_options_free(&options);
    }
    options.team_count = 0;
    bench_options_default_teams(&options, 6);
    assert_int_equal(options.team_count, 2);
    assert_int_equal(options.teams[1], 6);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_job_is_right),
        cmocka_unit_test(test_names_and_work),
        cmocka_unit_test(test_wrong_results_are_seen),
        cmocka_unit_test(test_steps),
        cmocka_unit_test(test_options),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
