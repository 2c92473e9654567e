/** convmark's kernels behind conv_peer.h. CONVMARK_ISA names the instruction set, or else it is the
 * best of this machine. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "conv_peer.h"
#include "convmark/convmark.h"

struct conv_peer {
    cm_conv2d_shape shape;
    cm_conv2d_plan plan;
    conv_peer_pass pass;
    int threads;
    const cm_kernels *kernels;
    size_t output_count;
    float *x, *weight, *bias, *y; /* in backward passes y holds its gradient */
    float *dx, *dweight, *dbias;
    void *workspace;
    char implementation[64];
};

static float *floats(size_t count, uint32_t seed) {
    float *values = aligned_alloc(64, (count * sizeof(float) + 63) / 64 * 64);
    if (values != NULL)
        conv_peer_fill(values, count, seed);
    return values;
}

static size_t count_x(const cm_conv2d_shape *s) {
    return (size_t)s->batch * (size_t)s->height * (size_t)s->width * (size_t)s->in_channels;
}

static size_t count_y(const cm_conv2d_shape *s) {
    return (size_t)s->batch * (size_t)s->out_height * (size_t)s->out_width *
           (size_t)s->out_channels;
}

static size_t count_weight(const cm_conv2d_shape *s) {
    return (size_t)s->kernel_h * (size_t)s->kernel_w * (size_t)s->in_channels *
           (size_t)s->out_channels;
}

static bool allocate(conv_peer *peer) {
    const cm_conv2d_shape *s = &peer->shape;
    const size_t x = count_x(s), y = count_y(s), weight = count_weight(s);
    const size_t outputs[] = {y, x, weight};
    peer->output_count = outputs[peer->pass];
    peer->x = floats(x, CONV_SEED_X);
    peer->dx = floats(x, 0);
    peer->weight = floats(weight, CONV_SEED_WEIGHT);
    peer->dweight = floats(weight, 0);
    peer->bias = floats((size_t)s->out_channels, CONV_SEED_BIAS);
    peer->dbias = floats((size_t)s->out_channels, 0);
    peer->y = floats(y, CONV_SEED_DY);
    peer->plan = cm_conv2d_plan_of(s, peer->threads);
    peer->workspace = aligned_alloc(64, (peer->plan.workspace + 64) / 64 * 64);
    return peer->x && peer->dx && peer->weight && peer->dweight && peer->bias && peer->dbias &&
           peer->y && peer->workspace;
}

conv_peer *conv_peer_create(const conv_peer_shape *shape, conv_peer_pass pass, int threads,
                            char *message) {
    conv_peer *peer = calloc(1, sizeof *peer);
    if (peer == NULL)
        return NULL;
    const char *isa = getenv("CONVMARK_ISA");
    peer->kernels =
        isa != NULL && *isa != '\0' ? cm_kernels_of(cm_isa_from_name(isa)) : cm_kernels_best();
    peer->pass = pass;
    peer->threads = threads;
    peer->shape = (cm_conv2d_shape){.batch = shape->batch,
                                    .in_channels = shape->in_channels,
                                    .height = shape->size,
                                    .width = shape->size,
                                    .out_channels = shape->out_channels,
                                    .kernel_h = shape->kernel,
                                    .kernel_w = shape->kernel,
                                    .stride_h = shape->stride,
                                    .stride_w = shape->stride,
                                    .padding_h = shape->padding,
                                    .padding_w = shape->padding};
    if (peer->kernels == NULL || !cm_conv2d_shape_init(&peer->shape) || !allocate(peer)) {
        snprintf(message, 256, "%s",
                 peer->kernels == NULL ? "CONVMARK_ISA is not usable here"
                                       : "bad shape, or not enough memory");
        conv_peer_destroy(peer);
        return NULL;
    }
    snprintf(peer->implementation, sizeof peer->implementation, "%s %s",
             cm_conv2d_algorithm_name(peer->shape.algorithm), peer->kernels->name);
    return peer;
}

void conv_peer_destroy(conv_peer *peer) {
    float *arrays[] = {peer->x,    peer->dx,    peer->weight, peer->dweight,
                       peer->bias, peer->dbias, peer->y};
    for (size_t i = 0; i < sizeof arrays / sizeof *arrays; i++)
        free(arrays[i]);
    free(peer->workspace);
    free(peer);
}

const char *conv_peer_implementation(const conv_peer *peer) {
    return peer->implementation;
}

const char *conv_peer_version(void) {
    return CM_VERSION;
}

static void body(const cm_team *team, void *context) {
    const conv_peer *p = context;
    const cm_conv2d_forward_args forward = {.plan = &p->plan,
                                            .x = p->x,
                                            .weight = p->weight,
                                            .bias = p->bias,
                                            .y = p->y,
                                            .workspace = p->workspace};
    const cm_conv2d_backward_args backward = {.plan = &p->plan,
                                              .x = p->x,
                                              .dy = p->y,
                                              .weight = p->weight,
                                              .dx = p->dx,
                                              .dweight = p->dweight,
                                              .dbias = p->dbias,
                                              .workspace = p->workspace};
    switch (p->pass) {
    case CONV_FORWARD:
        p->kernels->conv2d_forward(team, &forward);
        break;
    case CONV_BACKWARD_DATA:
        p->kernels->conv2d_backward_data(team, &backward);
        break;
    case CONV_BACKWARD_WEIGHTS:
        p->kernels->conv2d_backward_weights(team, &backward);
        break;
    }
}

void conv_peer_run(conv_peer *peer, int calls) {
    for (int i = 0; i < calls; i++)
        cm_team_run(peer->threads, body, peer);
}

size_t conv_peer_output_count(const conv_peer *peer) {
    return peer->output_count;
}

void conv_peer_output(conv_peer *peer, float *output) {
    const float *outputs[] = {peer->y, peer->dx, peer->dweight};
    memcpy(output, outputs[peer->pass], peer->output_count * sizeof *output);
}
