#include "bench/jobs.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench/kernel_table.h"

enum { SEED = 0x62656e63, MAX_COPIES = 1 << 14, MAX_JOBS = 64 * 1024 };

/* Arguments that do not change the time. */
static const float eps = 1e-5F, momentum = 0.1F, dropout_p = 0.5F;
static const cm_adam_step adam_step = {1e-3, 0.9, 0.999, 1e-8, 1e-5, 0.1, 0.001};

/* ---- Jobs ---- */

static bool convolves(bench_operation operation) {
    return operation == BENCH_CONV2D || operation == BENCH_LINEAR;
}

static cm_status add_job(bench_jobs *jobs, const bench_kernel *kernel, const bench_shape *shape,
                         cm_conv2d_algorithm algorithm, cm_error *error) {
    if (jobs->count == MAX_JOBS) {
        return cm_fail(error, CM_USAGE, "more than %d benchmarks; give fewer shapes",
                       (int)MAX_JOBS);
    }
    bench_job *items = realloc(jobs->items, ((size_t)jobs->count + 1) * sizeof *items);
    if (items == NULL) {
        return cm_fail(error, CM_FAILED, "out of memory; close other programs");
    }
    jobs->items = items;
    bench_job *job = &items[jobs->count++];
    *job = (bench_job){.kernel = kernel, .shape = *shape};
    const char *operation = bench_operation_name(shape->operation);
    if (convolves(shape->operation)) {
        job->shape.conv.algorithm = algorithm;
        snprintf(job->name, sizeof job->name, "%s/%s/%s/%s", operation, kernel->pass,
                 cm_conv2d_algorithm_name(algorithm), shape->text);
    } else {
        snprintf(job->name, sizeof job->name, "%s/%s/%s", operation, kernel->pass, shape->text);
    }
    return CM_OK;
}

static cm_status add_jobs(bench_jobs *jobs, const bench_kernel *kernel, const bench_shape *shape,
                          cm_error *error) {
    if (!convolves(shape->operation)) {
        return add_job(jobs, kernel, shape, CM_CONV2D_AUTO, error);
    }
    cm_status status = CM_OK;
    for (int i = CM_CONV2D_AUTO + 1; status == CM_OK && i < CM_CONV2D_ALGORITHM_COUNT; ++i) {
        if (cm_conv2d_algorithm_fits((cm_conv2d_algorithm)i, &shape->conv)) {
            status = add_job(jobs, kernel, shape, (cm_conv2d_algorithm)i, error);
        }
    }
    return status;
}

cm_status bench_jobs_create(const bench_shapes *shapes, bench_jobs *jobs, cm_error *error) {
    *jobs = (bench_jobs){0};
    int count;
    const bench_kernel *table = bench_kernels(&count);
    cm_status status = CM_OK;
    for (int i = 0; status == CM_OK && i < shapes->count; ++i) {
        for (int k = 0; status == CM_OK && k < count; ++k) {
            if (table[k].operation == shapes->items[i].operation) {
                status = add_jobs(jobs, &table[k], &shapes->items[i], error);
            }
        }
    }
    if (status != CM_OK) {
        bench_jobs_free(jobs);
    }
    return status;
}

void bench_jobs_free(bench_jobs *jobs) {
    free(jobs->items);
    *jobs = (bench_jobs){0};
}

/* ---- Arrays ---- */

static size_t array_bytes(const cm_check_array *array) {
    return array->count * cm_check_type_size(array->type);
}

static void draw(const bench_job *job, int threads, cm_check_case *c) {
    cm_check_case_init(c, SEED, 0, 0);
    c->data = CM_CHECK_REALS;
    c->threads = threads;
    c->conv = job->shape.conv;
    if (convolves(job->shape.operation)) {
        c->conv_plan = cm_conv2d_plan_of(&c->conv, c->threads);
    }
    c->pool = job->shape.pool;
    c->map = job->shape.map;
    c->count = job->shape.count;
    c->classes = job->shape.map.channels;
    c->relu = true;
    c->eps = eps;
    c->momentum = momentum;
    c->p = dropout_p;
    c->adam = adam_step;
    c->dropout_key = (cm_random_key){.seed = SEED, .purpose = CM_RANDOM_DROPOUT};
    job->kernel->add(c);
    for (int i = 0; i < c->array_count; ++i) {
        c->arrays[i].offset = 0; /* aligned, as a model's arrays are */
    }
}

/* Outputs start as bytes `fill`. */
static cm_status create(const bench_job *job, int threads, size_t least, unsigned char fill,
                        bench_arrays *arrays, cm_error *error) {
    *arrays = (bench_arrays){0};
    draw(job, threads, &arrays->drawn);
    size_t one = 0;
    for (int i = 0; i < arrays->drawn.array_count; ++i) {
        one += array_bytes(&arrays->drawn.arrays[i]);
    }
    const size_t wanted = least == 0 ? 1 : least / (one > 0 ? one : 1) + 2;
    const int copies = wanted < MAX_COPIES ? (int)wanted : (int)MAX_COPIES;
    arrays->copies = calloc((size_t)copies, sizeof *arrays->copies);
    bool made = arrays->copies != NULL && !arrays->drawn.out_of_memory;
    while (made && arrays->count < copies) {
        made = cm_check_buffers_init(&arrays->copies[arrays->count++], &arrays->drawn, fill);
    }
    if (!made) {
        bench_arrays_free(arrays);
        return cm_fail(error, CM_FAILED, "%s: out of memory; use smaller shapes", job->name);
    }
    return CM_OK;
}

