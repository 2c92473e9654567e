#include "harness/studies/sweep/sweep_json.h"

#include <string.h>

#include "core/files/json.h"
#include "core/statistics/samples.h"
#include "harness/record/train_json.h"
#include "harness/studies/study_json.h"

static json_t *sweep_names_json(const cm_sweep *sweep) {
    json_t *list = json_array();
    for (int i = 0; i < sweep->networks.count; ++i) {
        cm_json_append(&list, cm_json_string(sweep->networks.items[i]->name));
    }
    return list;
}

/* Everything that decides what is measured: an earlier file must have the same to be resumed. */
static json_t *sweep_options_json(const cm_sweep *sweep) {
    const cm_sweep_options *options = &sweep->options;
    return json_pack(
        "{s:o, s:o, s:o, s:s, s:s, s:i, s:f, s:I, s:b, s:o}", "variants", sweep_names_json(sweep),
        "cores", cm_json_integers(options->cores, options->core_count), "batches",
        cm_json_integers(options->batches, options->batch_count), "pin", cm_pin_name(options->pin),
        "isa", cm_isa_name(options->isa), "rounds", options->rounds, "seconds", options->seconds,
        "order_seed", (json_int_t)options->order_seed, "accuracy", options->accuracy, "training",
        cm_train_options_json(&options->train));
}

/* A measurement with its parallel efficiency and the time that an epoch of the protocol takes. */
static json_t *sweep_measurement_json(const cm_sweep *sweep, int index, cm_error *error) {
    const cm_sweep_options *options = &sweep->options;
    const cm_measurement *m = &sweep->measurements.items[index];
    const cm_sweep_place at = cm_sweep_place_of(sweep, index);
    const double images = (double)options->train.steps * options->batches[at.batch];
    json_t *o = cm_measurement_json(m, error);
    if (o == NULL ||
        !cm_json_set(o, "parallel_efficiency",
                     cm_finite_or_null_json(cm_sweep_efficiency(sweep, at)), error) ||
        (at.mode == CM_MODE_TRAIN &&
         !cm_json_set(o, "epoch_seconds",
                      cm_finite_or_null_json(images / cm_median(m->samples, m->n)), error))) {
        json_decref(o);
        return NULL;
    }
    return o;
}

static json_t *sweep_measurements_json(const cm_sweep *sweep, cm_error *error) {
    json_t *list = json_array();
    for (int i = 0; i < sweep->measurements.count; ++i) {
        cm_json_append(&list, sweep_measurement_json(sweep, i, error));
    }
    return list;
}

static json_t *sweep_run_json(const cm_sweep *sweep, const cm_sweep_run *run, cm_error *error) {
    json_t *o = json_pack("{s:o, s:i}", "variant",
                          cm_json_string(sweep->networks.items[run->variant]->name), "threads",
                          sweep->options.cores[run->cores]);
    if (o == NULL || !cm_training_run_set_json(o, &run->result, error)) {
        json_decref(o);
        return NULL;
    }
    return o;
}

static json_t *sweep_runs_json(const cm_sweep *sweep, cm_error *error) {
    json_t *list = json_array();
    for (int i = 0; i < sweep->run_count; ++i) {
        if (sweep->runs[i].result.done) {
            cm_json_append(&list, sweep_run_json(sweep, &sweep->runs[i], error));
        }
    }
    return list;
}

json_t *cm_sweep_to_json(const cm_sweep *sweep, cm_error *error) {
    const cm_sweep_options *options = &sweep->options;
    json_t *o = json_object();
    if (cm_study_set_head(o, "sweep", &sweep->study, error) &&
        cm_json_set(o, "conditions", json_incref(sweep->study.conditions), error) &&
        cm_json_set(o, "options", sweep_options_json(sweep), error) &&
        cm_json_set(o, "data", json_incref(sweep->study.data), error) &&
        cm_json_set(o, "measurements", sweep_measurements_json(sweep, error), error) &&
        cm_json_set(o, "accuracy", sweep_runs_json(sweep, error), error) &&
        cm_json_set(o, "energy_note", cm_energy_note_json(options->train.energy), error)) {
        return o;
    }
    json_decref(o);
    return NULL;
}

/* ---- Resuming ---- */

static cm_sweep_run *find_sweep_run(const cm_sweep *sweep, const char *variant, int64_t threads) {
    for (int i = 0; i < sweep->run_count; ++i) {
        cm_sweep_run *run = &sweep->runs[i];
        if (strcmp(sweep->networks.items[run->variant]->name, variant) == 0 &&
            sweep->options.cores[run->cores] == threads) {
            return run;
        }
    }
    return NULL;
}

static cm_status take_sweep_runs(cm_sweep *sweep, const json_t *json, const char *file,
                                 cm_error *error) {
    size_t i;
    json_t *item;
    json_array_foreach(json_object_get(json, "accuracy"), i, item) {
        const char *variant = cm_json_take_string(item, "variant");
        int64_t threads;
        cm_training_run found;
        if (variant == NULL ||
            !cm_json_take_integer(item, "threads", INT64_MIN, INT64_MAX, &threads) ||
            !cm_training_run_take_json(item, &found)) {
            return cm_study_refuse(file, "\"accuracy\" is damaged", error);
        }
        cm_sweep_run *run = find_sweep_run(sweep, variant, threads);
        if (run == NULL || run->result.done) {
            return cm_study_refuse(file, "\"accuracy\" has a run that is not of this sweep", error);
        }
        run->result = found;
    }
    return CM_OK;
}

cm_status cm_sweep_take_json(cm_sweep *sweep, const json_t *json, const char *file,
                             cm_error *error) {
    json_t *ours = cm_sweep_to_json(sweep, error);
    cm_status status = ours == NULL ? CM_FAILED : cm_study_check_same(json, ours, file, error);
    json_decref(ours);
    if (status == CM_OK) {
        status = cm_study_resume_measurements(&sweep->measurements, sweep->options.rounds,
                                              json_object_get(json, "measurements"), file, error);
    }
    return status == CM_OK ? take_sweep_runs(sweep, json, file, error) : status;
}
