/**
 * One convolution pass of one library, for scripts/peers/worker_conv.py: the same functions for
 * convmark (conv_convmark.c) and oneDNN (conv_onednn.c), each a shared library of its own.
 *
 * Both passes over the same numbers: images and weights are filled by conv_peer_fill() below, in
 * NHWC and RSCK order. What a library does once for constant shapes (choosing layouts, blocking
 * weights) is done at creation; conv_peer_run() is what is timed.
 */
#ifndef CONV_PEER_H
#define CONV_PEER_H

#include <stddef.h>
#include <stdint.h>

typedef enum { CONV_FORWARD, CONV_BACKWARD_DATA, CONV_BACKWARD_WEIGHTS } conv_peer_pass;

/** Square maps and kernels; bias is added in the forward pass, and its gradient is computed in the
 * pass of backward-weights. */
typedef struct conv_peer_shape {
    int batch, in_channels, size, out_channels, kernel, stride, padding;
} conv_peer_shape;

typedef struct conv_peer conv_peer;

/** NULL when the library refuses; `message` (256 bytes) then says why. */
conv_peer *conv_peer_create(const conv_peer_shape *shape, conv_peer_pass pass, int threads,
                            char *message);
void conv_peer_destroy(conv_peer *peer);

/** Name of the algorithm and instruction set, as the library calls them. */
const char *conv_peer_implementation(const conv_peer *peer);
const char *conv_peer_version(void);

void conv_peer_run(conv_peer *peer, int calls);

/** Elements of the pass's output (y, dx, dweight), and a copy of it in NHWC or RSCK order. */
size_t conv_peer_output_count(const conv_peer *peer);
void conv_peer_output(conv_peer *peer, float *output);

static inline int conv_peer_output_size(const conv_peer_shape *s) {
    return (s->size + 2 * s->padding - s->kernel) / s->stride + 1;
}

/** Numbers in [-1, 1) that look random: a linear congruential generator (Numerical Recipes). */
static inline void conv_peer_fill(float *values, size_t count, uint32_t seed) {
    for (size_t i = 0; i < count; i++) {
        seed = seed * 1664525U + 1013904223U;
        values[i] = (float)(int32_t)seed / 2147483648.0F;
    }
}

enum { CONV_SEED_X = 1, CONV_SEED_WEIGHT = 2, CONV_SEED_BIAS = 3, CONV_SEED_DY = 4 };

#endif
