/**
 * Endless streams of batches, as the report's protocol has them: a stream walks a random
 * permutation of its images and draws a new one when fewer than a batch are left; it does not
 * restart at an epoch.
 */
#ifndef CM_STREAM_H
#define CM_STREAM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "convmark/dataset.h"
#include "convmark/philox.h"
#include "convmark/status.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct cm_stream cm_stream;

/** A stream over `images`, which must outlive it. Unshuffled: the images' own order, again and
 * again, keeping the same rule for the rest. batch <= images->count. */
cm_status cm_stream_create(const cm_images *images, int batch, bool shuffle, uint64_t seed,
                           cm_random_purpose purpose, cm_stream **stream, cm_error *error);
void cm_stream_free(cm_stream *stream);

/** Writes the next batch: pixel / 255 as float [batch][height][width][channels], and its labels. */
void cm_stream_next(cm_stream *stream, float *pixels, uint8_t *labels);

/** Where a stream is: how often it has drawn a new permutation, and how many images of the last one
 * it has given. A permutation depends on its number only. */
typedef struct cm_stream_cursor {
    uint32_t permutation, position;
} cm_stream_cursor;

cm_stream_cursor cm_stream_tell(const cm_stream *stream);
/** Moves the stream there; false, without a change, when no stream over these images
 * can be there. */
bool cm_stream_seek(cm_stream *stream, cm_stream_cursor cursor);

/** Converts bytes to pixel / 255 as float, the division rounded once. */
void cm_pixels_to_float(const uint8_t *bytes, size_t count, float *pixels);

#ifdef __cplusplus
}
#endif

#endif
