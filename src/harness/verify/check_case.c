#include "harness/verify/check_case.h"

#include <assert.h>
#include <float.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#if defined(__has_feature)
#if __has_feature(address_sanitizer)
#define CM_HAVE_ASAN 1
#endif
#elif defined(__SANITIZE_ADDRESS__)
#define CM_HAVE_ASAN 1
#endif
#ifdef CM_HAVE_ASAN
#include <sanitizer/asan_interface.h>
#else
#define ASAN_POISON_MEMORY_REGION(address, size) ((void)(address), (void)(size))
#define ASAN_UNPOISON_MEMORY_REGION(address, size) ((void)(address), (void)(size))
#endif

enum { GUARD_BYTES = 64, GUARD_FILL = 0xC3, ALIGNMENT = 64, MACS_PER_ELEMENT = 8 };

void cm_check_case_init(cm_check_case *c, uint64_t seed, int kernel, int number) {
    *c = (cm_check_case){.key = {seed, CM_RANDOM_TEST, (uint32_t)kernel, (uint32_t)number},
                         .data = (cm_check_data)(number % CM_CHECK_DATA_COUNT)};
}

void cm_check_case_free(cm_check_case *c) {
    for (int i = 0; i < c->array_count; ++i) {
        free(c->arrays[i].initial);
    }
    c->array_count = 0;
}

uint32_t cm_check_draw_u32(cm_check_case *c) {
    uint32_t word;
    if (c->byte_count >= sizeof word) {
        memcpy(&word, c->bytes, sizeof word);
        c->bytes += sizeof word;
        c->byte_count -= sizeof word;
        return word;
    }
    if (c->words_left == 0) {
        cm_philox4x32(&c->key, c->block++, c->words);
        c->words_left = 4;
    }
    return c->words[--c->words_left];
}

int cm_check_draw_int(cm_check_case *c, int lo, int hi) {
    return lo + (int)(cm_check_draw_u32(c) % (uint32_t)(hi - lo + 1));
}

float cm_check_draw_uniform(cm_check_case *c) {
    return cm_uniform_from_u32(cm_check_draw_u32(c));
}

bool cm_check_draw_once_in(cm_check_case *c, int n) {
    return cm_check_draw_int(c, 1, n) == 1;
}

int cm_check_draw_channels(cm_check_case *c) {
    static const int edges[] = {1,  2,  3,  4,  5,  8,  9,  15, 16, 17,
                                24, 31, 32, 33, 48, 63, 64, 65, 128};
    if (cm_check_draw_once_in(c, 2)) {
        return cm_check_draw_int(c, 1, 129);
    }
    return edges[cm_check_draw_int(c, 0, (int)(sizeof edges / sizeof edges[0]) - 1)];
}

static size_t count4(int a, int b, int c, int d) {
    return (size_t)a * (size_t)b * (size_t)c * (size_t)d;
}

size_t cm_check_x_count(const cm_conv2d_shape *s) {
    return count4(s->batch, s->height, s->width, s->in_channels);
}

size_t cm_check_weight_count(const cm_conv2d_shape *s) {
    return count4(s->kernel_h, s->kernel_w, s->in_channels, s->out_channels);
}

size_t cm_check_y_count(const cm_conv2d_shape *s) {
    return count4(s->batch, s->out_height, s->out_width, s->out_channels);
}

size_t cm_check_map_count(const cm_map_shape *s) {
    return count4(s->batch, s->height, s->width, s->channels);
}

size_t cm_check_pooled_count(const cm_max_pool2d_shape *s) {
    return count4(s->batch, s->out_height, s->out_width, s->channels);
}

int64_t cm_check_macs(const cm_conv2d_shape *s) {
    return (int64_t)s->batch * s->out_height * s->out_width * s->out_channels * s->kernel_h *
           s->kernel_w * s->in_channels;
}

/* Multiply-adds, and what drawing, copying and comparing the numbers costs. */
static int64_t conv2d_cost_of(const cm_conv2d_shape *s) {
    const size_t numbers = cm_check_x_count(s) + cm_check_weight_count(s) + cm_check_y_count(s);
    return cm_check_macs(s) + MACS_PER_ELEMENT * (int64_t)numbers;
}

static bool halve_largest(int *const *sizes, int count) {
    int *largest = sizes[0];
    for (int i = 1; i < count; ++i) {
        largest = *sizes[i] > *largest ? sizes[i] : largest;
    }
    const bool halves = *largest > 1;
    *largest -= *largest / 2;
    return halves;
}

