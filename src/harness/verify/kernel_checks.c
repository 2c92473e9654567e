#include "harness/verify/kernel_checks.h"

#include <assert.h>
#include <inttypes.h>
#include <math.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "harness/verify/check_case.h"

typedef struct cm_kernel_check {
    const char *name;
    cm_check_draw_fn *draw;
    cm_check_run_fn *run;
} cm_kernel_check;

/* A kernel without a check does not link. */
static const cm_kernel_check checks[] = {
#define CM_CHECK_ROW(op) {#op, cm_check_draw_##op, cm_check_run_##op},
    CM_KERNEL_LIST(CM_CHECK_ROW)
#undef CM_CHECK_ROW
};

enum {
    CHECK_COUNT = sizeof checks / sizeof checks[0],
    KERNEL_COUNT =
        (sizeof(cm_kernels) - offsetof(cm_kernels, conv2d_forward)) / sizeof(void (*)(void))
};
static_assert((int)CHECK_COUNT == (int)KERNEL_COUNT, "every member of cm_kernels has a check");

/* Different before the two runs, so that an element which a kernel does not write differs. */
enum { FILL_EXPECTED = 0xA5, FILL_FOUND = 0x5A };

int cm_check_kernel_count(void) {
    return CHECK_COUNT;
}

const char *cm_check_kernel_name(int kernel) {
    assert(kernel >= 0 && kernel < CHECK_COUNT);
    return checks[kernel].name;
}

typedef struct checked_run {
    const cm_kernel_check *check;
    const cm_kernels *kernels;
    const cm_check_case *drawn;
    const cm_check_buffers *buffers;
} checked_run;

static void run_checked(const cm_team *team, void *context) {
    const checked_run *r = context;
    r->check->run(r->kernels, team, r->drawn, r->buffers->data);
}

/* An element as bits, with one bit pattern for all NaNs, and as a number. */
typedef struct element {
    uint64_t bits;
    double value;
} element;

static element element_at(const void *data, cm_check_type type, size_t i) {
    element e = {0, 0.0};
    const size_t size = cm_check_type_size(type);
    const unsigned char *from = (const unsigned char *)data + i * size;
    float f32;
    switch (type) {
    case CM_CHECK_F32:
        memcpy(&f32, from, size);
        e.value = (double)f32;
        break;
    case CM_CHECK_F64:
        memcpy(&e.value, from, size);
        break;
    default:
        break;
    }
    if (isnan(e.value)) {
        e.bits = UINT64_MAX;
        return e;
    }
    /* Little-endian, as all the instruction sets here are. */
    memcpy(&e.bits, from, size);
    if (type != CM_CHECK_F32 && type != CM_CHECK_F64) {
        e.value = (double)e.bits;
    }
    return e;
}

/* Where a case is, in words that are enough to run it again. */
typedef struct case_place {
    const cm_kernel_check *check;
    const cm_kernels *kernels;
    int threads;
    uint64_t seed;
    int number;
    const cm_check_case *drawn;
} case_place;

static void describe(const case_place *p, char *text, size_t size) {
    static const char *const data[] = {[CM_CHECK_INTEGERS] = "integers",
                                       [CM_CHECK_REALS] = "reals",
                                       [CM_CHECK_SPECIALS] = "specials"};
    snprintf(text, size, "kernel %s, isa %s, threads %d, seed %" PRIu64 ", case %d (%s; %s)",
             p->check->name, p->kernels->name, p->threads, p->seed, p->number, p->drawn->shape,
             data[p->drawn->data]);
}

static cm_status compare_array(const case_place *p, const cm_check_array *array,
                               const void *expected, const void *found, cm_check_report *report,
                               cm_error *error) {
    for (size_t i = 0; i < array->count; ++i) {
        const element e = element_at(expected, array->type, i);
        const element f = element_at(found, array->type, i);
        if (e.bits != f.bits) {
            char where[512];
            describe(p, where, sizeof where);
            return cm_fail(error, CM_FAILED,
                           "%s: %s[%zu] is %.17g (%#" PRIx64 "), scalar on one thread has %.17g "
                           "(%#" PRIx64 "): report this line as a bug",
                           where, array->name, i, f.value, f.bits, e.value, e.bits);
        }
        report->telling += e.value != 0.0 && !isnan(e.value);
    }
    report->elements += (int64_t)array->count;
    return CM_OK;
}

static cm_status compare(const case_place *p, const cm_check_buffers *expected,
                         const cm_check_buffers *found, cm_check_report *report, cm_error *error) {
    const int damaged[] = {cm_check_buffers_damaged(expected, p->drawn),
                           cm_check_buffers_damaged(found, p->drawn)};
    for (int i = 0; i < 2; ++i) {
        if (damaged[i] >= 0) {
            char where[512];
            describe(p, where, sizeof where);
            return cm_fail(error, CM_FAILED,
                           "%s: %s wrote outside array %s, or into it while it is an input: report "
                           "this line as a bug",
                           where, i == 0 ? "scalar on one thread" : "the kernel",
                           p->drawn->arrays[damaged[i]].name);
        }
    }
    for (int i = 0; i < p->drawn->array_count; ++i) {
        const cm_check_array *array = &p->drawn->arrays[i];
        if (array->role != CM_CHECK_OUTPUT && array->role != CM_CHECK_IN_OUT) {
            continue;
        }
        const cm_status status =
            compare_array(p, array, expected->data[i], found->data[i], report, error);
        if (status != CM_OK) {
            return status;
        }
    }
    return CM_OK;
}

