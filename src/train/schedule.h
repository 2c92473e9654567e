/**
 * ReduceLROnPlateau, as PyTorch defines it with its defaults: mode "min", relative threshold 1e-4,
 * no cooldown, no lower bound.
 */
#ifndef CM_TRAIN_SCHEDULE_H
#define CM_TRAIN_SCHEDULE_H

typedef struct cm_plateau {
    double factor;
    int patience;
    double best;    /* lowest value so far */
    int bad_epochs; /* since the best or the last reduction */
    int since_best; /* since the best: early stopping looks at it */
} cm_plateau;

cm_plateau cm_plateau_init(double factor, int patience);

/** Notes the value of one epoch; multiplies *learning_rate by the factor when more than `patience`
 * epochs in a row brought no improvement. NaN is no improvement. */
void cm_plateau_observe(cm_plateau *plateau, double value, double *learning_rate);

#endif
