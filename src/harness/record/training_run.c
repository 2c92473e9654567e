#include "harness/record/training_run.h"

#include <limits.h>
#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "core/files/json.h"
#include "harness/record/results_json.h"
#include "harness/record/text_table.h"

cm_training_run cm_training_run_of(const cm_train_result *result, const cm_train_options *options,
                                   double accuracy) {
    const cm_epoch_result *last = &result->epochs[result->epoch_count - 1];
    cm_training_run run = {
        .done = true,
        .train_loss = last->train_loss,
        .test_loss = last->test_loss,
        .accuracy = last->accuracy,
        .epochs = result->epoch_count,
        .cost = cm_train_cost_of(result, options, result->epoch_count),
    };
    memcpy(run.sha256, result->sha256, sizeof run.sha256);
    for (int i = 0; accuracy > 0.0 && !run.reached && i < result->epoch_count; ++i) {
        if (result->epochs[i].accuracy >= accuracy) {
            run.reached = true;
            run.until_epochs = i + 1;
            run.until = cm_train_cost_of(result, options, i + 1);
        }
    }
    return run;
}

static bool set_cost_json(json_t *object, const cm_train_cost *cost, cm_error *error) {
    return cm_json_set(object, "train_seconds", json_real(cost->seconds), error) &&
           cm_json_set(object, "images", json_real(cost->images), error) &&
           cm_json_set(object, "joules", cm_joules_json(cost->joules), error);
}

static json_t *run_until_json(const cm_training_run *run, cm_error *error) {
    if (!run->reached) {
        return json_null();
    }
    json_t *o = json_object();
    if (!cm_json_set(o, "epochs", json_integer(run->until_epochs), error) ||
        !set_cost_json(o, &run->until, error)) {
        json_decref(o);
        return NULL;
    }
    return o;
}

bool cm_training_run_set_json(json_t *object, const cm_training_run *run, cm_error *error) {
    return cm_json_set(object, "epochs", json_integer(run->epochs), error) &&
           cm_json_set(object, "train_loss", json_real(run->train_loss), error) &&
           cm_json_set(object, "test_loss", json_real(run->test_loss), error) &&
           cm_json_set(object, "accuracy", json_real(run->accuracy), error) &&
           set_cost_json(object, &run->cost, error) &&
           cm_json_set(object, "reached_accuracy", json_boolean(run->reached), error) &&
           cm_json_set(object, "until_accuracy", run_until_json(run, error), error) &&
           cm_json_set(object, "sha256", json_string(run->sha256), error);
}

/* The limit is far above any run, and sums of many such values are finite. */
static bool is_cost_amount(double value) {
    return value >= 0.0 && value <= 1e18;
}

static bool take_cost_json(const json_t *object, cm_train_cost *cost) {
    const json_t *joules = json_object_get(object, "joules");
    const bool known = json_is_number(joules);
    cost->joules = known ? json_number_value(joules) : (double)NAN;
    return (known ? is_cost_amount(cost->joules) : json_is_null(joules)) &&
           cm_json_take_number(object, "train_seconds", &cost->seconds) &&
           cm_json_take_number(object, "images", &cost->images) && is_cost_amount(cost->seconds) &&
           is_cost_amount(cost->images);
}

bool cm_training_run_take_json(const json_t *object, cm_training_run *run) {
    const json_t *until = json_object_get(object, "until_accuracy");
    const json_t *reached = json_object_get(object, "reached_accuracy");
    const char *sha256 = cm_json_take_string(object, "sha256");
    int64_t epochs = 0;
    *run = (cm_training_run){.done = true};
    if (!cm_json_take_integer(object, "epochs", INT_MIN, INT_MAX, &epochs) ||
        !cm_json_take_number(object, "train_loss", &run->train_loss) ||
        !cm_json_take_number(object, "test_loss", &run->test_loss) ||
        !cm_json_take_number(object, "accuracy", &run->accuracy) || !json_is_boolean(reached) ||
        sha256 == NULL || strlen(sha256) != sizeof run->sha256 - 1 ||
        !take_cost_json(object, &run->cost)) {
        return false;
    }
    run->epochs = (int)epochs;
    run->reached = json_is_true(reached);
    memcpy(run->sha256, sha256, sizeof run->sha256);
    if (!run->reached) {
        return json_is_null(until);
    }
    if (!cm_json_take_integer(until, "epochs", INT_MIN, INT_MAX, &epochs)) {
        return false;
    }
    run->until_epochs = (int)epochs;
    return take_cost_json(until, &run->until);
}

void cm_training_run_describe(const cm_training_run *run, double accuracy, char *text,
                              size_t size) {
    const cm_train_cost *cost = run->reached ? &run->until : &run->cost;
    char images[40], joules[40] = "";
    cm_table_format_count(cost->images, images, sizeof images);
    if (!isnan(cost->joules)) {
        snprintf(joules, sizeof joules, ", %.1f J", cost->joules);
    }
    snprintf(text, size, "%s%.2f %% %s %s images, %.1f s of training%s",
             run->reached ? "" : "did not reach ", 100 * accuracy, run->reached ? "after" : "in",
             images, cost->seconds, joules);
}