static cm_status case_out_of_memory(const case_place *p, cm_error *error) {
    return cm_fail(error, CM_FAILED, "kernel check %s: out of memory", p->check->name);
}

/* Runs `p->kernels` on a drawn case and compares with what scalar on one thread gave. */
static cm_status run_and_compare(const case_place *p, const cm_check_buffers *expected,
                                 cm_check_report *report, cm_error *error) {
    cm_check_buffers found = {0};
    cm_status status;
    if (cm_check_buffers_init(&found, p->drawn, FILL_FOUND)) {
        checked_run tested = {p->check, p->kernels, p->drawn, &found};
        cm_team_run(p->threads, run_checked, &tested);
        status = compare(p, expected, &found, report, error);
    } else {
        status = case_out_of_memory(p, error);
    }
    cm_check_buffers_free(&found, p->drawn);
    return status;
}

/* The instruction sets that one drawn case runs on. */
typedef struct kernel_sets {
    const cm_kernels *sets[CM_ISA_COUNT];
    int count;
} kernel_sets;

static cm_status run_case(case_place *p, const kernel_sets *tested, cm_check_report *report,
                          cm_error *error) {
    cm_check_buffers expected = {0};
    cm_status status = CM_OK;
    if (!p->drawn->out_of_memory && cm_check_buffers_init(&expected, p->drawn, FILL_EXPECTED)) {
        checked_run scalar = {p->check, cm_kernels_of(CM_ISA_SCALAR), p->drawn, &expected};
        cm_team_run(1, run_checked, &scalar);
    } else {
        status = case_out_of_memory(p, error);
    }
    for (int i = 0; i < tested->count && status == CM_OK; ++i) {
        p->kernels = tested->sets[i];
        status = run_and_compare(p, &expected, report, error);
    }
    cm_check_buffers_free(&expected, p->drawn);
    return status;
}

/* What decides a case: its number, or bytes, then random numbers; and how large it may be. */
typedef struct case_source {
    const uint8_t *bytes;
    size_t size;
    int64_t work; /* 0: no further limit */
} case_source;

static cm_status draw_and_run(case_place *p, const kernel_sets *tested, int kernel,
                              const case_source *from, cm_check_report *report, cm_error *error) {
    cm_check_report ignored = {0, 0, 0};
    cm_check_case drawn;
    if (tested->sets[0] == NULL || p->threads < 1 || p->number < 0 || kernel < 0 ||
        kernel >= CHECK_COUNT) {
        return cm_fail(error, CM_USAGE,
                       "kernel check: kernel %d, case %d on %d threads: needs kernels of this "
                       "machine, a kernel below %d, a case >= 0 and threads >= 1",
                       kernel, p->number, p->threads, (int)CHECK_COUNT);
    }
    cm_check_case_init(&drawn, p->seed, kernel, p->number);
    drawn.bytes = from->bytes;
    drawn.byte_count = from->size / sizeof(uint32_t) * sizeof(uint32_t);
    drawn.work = from->work;
    drawn.threads = p->threads; /* scratch memory is for this team, and not a byte more */
    p->check = &checks[kernel];
    p->check->draw(&drawn);
    p->drawn = &drawn;
    const cm_status status = run_case(p, tested, report != NULL ? report : &ignored, error);
    cm_check_case_free(&drawn);
    if (report != NULL) {
        ++report->cases;
    }
    return status;
}

cm_status cm_check_kernel_case(const cm_kernels *kernels, int threads, uint64_t seed, int kernel,
                               int number, cm_check_report *report, cm_error *error) {
    case_place p = {.threads = threads, .seed = seed, .number = number};
    return draw_and_run(&p, &(kernel_sets){{kernels}, 1}, kernel, &(case_source){0}, report, error);
}

cm_status cm_check_kernel_bytes(int threads, int kernel, const uint8_t *bytes, size_t size,
                                int64_t work, cm_check_report *report, cm_error *error) {
    case_place p = {.threads = threads, .number = CM_CHECK_BYTES_CASE};
    kernel_sets all = {{NULL}, 0};
    for (int isa = CM_ISA_SCALAR; isa < CM_ISA_COUNT; ++isa) {
        const cm_kernels *kernels = cm_kernels_of((cm_isa)isa);
        if (kernels != NULL) {
            all.sets[all.count++] = kernels;
        }
    }
    return draw_and_run(&p, &all, kernel, &(case_source){bytes, size, work}, report, error);
}

cm_status cm_check_kernels(const cm_kernels *kernels, int threads, uint64_t seed, int cases,
                           cm_check_report *report, cm_error *error) {
    if (cases < 1) {
        return cm_fail(error, CM_USAGE, "kernel check: %d cases: needs at least 1", cases);
    }
    for (int kernel = 0; kernel < CHECK_COUNT; ++kernel) {
        for (int number = 0; number < cases; ++number) {
            const cm_status status =
                cm_check_kernel_case(kernels, threads, seed, kernel, number, report, error);
            if (status != CM_OK) {
                return status;
            }
        }
    }
    return CM_OK;
}
