/**
 * oneDNN's convolution primitives (its version 3 interface) behind conv_peer.h.
 *
 * Primitives choose their own memory layouts; the reorders into them are done at creation and are
 * not timed. DNNL_MAX_CPU_ISA limits the instruction set, OMP_NUM_THREADS the threads.
 */
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>

#include <oneapi/dnnl/dnnl.h>

#include "conv_peer.h"

/* Arguments of the primitives. */
enum { X, WEIGHT, BIAS, Y, ARRAYS };

struct conv_peer {
    conv_peer_pass pass;
    dnnl_engine_t engine;
    dnnl_stream_t stream;
    dnnl_primitive_t primitive;
    dnnl_memory_desc_t plain[ARRAYS]; /* NHWC, RSCK, as conv_peer.h has them */
    dnnl_memory_t memory[ARRAYS];     /* in the primitive's layouts */
    dnnl_memory_t scratchpad;
    size_t counts[ARRAYS];
    char implementation[64];
};

static const uint32_t seeds[ARRAYS] = {CONV_SEED_X, CONV_SEED_WEIGHT, CONV_SEED_BIAS, CONV_SEED_DY};
static const int output_of[] = {Y, X, WEIGHT};
static const int arguments[3][ARRAYS] = {
    {DNNL_ARG_SRC, DNNL_ARG_WEIGHTS, DNNL_ARG_BIAS, DNNL_ARG_DST},
    {DNNL_ARG_DIFF_SRC, DNNL_ARG_WEIGHTS, 0, DNNL_ARG_DIFF_DST},
    {DNNL_ARG_SRC, DNNL_ARG_DIFF_WEIGHTS, DNNL_ARG_DIFF_BIAS, DNNL_ARG_DIFF_DST}};

static dnnl_memory_desc_t descriptor(int rank, const dnnl_dims_t dims, dnnl_format_tag_t tag) {
    dnnl_memory_desc_t result = NULL;
    dnnl_memory_desc_create_with_tag(&result, rank, dims, dnnl_f32, tag);
    return result;
}

static bool describe(conv_peer *peer, const conv_peer_shape *s, dnnl_memory_desc_t any[ARRAYS]) {
    const dnnl_dim_t out = conv_peer_output_size(s), n = s->batch, c = s->in_channels,
                     k = s->out_channels;
    const dnnl_dims_t dims[ARRAYS] = {
        {n, c, s->size, s->size}, {k, c, s->kernel, s->kernel}, {k}, {n, k, out, out}};
    const dnnl_format_tag_t tags[ARRAYS] = {dnnl_nhwc, dnnl_hwio, dnnl_a, dnnl_nhwc};
    bool ok = true;
    for (int i = 0; i < ARRAYS; i++) {
        const int rank = i == BIAS ? 1 : 4;
        peer->counts[i] = 1;
        for (int d = 0; d < rank; d++)
            peer->counts[i] *= (size_t)dims[i][d];
        peer->plain[i] = descriptor(rank, dims[i], tags[i]);
        any[i] = descriptor(rank, dims[i], i == BIAS ? dnnl_a : dnnl_format_tag_any);
        ok = ok && peer->plain[i] != NULL && any[i] != NULL;
    }
    return ok;
}

/* The backward passes want the forward pass's descriptor as a hint. */
static dnnl_status_t choose(conv_peer *peer, const conv_peer_shape *s,
                            const dnnl_memory_desc_t any[ARRAYS],
                            const_dnnl_primitive_attr_t attributes, dnnl_primitive_desc_t *chosen) {
    const dnnl_dims_t strides = {s->stride, s->stride}, dilates = {0, 0},
                      padding = {s->padding, s->padding};
    dnnl_primitive_desc_t forward = NULL;
    dnnl_status_t status = dnnl_convolution_forward_primitive_desc_create(
        &forward, peer->engine, dnnl_forward_training, dnnl_convolution_auto, any[X], any[WEIGHT],
        any[BIAS], any[Y], strides, dilates, padding, padding, attributes);
    if (peer->pass == CONV_FORWARD || status != dnnl_success) {
        *chosen = forward;
        return status;
    }
    status = peer->pass == CONV_BACKWARD_DATA
                 ? dnnl_convolution_backward_data_primitive_desc_create(
                       chosen, peer->engine, dnnl_convolution_auto, any[X], any[WEIGHT], any[Y],
                       strides, dilates, padding, padding, forward, attributes)
                 : dnnl_convolution_backward_weights_primitive_desc_create(
                       chosen, peer->engine, dnnl_convolution_auto, any[X], any[WEIGHT], any[BIAS],
                       any[Y], strides, dilates, padding, padding, forward, attributes);
    dnnl_primitive_desc_destroy(forward);
    return status;
}

static dnnl_status_t reorder(conv_peer *peer, dnnl_memory_t from, dnnl_memory_t to) {
    const_dnnl_memory_desc_t source = NULL, target = NULL;
    dnnl_memory_get_memory_desc(from, &source);
    dnnl_memory_get_memory_desc(to, &target);
    dnnl_primitive_desc_t description = NULL;
    dnnl_primitive_t primitive = NULL;
    dnnl_status_t status = dnnl_reorder_primitive_desc_create(&description, source, peer->engine,
                                                              target, peer->engine, NULL);
    if (status == dnnl_success)
        status = dnnl_primitive_create(&primitive, description);
    const dnnl_exec_arg_t both[] = {{DNNL_ARG_FROM, from}, {DNNL_ARG_TO, to}};
    if (status == dnnl_success)
        status = dnnl_primitive_execute(primitive, peer->stream, 2, both);
    if (status == dnnl_success)
        status = dnnl_stream_wait(peer->stream);
    dnnl_primitive_destroy(primitive);
    dnnl_primitive_desc_destroy(description);
    return status;
}

