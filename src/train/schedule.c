#include "train/schedule.h"

#include <math.h>

cm_plateau cm_plateau_init(double factor, int patience) {
    return (cm_plateau){.factor = factor, .patience = patience, .best = INFINITY};
}

void cm_plateau_observe(cm_plateau *plateau, double value, double *learning_rate) {
    const double threshold = 1e-4;
    /* PyTorch's _ReduceLROnPlateau ignores a change whose size is 1e-8 or less. */
    const double smallest_change = 1e-8;
    if (value < plateau->best * (1.0 - threshold)) {
        plateau->best = value;
        plateau->bad_epochs = 0;
        plateau->since_best = 0;
        return;
    }
    ++plateau->bad_epochs;
    ++plateau->since_best;
    if (plateau->bad_epochs > plateau->patience) {
        const double reduced = *learning_rate * plateau->factor;
        if (*learning_rate - reduced > smallest_change) {
            *learning_rate = reduced;
        }
        plateau->bad_epochs = 0;
    }
}
