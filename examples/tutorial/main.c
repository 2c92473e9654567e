/*
 * Times the steps of docs/guide/tutorial-convolution.md and the library's kernel side by side and
 * checks every result.
 *
 *     tutorial [THREADS [CHANNELS [IMAGES]]]
 *
 * Defaults: 2 threads, 256 channels (a multiple of 64), 4 images of 14x14. Exits with 1 if a result
 * is wrong.
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "convmark/convmark.h"
#include "examples/tutorial/steps.h"

enum { MIN_RUNS = 3, MAX_RUNS = 100, MAX_SECONDS = 1 };

/* The map and the filter. */
enum { SIDE = 14, SIZE = 3 };

/* The steps of each instruction set in this build, slowest first. */
#define DECLARE(isa) extern const step_table steps_of_##isa;
#define ADDRESS(isa) &steps_of_##isa,
#ifdef TUTORIAL_NEON
#define EACH_ISA(DO) DO(scalar) DO(neon)
#elif defined(TUTORIAL_AVX512)
#define EACH_ISA(DO) DO(scalar) DO(avx2) DO(avx512)
#else
#define EACH_ISA(DO) DO(scalar)
#endif
EACH_ISA(DECLARE)
static const step_table *const tables[] = {EACH_ISA(ADDRESS)};

static const char *const names[STEP_COUNT] = {"1 seven loops",   "2 loop order", "3 vectors",
                                              "4 register tile", "5 panels",     "6 cache blocking",
                                              "7 threads"};

/* All that a step or a kernel of the library is given. */
typedef struct job {
    const cm_kernels *kernels;
    step_fn *step; /* NULL: the library's kernel */
    conv s;
    const cm_conv2d_plan *plan; /* of the library's kernel */
    float *x, *weight, *y, *panels;
    void *workspace;
    size_t rounds; /* of the peak's measurement */
} job;

static void body(const cm_team *team, void *context) {
    const job *j = context;
    if (j->rounds > 0) {
        volatile float sum = j->kernels->probes->fma(j->rounds);
        (void)sum;
    } else if (j->step != NULL) {
        j->step(team, &j->s, j->x, j->weight, j->y, j->panels);
    } else {
        const cm_conv2d_forward_args args = {
            .plan = j->plan, .x = j->x, .weight = j->weight, .y = j->y, .workspace = j->workspace};
        j->kernels->conv2d_forward(team, &args);
    }
}

static double seconds_now(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}

/* The fastest of some runs: whatever else the machine does can only make one slower. */
static double fastest_seconds(job *j, int threads) {
    double fastest = INFINITY, all = 0.0;
    for (int run = 0; run < MIN_RUNS || (run < MAX_RUNS && all < MAX_SECONDS); ++run) {
        const double start = seconds_now();
        cm_team_run(threads, body, j);
        const double seconds = seconds_now() - start;
        fastest = fmin(fastest, seconds);
        all += seconds;
    }
    return fastest;
}

/* GFLOP/s of fused multiply-adds in registers: the measured peak. */
static double peak_of(job *j, int threads) {
    j->rounds = 1000000;
    const double flops = (double)j->rounds * j->kernels->probes->flops_per_round * threads;
    const double rate = flops / fastest_seconds(j, threads) * 1e-9;
    j->rounds = 0;
    return rate;
}

/* Measures a step, prints its row and returns whether its result is right: the same bits as
 * `expected`, or an error below 1e-4 of the root mean square where `exact` is false. */
static bool run(job *j, const char *name, int threads, double flops, double peak,
                const float *expected, bool exact) {
    const size_t count =
        (size_t)j->s.images * (size_t)j->s.height * (size_t)j->s.width * (size_t)j->s.out_channels;
    memset(j->y, 0xff, count * sizeof *j->y);
    const double seconds = fastest_seconds(j, threads);
    const bool equal = memcmp(expected, j->y, count * sizeof *expected) == 0;
    double largest = 0.0, squares = 0.0;
    for (size_t i = 0; i < count; ++i) {
        largest = fmax(largest, fabs((double)j->y[i] - (double)expected[i]));
        squares += (double)expected[i] * (double)expected[i];
    }
    const double error = largest / sqrt(squares / (double)count);
    const double rate = flops / seconds * 1e-9;
    printf("%-26s%8d%11.2f%10.1f%9.1f %%  ", name, threads, seconds * 1e3, rate,
           100.0 * rate / peak);
    if (equal) {
        printf("equal\n");
    } else {
        printf("error %.1e\n", error);
    }
    fflush(stdout);
    return equal || (!exact && error < 1e-4);
}

static float *random_floats(size_t count, uint32_t index) {
    const cm_random_key key = {.seed = 1, .purpose = CM_RANDOM_TEST, .index = index};
    float *values = aligned_alloc(64, (count * sizeof(float) + 63) / 64 * 64);
    for (size_t i = 0; values != NULL && i < count; ++i) {
        values[i] = cm_random_uniform(&key, i) - 0.5F;
    }
    return values;
}

