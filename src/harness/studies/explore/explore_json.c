#include "harness/studies/explore/explore_json.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/files/json.h"
#include "harness/record/train_json.h"
#include "harness/studies/explore/points.h"
#include "harness/studies/study_json.h"

/* ---- Options ---- */

static json_t *grid_batch_norms_json(const cm_explore_options *o) {
    json_t *list = json_array();
    for (int i = 0; i < o->batch_norm_count; ++i) {
        cm_json_append(&list, json_boolean(o->batch_norms[i]));
    }
    return list;
}

static json_t *grid_dropouts_json(const cm_explore_options *o) {
    json_t *list = json_array();
    for (int i = 0; i < o->dropout_count; ++i) {
        cm_json_append(&list, json_real(o->dropouts[i]));
    }
    return list;
}

static json_t *grid_schedules_json(const cm_explore_options *o) {
    json_t *list = json_array();
    for (int i = 0; i < o->schedule_count; ++i) {
        cm_json_append(&list, json_string(cm_schedule_name(o->schedules[i])));
    }
    return list;
}

/* Everything that decides what is measured: an earlier file must have the same to be resumed. */
static json_t *explore_options_json(const cm_explore_options *o) {
    return json_pack("{s:o, s:o, s:o, s:o, s:o, s:o, s:i, s:i, s:b, s:s, s:i, s:f, s:I, s:o, s:o}",
                     "depths", cm_json_integers(o->depths, o->depth_count), "pools",
                     cm_json_integers(o->pools, o->pool_count), "batch_norms",
                     grid_batch_norms_json(o), "dropouts", grid_dropouts_json(o), "widths",
                     cm_json_integers(o->widths, o->width_count), "schedules",
                     grid_schedules_json(o), "seeds", o->seeds, "threads", o->threads, "pinned",
                     o->pinned, "isa", cm_isa_name(o->isa), "rounds", o->rounds, "seconds",
                     o->seconds, "order_seed", (json_int_t)o->order_seed, "until_accuracy",
                     o->until_accuracy > 0.0 ? json_real(o->until_accuracy) : json_null(),
                     "training", cm_train_options_json(&o->train));
}

/* ---- Results ---- */

static json_t *explore_skipped_json(const cm_explore *explore) {
    json_t *list = json_array();
    for (int i = 0; i < explore->skipped_count; ++i) {
        const cm_explore_network *network = &explore->skipped[i];
        cm_json_append(
            &list, json_pack("{s:s, s:s}", "network", network->name, "reason", network->reason));
    }
    return list;
}

static json_t *explore_run_json(const cm_explore_run *run, int seed, cm_error *error) {
    json_t *o = json_object();
    const bool failed = run->failure[0] != '\0';
    if (!cm_json_set(o, "seed", json_integer(seed), error) ||
        !cm_json_set(o, "failure", failed ? cm_json_string(run->failure) : json_null(), error) ||
        (!failed && !cm_training_run_set_json(o, &run->result, error))) {
        json_decref(o);
        return NULL;
    }
    return o;
}

static json_t *explore_runs_json(const cm_explore_run *runs, int seeds, cm_error *error) {
    json_t *list = json_array();
    for (int seed = 0; seed < seeds; ++seed) {
        if (runs[seed].result.done) {
            cm_json_append(&list, explore_run_json(&runs[seed], seed, error));
        }
    }
    return list;
}

static json_t *explore_until_json(const cm_explore_point *point) {
    return point->reached == 0
               ? json_null()
               : json_pack("{s:i, s:f, s:f, s:o}", "runs", point->reached, "train_seconds",
                           point->until.seconds, "images", point->until.images, "joules",
                           cm_joules_json(point->until.joules));
}

static json_t *explore_network_text_json(const cm_network *network, cm_error *error) {
    char *text = NULL;
    json_t *json = cm_network_to_text(network, &text, error) == CM_OK ? cm_json_string(text) : NULL;
    free(text);
    return json;
}

