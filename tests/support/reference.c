#include "support/reference.h"

#include <math.h>

/* Indices of the layouts in include/convmark/kernels.h. */
static size_t at4(int a, int b, int bs, int c, int cs, int d, int ds) {
    return (((size_t)a * (size_t)bs + (size_t)b) * (size_t)cs + (size_t)c) * (size_t)ds + (size_t)d;
}

/* One multiplication of a convolution: the elements of x, y and the weight that meet. */
typedef void tap_fn(void *context, size_t x, size_t weight, size_t y);

static void each_tap_of_output(const cm_conv2d_shape *s, int n, int p, int q, int k, tap_fn *body,
                               void *context) {
    const size_t y = at4(n, p, s->out_height, q, s->out_width, k, s->out_channels);
    for (int r = 0; r < s->kernel_h; ++r) {
        for (int t = 0; t < s->kernel_w; ++t) {
            const int h = p * s->stride_h - s->padding_h + r;
            const int w = q * s->stride_w - s->padding_w + t;
            if (h < 0 || h >= s->height || w < 0 || w >= s->width) {
                continue;
            }
            for (int c = 0; c < s->in_channels; ++c) {
                body(context, at4(n, h, s->height, w, s->width, c, s->in_channels),
                     at4(r, t, s->kernel_w, c, s->in_channels, k, s->out_channels), y);
            }
        }
    }
}

static void each_tap(const cm_conv2d_shape *s, tap_fn *body, void *context) {
    for (int n = 0; n < s->batch; ++n) {
        for (int p = 0; p < s->out_height; ++p) {
            for (int q = 0; q < s->out_width; ++q) {
                for (int k = 0; k < s->out_channels; ++k) {
                    each_tap_of_output(s, n, p, q, k, body, context);
                }
            }
        }
    }
}

typedef struct conv_arrays {
    const double *x, *weight, *y;
    double *dx, *dweight, *out;
} conv_arrays;

static void add_forward(void *context, size_t x, size_t weight, size_t y) {
    const conv_arrays *a = context;
    a->out[y] += a->x[x] * a->weight[weight];
}

static void add_backward_data(void *context, size_t x, size_t weight, size_t y) {
    const conv_arrays *a = context;
    a->dx[x] += a->y[y] * a->weight[weight];
}

static void add_backward_weights(void *context, size_t x, size_t weight, size_t y) {
    const conv_arrays *a = context;
    a->dweight[weight] += a->x[x] * a->y[y];
}

static void clear(double *x, size_t count) {
    for (size_t i = 0; i < count; ++i) {
        x[i] = 0.0;
    }
}

static size_t output_count(const cm_conv2d_shape *s) {
    return at4(s->batch, 0, s->out_height, 0, s->out_width, 0, s->out_channels);
}

void ref_conv2d_forward(const cm_conv2d_shape *s, const double *x, const double *weight,
                        const double *bias, bool relu, double *y) {
    const size_t count = output_count(s);
    conv_arrays a = {.x = x, .weight = weight, .out = y};
    clear(y, count);
    each_tap(s, add_forward, &a);
    for (size_t i = 0; i < count; ++i) {
        y[i] += bias != NULL ? bias[i % (size_t)s->out_channels] : 0.0;
        y[i] = relu && y[i] < 0.0 ? 0.0 : y[i];
    }
}

void ref_conv2d_backward_data(const cm_conv2d_shape *s, const double *dy, const double *weight,
                              double *dx) {
    conv_arrays a = {.y = dy, .weight = weight, .dx = dx};
    clear(dx, at4(s->batch, 0, s->height, 0, s->width, 0, s->in_channels));
    each_tap(s, add_backward_data, &a);
}

void ref_conv2d_backward_weights(const cm_conv2d_shape *s, const double *x, const double *dy,
                                 double *dweight, double *dbias) {
    conv_arrays a = {.x = x, .y = dy, .dweight = dweight};
    clear(dweight, at4(s->kernel_h, 0, s->kernel_w, 0, s->in_channels, 0, s->out_channels));
    each_tap(s, add_backward_weights, &a);
    if (dbias != NULL) {
        clear(dbias, (size_t)s->out_channels);
        for (size_t i = 0; i < output_count(s); ++i) {
            dbias[i % (size_t)s->out_channels] += dy[i];
        }
    }
}

static size_t positions(const cm_map_shape *s) {
    return (size_t)s->batch * (size_t)s->height * (size_t)s->width;
}