/* Memory in the primitive's layout with the same numbers as the other libraries have. */
static dnnl_status_t fill(conv_peer *peer, const_dnnl_memory_desc_t layout, int array) {
    void *data = NULL;
    dnnl_memory_t plain = NULL;
    dnnl_status_t status =
        dnnl_memory_create(&peer->memory[array], layout, peer->engine, DNNL_MEMORY_ALLOCATE);
    if (status == dnnl_success)
        status = dnnl_memory_create(&plain, peer->plain[array], peer->engine, DNNL_MEMORY_ALLOCATE);
    if (status == dnnl_success)
        status = dnnl_memory_get_data_handle(plain, &data);
    if (status == dnnl_success) {
        conv_peer_fill(data, peer->counts[array], seeds[array]);
        status = reorder(peer, plain, peer->memory[array]);
    }
    dnnl_memory_destroy(plain);
    return status;
}

static dnnl_status_t allocate(conv_peer *peer, const_dnnl_primitive_desc_t chosen) {
    dnnl_status_t status = dnnl_success;
    for (int i = 0; i < ARRAYS && status == dnnl_success; i++) {
        const int argument = arguments[peer->pass][i];
        if (argument != 0)
            status = fill(
                peer, dnnl_primitive_desc_query_md(chosen, dnnl_query_exec_arg_md, argument), i);
    }
    if (status == dnnl_success)
        status = dnnl_memory_create(
            &peer->scratchpad, dnnl_primitive_desc_query_md(chosen, dnnl_query_scratchpad_md, 0),
            peer->engine, DNNL_MEMORY_ALLOCATE);
    return status;
}

static dnnl_status_t build(conv_peer *peer, const conv_peer_shape *shape) {
    dnnl_memory_desc_t any[ARRAYS] = {NULL};
    dnnl_primitive_desc_t chosen = NULL;
    dnnl_primitive_attr_t attributes = NULL;
    dnnl_status_t status = dnnl_engine_create(&peer->engine, dnnl_cpu, 0);
    if (status == dnnl_success)
        status = dnnl_stream_create(&peer->stream, peer->engine, dnnl_stream_default_flags);
    if (status == dnnl_success)
        status = dnnl_primitive_attr_create(&attributes);
    if (status == dnnl_success)
        status = dnnl_primitive_attr_set_scratchpad_mode(attributes, dnnl_scratchpad_mode_user);
    if (status == dnnl_success)
        status = describe(peer, shape, any) ? choose(peer, shape, any, attributes, &chosen)
                                            : dnnl_out_of_memory;
    if (status == dnnl_success)
        status = dnnl_primitive_create(&peer->primitive, chosen);
    if (status == dnnl_success)
        status = allocate(peer, chosen);
    const char *name = NULL;
    if (status == dnnl_success)
        status = dnnl_primitive_desc_query(chosen, dnnl_query_impl_info_str, 0, (void *)&name);
    if (status == dnnl_success)
        snprintf(peer->implementation, sizeof peer->implementation, "%s", name);
    for (int i = 0; i < ARRAYS; i++)
        dnnl_memory_desc_destroy(any[i]);
    dnnl_primitive_desc_destroy(chosen);
    dnnl_primitive_attr_destroy(attributes);
    return status;
}

conv_peer *conv_peer_create(const conv_peer_shape *shape, conv_peer_pass pass, int threads,
                            char *message) {
    (void)threads; /* OMP_NUM_THREADS */
    conv_peer *peer = calloc(1, sizeof *peer);
    if (peer == NULL)
        return NULL;
    peer->pass = pass;
    const dnnl_status_t status = build(peer, shape);
    if (status != dnnl_success) {
        snprintf(message, 256, "oneDNN's status %d", (int)status);
        conv_peer_destroy(peer);
        return NULL;
    }
    return peer;
}

void conv_peer_destroy(conv_peer *peer) {
    for (int i = 0; i < ARRAYS; i++) {
        dnnl_memory_destroy(peer->memory[i]);
        dnnl_memory_desc_destroy(peer->plain[i]);
    }
    dnnl_memory_destroy(peer->scratchpad);
    dnnl_primitive_destroy(peer->primitive);
    dnnl_stream_destroy(peer->stream);
    dnnl_engine_destroy(peer->engine);
    free(peer);
}

const char *conv_peer_implementation(const conv_peer *peer) {
    return peer->implementation;
}

const char *conv_peer_version(void) {
    static char text[32];
    const dnnl_version_t *version = dnnl_version();
    snprintf(text, sizeof text, "%d.%d.%d", version->major, version->minor, version->patch);
    return text;
}

void conv_peer_run(conv_peer *peer, int calls) {
    dnnl_exec_arg_t list[ARRAYS + 1];
    int count = 0;
    for (int i = 0; i < ARRAYS; i++)
        if (peer->memory[i] != NULL)
            list[count++] = (dnnl_exec_arg_t){arguments[peer->pass][i], peer->memory[i]};
    list[count++] = (dnnl_exec_arg_t){DNNL_ARG_SCRATCHPAD, peer->scratchpad};
    for (int i = 0; i < calls; i++)
        dnnl_primitive_execute(peer->primitive, peer->stream, count, list);
    dnnl_stream_wait(peer->stream);
}

size_t conv_peer_output_count(const conv_peer *peer) {
    return peer->counts[output_of[peer->pass]];
}

void conv_peer_output(conv_peer *peer, float *output) {
    const int array = output_of[peer->pass];
    dnnl_memory_t plain = NULL;
    if (dnnl_memory_create(&plain, peer->plain[array], peer->engine, output) == dnnl_success)
        reorder(peer, peer->memory[array], plain);
    dnnl_memory_destroy(plain);
}
