#include "kernels/conv2d/direct/padding.h"

#include <string.h>

size_t cm_conv2d_padded_image(const cm_conv2d_shape *shape) {
    return ((size_t)shape->height + 2 * (size_t)shape->padding_h) *
           ((size_t)shape->width + 2 * (size_t)shape->padding_w) * (size_t)shape->in_channels;
}

void cm_conv2d_pad_image(const cm_conv2d_shape *shape, const float *image, float *padded) {
    const size_t row = (size_t)shape->width * (size_t)shape->in_channels;
    const size_t side = (size_t)shape->padding_w * (size_t)shape->in_channels;
    memset(padded, 0, cm_conv2d_padded_image(shape) * sizeof(float));
    float *to = padded + (size_t)shape->padding_h * (row + 2 * side) + side;
    for (int h = 0; h < shape->height; ++h) {
        memcpy(to + (size_t)h * (row + 2 * side), image + (size_t)h * row, row * sizeof(float));
    }
}

void cm_conv2d_copy_patches(const cm_conv2d_shape *shape, const float *image, int p,
                            float *patches) {
    const int channels = shape->in_channels, kernel = shape->kernel_w;
    const size_t run = (size_t)kernel * (size_t)channels;
    for (int q = 0; q < shape->out_width; ++q) {
        const int w = q * shape->stride_w - shape->padding_w;
        const int begin = w < 0 ? (-w < kernel ? -w : kernel) : 0;
        const int right = shape->width - w < kernel ? shape->width - w : kernel;
        const int end = right > begin ? right : begin;
        for (int r = 0; r < shape->kernel_h; ++r, patches += run) {
            const int h = p * shape->stride_h - shape->padding_h + r;
            if (h < 0 || h >= shape->height || begin == end) {
                memset(patches, 0, run * sizeof(float));
                continue;
            }
            const float *from = image + ((ptrdiff_t)h * shape->width + w + begin) * channels;
            memset(patches, 0, (size_t)(begin * channels) * sizeof(float));
            memcpy(patches + (ptrdiff_t)begin * channels, from,
                   (size_t)((end - begin) * channels) * sizeof(float));
            memset(patches + (ptrdiff_t)end * channels, 0,
                   (size_t)((kernel - end) * channels) * sizeof(float));
        }
    }
}