/* Sum over a channel's elements of a[i] * b[i] (b NULL: of a[i]). */
static double channel_sum(const cm_map_shape *s, int channel, const double *a, const double *b) {
    double sum = 0.0;
    for (size_t i = 0; i < positions(s); ++i) {
        const size_t at = i * (size_t)s->channels + (size_t)channel;
        sum += a[at] * (b != NULL ? b[at] : 1.0);
    }
    return sum;
}

static double channel_squares(const cm_map_shape *s, int channel, const double *x, double mean) {
    double sum = 0.0;
    for (size_t i = 0; i < positions(s); ++i) {
        const double d = x[i * (size_t)s->channels + (size_t)channel] - mean;
        sum += d * d;
    }
    return sum;
}

void ref_batch_norm_statistics(const cm_map_shape *s, const double *x, const double *gamma,
                               const double *beta, double eps, double momentum,
                               double *running_mean, double *running_var, double *mean,
                               double *rstd, double *scale, double *shift) {
    const double count = (double)positions(s);
    for (int c = 0; c < s->channels; ++c) {
        mean[c] = channel_sum(s, c, x, NULL) / count;
        const double squares = channel_squares(s, c, x, mean[c]);
        rstd[c] = 1.0 / sqrt(squares / count + eps);
        scale[c] = gamma[c] * rstd[c];
        shift[c] = beta[c] - mean[c] * scale[c];
        if (running_mean != NULL) {
            const double unbiased = count > 1.0 ? squares / (count - 1.0) : 0.0;
            running_mean[c] = (1.0 - momentum) * running_mean[c] + momentum * mean[c];
            running_var[c] = (1.0 - momentum) * running_var[c] + momentum * unbiased;
        }
    }
}

void ref_batch_norm_inference(int channels, const double *gamma, const double *beta, double eps,
                              const double *running_mean, const double *running_var, double *scale,
                              double *shift) {
    for (int c = 0; c < channels; ++c) {
        scale[c] = gamma[c] / sqrt(running_var[c] + eps);
        shift[c] = beta[c] - running_mean[c] * scale[c];
    }
}

void ref_batch_norm_forward(const cm_map_shape *s, const double *x, const double *scale,
                            const double *shift, bool relu, double *y) {
    for (size_t i = 0; i < positions(s) * (size_t)s->channels; ++i) {
        const size_t c = i % (size_t)s->channels;
        y[i] = x[i] * scale[c] + shift[c];
        y[i] = relu && y[i] < 0.0 ? 0.0 : y[i];
    }
}

void ref_batch_norm_backward(const cm_map_shape *s, const double *dy, const double *y,
                             const double *x, const double *mean, const double *rstd,
                             const double *scale, double *dgamma, double *dbeta, double *dx) {
    const double count = (double)positions(s);
    const size_t elements = positions(s) * (size_t)s->channels;
    for (size_t i = 0; i < elements; ++i) {
        dx[i] = y == NULL || y[i] > 0.0 ? dy[i] : 0.0;
    }
    for (int c = 0; c < s->channels; ++c) {
        dbeta[c] = channel_sum(s, c, dx, NULL);
        dgamma[c] = (channel_sum(s, c, dx, x) - mean[c] * dbeta[c]) * rstd[c];
    }
    for (size_t i = 0; i < elements; ++i) {
        const size_t c = i % (size_t)s->channels;
        const double xhat = (x[i] - mean[c]) * rstd[c];
        dx[i] = scale[c] * (dx[i] - dbeta[c] / count - xhat * dgamma[c] / count);
    }
}

/* One window of one channel, whose first element of x is `first`. */
static void pool_window(const cm_max_pool2d_shape *s, const double *x, size_t first, double scale,
                        double shift, double *best, int *index, double *x_best) {
    for (int r = 0; r < s->kernel_h; ++r) {
        for (int t = 0; t < s->kernel_w; ++t) {
            const size_t step = (size_t)r * (size_t)s->width + (size_t)t;
            const double value = x[first + step * (size_t)s->channels];
            const double z = value * scale + shift;
            if (r + t == 0 || z > *best) {
                *best = z;
                *index = r * s->kernel_w + t;
                *x_best = value;
            }
        }
    }
}