/* `direct` and `winograd`: plans of the library. `expected`: room for an output. */
static bool run_all(job *j, const step_table *table, int threads, const cm_conv2d_plan *direct,
                    const cm_conv2d_plan *winograd, float *expected) {
    const double peak[2] = {peak_of(j, 1), peak_of(j, threads)};
    const double flops = 2.0 * cm_conv2d_cost_of(&direct->shape).multiply_adds;
    printf("instruction set %s; measured peak %.0f GFLOP/s on 1 thread, %.0f on %d\n",
           j->kernels->name, peak[0], peak[1], threads);
    printf("%-26s%8s%11s%10s%11s  %s\n", "step", "threads", "ms", "GFLOP/s", "of peak", "bits");
    bool right = true;
    const size_t bytes = sizeof(float) * (size_t)j->s.images * (size_t)j->s.height *
                         (size_t)j->s.width * (size_t)j->s.out_channels;
    j->step = table->steps[0];
    cm_team_run(1, body, j);
    memcpy(expected, j->y, bytes); /* of step 1: what the others must equal */
    for (int i = 0; i < STEP_COUNT; ++i) {
        const bool team = i == STEP_COUNT - 1;
        j->step = table->steps[i];
        right &= run(j, names[i], team ? threads : 1, flops, peak[team], expected, true);
    }
    j->step = NULL;
    j->plan = direct;
    right &= run(j, "library, direct", 1, flops, peak[0], expected, true);
    right &= run(j, "library, direct", threads, flops, peak[1], expected, true);
    j->plan = winograd;
    right &= run(j, "library, winograd4", threads, flops, peak[1], expected, false);
    return right;
}

static int argument(int argc, char **argv, int index, int otherwise) {
    return argc > index ? atoi(argv[index]) : otherwise;
}

int main(int argc, char **argv) {
    const int threads = argument(argc, argv, 1, 2);
    const int channels = argument(argc, argv, 2, 256), images = argument(argc, argv, 3, 4);
    if (threads < 1 || channels < 1 || channels % GROUP_COLUMNS != 0 || images < 1) {
        fprintf(stderr,
                "usage: tutorial [THREADS [CHANNELS [IMAGES]]]; CHANNELS is a multiple of "
                "%d\n",
                GROUP_COLUMNS);
        return CM_USAGE;
    }
    job j = {.kernels = cm_kernels_best(), .s = {images, SIDE, SIDE, channels, channels, SIZE}};
    cm_conv2d_shape shape = {.batch = images,
                             .in_channels = channels,
                             .height = SIDE,
                             .width = SIDE,
                             .out_channels = channels,
                             .kernel_h = SIZE,
                             .kernel_w = SIZE,
                             .stride_h = 1,
                             .stride_w = 1,
                             .padding_h = SIZE / 2,
                             .padding_w = SIZE / 2,
                             .algorithm = CM_CONV2D_DIRECT};
    const step_table *table = NULL;
    for (size_t i = 0; i < sizeof tables / sizeof tables[0]; ++i) {
        if (strcmp(tables[i]->isa, j.kernels->name) == 0) {
            table = tables[i];
        }
    }
    if (!cm_conv2d_shape_init(&shape) || table == NULL) {
        fprintf(stderr, "tutorial: the shape is too large, or no steps for %s\n", j.kernels->name);
        return CM_FAILED;
    }
    const cm_conv2d_plan direct = cm_conv2d_plan_of(&shape, threads);
    shape.algorithm = CM_CONV2D_WINOGRAD4;
    const cm_conv2d_plan winograd = cm_conv2d_plan_of(&shape, threads);
    const size_t workspace =
        direct.workspace > winograd.workspace ? direct.workspace : winograd.workspace;
    const size_t maps = (size_t)images * SIDE * SIDE * (size_t)channels;
    const size_t weights = (size_t)(SIZE * SIZE) * (size_t)channels * (size_t)channels;
    j.x = random_floats(maps, 0);
    j.weight = random_floats(weights, 1);
    j.y = random_floats(maps, 2);
    j.panels = random_floats(weights * (size_t)threads, 3);
    j.workspace = aligned_alloc(64, (workspace + 63) / 64 * 64);
    float *expected = random_floats(maps, 4);
    int code = CM_FAILED;
    if (j.x && j.weight && j.y && j.panels && j.workspace && expected) {
        code = run_all(&j, table, threads, &direct, &winograd, expected) ? CM_OK : CM_FAILED;
    }
    free(j.x);
    free(j.weight);
    free(j.y);
    free(j.panels);
    free(j.workspace);
    free(expected);
    return code;
}
