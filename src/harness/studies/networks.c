#include "harness/studies/networks.h"

#include <stdlib.h>
#include <string.h>

#include "harness/studies/study.h"

static cm_status add_named_network(const char *name, const cm_dataset *dataset,
                                   cm_study_networks *networks, cm_error *error) {
    cm_network *network = NULL;
    const cm_status status = cm_network_open(name, &network, error);
    if (status != CM_OK) {
        return status;
    }
    networks->items[networks->count++] = network;
    for (int i = 0; i + 1 < networks->count; ++i) {
        if (strcmp(networks->items[i]->name, network->name) == 0) {
            return cm_fail(error, CM_USAGE, "variants: '%s' is there twice; name each one once",
                           network->name);
        }
    }
    /* A user's own network may be made for other images. */
    return cm_network_check_fits(network, &dataset->train, dataset->classes, error);
}

cm_status cm_study_networks_open(const char *const *names, int count, const cm_dataset *dataset,
                                 cm_study_networks *networks, cm_error *error) {
    int table_count = 0;
    const cm_variant *table = cm_variants(&table_count);
    count = names == NULL ? table_count : count;
    *networks = (cm_study_networks){.count = 0};
    if (count < 1 || count > CM_STUDY_MAX_LIST) {
        return cm_fail(error, CM_USAGE, "variants: %d of them; give 1 to %d", count,
                       CM_STUDY_MAX_LIST);
    }
    networks->items = calloc((size_t)count, sizeof *networks->items);
    if (networks->items == NULL) {
        return cm_fail(error, CM_FAILED, "out of memory; close other programs");
    }
    cm_status status = CM_OK;
    for (int i = 0; status == CM_OK && i < count; ++i) {
        status =
            add_named_network(names == NULL ? table[i].id : names[i], dataset, networks, error);
    }
    if (status != CM_OK) {
        cm_study_networks_free(networks);
    }
    return status;
}

static cm_status join_shape(const cm_network *network, const char *first, cm_dataset_shape *shape,
                            cm_error *error) {
    const cm_dataset_shape own = cm_network_data_shape(network);
    if (own.channels != shape->channels || own.height != shape->height ||
        own.width != shape->width) {
        return cm_fail(error, CM_USAGE,
                       "variants: %s takes %dx%dx%d images, '%s' %dx%dx%d; measure them apart",
                       network->name, own.channels, own.height, own.width, first, shape->channels,
                       shape->height, shape->width);
    }
    shape->classes = own.classes < shape->classes ? own.classes : shape->classes;
    return CM_OK;
}

cm_status cm_study_networks_shape(const char *const *names, int count, cm_dataset_shape *shape,
                                  cm_error *error) {
    const char *const report[] = {cm_variants(&(int){0})->id};
    if (names == NULL) {
        names = report; /* all of the table take the same */
        count = 1;
    }
    cm_status status = CM_OK;
    for (int i = 0; status == CM_OK && i < count; ++i) {
        cm_network *network = NULL;
        status = cm_network_open(names[i], &network, error);
        if (status == CM_OK && i == 0) {
            *shape = cm_network_data_shape(network);
        } else if (status == CM_OK) {
            status = join_shape(network, names[0], shape, error);
        }
        cm_network_free(network);
    }
    return status;
}

void cm_study_networks_free(cm_study_networks *networks) {
    for (int i = 0; i < networks->count; ++i) {
        cm_network_free(networks->items[i]);
    }
    free(networks->items);
    *networks = (cm_study_networks){.count = 0};
}

cm_status cm_study_open_model(const cm_network *network, const cm_model_options *options,
                              uint64_t seed, cm_model **model, cm_error *error) {
    const cm_status status = cm_model_create(network, options, model, error);
    if (status == CM_OK) {
        cm_model_initialize(*model, seed);
    }
    return status;
}

double cm_study_training_seconds(const cm_network *network, const cm_train_options *options,
                                 int threads) {
    const double images = (double)options->epochs * (3.0 * options->steps + options->valid_steps) *
                          (double)options->batch;
    return images * (double)cm_network_macs(network) / 30e9 / threads;
}
