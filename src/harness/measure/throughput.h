/**
 * Throughput of a model, training or inference, in images per second. One sample is a block of
 * steps.
 */
#ifndef CM_MEASURE_THROUGHPUT_H
#define CM_MEASURE_THROUGHPUT_H

#include <stdint.h>

#include "convmark/dataset.h"
#include "convmark/model.h"
#include "convmark/status.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef enum cm_mode { CM_MODE_TRAIN, CM_MODE_INFER, CM_MODE_COUNT } cm_mode;

/** "train", "infer". */
const char *cm_mode_name(cm_mode mode);

/** Batches of images, converted to floats before the measurement: steps take them in turn, and no
 * time is spent on reading data. */
typedef struct cm_block_data {
    int batch, count; /* images per batch; batches */
    size_t image;     /* floats of one image */
    float *images;    /* [count][batch][image] */
    uint8_t *labels;  /* [count][batch] */
} cm_block_data;

/** Takes the first images of `images`, from the first again where there are too few. Free with
 * cm_block_data_free(). */
cm_status cm_block_data_create(const cm_images *images, int batch, cm_block_data *data,
                               cm_error *error);
void cm_block_data_free(cm_block_data *data);

/** Does two steps untimed, then steps until at least `seconds` have passed; returns images per
 * second. `model` takes batches of data->batch, and was created for training where `mode` trains.
 */
double cm_throughput_sample(cm_model *model, cm_mode mode, const cm_block_data *data,
                            double seconds);

#ifdef __cplusplus
}
#endif

#endif
