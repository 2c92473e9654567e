#include "cli/loaded_model.h"

#include <stdio.h>

#include "cli/cli.h"
#include "convmark/dataset.h"
#include "convmark/model_file.h"

cm_status cm_loaded_model_open(const char *path, const char *network,
                               const cm_model_options *options, cm_loaded_model *loaded,
                               cm_error *error) {
    *loaded = (cm_loaded_model){NULL, NULL};
    cm_status status = network != NULL
                           ? cm_network_open(network, &loaded->network, error)
                           : cm_name_options(cm_model_file_network(path, &loaded->network, error),
                                             "--network", error);
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

const char *cm_label_text(const cm_dataset *data, int label, int classes, char *text, size_t size) {
    const bool other_set = data != NULL && data->real && !data->verified;
    if (classes == 10 && !other_set) {
        return cm_class_name(label);
    }
    snprintf(text, size, "class %d", label);
    return text;
}
