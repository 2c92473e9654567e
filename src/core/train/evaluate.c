#include <math.h>
#include <stdlib.h>

#include "convmark/stream.h"
#include "convmark/trainer.h"

/* Adds one batch's answers: the first largest logit of each image. */
static void count_answers(const float *logits, const uint8_t *labels, int batch, int classes,
                          int64_t *confusion) {
    for (int n = 0; n < batch; ++n) {
        const float *row = logits + (ptrdiff_t)n * classes;
        int answer = 0;
        for (int k = 1; k < classes; ++k) {
            answer = row[k] > row[answer] ? k : answer;
        }
        ++confusion[(ptrdiff_t)labels[n] * classes + answer];
    }
}

/* As many as the largest label tells. */
static int count_classes(const cm_images *images) {
    int classes = 0;
    for (int n = 0; n < images->count; ++n) {
        classes = images->labels[n] >= classes ? images->labels[n] + 1 : classes;
    }
    return classes;
}

cm_status cm_evaluate(cm_model *model, const cm_images *images, int batch,
                      cm_evaluation *evaluation, cm_error *error) {
    const cm_network *network = cm_model_network(model);
    const int classes = network->classes;
    const size_t pixels = cm_images_size(images);
    *evaluation = (cm_evaluation){.images = images->count, .classes = classes};
    const cm_status fits = cm_network_check_fits(network, images, count_classes(images), error);
    if (fits != CM_OK) {
        return fits;
    }
    if (batch < 1 || batch > cm_model_batch(model)) {
        return cm_fail(error, CM_USAGE,
                       "batch %d is out of range: 1 to %d, which the model was made for", batch,
                       cm_model_batch(model));
    }
    float *input = malloc((size_t)batch * pixels * sizeof *input);
    float *logits = malloc((size_t)batch * (size_t)classes * sizeof *logits);
    evaluation->confusion = calloc((size_t)classes * (size_t)classes, sizeof(int64_t));
    cm_status status = CM_OK;
    if (input == NULL || logits == NULL || evaluation->confusion == NULL) {
        status = cm_fail(error, CM_FAILED, "out of memory for a batch of %d", batch);
    }
    double sum = 0.0;
    int64_t correct = 0;
    for (int first = 0; status == CM_OK && first < images->count; first += batch) {
        const int count = images->count - first < batch ? images->count - first : batch;
        const uint8_t *labels = images->labels + first;
        cm_pixels_to_float(images->pixels + (size_t)first * pixels, (size_t)count * pixels, input);
        const cm_batch_result result = cm_model_evaluate(model, count, input, labels);
        cm_model_predict(model, count, input, logits);
        count_answers(logits, labels, count, classes, evaluation->confusion);
        sum += result.loss * count;
        correct += result.correct;
        if (first + count == images->count && isfinite(sum)) {
            status = cm_model_check_finite(model, count, input, error);
        }
    }
    if (images->count > 0) {
        evaluation->loss = sum / images->count;
        evaluation->accuracy = (double)correct / images->count;
    }
    if (status == CM_OK && !isfinite(evaluation->loss)) {
        status = cm_fail(error, CM_FAILED, "the loss of network %s is %f", network->name,
                         evaluation->loss);
    }
    free(input);
    free(logits);
    return status;
}

void cm_evaluation_free(cm_evaluation *evaluation) {
    free(evaluation->confusion);
    *evaluation = (cm_evaluation){0};
}
