/**
 * What lies in the workspace of softmax_cross_entropy: [batch] of these.
 */
#ifndef CM_KERNELS_SOFTMAX_WORKSPACE_H
#define CM_KERNELS_SOFTMAX_WORKSPACE_H

/** One image's loss, and whether its first largest logit is at its label. */
typedef struct cm_image_loss {
    double loss;
    int correct;
} cm_image_loss;

#endif
