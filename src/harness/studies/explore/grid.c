#include "harness/studies/explore/grid.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "harness/measure/throughput.h"

/* ---- Options ---- */

/* As in the name of a network. */
static void format_dropout(double dropout, char text[32]) {
    snprintf(text, 32, "%g", dropout);
}

/* A share must be below 1 as a float too, and names of networks must differ. */
static cm_status check_grid_dropouts(const cm_explore_options *options, cm_error *error) {
    for (int i = 0; i < options->dropout_count; ++i) {
        char text[32], other[32];
        const double dropout = options->dropouts[i];
        format_dropout(dropout, text);
        if (!(dropout >= 0.0 && (float)dropout < 1.0F)) {
            return cm_fail(error, CM_USAGE,
                           "dropout: %.17g is not accepted; give shares from 0 to below 1",
                           dropout);
        }
        for (int k = 0; k < i; ++k) {
            format_dropout(options->dropouts[k], other);
            if (strcmp(text, other) == 0) {
                return cm_fail(error, CM_USAGE,
                               "dropout: %s is there twice (to six digits); name each one once",
                               text);
            }
        }
    }
    return CM_OK;
}

static cm_status check_grid_schedules(const cm_explore_options *options, cm_error *error) {
    for (int i = 0; i < options->schedule_count; ++i) {
        for (int k = 0; k < i; ++k) {
            if (options->schedules[k] == options->schedules[i]) {
                return cm_fail(error, CM_USAGE, "schedule: %s is there twice; name each one once",
                               cm_schedule_name(options->schedules[i]));
            }
        }
    }
    return CM_OK;
}

static cm_status check_grid_options(const cm_explore_options *o, cm_error *error) {
    const struct {
        const char *name;
        const int *values;
        int count, limit;
    } lists[] = {{"depth", o->depths, o->depth_count, CM_EXPLORE_MAX_DEPTH},
                 {"pool", o->pools, o->pool_count, CM_EXPLORE_MAX_DEPTH},
                 {"width", o->widths, o->width_count, CM_EXPLORE_MAX_WIDTH},
                 {"seeds", &o->seeds, 1, CM_STUDY_MAX_SEEDS}};
    cm_status status = CM_OK;
    for (size_t i = 0; status == CM_OK && i < sizeof lists / sizeof *lists; ++i) {
        status = cm_study_check_list(lists[i].name, lists[i].values, lists[i].count, lists[i].limit,
                                     "", error);
    }
    if (status == CM_OK) {
        status = check_grid_dropouts(o, error);
    }
    if (status == CM_OK) {
        status = check_grid_schedules(o, error);
    }
    if (status == CM_OK &&
        (o->train.epochs < 1 || o->train.steps < 1 || o->train.valid_steps < 1)) {
        status = cm_fail(error, CM_USAGE,
                         "explore: there is no accuracy without epochs, steps and validation "
                         "steps; give at least 1 of each");
    }
    return status == CM_OK ? cm_train_options_check(&o->train, error) : status;
}

/* ---- Networks ---- */

static void name_grid_network(cm_explore_network *network) {
    char dropout[32] = "";
    if (network->dropout > 0.0) {
        format_dropout(network->dropout, dropout);
    }
    snprintf(network->name, sizeof network->name, "d%d-p%d%s-w%d%s%s", network->depth,
             network->pool, network->batch_norm ? "-bn" : "", network->width,
             dropout[0] != '\0' ? "-do" : "", dropout);
}

static cm_dataset_shape data_shape(const cm_dataset *dataset) {
    const cm_images *images = &dataset->train;
    return (cm_dataset_shape){cm_images_channels(images), images->height, images->width,
                              dataset->classes};
}

