/**
 * ReLU, dropout, softmax cross entropy and Adam: the contract of their kernels. kernels.h has what
 * holds for every kernel.
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

/** Adam (Kingma & Ba, arXiv 1412.6980) with L2 weight decay added to the gradient. */
typedef struct cm_adam_step {
    double learning_rate, beta1, beta2, epsilon, weight_decay;
    double bias_correction1; /* 1 - beta1^t, the power by repeated multiplication */
    double bias_correction2; /* 1 - beta2^t */
} cm_adam_step;

/** Scratch memory, in bytes. */
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

/**
 * Softmax cross entropy of logits [batch][classes]: *loss = mean over the images of
 * -log(softmax[label]) and *correct = images whose first largest logit is at the label, both final
 * after the next barrier; dlogits (NULL: not wanted) = (softmax - one_hot) / batch. Maximum, sum of
 * exponentials and loss are taken in double, in the order of classes and images.
 */
typedef void cm_softmax_cross_entropy_fn(const cm_team *team, int batch, int classes,
                                         const float *logits, const uint8_t *labels, double *loss,
                                         int *correct, float *dlogits, void *workspace);

/**
 * One step on `count` parameters: g = fma(weight_decay, param, grad); m = fma(1 - beta1, g - m, m);
 * v = fma(1 - beta2, g * g, beta2 * v); param = fma(-learning_rate / bias_correction1,
 * m / (sqrt(v) / sqrt(bias_correction2) + epsilon), param). Each factor made of the step's
 * constants is computed in double and rounded once. PyTorch's torch.optim.Adam.
 */
typedef void cm_adam_fn(const cm_team *team, size_t count, const cm_adam_step *step,
                        const float *grad, float *param, float *m, float *v);

#ifdef __cplusplus
}
#endif

#endif