static json_t *explore_point_json(const cm_explore *explore, const cm_explore_point *point,
                                  cm_error *error) {
    const cm_explore_network *n = point->network;
    json_t *o =
        json_pack("{s:s, s:s, s:i, s:i, s:b, s:f, s:i, s:I, s:f}", "network", n->name, "schedule",
                  cm_schedule_name(point->schedule), "depth", n->depth, "pool", n->pool,
                  "batch_norm", n->batch_norm, "dropout", n->dropout, "width", n->width, "params",
                  (json_int_t)cm_network_parameter_count(n->network), "macs", n->macs);
    if (o == NULL ||
        !cm_json_set(o, "network_text", explore_network_text_json(n->network, error), error) ||
        !cm_json_set(o, "images_per_second", cm_finite_or_null_json(point->images_per_second),
                     error) ||
        !cm_json_set(o, "train_loss", cm_finite_or_null_json(point->train_loss), error) ||
        !cm_json_set(o, "test_loss", cm_finite_or_null_json(point->test_loss), error) ||
        !cm_json_set(o, "accuracy", cm_finite_or_null_json(point->accuracy), error) ||
        !cm_json_set(o, "train_seconds", cm_finite_or_null_json(point->cost.seconds), error) ||
        !cm_json_set(o, "joules", cm_joules_json(point->cost.joules), error) ||
        !cm_json_set(o, "until_accuracy", explore_until_json(point), error) ||
        !cm_json_set(o, "frontier", json_boolean(point->frontier), error) ||
        !cm_json_set(o, "runs", explore_runs_json(point->runs, explore->options.seeds, error),
                     error)) {
        json_decref(o);
        return NULL;
    }
    return o;
}

static json_t *explore_points_json(const cm_explore *explore, cm_error *error) {
    cm_explore_point *points = cm_explore_points(explore);
    json_t *list = points == NULL ? NULL : json_array();
    for (int i = 0; list != NULL && i < explore->point_count; ++i) {
        cm_json_append(&list, explore_point_json(explore, &points[i], error));
    }
    free(points);
    return list;
}

json_t *cm_explore_to_json(const cm_explore *explore, cm_error *error) {
    const cm_explore_options *o = &explore->options;
    json_t *json = json_object();
    if (cm_study_set_head(json, "explore", &explore->study, error) &&
        cm_json_set(json, "conditions", json_incref(explore->study.conditions), error) &&
        cm_json_set(json, "options", explore_options_json(o), error) &&
        cm_json_set(json, "data", json_incref(explore->study.data), error) &&
        cm_json_set(json, "skipped", explore_skipped_json(explore), error) &&
        cm_json_set(json, "measurements", cm_study_measurements_json(&explore->measurements, error),
                    error) &&
        cm_json_set(json, "points", explore_points_json(explore, error), error) &&
        cm_json_set(json, "energy_note", cm_energy_note_json(o->train.energy), error)) {
        return json;
    }
    json_decref(json);
    return NULL;
}

/* ---- Resuming ---- */

static bool take_explore_run(const json_t *item, int seeds, cm_explore_run *runs) {
    const json_t *seed = json_object_get(item, "seed"), *failure = json_object_get(item, "failure");
    const json_int_t number = json_integer_value(seed);
    if (!json_is_integer(seed) || number < 0 || number >= seeds || runs[number].result.done) {
        return false;
    }
    cm_explore_run *run = &runs[number];
    if (json_string_length(failure) > 0) {
        snprintf(run->failure, sizeof run->failure, "%s", json_string_value(failure));
        run->result = (cm_training_run){.done = true};
        return true;
    }
    return json_is_null(failure) && cm_training_run_take_json(item, &run->result);
}

static cm_status take_explore_points(cm_explore *explore, const json_t *points, const char *file,
                                     cm_error *error) {
    if (json_array_size(points) != (size_t)explore->point_count) {
        return cm_study_refuse(file, "\"points\" are not those of this grid", error);
    }
    const int seeds = explore->options.seeds;
    for (int i = 0; i < explore->point_count; ++i) {
        /* The same options give the same order. */
        const json_t *runs = json_object_get(json_array_get(points, (size_t)i), "runs");
        bool good = json_is_array(runs);
        for (size_t k = 0; good && k < json_array_size(runs); ++k) {
            good =
                take_explore_run(json_array_get(runs, k), seeds, cm_explore_run_of(explore, i, 0));
        }
        if (!good) {
            return cm_study_refuse(file, "\"points\" is damaged", error);
        }
    }
    return CM_OK;
}

cm_status cm_explore_take_json(cm_explore *explore, const json_t *json, const char *file,
                               cm_error *error) {
    json_t *ours = cm_explore_to_json(explore, error);
    cm_status status = ours == NULL ? CM_FAILED : cm_study_check_same(json, ours, file, error);
    json_decref(ours);
    if (status == CM_OK) {
        status = cm_study_resume_measurements(&explore->measurements, explore->options.rounds,
                                              json_object_get(json, "measurements"), file, error);
    }
    return status == CM_OK
               ? take_explore_points(explore, json_object_get(json, "points"), file, error)
               : status;
}
