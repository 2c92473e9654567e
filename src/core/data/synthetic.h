/**
 * The synthetic data set: procedural pictures of any shape and number of classes, for throughput
 * and tests where real ones are not at hand. Integers only, hence the same bytes on every machine.
 */
#ifndef CM_CORE_DATA_SYNTHETIC_H
#define CM_CORE_DATA_SYNTHETIC_H

#include <stddef.h>
#include <stdint.h>

#include "convmark/dataset.h"
#include "convmark/status.h"

#ifdef __cplusplus
extern "C" {
#endif

enum { CM_SYNTHETIC_CLASSES = 10, CM_SYNTHETIC_SIDE = 28 };

/** Part of the set: each has its own random numbers and the same classes. */
typedef enum cm_synthetic_part {
    CM_SYNTHETIC_TRAIN = 1,
    CM_SYNTHETIC_VALIDATION = 2
} cm_synthetic_part;

/** Bytes of workspace that cm_synthetic_draw() needs; SIZE_MAX where that overflows. */
size_t cm_synthetic_workspace(const cm_dataset_shape *shape);

/**
 * Writes the first `count` images of a part: `pixels` [count][height][width][channels] and `labels`
 * [count] in 0 .. classes - 1. A class is a fixed smooth pattern; an image shows its class's
 * pattern moved by up to 3 pixels each way, at a random contrast, under a weaker pattern of another
 * class and noise. A network must learn to distinguish them, and can. Image i depends on (shape,
 * part, i) only. `shape`: every size at least 1, at most CM_MAX_CLASSES classes.
 */
void cm_synthetic_draw(const cm_dataset_shape *shape, cm_synthetic_part part, int count,
                       uint8_t *workspace, uint8_t *pixels, uint8_t *labels);

/** cm_synthetic_draw() of Fashion-MNIST's shape: 1x28x28, ten classes. */
void cm_synthetic_images(cm_synthetic_part part, int count, uint8_t *pixels, uint8_t *labels);

/** Images of a part of the data set of this shape: as many as Fashion-MNIST has (60,000 and
 * 10,000), but not more than 64 MiB (16 MiB) unless these are less than 1,024 images, and never
 * more than 256 MiB, at least one. */
int cm_synthetic_count(const cm_dataset_shape *shape, cm_synthetic_part part);

#ifdef __cplusplus
}
#endif

#endif
