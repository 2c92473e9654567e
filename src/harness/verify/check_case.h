/**
 * One case of a kernel check: the shape and arguments that were drawn, and the arrays. Used by
 * verify/ and by bench/, which runs the same checks before it measures.
 */
#ifndef CM_VERIFY_CHECK_CASE_H
#define CM_VERIFY_CHECK_CASE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "convmark/kernels.h"

typedef enum cm_check_data {
    CM_CHECK_INTEGERS, /* -4 .. 4: ties, zeros, sums without rounding */
    CM_CHECK_REALS,    /* magnitudes 2^-8 .. 2^8: any other order of operations shows */
    CM_CHECK_SPECIALS, /* reals with NaNs, infinities, subnormals, both zeros, any bit pattern;
                          the case's bytes as they are, while they last */
    CM_CHECK_DATA_COUNT
} cm_check_data;

typedef enum cm_check_role {
    CM_CHECK_INPUT,
    CM_CHECK_OUTPUT,
    CM_CHECK_IN_OUT,
    CM_CHECK_SCRATCH, /* workspace: 64-byte aligned, not compared; count is bytes */
    CM_CHECK_ALIAS    /* no memory of its own: the array that follows */
} cm_check_role;

typedef enum cm_check_type {
    CM_CHECK_F32,
    CM_CHECK_F64,
    CM_CHECK_I32,
    CM_CHECK_U16,
    CM_CHECK_U8
} cm_check_type;

typedef struct cm_check_array {
    const char *name;
    cm_check_role role;
    cm_check_type type;
    size_t count;  /* 0: the argument is NULL */
    size_t offset; /* bytes from 64-byte alignment */
    void *initial; /* contents of inputs before the run */
} cm_check_array;

enum { CM_CHECK_MAX_ARRAYS = 16 };

typedef struct cm_check_case {
    /* Source of all draws: bytes, if there are any, then random words. */
    const uint8_t *bytes;
    size_t byte_count;
    cm_random_key key;
    uint32_t words[4], block;
    int words_left;

    cm_check_data data;
    bool out_of_memory;
    int array_count;
    cm_check_array arrays[CM_CHECK_MAX_ARRAYS];

    int threads;  /* the team that the workspace must be large enough for */
    int64_t work; /* most that a shape may cost, in multiply-adds; 0: whatever is drawn */

    /* Arguments that are not arrays; each kernel uses some. */
    char shape[224]; /* as text */
    cm_conv2d_shape conv;
    cm_conv2d_plan conv_plan; /* of conv and threads, for the conv2d kernels */
    cm_map_shape map;
    cm_max_pool2d_shape pool;
    size_t count;
    int classes;
    bool relu;
    float eps, momentum, p;
    cm_adam_step adam;
    cm_random_key dropout_key;
} cm_check_case;

/** The arrays of one run. data[i] is NULL where the argument is. */
typedef struct cm_check_buffers {
    void *memory[CM_CHECK_MAX_ARRAYS];
    void *data[CM_CHECK_MAX_ARRAYS];
} cm_check_buffers;

/** Draws shape, arguments and arrays of a case. */
typedef void cm_check_draw_fn(cm_check_case *c);
/** Calls the kernel, as one thread of the team; `a`: the arrays in the order they were added. */
typedef void cm_check_run_fn(const cm_kernels *kernels, const cm_team *team, const cm_check_case *c,
                             void *const *a);

/* One check a kernel, in checks_*.c. */
#define CM_CHECK_PROTOTYPES(op)          \
    cm_check_draw_fn cm_check_draw_##op; \
    cm_check_run_fn cm_check_run_##op;
CM_KERNEL_LIST(CM_CHECK_PROTOTYPES)
#undef CM_CHECK_PROTOTYPES
/** conv2d_inference alone, of weights that are packed already; bench/ measures it. */
cm_check_run_fn cm_check_run_conv2d_packed;

/** Starts a case; the kind of data follows from its number. */
void cm_check_case_init(cm_check_case *c, uint64_t seed, int kernel, int number);
void cm_check_case_free(cm_check_case *c);

/** The next random word; a whole number in lo .. hi; a float in [0, 1); true once in `n`. */
uint32_t cm_check_draw_u32(cm_check_case *c);
int cm_check_draw_int(cm_check_case *c, int lo, int hi);
float cm_check_draw_uniform(cm_check_case *c);
bool cm_check_draw_once_in(cm_check_case *c, int n);
/** A number of channels: 1, a vector width, one beside it, or anything up to 129. */
int cm_check_draw_channels(cm_check_case *c);

/** Elements of the arrays of an operation: a convolution's x, weight and y, a map, a pool's output.
 */
size_t cm_check_x_count(const cm_conv2d_shape *s);
size_t cm_check_weight_count(const cm_conv2d_shape *s);
size_t cm_check_y_count(const cm_conv2d_shape *s);
size_t cm_check_map_count(const cm_map_shape *s);
size_t cm_check_pooled_count(const cm_max_pool2d_shape *s);

/** Multiply-adds of one pass over a whole map. */
int64_t cm_check_macs(const cm_conv2d_shape *s);
/** Halve the largest of batch and channels until the shape costs no more than c->work, if that is
 * possible. Of images and kernels they change nothing, so the shape stays a valid one. */
void cm_check_fit_conv2d(const cm_check_case *c, cm_conv2d_shape *s);
void cm_check_fit_map(const cm_check_case *c, cm_map_shape *s);

/** Adds an array, at a random offset from alignment, and draws the contents of an F32 one. Returns
 * them, or NULL where there are none (outputs, count 0, no memory). */
void *cm_check_add(cm_check_case *c, const char *name, cm_check_role role, cm_check_type type,
                   size_t count);
/** Adds an F32 input and an F32 output that are one array once in three times, as kernels that work
 * in place allow. */
void cm_check_add_in_place(cm_check_case *c, const char *input, const char *output, size_t count);
/** Adds an F32 input that is NULL half of the time. */
void cm_check_add_optional(cm_check_case *c, const char *name, size_t count);

/** Makes the buffers of one run. Outputs and scratch start as bytes `fill`. False: no memory. */
bool cm_check_buffers_init(cm_check_buffers *b, const cm_check_case *c, unsigned char fill);
void cm_check_buffers_free(cm_check_buffers *b, const cm_check_case *c);
/** Index of the first array with changed bytes around it, or a changed input; -1: none. */
int cm_check_buffers_damaged(const cm_check_buffers *b, const cm_check_case *c);

/** Bytes of one element. */
size_t cm_check_type_size(cm_check_type type);

#endif
