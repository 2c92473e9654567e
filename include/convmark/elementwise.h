/**
 * ReLU, dropout, softmax cross entropy and Adam: the contract of their kernels. kernels.h says
 * what holds for every kernel.
 */
#ifndef CM_ELEMENTWISE_H
#define CM_ELEMENTWISE_H

#include <stddef.h>
#include <stdint.h>

#include "convmark/philox.h"
#include "convmark/team.h"

#ifdef __cplusplus
extern "C" {
#endif

/** The constants of one step of Adam (Kingma & Ba, arXiv 1412.6980) with L2 weight decay, which is
 * added to the gradient. t counts the steps from 1. */
typedef struct cm_adam_step {
    double learning_rate, beta1, beta2, epsilon, weight_decay;
    double bias_correction1; /* 1 - beta1^t, the power as a running product */
    double bias_correction2; /* 1 - beta2^t */
} cm_adam_step;

/** Scratch memory of softmax_cross_entropy, in bytes. */
size_t cm_softmax_cross_entropy_workspace(int batch);

/** y = ReLU(x). y may be x. */
typedef void cm_relu_forward_fn(const cm_team *team, size_t count, const float *x, float *y);

/** dx = y > 0 ? dy : 0, where y = ReLU(x). dx may be dy. */
typedef void cm_relu_backward_fn(const cm_team *team, size_t count, const float *dy, const float *y,
                                 float *dx);

/**
 * y = x * (1 / (1 - p)) where the element is kept, else 0; element i is kept when
 * cm_random_uniform(key, i) >= p. The backward pass is the same call on dy. y may be x. 0 <= p < 1.
 */
typedef void cm_dropout_fn(const cm_team *team, size_t count, const float *x, float p,
                           const cm_random_key *key, float *y);

typedef struct cm_softmax_cross_entropy_args {
    int batch, classes;
    int block;           /* images of a block of the loss's sum; 0: the batch is one (kernels.h) */
    const float *logits; /* [batch][classes] */
    const uint8_t *labels; /* [batch], each < classes */
    double *loss;          /* written: the mean over the images */
    int *correct;          /* written: images whose first largest logit is at the label */
    float *dlogits;        /* written: [batch][classes]; NULL: not wanted; must not be logits */
    void *workspace;       /* cm_softmax_cross_entropy_workspace() */
} cm_softmax_cross_entropy_args;

/**
 * Softmax cross entropy: an image's loss is -log(softmax[label]), dlogits = (softmax - one_hot) /
 * batch. Maximum, sum of exponentials and loss are computed in double, in the order of classes, of
 * images in a block, and of blocks. *loss and *correct, like all outputs, are final after the next
 * barrier.
 */
typedef void cm_softmax_cross_entropy_fn(const cm_team *team,
                                         const cm_softmax_cross_entropy_args *args);

/**
 * One step, as torch.optim.Adam does it, on `count` parameters. param and the moments m and v are
 * updated in place: g = fma(weight_decay, param, grad); m = fma(1 - beta1, g - m, m);
 * v = fma(1 - beta2, g * g, beta2 * v); param = fma(-learning_rate / bias_correction1,
 * m / (sqrt(v) / sqrt(bias_correction2) + epsilon), param). Each factor made of the step's
 * constants is computed in double and rounded once.
 */
typedef void cm_adam_fn(const cm_team *team, size_t count, const cm_adam_step *step,
                        const float *grad, float *param, float *m, float *v);

#ifdef __cplusplus
}
#endif

#endif
