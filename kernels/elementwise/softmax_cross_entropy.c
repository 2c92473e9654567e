#include <assert.h>

#include "kernels/elementwise/elementary.h"
#include "kernels/elementwise/softmax_workspace.h"
#include "kernels/isa.h"
#include "kernels/sums.h"

static cm_image_loss loss_of_image(int classes, const float *logits, int label, double batch,
                                   float *dlogits) {
    int largest = 0;
    for (int i = 1; i < classes; ++i) {
        if (logits[i] > logits[largest]) {
            largest = i;
        }
    }
    const double max = (double)logits[largest];
    double sum = 0.0;
    for (int i = 0; i < classes; ++i) {
        sum += cm_exp((double)logits[i] - max);
    }
    if (dlogits != NULL) {
        for (int i = 0; i < classes; ++i) {
            const double softmax = cm_exp((double)logits[i] - max) / sum;
            dlogits[i] = (float)((softmax - (i == label ? 1.0 : 0.0)) / batch);
        }
    }
    return (cm_image_loss){cm_log(sum) - ((double)logits[label] - max), largest == label};
}

void cm_softmax_cross_entropy(const cm_team *team, const cm_softmax_cross_entropy_args *args) {
    const int batch = args->batch, classes = args->classes;
    cm_image_loss *results = args->workspace; /* [batch] */
    const cm_range range = cm_team_share(team, batch);
    for (ptrdiff_t i = range.begin; i < range.end; ++i) {
        assert(args->labels[i] < classes);
        results[i] =
            loss_of_image(classes, args->logits + i * classes, args->labels[i], (double)batch,
                          args->dlogits == NULL ? NULL : args->dlogits + i * classes);
    }
    cm_team_barrier(team);
    if (team->index == 0) {
        int right = 0;
        for (int i = 0; i < batch; ++i) {
            right += results[i].correct;
        }
        cm_join_images(&results[0].loss, sizeof *results / sizeof results[0].loss, batch,
                       args->block, 1);
        *args->loss = results[0].loss / (double)batch;
        *args->correct = right;
    }
}
