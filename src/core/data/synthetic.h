/**
 * The synthetic data set: procedural pictures of Fashion-MNIST's shape, for throughput and tests
 * where the real ones are not at hand. Integers only, hence the same bytes on every machine.
 */
#ifndef CM_CORE_DATA_SYNTHETIC_H
#define CM_CORE_DATA_SYNTHETIC_H

#include <stdint.h>

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

/**
 * Writes the first `count` images of a part: `pixels` [count][28][28] and `labels` [count] in 0 ..
 * 9. A class is a fixed smooth pattern; an image shows its class's pattern moved by up to 3 pixels
 * each way, at a random contrast, under a weaker pattern of another class and noise. A network must
 * learn to distinguish them, and can. Image i depends on (part, i) only.
 */
void cm_synthetic_images(cm_synthetic_part part, int count, uint8_t *pixels, uint8_t *labels);

#ifdef __cplusplus
}
#endif

#endif