cm_status bench_arrays_create(const bench_job *job, int threads, size_t least, bench_arrays *arrays,
                              cm_error *error) {
    return create(job, threads, least, 0, arrays, error);
}

void bench_arrays_free(bench_arrays *arrays) {
    for (int i = 0; i < arrays->count; ++i) {
        cm_check_buffers_free(&arrays->copies[i], &arrays->drawn);
    }
    free(arrays->copies);
    cm_check_case_free(&arrays->drawn);
    *arrays = (bench_arrays){0};
}

static double flops_of(const bench_job *job) {
    const cm_conv2d_shape *conv = &job->shape.conv;
    const cm_max_pool2d_shape *pool = &job->shape.pool;
    switch (job->kernel->flops) {
    case BENCH_ONE_PASS:
        return 2.0 * cm_conv2d_cost_of(conv).multiply_adds;
    case BENCH_TWO_PASSES:
        return 4.0 * cm_conv2d_cost_of(conv).multiply_adds;
    case BENCH_FIRST_LAYER:
        return 2.0 * conv->kernel_h * conv->kernel_w * conv->in_channels * pool->kernel_h *
               pool->kernel_w * (double)cm_check_pooled_count(pool);
    case BENCH_FOURTEEN_EACH:
        return 14.0 * (double)job->shape.count;
    case BENCH_NO_FLOPS:
        break;
    }
    return 0.0;
}

bench_work bench_job_work(const bench_job *job, const bench_arrays *arrays) {
    bench_work work = {.images = job->shape.batch, .flops = flops_of(job)};
    for (int i = 0; i < arrays->drawn.array_count; ++i) {
        const cm_check_array *array = &arrays->drawn.arrays[i];
        const int times = array->role == CM_CHECK_IN_OUT                                    ? 2
                          : array->role == CM_CHECK_INPUT || array->role == CM_CHECK_OUTPUT ? 1
                                                                                            : 0;
        work.bytes += times * (double)array_bytes(array);
    }
    return work;
}

/* ---- Calls ---- */

typedef struct call {
    cm_check_run_fn *run;
    const cm_kernels *kernels;
    const cm_check_case *drawn;
    void *const *data;
} call;

static void call_body(const cm_team *team, void *context) {
    const call *c = context;
    c->run(c->kernels, team, c->drawn, c->data);
}

static void run_kernel(cm_check_run_fn *function, const cm_kernels *kernels, int threads,
                       const bench_arrays *arrays, int copy) {
    call c = {function, kernels, &arrays->drawn, arrays->copies[copy].data};
    cm_team_run(threads, call_body, &c);
}

void bench_job_run(const bench_job *job, const cm_kernels *kernels, int threads,
                   const bench_arrays *arrays, int copy) {
    run_kernel(job->kernel->run, kernels, threads, arrays, copy);
}

void bench_job_prepare(const bench_job *job, const cm_kernels *kernels, int threads,
                       const bench_arrays *arrays) {
    for (int copy = 0; copy < arrays->count; ++copy) {
        run_kernel(job->kernel->check, kernels, threads, arrays, copy);
    }
}

/* Different for the two runs, so that an element which a kernel does not write differs. */
enum { FILL_REFERENCE = 0xA5, FILL_FOUND = 0x5A };

/* Of all outputs of one call. */
static cm_status hash_outputs(const bench_job *job, const cm_kernels *kernels, int threads,
                              unsigned char fill,
                              char hashes[CM_CHECK_MAX_ARRAYS][CM_SHA256_HEX_SIZE],
                              const char *names[CM_CHECK_MAX_ARRAYS], cm_error *error) {
    bench_arrays arrays;
    const cm_status status = create(job, threads, 0, fill, &arrays, error);
    if (status != CM_OK) {
        return status;
    }
    run_kernel(job->kernel->check, kernels, threads, &arrays, 0);
    for (int i = 0; i < arrays.drawn.array_count; ++i) {
        const cm_check_array *array = &arrays.drawn.arrays[i];
        const bool result = array->role == CM_CHECK_OUTPUT || array->role == CM_CHECK_IN_OUT;
        names[i] = array->name;
        cm_sha256_buffer(arrays.copies[0].data[i], result ? array_bytes(array) : 0, hashes[i]);
    }
    for (int i = arrays.drawn.array_count; i < CM_CHECK_MAX_ARRAYS; ++i) {
        hashes[i][0] = '\0';
    }
    bench_arrays_free(&arrays);
    return CM_OK;
}

cm_status bench_job_check(bench_job *job, const cm_kernels *scalar, const cm_kernels *kernels,
                          int threads, cm_error *error) {
    const char *names[CM_CHECK_MAX_ARRAYS] = {NULL};
    char found[CM_CHECK_MAX_ARRAYS][CM_SHA256_HEX_SIZE];
    cm_status status = CM_OK;
    if (!job->has_reference) {
        status = hash_outputs(job, scalar, 1, FILL_REFERENCE, job->reference, names, error);
        job->has_reference = status == CM_OK;
    }
    if (status == CM_OK) {
        status = hash_outputs(job, kernels, threads, FILL_FOUND, found, names, error);
    }
    for (int i = 0; status == CM_OK && i < CM_CHECK_MAX_ARRAYS; ++i) {
        if (strcmp(found[i], job->reference[i]) != 0) {
            status = cm_fail(error, CM_FAILED,
                             "wrong result: %s on %s with %d threads is not what scalar on one "
                             "thread gives; report this as a bug",
                             names[i] != NULL ? names[i] : "an output", kernels->name, threads);
        }
    }
    return status;
}
