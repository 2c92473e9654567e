/**
 * How a network is put together, layer by layer: what the table of variants and the parser of
 * network text share. Internal to src/network.
 */
#ifndef CM_CORE_NETWORK_NETWORK_BUILDER_H
#define CM_CORE_NETWORK_NETWORK_BUILDER_H

#include "convmark/network.h"
#include "convmark/status.h"

/** Words and the positional argument of a layer: one row a cm_layer_kind. */
typedef enum cm_layer_argument {
    CM_ARGUMENT_NONE,
    CM_ARGUMENT_COUNT,      /* out.channels */
    CM_ARGUMENT_WINDOW,     /* kernel_h, kernel_w */
    CM_ARGUMENT_PROBABILITY /* p */
} cm_layer_argument;

/** Options of a layer, by bit: "kernel", "stride", "padding". */
enum {
    CM_LAYER_OPTION_KERNEL = 1,
    CM_LAYER_OPTION_STRIDE = 2,
    CM_LAYER_OPTION_PADDING = 4,
    CM_LAYER_OPTION_COUNT = 3
};

typedef struct cm_layer_grammar {
    const char *word;
    cm_layer_argument argument;
    unsigned options, required_options; /* CM_LAYER_OPTION_... */
    const char *usage;                  /* one line of the text, as documented */
} cm_layer_grammar;

enum { CM_LAYER_KIND_COUNT = CM_LAYER_LINEAR + 1 };
extern const cm_layer_grammar cm_layer_grammars[CM_LAYER_KIND_COUNT];

/** An empty network; sizes of `input` in 1..CM_MAX_LAYER_SIZE. CM_BAD_INPUT over the limits. */
cm_status cm_network_create(const char *name, cm_layer_shape input, cm_network **network,
                            cm_error *error);

/**
 * Appends a layer: of `layer` the kind, out.channels (conv2d, linear), kernel, stride, padding
 * and p are read, in their ranges (1..CM_MAX_LAYER_SIZE, padding from 0, 0 <= p < 1); the rest is
 * derived. CM_BAD_INPUT, network unchanged, when the layer cannot stand there.
 */
cm_status cm_network_append(cm_network *network, const cm_layer *layer, cm_error *error);

/** Checks the end of the network and sets its classes. */
cm_status cm_network_finish(cm_network *network, cm_error *error);

/** Reads a name of explore's grid, such as "d3-p1-bn-w64-do0.1"; recipe->name is `name`. False: it
 * is none. */
bool cm_recipe_parse_name(const char *name, cm_recipe *recipe);

#endif
