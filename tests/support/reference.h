/**
 * Every kernel once more, in double and as plainly as the formulas are written: what the kernels
 * are tested against. Shapes and layouts are those of include/convmark/kernels.h; arguments that
 * may be NULL there may be NULL here.
 */
#ifndef CM_TESTS_REFERENCE_H
#define CM_TESTS_REFERENCE_H

#include "convmark/kernels.h"

void ref_conv2d_forward(const cm_conv2d_shape *s, const double *x, const double *weight,
                        const double *bias, bool relu, double *y);
void ref_conv2d_backward_data(const cm_conv2d_shape *s, const double *dy, const double *weight,
                              double *dx);
void ref_conv2d_backward_weights(const cm_conv2d_shape *s, const double *x, const double *dy,
                                 double *dweight, double *dbias);

void ref_batch_norm_statistics(const cm_map_shape *s, const double *x, const double *gamma,
                               const double *beta, double eps, double momentum,
                               double *running_mean, double *running_var, double *mean,
                               double *rstd, double *scale, double *shift);
void ref_batch_norm_inference(int channels, const double *gamma, const double *beta, double eps,
                              const double *running_mean, const double *running_var, double *scale,
                              double *shift);
void ref_batch_norm_forward(const cm_map_shape *s, const double *x, const double *scale,
                            const double *shift, bool relu, double *y);
void ref_batch_norm_backward(const cm_map_shape *s, const double *dy, const double *y,
                             const double *x, const double *mean, const double *rstd,
                             const double *scale, double *dgamma, double *dbeta, double *dx);

void ref_max_pool2d_forward(const cm_max_pool2d_shape *s, const double *x, const double *scale,
                            const double *shift, bool relu, double *y, uint16_t *argmax,
                            double *x_at_max);
void ref_max_pool2d_backward(const cm_max_pool2d_shape *s, const double *dy, const double *y,
                             const uint16_t *argmax, double *dx);

void ref_relu_forward(size_t count, const double *x, double *y);
void ref_relu_backward(size_t count, const double *dy, const double *y, double *dx);
void ref_dropout(size_t count, const double *x, float p, const cm_random_key *key, double *y);
void ref_softmax_cross_entropy(int batch, int classes, const double *logits, const uint8_t *labels,
                               double *loss, int *correct, double *dlogits);
void ref_adam(size_t count, const cm_adam_step *step, const double *grad, double *param, double *m,
              double *v);

#endif
