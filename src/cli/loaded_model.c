#include "cli/loaded_model.h"

#include <stdio.h>

#include "network/model_file.h"

cm_status cm_loaded_model_open(const char *path, const char *network,
                               const cm_model_options *options, cm_loaded_model *loaded,
                               cm_error *error) {
    *loaded = (cm_loaded_model){NULL, NULL};
    cm_status status = network != NULL ? cm_network_open(network, &loaded->network, error)
                                       : cm_model_file_network(path, &loaded->network, error);
    if (status == CM_OK) {
        status = cm_model_create(loaded->network, options, &loaded->model, error);
    }
    if (status == CM_OK) {
        status = cm_model_load(loaded->model, path, error);
    }
    return status;
}

void cm_loaded_model_close(cm_loaded_model *loaded) {
    cm_model_free(loaded->model);
    cm_network_free(loaded->network);
    *loaded = (cm_loaded_model){NULL, NULL};
}

cm_status cm_check_fits(const cm_network *network, const cm_dataset *dataset, cm_error *error) {
    const cm_layer_shape input = network->input;
    const cm_images *images = &dataset->train;
    if (input.channels != 1 || input.height != images->height || input.width != images->width) {
        return cm_fail(error, CM_USAGE,
                       "%s: its input is %d x %d x %d, the images of %s are 1 x %d x %d; write "
                       "'input 1 %d %d'",
                       network->name, input.channels, input.height, input.width, dataset->name,
                       images->height, images->width, images->height, images->width);
    }
    if (network->classes < dataset->classes) {
        return cm_fail(
            error, CM_USAGE, "%s: it has %d outputs, %s has %d classes; end it with 'linear %d'",
            network->name, network->classes, dataset->name, dataset->classes, dataset->classes);
    }
    return CM_OK;
}

const char *cm_label_text(int label, int classes, char *text, size_t size) {
    if (classes == 10) {
        return cm_class_name(label);
    }
    snprintf(text, size, "class %d", label);
    return text;
}