void ref_max_pool2d_forward(const cm_max_pool2d_shape *s, const double *x, const double *scale,
                            const double *shift, bool relu, double *y, uint16_t *argmax,
                            double *x_at_max) {
    const size_t count = at4(s->batch, 0, s->out_height, 0, s->out_width, 0, s->channels);
    for (size_t i = 0; i < count; ++i) {
        const int c = (int)(i % (size_t)s->channels);
        const size_t place = i / (size_t)s->channels;
        const int q = (int)(place % (size_t)s->out_width);
        const int p = (int)(place / (size_t)s->out_width % (size_t)s->out_height);
        const int n = (int)(place / (size_t)s->out_width / (size_t)s->out_height);
        const size_t first =
            at4(n, p * s->stride_h, s->height, q * s->stride_w, s->width, c, s->channels);
        double best = 0.0, x_best = 0.0;
        int index = 0;
        pool_window(s, x, first, scale != NULL ? scale[c] : 1.0, shift != NULL ? shift[c] : 0.0,
                    &best, &index, &x_best);
        y[i] = relu && best < 0.0 ? 0.0 : best;
        if (argmax != NULL) {
            argmax[i] = (uint16_t)index;
        }
        if (x_at_max != NULL) {
            x_at_max[i] = x_best;
        }
    }
}

void ref_max_pool2d_backward(const cm_max_pool2d_shape *s, const double *dy, const double *y,
                             const uint16_t *argmax, double *dx) {
    const size_t count = at4(s->batch, 0, s->out_height, 0, s->out_width, 0, s->channels);
    clear(dx, at4(s->batch, 0, s->height, 0, s->width, 0, s->channels));
    for (size_t i = 0; i < count; ++i) {
        const int c = (int)(i % (size_t)s->channels);
        const size_t place = i / (size_t)s->channels;
        const int q = (int)(place % (size_t)s->out_width);
        const int p = (int)(place / (size_t)s->out_width % (size_t)s->out_height);
        const int n = (int)(place / (size_t)s->out_width / (size_t)s->out_height);
        const int h = p * s->stride_h + argmax[i] / s->kernel_w;
        const int w = q * s->stride_w + argmax[i] % s->kernel_w;
        if (y == NULL || y[i] > 0.0) {
            dx[at4(n, h, s->height, w, s->width, c, s->channels)] += dy[i];
        }
    }
}

void ref_relu_forward(size_t count, const double *x, double *y) {
    for (size_t i = 0; i < count; ++i) {
        y[i] = x[i] < 0.0 ? 0.0 : x[i];
    }
}

void ref_relu_backward(size_t count, const double *dy, const double *y, double *dx) {
    for (size_t i = 0; i < count; ++i) {
        dx[i] = y[i] > 0.0 ? dy[i] : 0.0;
    }
}

void ref_dropout(size_t count, const double *x, float p, const cm_random_key *key, double *y) {
    for (size_t i = 0; i < count; ++i) {
        y[i] = cm_random_uniform(key, i) >= p ? x[i] / (1.0 - (double)p) : 0.0;
    }
}

void ref_softmax_cross_entropy(int batch, int classes, const double *logits, const uint8_t *labels,
                               double *loss, int *correct, double *dlogits) {
    *loss = 0.0;
    *correct = 0;
    for (int n = 0; n < batch; ++n) {
        const double *z = logits + (ptrdiff_t)n * classes;
        int largest = 0;
        for (int i = 1; i < classes; ++i) {
            largest = z[i] > z[largest] ? i : largest;
        }
        double sum = 0.0;
        for (int i = 0; i < classes; ++i) {
            sum += exp(z[i] - z[largest]);
        }
        *loss += (log(sum) + z[largest] - z[labels[n]]) / batch;
        *correct += largest == labels[n];
        for (int i = 0; dlogits != NULL && i < classes; ++i) {
            const double target = i == labels[n] ? 1.0 : 0.0;
            dlogits[(ptrdiff_t)n * classes + i] = (exp(z[i] - z[largest]) / sum - target) / batch;
        }
    }
}

void ref_adam(size_t count, const cm_adam_step *step, const double *grad, double *param, double *m,
              double *v) {
    const double beta1 = step->beta1, beta2 = step->beta2;
    for (size_t i = 0; i < count; ++i) {
        const double g = grad[i] + step->weight_decay * param[i];
        m[i] = beta1 * m[i] + (1.0 - beta1) * g;
        v[i] = beta2 * v[i] + (1.0 - beta2) * g * g;
        const double corrected_m = m[i] / step->bias_correction1;
        const double corrected_v = v[i] / step->bias_correction2;
        param[i] -= step->learning_rate * corrected_m / (sqrt(corrected_v) + step->epsilon);
    }
}
