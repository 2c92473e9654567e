#include "convmark/network.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "convmark/dataset.h"
#include "core/network/network_builder.h"

/* Sizes are counted without wrapping round: what does not fit is over every limit anyway. */
static int64_t product(int64_t a, int64_t b) {
    int64_t result;
    return __builtin_mul_overflow(a, b, &result) ? INT64_MAX : result;
}

static int64_t sum(int64_t a, int64_t b) {
    int64_t result;
    return __builtin_add_overflow(a, b, &result) ? INT64_MAX : result;
}

static int64_t elements(cm_layer_shape shape) {
    return product(product(shape.channels, shape.height), shape.width);
}

static bool has_weight_matrix(const cm_layer *layer) {
    return layer->kind == CM_LAYER_CONV2D || layer->kind == CM_LAYER_LINEAR;
}

/* Inputs of one output element of a convolution or linear layer. */
static int64_t fan_in(const cm_layer *layer) {
    const int64_t taps =
        layer->kind == CM_LAYER_CONV2D ? product(layer->kernel_h, layer->kernel_w) : 1;
    return product(layer->in.channels, taps);
}

int64_t cm_layer_parameter_count(const cm_layer *layer) {
    if (has_weight_matrix(layer)) {
        return product(layer->out.channels, sum(fan_in(layer), 1));
    }
    return layer->kind == CM_LAYER_BATCH_NORM ? 2 * (int64_t)layer->in.channels : 0;
}

int64_t cm_layer_macs(const cm_layer *layer) {
    return has_weight_matrix(layer) ? product(elements(layer->out), fan_in(layer)) : 0;
}

int64_t cm_network_parameter_count(const cm_network *network) {
    int64_t count = 0;
    for (int i = 0; i < network->layer_count; ++i) {
        count = sum(count, cm_layer_parameter_count(&network->layers[i]));
    }
    return count;
}

int64_t cm_network_macs(const cm_network *network) {
    int64_t macs = 0;
    for (int i = 0; i < network->layer_count; ++i) {
        macs = sum(macs, cm_layer_macs(&network->layers[i]));
    }
    return macs;
}

static int64_t activation_count(const cm_network *network) {
    int64_t count = elements(network->input);
    for (int i = 0; i < network->layer_count; ++i) {
        count = sum(count, elements(network->layers[i].out));
    }
    return count;
}

const char *cm_layer_kind_name(cm_layer_kind kind) {
    return cm_layer_grammars[kind].word;
}

void cm_network_free(cm_network *network) {
    if (network != NULL) {
        free(network->layers);
        free(network);
    }
}

cm_status cm_network_create(const char *name, cm_layer_shape input, cm_network **network,
                            cm_error *error) {
    if (elements(input) > CM_MAX_ACTIVATIONS) {
        return cm_fail(error, CM_BAD_INPUT,
                       "an image of %d x %d x %d has more than %d elements; make it smaller",
                       input.channels, input.height, input.width, CM_MAX_ACTIVATIONS);
    }
    cm_network *made = calloc(1, sizeof *made);
    cm_layer *layers = calloc(CM_MAX_LAYERS, sizeof *layers);
    if (made == NULL || layers == NULL) {
        free(made);
        free(layers);
        return cm_fail(error, CM_FAILED, "out of memory for a network's layers");
    }
    snprintf(made->name, sizeof made->name, "%s", name);
    made->input = input;
    made->layers = layers;
    *network = made;
    return CM_OK;
}

static int flatten_index(const cm_network *network) {
    for (int i = 0; i < network->layer_count; ++i) {
        if (network->layers[i].kind == CM_LAYER_FLATTEN) {
            return i;
        }
    }
    return -1;
}

/* Whether a layer may stand before or after flatten, and what to do when it may not. */
static const struct {
    bool before, after;
    const char *advice;
} places[CM_LAYER_KIND_COUNT] = {
    [CM_LAYER_CONV2D] = {true, false, "put it before flatten"},
    [CM_LAYER_BATCH_NORM] = {true, false,
                             "batch norm of linear layers is not supported; put it before flatten"},
    [CM_LAYER_RELU] = {true, true, ""},
    [CM_LAYER_MAX_POOL2D] = {true, false, "put it before flatten"},
    [CM_LAYER_DROPOUT] = {true, true, ""},
    [CM_LAYER_FLATTEN] = {true, false, "write it once"},
    [CM_LAYER_LINEAR] = {false, true, "put a line 'flatten' before the first linear"},
};

static cm_status check_place(const cm_network *network, cm_layer_kind kind, cm_error *error) {
    const bool after = flatten_index(network) >= 0;
    if (network->layer_count == CM_MAX_LAYERS) {
        return cm_fail(error, CM_BAD_INPUT, "more than %d layers; make the network smaller",
                       CM_MAX_LAYERS);
    }
    if (after ? !places[kind].after : !places[kind].before) {
        return cm_fail(error, CM_BAD_INPUT, "%s %s flatten; %s", cm_layer_kind_name(kind),
                       after ? "after" : "before", places[kind].advice);
    }
    return CM_OK;
}

