#include "cli/loaded_model.h"

#include <stdio.h>
#include <string.h>

#include "cli/cli.h"
#include "convmark/dataset.h"
#include "convmark/model_file.h"

/* As many images at once as memory bounds: a file decides the network, and so how much each takes.
 */
static int batch_of(const cm_network *network, int most) {
    enum { MOST_ACTIVATIONS = 1 << 28 };
    int64_t image = 1;
    for (int i = 0; i < network->layer_count; ++i) {
        const cm_layer_shape *out = &network->layers[i].out;
        image += (int64_t)out->channels * out->height * out->width;
    }
    const int64_t batch = MOST_ACTIVATIONS / image;
    return batch > most ? most : batch < 1 ? 1 : (int)batch;
}

/* The network that the file names. */
static cm_status open_named_network(const char *path, cm_network **network, cm_error *error) {
    const cm_status status = cm_model_file_network(path, network, error);
    const bool unnamed = status == CM_BAD_INPUT && strstr(error->message, "name the network");
    return unnamed ? cm_name_options(status, "--network", error) : status;
}

cm_status cm_loaded_model_open(const char *path, const char *network,
                               const cm_model_options *options, cm_loaded_model *loaded,
                               cm_error *error) {
    *loaded = (cm_loaded_model){NULL, NULL};
    cm_status status = network != NULL ? cm_network_open(network, &loaded->network, error)
                                       : open_named_network(path, &loaded->network, error);
    if (status == CM_OK) {
        status = cm_model_file_check(path, loaded->network, error);
    }
    if (status == CM_OK) {
        cm_model_options chosen = *options;
        chosen.batch = batch_of(loaded->network, options->batch);
        status = cm_model_create(loaded->network, &chosen, &loaded->model, error);
    }
    return status == CM_OK ? cm_load_weights(loaded->model, path, error) : status;
}

cm_status cm_load_weights(cm_model *model, const char *path, cm_error *error) {
    cm_model_note note;
    const cm_status status = cm_model_load_noting(model, path, &note, error);
    if (status == CM_OK && note.text[0] != '\0') {
        cm_warn("%s: %s", path, note.text);
    }
    return status;
}

void cm_loaded_model_close(cm_loaded_model *loaded) {
    cm_model_free(loaded->model);
    cm_network_free(loaded->network);
    *loaded = (cm_loaded_model){NULL, NULL};
}

bool cm_labels_are_fashion(const cm_network *network, const char *data) {
    const cm_layer_shape *in = &network->input;
    const bool taken = in->channels == 1 && in->height == 28 && in->width == 28;
    return network->classes == 10 && taken &&
           (data[0] == '\0' || strcmp(data, "fashion-mnist") == 0 ||
            strcmp(data, "synthetic") == 0);
}

const char *cm_label_text(bool fashion, int label, char *text, size_t size) {
    if (fashion) {
        return cm_class_name(label);
    }
    snprintf(text, size, "class %d", label);
    return text;
}
