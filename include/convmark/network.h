/**
 * Networks as data: a list of layers with their shapes. Comes from the table of variants or from a
 * user's text file (docs/reference/network-text.md); says nothing of how it is computed.
 */
#ifndef CM_NETWORK_H
#define CM_NETWORK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "convmark/dataset.h"
#include "convmark/status.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef enum cm_layer_kind {
    CM_LAYER_CONV2D,
    CM_LAYER_BATCH_NORM,
    CM_LAYER_RELU,
    CM_LAYER_MAX_POOL2D,
    CM_LAYER_DROPOUT,
    CM_LAYER_FLATTEN,
    CM_LAYER_LINEAR
} cm_layer_kind;

/** Shape of one image's activations; after flatten height and width are 1. */
typedef struct cm_layer_shape {
    int channels, height, width;
} cm_layer_shape;

typedef struct cm_layer {
    cm_layer_kind kind;
    cm_layer_shape in, out;
    int kernel_h, kernel_w, stride_h, stride_w, padding_h, padding_w; /* conv2d, max_pool2d */
    float p;                                                          /* dropout */
    char name[24]; /* PyTorch's module path: "conv.0", "dense.1": layers before flatten are in
                      "conv", flatten and later ones in "dense", counted from 0 in each */
} cm_layer;

enum { CM_MAX_LAYERS = 512, CM_NETWORK_NAME_SIZE = 64 };

/** Limits of every network, so that no size computed from one overflows: a single number of a
 * layer, classes, the bytes of a text, and for one image the elements of all activations together
 * (a convolution's padded input by itself too) and the learned parameters. */
enum {
    CM_MAX_LAYER_SIZE = 1 << 20,
    CM_MAX_CLASSES = 256,
    CM_MAX_CONV2D_WINDOW = 4096, /* elements of a kernel: cm_conv2d_shape_init() takes no more */
    CM_MAX_NETWORK_TEXT = 1 << 20,
    CM_MAX_ACTIVATIONS = 1 << 28,
    CM_MAX_PARAMETERS = 1 << 30
};

typedef struct cm_network {
    char name[CM_NETWORK_NAME_SIZE]; /* variant id, or a file's base name without extension */
    cm_layer_shape input;
    int classes; /* outputs of the last layer */
    int layer_count;
    cm_layer *layers; /* [layer_count]; the network owns them */
} cm_network;

/** A learnable parameter or buffer of a layer, in PyTorch's terms. */
typedef enum cm_tensor_kind {
    CM_TENSOR_WEIGHT,
    CM_TENSOR_BIAS,
    CM_TENSOR_RUNNING_MEAN,
    CM_TENSOR_RUNNING_VAR,
    CM_TENSOR_NUM_BATCHES_TRACKED /* int64 scalar */
} cm_tensor_kind;

typedef struct cm_tensor_spec {
    char name[48]; /* "conv.0.weight" */
    cm_tensor_kind kind;
    int layer;       /* index into network->layers */
    int rank;        /* 0 for num_batches_tracked */
    int64_t dims[4]; /* PyTorch's: conv weight [out][in][kh][kw], linear weight [out][in] */
    size_t count;    /* elements */
    bool learned;    /* weight and bias: yes; running statistics: no */
} cm_tensor_spec;

/** One row per variant of the report (README.md names it). */
typedef struct cm_variant {
    const char *id;
    const char *title;
    int conv_layers; /* L */
    int pool_period; /* P: max_pool2d(3) after conv i when i % P == 0 */
    bool batch_norm;
    float dropout_conv;   /* at the end of module conv; 0: none */
    float dropout_output; /* before the output layer (0: a dropout layer with p = 0) */
} cm_variant;

/** The table of the report's variants; *count rows. */
const cm_variant *cm_variants(int *count);
/** NULL when there is none of this id. */
const cm_variant *cm_variant_find(const char *id);

/** A network built as the report builds its variants: `conv_layers` times conv2d 3x3, [batch norm,]
 * ReLU and, where their number is a multiple of the period, max_pool2d(3); then [dropout,] flatten,
 * linear 128, ReLU, dropout, linear. `data`: what it takes; all 0: 1x28x28 images, 10 classes. */
typedef struct cm_recipe {
    const char *name;
    int conv_layers, pool_period, channels;
    bool batch_norm;
    float dropout_conv, dropout_output; /* as in cm_variant */
    cm_dataset_shape data;
} cm_recipe;

/** CM_BAD_INPUT, with what to do, where pools leave less than a pixel, or over the limits. */
cm_status cm_network_from_recipe(const cm_recipe *recipe, cm_network **network, cm_error *error);
/** Builds the network of a variant. */
cm_status cm_network_from_variant(const cm_variant *variant, cm_network **network, cm_error *error);
/** Parses network text (docs/reference/network-text.md); `file` names it in messages (FILE:LINE:
 * what; what to do). Its base name without extension, with '_' for what is not printable ASCII, is
 * the network's name. CM_BAD_INPUT for any fault in the text. */
cm_status cm_network_parse(const char *text, size_t size, const char *file, cm_network **network,
                           cm_error *error);
/** `name_or_file`: a variant's id, a name of explore's grid ("d3-p1-bn-w64-do0.1", for 1x28x28
 * images of ten classes), else a path to network text (anything with a '/' or a '.'). An
 * unknown name is CM_USAGE with the nearest id suggested; a bad file is CM_BAD_INPUT. */
cm_status cm_network_open(const char *name_or_file, cm_network **network, cm_error *error);
/** Whether cm_network_open() takes the word for such a name, not for a file's. */
bool cm_network_is_name(const char *name_or_file);
/** NULL is allowed. */
void cm_network_free(cm_network *network);

/** The network as text that cm_network_parse() reads back as the same layers, the same on every
 * machine and in every locale; free() it. */
cm_status cm_network_to_text(const cm_network *network, char **text, cm_error *error);

/** Learned parameters of the whole network. */
int64_t cm_network_parameter_count(const cm_network *network);
/** Learned parameters of a layer. */
int64_t cm_layer_parameter_count(const cm_layer *layer);
/** Multiply-accumulates of a layer: forward, one image, dense (taps in the padding count as well).
 * Only convolutions and linear layers have any. */
int64_t cm_layer_macs(const cm_layer *layer);
/** Of all layers. */
int64_t cm_network_macs(const cm_network *network);
/** "conv2d", "batch_norm" ...: the word of the network text. */
const char *cm_layer_kind_name(cm_layer_kind kind);

enum { CM_LAYER_TEXT_SIZE = 128 };

/** Writes one layer as network text, without a newline. */
void cm_layer_text(const cm_layer *layer, char text[CM_LAYER_TEXT_SIZE]);

/** All tensors in PyTorch's state_dict order; *count of them, free() the result; NULL: no memory.
 */
cm_tensor_spec *cm_network_tensors(const cm_network *network, int *count);

/** The shape of the images that the network takes, and its number of classes. */
cm_dataset_shape cm_network_data_shape(const cm_network *network);

/** CM_USAGE when the images (dataset.h) do not have the channels and the size that the network
 * takes, or have more classes than it has outputs; the message says how to change the network. */
cm_status cm_network_check_fits(const cm_network *network, const cm_images *images, int classes,
                                cm_error *error);

/** CM_USAGE when a batch norm would have one value per channel in a training batch of `batch`
 * images: its mean would be that value and its output the shift, whatever the images are. PyTorch
 * refuses it too. Inference is not concerned. */
cm_status cm_network_check_batch(const cm_network *network, int batch, cm_error *error);

#ifdef __cplusplus
}
#endif

#endif
