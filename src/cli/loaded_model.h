/**
 * Models loaded from files, and labels as words.
 */
#ifndef CM_CLI_LOADED_MODEL_H
#define CM_CLI_LOADED_MODEL_H

#include <stdbool.h>

#include "convmark/model.h"

/** A model and the network it belongs to. */
typedef struct cm_loaded_model {
    cm_network *network;
    cm_model *model;
} cm_loaded_model;

/** Loads `path`; options->batch is the most, fewer where the network is large. `network`: name or
 * file of its network; NULL: the one that the file names. Close *loaded with
 * cm_loaded_model_close(), whatever the status. */
cm_status cm_loaded_model_open(const char *path, const char *network,
                               const cm_model_options *options, cm_loaded_model *loaded,
                               cm_error *error);

/** cm_model_load(), with a warning of what was converted or left out. */
cm_status cm_load_weights(cm_model *model, const char *path, cm_error *error);

void cm_loaded_model_close(cm_loaded_model *loaded);

/** Whether a network's labels are those of Fashion-MNIST: it has ten classes, takes such pictures,
 * and `data` is the name of a set with them, or "" (unknown). */
bool cm_labels_are_fashion(const cm_network *network, const char *data);
/** A label as words: Fashion-MNIST's name, or "class N". The result may be `text`. */
const char *cm_label_text(bool fashion, int label, char *text, size_t size);

#endif
