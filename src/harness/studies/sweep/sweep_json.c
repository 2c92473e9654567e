/* sweep.json: written for readers and to go on from. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "core/files/json.h"
#include "core/statistics/samples.h"
#include "harness/record/folder.h"
#include "harness/record/train_json.h"
#include "harness/studies/sweep/sweep.h"

static json_t *names_json(const cm_sweep *sweep) {
    json_t *list = json_array();
    for (int i = 0; i < sweep->variant_count; ++i) {
        json_array_append_new(list, cm_json_string(sweep->networks[i]->name));
    }
    return list;
}

/* Everything that decides what is measured: what two parts of one sweep must have in common. */
static json_t *options_json(const cm_sweep *sweep) {
    const cm_sweep_options *options = &sweep->options;
    return json_pack(
        "{s:o, s:o, s:o, s:s, s:s, s:i, s:f, s:I, s:b, s:o}", "variants", names_json(sweep),
        "cores", cm_json_integers(options->cores, options->core_count), "batches",
        cm_json_integers(options->batches, options->batch_count), "pin", cm_pin_name(options->pin),
        "isa", cm_isa_name(options->isa), "rounds", options->rounds, "seconds", options->seconds,
        "order_seed", (json_int_t)options->order_seed, "accuracy", options->accuracy, "training",
        cm_train_options_json(&options->train));
}

static json_t *finite_or_null(double value) {
    return isfinite(value) ? json_real(value) : json_null();
}

/* A measurement with what follows from it: efficiency, and the time of an epoch of the protocol. */
static json_t *measurement_json(const cm_sweep *sweep, int index, cm_error *error) {
    const cm_sweep_options *options = &sweep->options;
    const cm_measurement *m = &sweep->measurements.items[index];
    const cm_sweep_place at = cm_sweep_place_of(sweep, index);
    const double images = (double)options->train.steps * options->batches[at.batch];
    json_t *o = cm_measurement_json(m, error);
    if (o == NULL ||
        !cm_json_set(o, "parallel_efficiency", finite_or_null(cm_sweep_efficiency(sweep, at)),
                     error) ||
        (at.mode == CM_MODE_TRAIN &&
         !cm_json_set(o, "epoch_seconds", finite_or_null(images / cm_median(m->samples, m->n)),
                      error))) {
        json_decref(o);
        return NULL;
    }
    return o;
}

static json_t *measurements_json(const cm_sweep *sweep, cm_error *error) {
    json_t *list = json_array();
    for (int i = 0; i < sweep->measurements.count; ++i) {
        if (json_array_append_new(list, measurement_json(sweep, i, error)) != 0) {
            json_decref(list);
            return NULL;
        }
    }
    return list;
}

static json_t *run_json(const cm_sweep *sweep, const cm_sweep_run *run, cm_error *error) {
    json_t *o =
        json_pack("{s:o, s:i}", "variant", cm_json_string(sweep->networks[run->variant]->name),
                  "threads", sweep->options.cores[run->cores]);
    if (o == NULL || !cm_training_run_set_json(o, &run->result, error)) {
        json_decref(o);
        return NULL;
    }
    return o;
}

static json_t *runs_json(const cm_sweep *sweep, cm_error *error) {
    json_t *list = json_array();
    for (int i = 0; i < sweep->run_count; ++i) {
        if (sweep->runs[i].result.done &&
            json_array_append_new(list, run_json(sweep, &sweep->runs[i], error)) != 0) {
            json_decref(list);
            return NULL;
        }
    }
    return list;
}

json_t *cm_sweep_to_json(const cm_sweep *sweep, cm_error *error) {
    const cm_sweep_options *options = &sweep->options;
    json_t *o = json_object();
    if (cm_folder_set_head(o, "sweep", sweep->complete, options->argc, options->argv,
                           sweep->machine, sweep->conditions, error) &&
        cm_json_set(o, "options", options_json(sweep), error) &&
        cm_json_set(o, "data", json_incref(sweep->data), error) &&
        cm_json_set(o, "measurements", measurements_json(sweep, error), error) &&
        cm_json_set(o, "accuracy", runs_json(sweep, error), error) &&
        cm_json_set(o, "energy_note", cm_energy_note_json(options->train.energy), error)) {
        return o;
    }
    json_decref(o);
    return NULL;
}

/* ---- Going on ---- */

static cm_sweep_run *find_run(const cm_sweep *sweep, const char *variant, json_int_t threads) {
    for (int i = 0; i < sweep->run_count; ++i) {
        cm_sweep_run *run = &sweep->runs[i];
        if (strcmp(sweep->networks[run->variant]->name, variant) == 0 &&
            sweep->options.cores[run->cores] == threads) {
            return run;
        }
    }
    return NULL;
}

static cm_status take_runs(cm_sweep *sweep, const json_t *json, const char *file, cm_error *error) {
    size_t i;
    json_t *item;
    json_array_foreach(json_object_get(json, "accuracy"), i, item) {
        const char *variant;
        json_int_t threads;
        cm_training_run found;
        if (json_unpack(item, "{s:s, s:I}", "variant", &variant, "threads", &threads) != 0 ||
            !cm_training_run_take_json(item, &found)) {
            return cm_folder_refuse(file, "\"accuracy\" is damaged", error);
        }
        cm_sweep_run *run = find_run(sweep, variant, threads);
        if (run == NULL || run->result.done) {
            return cm_folder_refuse(file, "\"accuracy\" has a run that is not of this sweep",
                                    error);
        }
        run->result = found;
    }
    return CM_OK;
}

cm_status cm_sweep_take_json(cm_sweep *sweep, const json_t *json, const char *file,
                             cm_error *error) {
    json_t *ours = cm_sweep_to_json(sweep, error);
    cm_status status = ours == NULL ? CM_FAILED : cm_folder_check_same(json, ours, file, error);
    json_decref(ours);
    if (status == CM_OK) {
        status = cm_measurements_resume(&sweep->measurements, sweep->options.rounds,
                                        json_object_get(json, "measurements"), file, error);
    }
    return status == CM_OK ? take_runs(sweep, json, file, error) : status;
}