/* Derives the map that a window leaves: floor((size + 2 * padding - kernel) / stride) + 1. */
static cm_status slide_window(cm_layer *layer, cm_error *error) {
    const int height = layer->in.height + 2 * layer->padding_h;
    const int width = layer->in.width + 2 * layer->padding_w;
    const int64_t padded = product(product(height, width), layer->in.channels);
    const char *word = cm_layer_kind_name(layer->kind);
    if (layer->kernel_h > height || layer->kernel_w > width) {
        return cm_fail(
            error, CM_BAD_INPUT,
            "%s: the kernel %dx%d is larger than its input, %dx%d with the padding; make "
            "it smaller or pool less before it",
            word, layer->kernel_h, layer->kernel_w, height, width);
    }
    if (padded > CM_MAX_ACTIVATIONS) {
        return cm_fail(error, CM_BAD_INPUT,
                       "%s: its padded input has more than %d elements; make it smaller", word,
                       CM_MAX_ACTIVATIONS);
    }
    if (layer->kind == CM_LAYER_CONV2D &&
        product(layer->kernel_h, layer->kernel_w) > CM_MAX_CONV2D_WINDOW) {
        return cm_fail(error, CM_BAD_INPUT,
                       "conv2d: a kernel of more than %d elements; make it smaller",
                       CM_MAX_CONV2D_WINDOW);
    }
    /* The kernels store a maximum's place in its window as 16 bits (kernels.h). */
    if (layer->kind == CM_LAYER_MAX_POOL2D &&
        product(layer->kernel_h, layer->kernel_w) > UINT16_MAX) {
        return cm_fail(error, CM_BAD_INPUT,
                       "max_pool2d: a window of more than %d elements; make it smaller",
                       UINT16_MAX);
    }
    layer->out.height = (height - layer->kernel_h) / layer->stride_h + 1;
    layer->out.width = (width - layer->kernel_w) / layer->stride_w + 1;
    return CM_OK;
}

/* Derives layer->out from layer->in; out.channels is already set where the layer chooses it. */
static cm_status derive_output(cm_layer *layer, cm_error *error) {
    const int chosen_channels = layer->out.channels;
    layer->out = layer->in;
    switch (layer->kind) {
    case CM_LAYER_CONV2D:
        layer->out.channels = chosen_channels;
        return slide_window(layer, error);
    case CM_LAYER_MAX_POOL2D:
        return slide_window(layer, error);
    case CM_LAYER_FLATTEN:
        layer->out = (cm_layer_shape){(int)elements(layer->in), 1, 1};
        return CM_OK;
    case CM_LAYER_LINEAR:
        layer->out.channels = chosen_channels;
        return CM_OK;
    case CM_LAYER_BATCH_NORM:
    case CM_LAYER_RELU:
    case CM_LAYER_DROPOUT:
        return CM_OK;
    }
    return cm_fail(error, CM_FAILED, "unknown kind of layer %d", (int)layer->kind);
}

static cm_status check_limits(const cm_network *network, const cm_layer *layer, cm_error *error) {
    if (sum(activation_count(network), elements(layer->out)) > CM_MAX_ACTIVATIONS) {
        return cm_fail(error, CM_BAD_INPUT,
                       "%s: the activations of one image have more than %d elements; make the "
                       "network smaller",
                       cm_layer_kind_name(layer->kind), CM_MAX_ACTIVATIONS);
    }
    if (sum(cm_network_parameter_count(network), cm_layer_parameter_count(layer)) >
        CM_MAX_PARAMETERS) {
        return cm_fail(error, CM_BAD_INPUT,
                       "%s: the network has more than %d parameters; make it smaller",
                       cm_layer_kind_name(layer->kind), CM_MAX_PARAMETERS);
    }
    return CM_OK;
}

cm_status cm_network_append(cm_network *network, const cm_layer *layer, cm_error *error) {
    cm_status status = check_place(network, layer->kind, error);
    if (status != CM_OK) {
        return status;
    }
    const int index = network->layer_count;
    const int flatten = flatten_index(network);
    cm_layer made = *layer;
    made.in = index == 0 ? network->input : network->layers[index - 1].out;
    status = derive_output(&made, error);
    if (status == CM_OK) {
        status = check_limits(network, &made, error);
    }
    if (status != CM_OK) {
        return status;
    }
    if (made.kind == CM_LAYER_FLATTEN) {
        snprintf(made.name, sizeof made.name, "dense.0");
    } else if (flatten < 0) {
        snprintf(made.name, sizeof made.name, "conv.%d", index);
    } else {
        snprintf(made.name, sizeof made.name, "dense.%d", index - flatten);
    }
    network->layers[network->layer_count++] = made;
    return CM_OK;
}