void cm_check_fit_conv2d(const cm_check_case *c, cm_conv2d_shape *s) {
    int *const sizes[] = {&s->batch, &s->in_channels, &s->out_channels};
    while (c->work > 0 && conv2d_cost_of(s) > c->work && halve_largest(sizes, 3)) {
    }
}

void cm_check_fit_map(const cm_check_case *c, cm_map_shape *s) {
    int *const sizes[] = {&s->batch, &s->channels};
    while (c->work > 0 && MACS_PER_ELEMENT * (int64_t)cm_check_map_count(s) > c->work &&
           halve_largest(sizes, 2)) {
    }
}

size_t cm_check_type_size(cm_check_type type) {
    static const size_t sizes[] = {[CM_CHECK_F32] = sizeof(float),
                                   [CM_CHECK_F64] = sizeof(double),
                                   [CM_CHECK_I32] = sizeof(int),
                                   [CM_CHECK_U16] = sizeof(uint16_t),
                                   [CM_CHECK_U8] = sizeof(uint8_t)};
    return sizes[type];
}

static float float_from_bits(uint32_t bits) {
    float x;
    memcpy(&x, &bits, sizeof x);
    return x;
}

/* Sign and fraction at random, exponent -8 .. 7. */
static float draw_real(cm_check_case *c) {
    const uint32_t word = cm_check_draw_u32(c);
    const uint32_t exponent = 127 - 8 + (cm_check_draw_u32(c) & 15);
    return float_from_bits((word & UINT32_C(0x807fffff)) | exponent << 23);
}

static float draw_special(cm_check_case *c) {
    static const uint32_t specials[] = {
        UINT32_C(0x7fc00000), UINT32_C(0xffc00001), UINT32_C(0x7f800001), /* NaNs, one signalling */
        UINT32_C(0x7f800000), UINT32_C(0xff800000),                       /* infinities */
        UINT32_C(0x00000000), UINT32_C(0x80000000),                       /* zeros */
        UINT32_C(0x00000001), UINT32_C(0x80000001), UINT32_C(0x007fffff), /* subnormals */
        UINT32_C(0x00800000), UINT32_C(0x7f7fffff), UINT32_C(0xff7fffff), /* smallest, largest */
    };
    const int count = (int)(sizeof specials / sizeof specials[0]);
    const int i = cm_check_draw_int(c, 0, count);
    return float_from_bits(i < count ? specials[i] : cm_check_draw_u32(c));
}

static void draw_floats(cm_check_case *c, float *x, size_t count) {
    /* Rare enough, in two arrays of three, that long sums are not all NaN. */
    static const int rarities[] = {16, 256, 4096};
    const int rarity = rarities[cm_check_draw_int(c, 0, 2)];
    for (size_t i = 0; i < count; ++i) {
        if (c->byte_count > 0) {
            x[i] = float_from_bits(cm_check_draw_u32(c));
        } else if (c->data == CM_CHECK_INTEGERS) {
            x[i] = (float)cm_check_draw_int(c, -4, 4);
        } else if (c->data == CM_CHECK_SPECIALS && cm_check_draw_once_in(c, rarity)) {
            x[i] = draw_special(c);
        } else {
            x[i] = draw_real(c);
        }
    }
}

void *cm_check_add(cm_check_case *c, const char *name, cm_check_role role, cm_check_type type,
                   size_t count) {
    assert(c->array_count < CM_CHECK_MAX_ARRAYS);
    cm_check_array *array = &c->arrays[c->array_count++];
    *array = (cm_check_array){.name = name, .role = role, .type = type, .count = count};
    if (role == CM_CHECK_SCRATCH) {
        return NULL;
    }
    const size_t size = cm_check_type_size(type);
    array->offset = (size_t)cm_check_draw_int(c, 0, ALIGNMENT / (int)size - 1) * size;
    if (count == 0 || (role != CM_CHECK_INPUT && role != CM_CHECK_IN_OUT)) {
        return NULL;
    }
    array->initial = calloc(count, size);
    if (array->initial == NULL) {
        c->out_of_memory = true;
        return NULL;
    }
    if (type == CM_CHECK_F32) {
        draw_floats(c, array->initial, count);
    }
    return array->initial;
}

