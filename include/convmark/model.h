/**
 * A model: a network with values for its parameters, a plan of how it is computed on one
 * instruction set, and the memory of that plan. Nothing is allocated after cm_model_create().
 */
#ifndef CM_MODEL_H
#define CM_MODEL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "convmark/kernels.h"
#include "convmark/network.h"
#include "convmark/status.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct cm_model cm_model;

/** Images of a block: the report's batch, so that its batches are one block. */
enum { CM_DEFAULT_BLOCK = 64 };

typedef struct cm_model_options {
    int batch;     /* the largest batch */
    int threads;   /* team size */
    cm_isa isa;    /* CM_ISA_BEST: the best of this machine */
    bool training; /* false: no memory for gradients and optimizer state */
    cm_conv2d_algorithm
        conv_algorithm; /* AUTO: the fixed table; another one is used where it fits */
    int block;          /* images of a block of the sums over images (kernels.h): decides bits where
                           a batch has more; 0: CM_DEFAULT_BLOCK */
} cm_model_options;

typedef struct cm_optimizer {
    double learning_rate, beta1, beta2, epsilon, weight_decay;
} cm_optimizer;

/** The report's: Adam with learning rate 1e-3, betas 0.9 and 0.999, epsilon 1e-8 and weight decay
 * 1e-5 (L2 regularization, added to the gradient). */
cm_optimizer cm_optimizer_default(void);

/** Mean loss and number of right answers of one batch. */
typedef struct cm_batch_result {
    double loss;
    int correct;
} cm_batch_result;

/** Plans and allocates; a model for training must pass cm_network_check_batch(); parameters are
 * zero until initialised or loaded. The model keeps a pointer to `network`, which stays the
 * caller's: free it after the model. *model is NULL on failure. */
cm_status cm_model_create(const cm_network *network, const cm_model_options *options,
                          cm_model **model, cm_error *error);
/** Frees the model, not its network. NULL is allowed. */
void cm_model_free(cm_model *model);

const cm_network *cm_model_network(const cm_model *model);
cm_isa cm_model_isa(const cm_model *model);
int cm_model_threads(const cm_model *model);
/** As asked for in the options: AUTO unless one was forced. */
cm_conv2d_algorithm cm_model_conv_algorithm(const cm_model *model);
int cm_model_batch(const cm_model *model);
/** Images of a block. */
int cm_model_block(const cm_model *model);

/** PyTorch's default initial values (docs/design/numerics.md) from Philox under `seed`. */
void cm_model_initialize(cm_model *model, uint64_t seed);

/** Forgets Adam's moments and the step count, as after loading other parameters. */
void cm_model_reset_optimizer(cm_model *model);

/**
 * One training step: forward in training mode, backward, Adam. `images`: [batch][height][width]
 * [channels] floats; labels: one byte per image. `seed` and the model's step count key dropout. The
 * model is one for training, `batch` (here and below) 1 to the model's, and labels are below the
 * network's classes.
 */
cm_batch_result cm_model_train_step(cm_model *model, int batch, const float *images,
                                    const uint8_t *labels, const cm_optimizer *optimizer,
                                    uint64_t seed);
/** Forward in training mode and backward only: gradients are then in cm_model_get_gradient(); the
 * model, running statistics included, stays as it is. */
cm_batch_result cm_model_gradients(cm_model *model, int batch, const float *images,
                                   const uint8_t *labels, uint64_t seed);
/** Evaluation mode: loss and right answers. */
cm_batch_result cm_model_evaluate(cm_model *model, int batch, const float *images,
                                  const uint8_t *labels);
/** Evaluation mode: logits [batch][classes]. */
void cm_model_predict(cm_model *model, int batch, const float *images, float *logits);

/** What a step does to a stage of the plan, or besides: forward in training, its gradients; forward
 * in inference; loss; Adam; what inference prepares once. */
typedef enum cm_pass {
    CM_PASS_FORWARD,
    CM_PASS_BACKWARD,
    CM_PASS_LOSS,
    CM_PASS_UPDATE,
    CM_PASS_PREPARE,
    CM_PASS_COUNT
} cm_pass;

struct cm_plan;
/** The plan of training, or of inference (plan.h); training: of a model that can train. */
const struct cm_plan *cm_model_plan(const cm_model *model, bool training);

/** Records the phases of later steps in `trace` (include/convmark/trace.h; NULL: none), which is
 * for the model's threads. A task is pass << 16 | stage. */
void cm_model_set_trace(cm_model *model, cm_trace *trace);

/** The name of the first layer whose output is not finite, of those whose outputs are kept: in the
 * forward pass of the last training step (images NULL), or in evaluation mode on these images,
 * which is run for it. NULL: none. */
const char *cm_model_layer_not_finite(cm_model *model, int batch, const float *images);

/** The name of the first tensor with a value that is not finite; NULL: none. */
const char *cm_model_tensor_not_finite(const cm_model *model);

/** CM_FAILED, with the name of the first tensor or layer, where a tensor of the model is not
 * finite, or an output of the forward pass that cm_model_layer_not_finite() looks at. Max pool,
 * ReLU and dropout can drop a NaN (docs/design/numerics.md), so a finite loss does not prove a
 * sound model. */
cm_status cm_model_check_finite(cm_model *model, int batch, const float *images, cm_error *error);

/** Training steps done (Adam's t); 0 after initialise or load. */
int64_t cm_model_step_count(const cm_model *model);

/** Tensors in state_dict order, with PyTorch's names and shapes. */
int cm_model_tensor_count(const cm_model *model);
const cm_tensor_spec *cm_model_tensor(const cm_model *model, int index);
/** Copies a tensor's values in PyTorch's element order: spec->count floats (num_batches_tracked:
 * one int64_t). */
void cm_model_get_tensor(const cm_model *model, int index, void *values);
void cm_model_set_tensor(cm_model *model, int index, const void *values);
/** Gradient of a learned tensor after the last step, in PyTorch's element order. */
void cm_model_get_gradient(const cm_model *model, int index, float *values);

/** What the optimizer keeps besides the moments. */
typedef struct cm_adam_state {
    int64_t step_count;
    double beta1_power, beta2_power; /* beta^step_count, as the steps multiplied them */
} cm_adam_state;

/** The optimizer's state of a model for training; the moments are of a learned tensor, in PyTorch's
 * element order, spec->count floats each. */
cm_adam_state cm_model_get_adam(const cm_model *model);
void cm_model_set_adam(cm_model *model, const cm_adam_state *state);
void cm_model_get_moments(const cm_model *model, int index, float *moment1, float *moment2);
void cm_model_set_moments(cm_model *model, int index, const float *moment1, const float *moment2);

/** SHA-256, as 64 hex digits, over all tensors in state_dict order: the little-endian bytes of the
 * values in PyTorch's element order, names and shapes not included. */
void cm_model_sha256(const cm_model *model, char hex[65]);

/** Bytes of the model's arenas: parameters with optimizer state; activations, gradients, scratch.
 */
size_t cm_model_memory(const cm_model *model);

#ifdef __cplusplus
}
#endif

#endif