cm_status cm_network_finish(cm_network *network, cm_error *error) {
    const int count = network->layer_count;
    const cm_layer *last = count == 0 ? NULL : &network->layers[count - 1];
    if (last == NULL || last->kind != CM_LAYER_LINEAR) {
        return cm_fail(error, CM_BAD_INPUT, "the last layer is %s; end with %s'linear CLASSES'",
                       last == NULL ? "input" : cm_layer_kind_name(last->kind),
                       flatten_index(network) < 0 ? "'flatten' and " : "");
    }
    if (last->out.channels < 2 || last->out.channels > CM_MAX_CLASSES) {
        return cm_fail(error, CM_BAD_INPUT,
                       "the last layer is linear %d; it has one output a class: 2 to %d",
                       last->out.channels, CM_MAX_CLASSES);
    }
    network->classes = last->out.channels;
    return CM_OK;
}

/* PyTorch's order of a module's parameters and buffers; the last three are batch norm's alone. */
static const struct {
    const char *name;
    bool learned;
} tensor_rows[] = {
    [CM_TENSOR_WEIGHT] = {"weight", true},
    [CM_TENSOR_BIAS] = {"bias", true},
    [CM_TENSOR_RUNNING_MEAN] = {"running_mean", false},
    [CM_TENSOR_RUNNING_VAR] = {"running_var", false},
    [CM_TENSOR_NUM_BATCHES_TRACKED] = {"num_batches_tracked", false},
};

static int layer_tensor_count(const cm_layer *layer) {
    if (layer->kind == CM_LAYER_BATCH_NORM) {
        return CM_TENSOR_NUM_BATCHES_TRACKED + 1;
    }
    return has_weight_matrix(layer) ? CM_TENSOR_BIAS + 1 : 0;
}

static cm_tensor_spec tensor_of(const cm_network *network, int index, cm_tensor_kind kind) {
    const cm_layer *layer = &network->layers[index];
    cm_tensor_spec tensor = {
        .kind = kind, .layer = index, .count = 1, .learned = tensor_rows[kind].learned};
    snprintf(tensor.name, sizeof tensor.name, "%s.%s", layer->name, tensor_rows[kind].name);
    if (kind != CM_TENSOR_NUM_BATCHES_TRACKED) {
        tensor.dims[tensor.rank++] = layer->out.channels;
    }
    if (kind == CM_TENSOR_WEIGHT && has_weight_matrix(layer)) {
        tensor.dims[tensor.rank++] = layer->in.channels;
    }
    if (kind == CM_TENSOR_WEIGHT && layer->kind == CM_LAYER_CONV2D) {
        tensor.dims[tensor.rank++] = layer->kernel_h;
        tensor.dims[tensor.rank++] = layer->kernel_w;
    }
    for (int d = 0; d < tensor.rank; ++d) {
        tensor.count *= (size_t)tensor.dims[d]; /* within CM_MAX_PARAMETERS */
    }
    return tensor;
}

cm_tensor_spec *cm_network_tensors(const cm_network *network, int *count) {
    enum { MAX_LAYER_TENSORS = CM_TENSOR_NUM_BATCHES_TRACKED + 1 };
    cm_tensor_spec *tensors =
        calloc((size_t)network->layer_count * MAX_LAYER_TENSORS + 1, sizeof *tensors);
    *count = 0;
    for (int i = 0; tensors != NULL && i < network->layer_count; ++i) {
        const int layer_tensors = layer_tensor_count(&network->layers[i]);
        for (int kind = 0; kind < layer_tensors; ++kind) {
            tensors[(*count)++] = tensor_of(network, i, (cm_tensor_kind)kind);
        }
    }
    return tensors;
}

cm_dataset_shape cm_network_data_shape(const cm_network *network) {
    const cm_layer_shape *input = &network->input;
    return (cm_dataset_shape){input->channels, input->height, input->width, network->classes};
}

cm_status cm_network_check_fits(const cm_network *network, const cm_images *images, int classes,
                                cm_error *error) {
    const cm_layer_shape *input = &network->input;
    const int channels = cm_images_channels(images);
    if (input->channels != channels || input->height != images->height ||
        input->width != images->width) {
        return cm_fail(error, CM_USAGE,
                       "network %s takes %dx%dx%d images, not %dx%dx%d; begin it with 'input %d %d "
                       "%d', or use synthetic data",
                       network->name, input->channels, input->height, input->width, channels,
                       images->height, images->width, channels, images->height, images->width);
    }
    if (network->classes < classes) {
        return cm_fail(error, CM_USAGE,
                       "network %s has %d outputs, the data has %d classes; end it with 'linear "
                       "%d'",
                       network->name, network->classes, classes, classes);
    }
    return CM_OK;
}

cm_status cm_network_check_batch(const cm_network *network, int batch, cm_error *error) {
    for (int i = 0; batch == 1 && i < network->layer_count; ++i) {
        const cm_layer *layer = &network->layers[i];
        if (layer->kind == CM_LAYER_BATCH_NORM && layer->in.height == 1 && layer->in.width == 1) {
            return cm_fail(error, CM_USAGE,
                           "network %s: batch norm %s has one value per channel to train on: its "
                           "map is 1x1 and the batch is 1; use batches of at least 2, or place it "
                           "where the map is larger",
                           network->name, layer->name);
        }
    }
    return CM_OK;
}