void cm_check_add_in_place(cm_check_case *c, const char *input, const char *output, size_t count) {
    const bool in_place = cm_check_draw_once_in(c, 3);
    cm_check_add(c, input, in_place ? CM_CHECK_ALIAS : CM_CHECK_INPUT, CM_CHECK_F32, count);
    cm_check_add(c, output, in_place ? CM_CHECK_IN_OUT : CM_CHECK_OUTPUT, CM_CHECK_F32, count);
}

void cm_check_add_optional(cm_check_case *c, const char *name, size_t count) {
    const bool wanted = cm_check_draw_once_in(c, 2);
    cm_check_add(c, name, CM_CHECK_INPUT, CM_CHECK_F32, wanted ? count : 0);
}

static size_t content_bytes(const cm_check_array *array) {
    return array->count * cm_check_type_size(array->type);
}

static size_t guarded_bytes(const cm_check_array *array) {
    const size_t bytes = GUARD_BYTES + array->offset + content_bytes(array) + GUARD_BYTES;
    return (bytes + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
}

static bool has_memory(const cm_check_array *array) {
    return array->role != CM_CHECK_ALIAS && array->count > 0;
}

/* The bytes before and after an array are guards: a write there is found after the run. In a build
 * with AddressSanitizer a read or a write there ends the program at once. */
static void poison(const cm_check_buffers *b, const cm_check_case *c, int i) {
    unsigned char *memory = b->memory[i];
    const size_t begin = GUARD_BYTES + c->arrays[i].offset;
    const size_t end = begin + content_bytes(&c->arrays[i]);
    ASAN_POISON_MEMORY_REGION(memory, begin / 8 * 8);
    ASAN_POISON_MEMORY_REGION(memory + end, guarded_bytes(&c->arrays[i]) - end);
}

static void unpoison(const cm_check_buffers *b, const cm_check_case *c, int i) {
    ASAN_UNPOISON_MEMORY_REGION(b->memory[i], guarded_bytes(&c->arrays[i]));
}

bool cm_check_buffers_init(cm_check_buffers *b, const cm_check_case *c, unsigned char fill) {
    *b = (cm_check_buffers){0};
    for (int i = c->array_count - 1; i >= 0; --i) {
        const cm_check_array *array = &c->arrays[i];
        if (array->role == CM_CHECK_ALIAS) {
            b->data[i] = b->data[i + 1];
        }
        if (!has_memory(array)) {
            continue;
        }
        unsigned char *memory = aligned_alloc(ALIGNMENT, guarded_bytes(array));
        if (memory == NULL) {
            return false;
        }
        memset(memory, GUARD_FILL, guarded_bytes(array));
        b->memory[i] = memory;
        b->data[i] = memory + GUARD_BYTES + array->offset;
        if (array->initial != NULL) {
            memcpy(b->data[i], array->initial, content_bytes(array));
        } else {
            memset(b->data[i], fill, content_bytes(array));
        }
        poison(b, c, i);
    }
    return true;
}

void cm_check_buffers_free(cm_check_buffers *b, const cm_check_case *c) {
    for (int i = 0; i < c->array_count; ++i) {
        if (b->memory[i] != NULL) {
            unpoison(b, c, i);
        }
        free(b->memory[i]);
    }
    *b = (cm_check_buffers){0};
}

static bool filled(const unsigned char *from, const unsigned char *to) {
    while (from < to && *from == GUARD_FILL) {
        ++from;
    }
    return from == to;
}

static bool guards_whole(const cm_check_buffers *b, const cm_check_case *c, int i) {
    const unsigned char *memory = b->memory[i];
    const unsigned char *data = memory + GUARD_BYTES + c->arrays[i].offset;
    return filled(memory, data) &&
           filled(data + content_bytes(&c->arrays[i]), memory + guarded_bytes(&c->arrays[i]));
}

int cm_check_buffers_damaged(const cm_check_buffers *b, const cm_check_case *c) {
    for (int i = 0; i < c->array_count; ++i) {
        const cm_check_array *array = &c->arrays[i];
        if (!has_memory(array)) {
            continue;
        }
        unpoison(b, c, i);
        const bool whole = guards_whole(b, c, i);
        poison(b, c, i);
        if (!whole || (array->role == CM_CHECK_INPUT &&
                       memcmp(b->data[i], array->initial, content_bytes(array)) != 0)) {
            return i;
        }
    }
    return -1;
}
