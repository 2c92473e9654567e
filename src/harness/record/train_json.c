#include "harness/record/train_json.h"

#include <inttypes.h>

#include "core/files/json.h"
#include "harness/record/machine.h"
#include "harness/record/training_run.h"

/* Only where they were asked for: previous files, without them, have the same options. */
static bool set_chosen_options(json_t *o, const cm_train_options *options) {
    bool ok = true;
    if (options->schedule != CM_SCHEDULE_PLATEAU) {
        ok = cm_json_set(o, "schedule", json_string(cm_schedule_name(options->schedule)), NULL);
    }
    if (options->schedule == CM_SCHEDULE_STEP) {
        ok = ok && cm_json_set(o, "schedule_step", json_integer(options->schedule_step), NULL) &&
             cm_json_set(o, "schedule_factor", json_real(options->schedule_factor), NULL);
    }
    if (options->until_accuracy > 0.0) {
        ok = ok && cm_json_set(o, "until_accuracy", json_real(options->until_accuracy), NULL);
    }
    return ok;
}

json_t *cm_train_options_json(const cm_train_options *options) {
    const cm_optimizer *optimizer = &options->optimizer;
    json_t *o = json_pack(
        "{s:i, s:i, s:i, s:i, s:i, s:b, s:f, s:f, s:f, s:f, s:f, s:f, s:i, s:i}", "epochs",
        options->epochs, "steps", options->steps, "valid_steps", options->valid_steps, "batch",
        options->batch, "block", options->block, "shuffle", options->shuffle, "learning_rate",
        optimizer->learning_rate, "beta1", optimizer->beta1, "beta2", optimizer->beta2, "epsilon",
        optimizer->epsilon, "weight_decay", optimizer->weight_decay, "plateau_factor",
        options->plateau_factor, "plateau_patience", options->plateau_patience,
        "early_stopping_patience", options->early_stopping_patience);
    if (o != NULL && !set_chosen_options(o, options)) {
        json_decref(o);
        return NULL;
    }
    return o;
}

/* JSON's null for what was not measured; NULL for a number that is not finite. */
static json_t *measured_json(bool was_measured, double value) {
    return was_measured ? json_real(value) : json_null();
}

static json_t *step_losses_json(const cm_train_result *result) {
    json_t *list = json_array();
    for (int i = 0; i < result->step_count; ++i) {
        cm_json_append(&list, json_real(result->step_losses[i]));
    }
    return list;
}

static json_t *epoch_json(const cm_epoch_result *epoch, const cm_train_options *options,
                          cm_error *error) {
    const bool trained = options->steps > 0, validated = options->valid_steps > 0;
    json_t *o = json_object();
    if (cm_json_set(o, "train_loss", measured_json(trained, epoch->train_loss), error) &&
        cm_json_set(o, "test_loss", measured_json(validated, epoch->test_loss), error) &&
        cm_json_set(o, "accuracy", measured_json(validated, epoch->accuracy), error) &&
        cm_json_set(o, "learning_rate", json_real(epoch->learning_rate), error) &&
        cm_json_set(o, "train_seconds", json_real(epoch->train_seconds), error) &&
        cm_json_set(o, "valid_seconds", json_real(epoch->valid_seconds), error) &&
        cm_json_set(o, "joules", cm_joules_json(epoch->joules), error)) {
        return o;
    }
    json_decref(o);
    return NULL;
}

static json_t *epochs_json(const cm_train_result *result, const cm_train_options *options,
                           cm_error *error) {
    json_t *list = json_array();
    for (int i = 0; i < result->epoch_count; ++i) {
        cm_json_append(&list, epoch_json(&result->epochs[i], options, error));
    }
    return list;
}

/* Jansson's integers are signed: seeds above INT64_MAX are text. */
static json_t *seed_json(uint64_t seed) {
    return seed <= INT64_MAX ? json_integer((json_int_t)seed) : json_sprintf("%" PRIu64, seed);
}

/* What was run: everything that decides the result or the time. */
static bool set_train_run(json_t *o, const cm_train_record *record, cm_error *error) {
    const cm_model *model = record->model;
    const cm_network *network = cm_model_network(model);
    return cm_json_set(o, "schema_version", json_integer(CM_RESULTS_SCHEMA_VERSION), error) &&
           cm_json_set(o, "kind", json_string("train"), error) &&
           cm_json_set(o, "complete", json_boolean(record->complete), error) &&
           cm_json_set(o, "variant", cm_json_string(network->name), error) &&
           cm_json_set(o, "params", json_integer(cm_network_parameter_count(network)), error) &&
           cm_json_set(o, "seed", seed_json(record->options->seed), error) &&
           cm_json_set(o, "threads", json_integer(cm_model_threads(model)), error) &&
           cm_json_set(o, "isa", json_string(cm_isa_name(cm_model_isa(model))), error) &&
           cm_json_set(o, "conv_algorithm",
                       json_string(cm_conv2d_algorithm_name(cm_model_conv_algorithm(model))),
                       error) &&
           cm_json_set(o, "pinned", json_boolean(record->pinned), error) &&
           cm_json_set(o, "options", cm_train_options_json(record->options), error) &&
           cm_json_set(o, "loaded_from", cm_json_string(record->loaded_from), error) &&
           cm_json_set(o, "data", cm_dataset_json(record->dataset), error);
}

static bool set_train_result(json_t *o, const cm_train_record *record, cm_error *error) {
    const cm_train_result *result = record->result;
    const cm_train_cost cost = cm_train_cost_of(result, record->options, result->epoch_count);
    return cm_json_set(o, "step_losses", step_losses_json(result), error) &&
           cm_json_set(o, "epochs", epochs_json(result, record->options, error), error) &&
           cm_json_set(o, "early_stopped", json_boolean(result->early_stopped), error) &&
           cm_json_set(o, "reached_accuracy",
                       record->options->until_accuracy > 0.0
                           ? json_boolean(result->reached_accuracy)
                           : json_null(),
                       error) &&
           cm_json_set(o, "images_per_second",
                       measured_json(result->step_count > 0, result->images_per_second), error) &&
           cm_json_set(o, "train_seconds", json_real(cost.seconds), error) &&
           cm_json_set(o, "images", json_real(cost.images), error) &&
           cm_json_set(o, "joules", cm_joules_json(cost.joules), error) &&
           cm_json_set(o, "energy_note", cm_energy_note_json(record->options->energy), error) &&
           cm_json_set(o, "sha256", json_string(result->sha256), error);
}

cm_status cm_train_json(const cm_train_record *record, json_t **train, cm_error *error) {
    *train = NULL;
    json_t *machine = NULL;
    const cm_status status = cm_machine_json(record->topology, &machine, error);
    if (status != CM_OK) {
        return status;
    }
    json_t *o = json_object();
    if (set_train_run(o, record, error) && set_train_result(o, record, error) &&
        cm_json_set(o, "command", cm_command_json(record->argc, record->argv), error) &&
        cm_json_set(o, "started", cm_json_string(record->started), error) &&
        cm_json_set(o, "machine", json_incref(machine), error)) {
        *train = o;
    } else {
        json_decref(o);
    }
    json_decref(machine);
    return *train != NULL ? CM_OK : CM_FAILED;
}