/* A combination that cannot be built is skipped, with the reason. */
static cm_status add_grid_network(cm_explore *explore, cm_explore_network made, cm_error *error) {
    cm_error cause = {""};
    name_grid_network(&made);
    const cm_recipe recipe = {.name = made.name,
                              .conv_layers = made.depth,
                              .pool_period = made.pool,
                              .channels = made.width,
                              .batch_norm = made.batch_norm,
                              .dropout_output = (float)made.dropout,
                              .data = data_shape(explore->study.dataset)};
    const cm_status status = cm_network_from_recipe(&recipe, &made.network, &cause);
    if (status == CM_BAD_INPUT) {
        made.network = NULL;
        snprintf(made.reason, sizeof made.reason, "%.*s", (int)sizeof made.reason - 1,
                 cause.message);
        explore->skipped[explore->skipped_count++] = made;
        return CM_OK;
    }
    if (status != CM_OK) {
        return cm_fail(error, status, "%s", cause.message);
    }
    made.macs = (double)cm_network_macs(made.network);
    explore->networks[explore->network_count++] = made;
    return cm_network_check_fits(made.network, &explore->study.dataset->train,
                                 explore->study.dataset->classes, error);
}

/* Combination `index`; the width varies fastest. */
static cm_explore_network grid_combination(const cm_explore_options *o, int index) {
    cm_explore_network made = {.width = o->widths[index % o->width_count]};
    index /= o->width_count;
    made.dropout = o->dropouts[index % o->dropout_count];
    index /= o->dropout_count;
    made.batch_norm = o->batch_norms[index % o->batch_norm_count];
    index /= o->batch_norm_count;
    made.pool = o->pools[index % o->pool_count];
    made.depth = o->depths[index / o->pool_count];
    return made;
}

static cm_status plan_grid_networks(cm_explore *explore, cm_error *error) {
    const cm_explore_options *o = &explore->options;
    const int count =
        o->depth_count * o->pool_count * o->batch_norm_count * o->dropout_count * o->width_count;
    if (count < 1 || count > CM_EXPLORE_MAX_NETWORKS) {
        return cm_fail(error, CM_USAGE, "explore: a grid of %d networks; give 1 to %d", count,
                       CM_EXPLORE_MAX_NETWORKS);
    }
    explore->networks = calloc((size_t)count, sizeof *explore->networks);
    explore->skipped = calloc((size_t)count, sizeof *explore->skipped);
    if (explore->networks == NULL || explore->skipped == NULL) {
        return cm_study_out_of_memory("explore", error);
    }
    cm_status status = CM_OK;
    for (int i = 0; status == CM_OK && i < count; ++i) {
        status = add_grid_network(explore, grid_combination(o, i), error);
    }
    if (status == CM_OK && explore->network_count == 0) {
        status = cm_fail(error, CM_USAGE, "explore: no combination can be built: %s: %s",
                         explore->skipped[0].name, explore->skipped[0].reason);
    }
    return status;
}

cm_status cm_explore_plan_grid(cm_explore *explore, cm_error *error) {
    cm_explore_options *o = &explore->options;
    o->isa = cm_isa_resolve(o->isa);
    cm_status status = check_grid_options(o, error);
    if (status == CM_OK) {
        status = plan_grid_networks(explore, error);
    }
    if (status != CM_OK) {
        return status;
    }
    explore->point_count = explore->network_count * o->schedule_count;
    if (explore->point_count > CM_EXPLORE_MAX_RUNS / o->seeds) {
        return cm_fail(error, CM_USAGE, "explore: %d points with %d seeds; give at most %d runs",
                       explore->point_count, o->seeds, CM_EXPLORE_MAX_RUNS);
    }
    explore->runs = calloc((size_t)explore->point_count * (size_t)o->seeds, sizeof *explore->runs);
    explore->measurements.items =
        calloc((size_t)explore->network_count, sizeof *explore->measurements.items);
    if (explore->runs == NULL || explore->measurements.items == NULL) {
        return cm_study_out_of_memory("explore", error);
    }
    explore->measurements.count = explore->network_count;
    bool ok = true;
    for (int i = 0; i < explore->network_count; ++i) {
        ok = ok && cm_measurement_plan_throughput(&explore->measurements.items[i],
                                                  cm_mode_name(CM_MODE_TRAIN),
                                                  explore->networks[i].name, o->train.batch,
                                                  o->threads, cm_isa_name(o->isa), o->rounds);
    }
    return ok ? CM_OK : cm_study_out_of_memory("explore", error);
}
