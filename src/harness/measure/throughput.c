#include "harness/measure/throughput.h"

#include <stdlib.h>
#include <string.h>

#include "convmark/stream.h"
#include "convmark/trainer.h"
#include "core/system/clock.h"

enum { BATCHES = 4, WARM_UP_STEPS = 2 };

const char *cm_mode_name(cm_mode mode) {
    static const char *const names[CM_MODE_COUNT] = {"train", "infer"};
    return names[mode];
}

cm_status cm_block_data_create(const cm_images *images, int batch, cm_block_data *data,
                               cm_error *error) {
    const size_t image = cm_images_size(images);
    *data = (cm_block_data){.batch = batch, .count = BATCHES, .image = image};
    const size_t count = (size_t)batch * BATCHES;
    data->images = malloc(count * image * sizeof *data->images);
    data->labels = malloc(count);
    if (data->images == NULL || data->labels == NULL) {
        cm_block_data_free(data);
        return cm_fail(error, CM_FAILED, "out of memory for batches of %d; use smaller ones",
                       batch);
    }
    for (size_t i = 0; i < count; ++i) {
        const size_t from = i % (size_t)images->count;
        cm_pixels_to_float(images->pixels + from * image, image, data->images + i * image);
        data->labels[i] = images->labels[from];
    }
    return CM_OK;
}

void cm_block_data_free(cm_block_data *data) {
    free(data->images);
    free(data->labels);
    *data = (cm_block_data){0};
}

static void run_throughput_step(cm_model *model, cm_mode mode, const cm_block_data *data,
                                int step) {
    const cm_optimizer adam = cm_optimizer_default();
    const size_t first = (size_t)(step % data->count) * (size_t)data->batch;
    const float *images = data->images + first * data->image;
    const uint8_t *labels = data->labels + first;
    if (mode == CM_MODE_TRAIN) {
        cm_model_train_step(model, data->batch, images, labels, &adam, 0);
    } else {
        cm_model_evaluate(model, data->batch, images, labels);
    }
}

double cm_throughput_sample(cm_model *model, cm_mode mode, const cm_block_data *data,
                            double seconds) {
    for (int step = 0; step < WARM_UP_STEPS; ++step) {
        run_throughput_step(model, mode, data, step);
    }
    const int64_t start = cm_clock_ns(), wanted = (int64_t)(seconds * 1e9);
    int64_t elapsed = 0;
    int64_t steps = 0;
    do {
        run_throughput_step(model, mode, data, (int)(steps % data->count));
        ++steps;
        elapsed = cm_clock_ns() - start;
    } while (elapsed < wanted || elapsed <= 0);
    return (double)steps * data->batch * 1e9 / (double)elapsed;
}
