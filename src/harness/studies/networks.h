/**
 * The networks of a study: opened by name, made into models, and how long they train.
 */
#ifndef CM_HARNESS_STUDIES_NETWORKS_H
#define CM_HARNESS_STUDIES_NETWORKS_H

#include <stdint.h>

#include "convmark/dataset.h"
#include "convmark/model.h"
#include "convmark/network.h"
#include "convmark/status.h"
#include "convmark/trainer.h"

#ifdef __cplusplus
extern "C" {
#endif

/** Networks with different names; owned. */
typedef struct cm_study_networks {
    int count;
    cm_network **items;
} cm_study_networks;

/**
 * Opens `count` networks: ids of variants or network files; names NULL: the eight variants of the
 * report. Each must fit the data set. CM_USAGE: an unknown or repeated name, or too many; then the
 * list is empty.
 */
cm_status cm_study_networks_open(const char *const *names, int count, const cm_dataset *dataset,
                                 cm_study_networks *networks, cm_error *error);
/** What the networks of these names (as in cm_study_networks_open()) all take: the images of each,
 * and as many classes as the one with the fewest outputs has. CM_USAGE: they take different images;
 * or as cm_network_open(). */
cm_status cm_study_networks_shape(const char *const *names, int count, cm_dataset_shape *shape,
                                  cm_error *error);

void cm_study_networks_free(cm_study_networks *networks);

/** A new model with the seed's initial values, so that the addresses of its memory are drawn again
 * for every sample and run. Free with cm_model_free(), whatever the status. */
cm_status cm_study_open_model(const cm_network *network, const cm_model_options *options,
                              uint64_t seed, cm_model **model, cm_error *error);

/** Seconds that a training run takes, guessed from a rate of 30 GMAC/s per thread: its share among
 * other work. */
double cm_study_training_seconds(const cm_network *network, const cm_train_options *options,
                                 int threads);

#ifdef __cplusplus
}
#endif

#endif
