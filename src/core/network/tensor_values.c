/* Values of a file's tensor in the network's type. */
#include <math.h>
#include <stdint.h>
#include <string.h>

#include "core/network/model_tensors.h"

size_t cm_tensor_spec_bytes(const cm_tensor_spec *spec) {
    return spec->count *
           (spec->kind == CM_TENSOR_NUM_BATCHES_TRACKED ? sizeof(int64_t) : sizeof(float));
}

static float float_of_bits(uint32_t bits) {
    float value;
    memcpy(&value, &bits, sizeof value);
    return value;
}

/* IEEE 754 binary16, of finite values: exact. */
static float float_of_half(uint16_t half) {
    const uint32_t sign = (uint32_t)(half & 0x8000U) << 16;
    const uint32_t exponent = half >> 10 & 0x1FU, fraction = half & 0x3FFU;
    if (exponent == 0) {
        const float magnitude = (float)fraction * 0x1p-24F;
        return sign != 0 ? -magnitude : magnitude;
    }
    return float_of_bits(sign | (exponent + 112) << 23 | fraction << 13);
}

static float float_at(const cm_safetensor *tensor, size_t index) {
    const size_t size = cm_dtype_size(tensor->dtype);
    const char *from = (const char *)tensor->data + index * size;
    uint16_t half = 0;
    double wide = 0;
    float value = 0;
    switch (tensor->dtype) {
    case CM_DTYPE_F64:
        memcpy(&wide, from, sizeof wide);
        return (float)wide;
    case CM_DTYPE_F16:
        memcpy(&half, from, sizeof half);
        return float_of_half(half);
    case CM_DTYPE_BF16:
        memcpy(&half, from, sizeof half);
        return float_of_bits((uint32_t)half << 16);
    default:
        memcpy(&value, from, sizeof value);
        return value;
    }
}

/* A counter of any whole type; -1 where it is negative or too large. */
static int64_t counter_of(const cm_safetensor *tensor) {
    const size_t size = cm_dtype_size(tensor->dtype);
    const bool is_signed = tensor->dtype == CM_DTYPE_I64 || tensor->dtype == CM_DTYPE_I32 ||
                           tensor->dtype == CM_DTYPE_I16 || tensor->dtype == CM_DTYPE_I8;
    uint64_t bits = 0;
    memcpy(&bits, tensor->data, size);
    const bool negative = is_signed && (bits >> (8 * size - 1) & 1) != 0;
    return negative || bits > (uint64_t)INT64_MAX ? -1 : (int64_t)bits;
}

static cm_status bad_element(const cm_tensor_spec *spec, const char *path, size_t index,
                             const char *what, cm_error *error) {
    return cm_fail(error, CM_BAD_INPUT,
                   "%s: tensor \"%s\": element %zu is %s; is the file damaged?", path, spec->name,
                   index, what);
}

cm_status cm_tensor_values(const cm_tensor_spec *spec, const cm_safetensor *tensor,
                           const char *path, void *values, cm_error *error) {
    if (spec->kind == CM_TENSOR_NUM_BATCHES_TRACKED) {
        int64_t *counter = values;
        *counter = tensor == NULL ? 0 : counter_of(tensor);
        return *counter < 0 || *counter > INT64_MAX / 2 /* it is counted on from there */
                   ? bad_element(spec, path, 0, "negative or too large", error)
                   : CM_OK;
    }
    float *floats = values;
    for (size_t i = 0; i < spec->count; ++i) {
        floats[i] = float_at(tensor, i);
        if (!isfinite(floats[i])) {
            return bad_element(spec, path, i, "too large for F32", error);
        }
        if (spec->kind == CM_TENSOR_RUNNING_VAR && !(floats[i] >= 0)) {
            return bad_element(spec, path, i, "negative or too large", error);
        }
    }
    return CM_OK;
}
