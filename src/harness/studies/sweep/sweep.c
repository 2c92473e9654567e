#include "harness/studies/sweep/sweep.h"

#include <stdlib.h>

#include "core/files/json.h"
#include "core/statistics/samples.h"

cm_sweep_options cm_sweep_options_default(void) {
    return (cm_sweep_options){
        .pin = CM_PIN_COMPACT,
        .isa = CM_ISA_BEST,
        .rounds = 9,
        .seconds = 0.25,
        .accuracy = true,
        .train = cm_train_options_default(),
    };
}

cm_sweep_place cm_sweep_place_of(const cm_sweep *sweep, int index) {
    const int cell = index / CM_MODE_COUNT;
    const int row = cell / sweep->options.core_count;
    return (cm_sweep_place){.variant = row / sweep->options.batch_count,
                            .batch = row % sweep->options.batch_count,
                            .cores = cell % sweep->options.core_count,
                            .mode = (cm_mode)(index % CM_MODE_COUNT)};
}

cm_measurement *cm_sweep_at(const cm_sweep *sweep, cm_sweep_place at) {
    const size_t row = (size_t)at.variant * (size_t)sweep->options.batch_count + (size_t)at.batch;
    const size_t cell = row * (size_t)sweep->options.core_count + (size_t)at.cores;
    return &sweep->measurements.items[cell * CM_MODE_COUNT + (size_t)at.mode];
}

double cm_sweep_efficiency(const cm_sweep *sweep, cm_sweep_place at) {
    const cm_measurement *here = cm_sweep_at(sweep, at);
    const double times = (double)sweep->options.cores[at.cores] / sweep->options.cores[0];
    at.cores = 0;
    const cm_measurement *first = cm_sweep_at(sweep, at);
    return cm_median(here->samples, here->n) / cm_median(first->samples, first->n) / times;
}

/* ---- The plan ---- */

/* 1, 2, 4 ... and all that may be used. */
static void choose_core_counts(cm_sweep_options *options) {
    const int all = options->study.topology->default_threads;
    for (int cores = 1; cores < all && options->core_count < CM_STUDY_MAX_LIST - 1; cores *= 2) {
        options->cores[options->core_count++] = cores;
    }
    options->cores[options->core_count++] = all;
}

static cm_status plan_sweep_options(cm_sweep_options *options, cm_error *error) {
    options->isa = cm_isa_resolve(options->isa);
    if (options->core_count == 0) {
        choose_core_counts(options);
    }
    if (options->batch_count == 0) {
        options->batches[options->batch_count++] = options->train.batch;
    }
    cm_status status = cm_study_check_list("cores", options->cores, options->core_count,
                                           options->study.topology->usable_pus,
                                           ": the CPUs that this process may use", error);
    if (status == CM_OK) {
        status = cm_study_check_list("batch", options->batches, options->batch_count,
                                     CM_SWEEP_MAX_BATCH, "", error);
    }
    return status == CM_OK ? cm_train_options_check(&options->train, error) : status;
}

static bool plan_sweep_measurement(const cm_sweep *sweep, int index) {
    const cm_sweep_options *options = &sweep->options;
    const cm_sweep_place at = cm_sweep_place_of(sweep, index);
    const cm_topology *topology = options->study.topology;
    const int cores = options->cores[at.cores];
    cm_measurement *m = &sweep->measurements.items[index];
    if (!cm_measurement_plan_throughput(
            m, cm_mode_name(at.mode), sweep->networks.items[at.variant]->name,
            options->batches[at.batch], cores, cm_isa_name(options->isa), options->rounds)) {
        return false;
    }
    char kinds[CM_MAX_CORE_KINDS * 64] = "not pinned: any kind";
    if (topology->kind_count < 2) {
        return true;
    }
    if (options->pin != CM_PIN_NONE) {
        cm_topology_kinds_text(topology, cores, kinds, sizeof kinds);
    }
    return cm_json_set(m->attributes, "core_kinds", cm_json_string(kinds), NULL);
}

static bool plan_sweep_measurements(cm_sweep *sweep) {
    const cm_sweep_options *options = &sweep->options;
    const int count =
        sweep->networks.count * options->batch_count * options->core_count * CM_MODE_COUNT;
    sweep->measurements.items = calloc((size_t)count, sizeof(cm_measurement));
    sweep->run_count = options->accuracy ? sweep->networks.count * options->core_count : 0;
    sweep->runs = calloc((size_t)sweep->run_count + 1, sizeof *sweep->runs);
    if (sweep->measurements.items == NULL || sweep->runs == NULL) {
        return false;
    }
    sweep->measurements.count = count;
    bool ok = true;
    for (int i = 0; i < count; ++i) {
        ok = ok && plan_sweep_measurement(sweep, i);
    }
    for (int i = 0; i < sweep->run_count; ++i) {
        sweep->runs[i].variant = i / options->core_count;
        sweep->runs[i].cores = i % options->core_count;
    }
    return ok;
}

cm_status cm_sweep_plan(cm_sweep *sweep, cm_error *error) {
    const cm_sweep_options *options = &sweep->options;
    cm_status status = plan_sweep_options(&sweep->options, error);
    if (status == CM_OK) {
        status = cm_study_networks_open(options->variants, options->variant_count,
                                        sweep->study.dataset, &sweep->networks, error);
    }
    if (status == CM_OK && !plan_sweep_measurements(sweep)) {
        status = cm_study_out_of_memory("sweep", error);
    }
    return status;
}

void cm_sweep_free(cm_sweep *sweep) {
    cm_measurements_free(&sweep->measurements);
    free(sweep->runs);
    cm_study_networks_free(&sweep->networks);
    cm_study_free(&sweep->study);
    *sweep = (cm_sweep){.run_count = 0};
}
