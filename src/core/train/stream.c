#include "convmark/stream.h"

#include <stdlib.h>

struct cm_stream {
    const cm_images *images;
    uint32_t batch;
    bool shuffle;
    cm_random_key key; /* step: number of the permutation under way */
    uint32_t position; /* in `order` */
    uint32_t order[];  /* [count] */
};

/** The words of one Philox sequence, in order. */
typedef struct word_source {
    const cm_random_key *key;
    uint32_t block;
    int used;
    uint32_t words[4];
} word_source;

static uint32_t next_word(word_source *source) {
    if (source->used == 4) {
        cm_philox4x32(source->key, source->block++, source->words);
        source->used = 0;
    }
    return source->words[source->used++];
}

/** Uniform in 0 .. bound-1. The 2^32 mod bound smallest words are drawn again: without them every
 * remainder is equally frequent. */
static uint32_t next_below(word_source *source, uint32_t bound) {
    const uint32_t rejected = (0U - bound) % bound;
    uint32_t word = next_word(source);
    while (word < rejected) {
        word = next_word(source);
    }
    return word % bound;
}

/** Fisher-Yates (Durstenfeld, 1964) from the images' own order, so that a permutation depends on
 * its number only and not on those before it. */
static void draw_order(cm_stream *stream) {
    const uint32_t count = (uint32_t)stream->images->count;
    word_source source = {.key = &stream->key, .used = 4};
    for (uint32_t i = 0; i < count; ++i) {
        stream->order[i] = i;
    }
    for (uint32_t i = count - 1; stream->shuffle && i > 0; --i) {
        const uint32_t j = next_below(&source, i + 1);
        const uint32_t swapped = stream->order[i];
        stream->order[i] = stream->order[j];
        stream->order[j] = swapped;
    }
    stream->position = 0;
}

cm_status cm_stream_create(const cm_images *images, int batch, bool shuffle, uint64_t seed,
                           cm_random_purpose purpose, cm_stream **stream, cm_error *error) {
    *stream = NULL;
    if (images->count < 1 || images->height < 1 || images->width < 1) {
        return cm_fail(error, CM_USAGE, "a stream needs at least one image, not %d of %d x %d",
                       images->count, images->height, images->width);
    }
    if (batch < 1 || batch > images->count) {
        return cm_fail(error, CM_USAGE,
                       "batch %d is out of range: choose 1 to %d, the number of "
                       "images",
                       batch, images->count);
    }
    const size_t size = sizeof(cm_stream) + (size_t)images->count * sizeof(uint32_t);
    cm_stream *created = malloc(size);
    if (created == NULL) {
        return cm_fail(error, CM_FAILED, "out of memory: the order of %d images needs %zu bytes",
                       images->count, size);
    }
    *created = (cm_stream){.images = images,
                           .batch = (uint32_t)batch,
                           .shuffle = shuffle,
                           .key = {.seed = seed, .purpose = (uint32_t)purpose}};
    draw_order(created);
    *stream = created;
    return CM_OK;
}

void cm_stream_free(cm_stream *stream) {
    free(stream);
}

void cm_stream_next(cm_stream *stream, float *pixels, uint8_t *labels) {
    const cm_images *images = stream->images;
    const size_t image_size = cm_images_size(images);
    if ((uint32_t)images->count - stream->position < stream->batch) {
        ++stream->key.step;
        draw_order(stream);
    }
    for (uint32_t i = 0; i < stream->batch; ++i) {
        const uint32_t image = stream->order[stream->position++];
        cm_pixels_to_float(images->pixels + image * image_size, image_size,
                           pixels + i * image_size);
        labels[i] = images->labels[image];
    }
}

cm_stream_cursor cm_stream_tell(const cm_stream *stream) {
    return (cm_stream_cursor){stream->key.step, stream->position};
}

bool cm_stream_seek(cm_stream *stream, cm_stream_cursor cursor) {
    if (cursor.position > (uint32_t)stream->images->count || cursor.position % stream->batch != 0) {
        return false;
    }
    stream->key.step = cursor.permutation;
    draw_order(stream);
    stream->position = cursor.position;
    return true;
}

void cm_pixels_to_float(const uint8_t *bytes, size_t count, float *pixels) {
    for (size_t i = 0; i < count; ++i) {
        pixels[i] = (float)bytes[i] / 255.0F;
    }
}
