#include "harness/studies/report/report.h"

#include <math.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "core/files/sha256.h"
#include "harness/record/train_json.h"

/* ---- Measures ---- */

static const struct {
    const char *key, *title;
    size_t of_epoch, as_published; /* offsets of doubles */
} measures[CM_MEASURE_COUNT] = {
#define ROW(measure, member, title)                                 \
    [measure] = {#member, title, offsetof(cm_epoch_result, member), \
                 offsetof(cm_published_figures, member)}
    ROW(CM_MEASURE_TRAIN_LOSS, train_loss, "Loss/train"),
    ROW(CM_MEASURE_TEST_LOSS, test_loss, "Loss/test"),
    ROW(CM_MEASURE_ACCURACY, accuracy, "Accuracy"),
#undef ROW
};

const char *cm_measure_key(cm_measure measure) {
    return measures[measure].key;
}

const char *cm_measure_title(cm_measure measure) {
    return measures[measure].title;
}

static double double_at(const void *structure, size_t offset) {
    double value;
    memcpy(&value, (const char *)structure + offset, sizeof value);
    return value;
}

double cm_measure_of_epoch(cm_measure measure, const cm_epoch_result *epoch) {
    return double_at(epoch, measures[measure].of_epoch);
}

double cm_measure_as_published(cm_measure measure, const cm_published_figures *figures) {
    return double_at(figures, measures[measure].as_published);
}

/* ---- The plan ---- */

cm_report_options cm_report_options_default(void) {
    return (cm_report_options){
        .seeds = 3,
        .train = cm_train_options_default(),
        .model = {.threads = 1, .isa = CM_ISA_BEST},
    };
}

static cm_status hash_network(const cm_network *network, char hex[65], cm_error *error) {
    char *text = NULL;
    const cm_status status = cm_network_to_text(network, &text, error);
    if (status == CM_OK) {
        cm_sha256_buffer(text, strlen(text), hex);
        free(text);
    }
    return status;
}

static cm_status plan_report_variant(cm_report *report, const cm_network *network, const char *name,
                                     cm_error *error) {
    cm_report_variant *variant = &report->variants[report->variant_count++];
    *variant = (cm_report_variant){
        .network = network,
        .published = cm_published_figures_of(name),
        .params = cm_network_parameter_count(network),
        .macs = (double)cm_network_macs(network),
        .runs = calloc((size_t)report->options.seeds, sizeof *variant->runs),
    };
    return variant->runs == NULL ? cm_study_out_of_memory("report", error)
                                 : hash_network(network, variant->network_sha256, error);
}

static cm_status plan_report_variants(cm_report *report, cm_error *error) {
    const cm_report_options *options = &report->options;
    const cm_study_networks *networks = &report->networks;
    cm_status status = cm_study_networks_open(options->variants, options->variant_count,
                                              report->study.dataset, &report->networks, error);
    if (status != CM_OK) {
        return status;
    }
    report->variants = calloc((size_t)networks->count, sizeof *report->variants);
    if (report->variants == NULL) {
        return cm_study_out_of_memory("report", error);
    }
    for (int i = 0; status == CM_OK && i < networks->count; ++i) {
        /* A file's network may bear the name of a variant: its figures are not published. */
        const char *name =
            options->variants == NULL ? networks->items[i]->name : options->variants[i];
        status = plan_report_variant(report, networks->items[i], name, error);
    }
    return status;
}

cm_status cm_report_plan(cm_report *report, cm_error *error) {
    cm_report_options *options = &report->options;
    cm_status status =
        cm_study_check_list("seeds", &options->seeds, 1, CM_STUDY_MAX_SEEDS, "", error);
    if (status == CM_OK) {
        status = cm_train_options_check(&options->train, error);
    }
    if (status == CM_OK && options->train.epochs < 1) {
        status = cm_fail(error, CM_USAGE, "report: no epoch is trained; give at least one");
    }
    if (status != CM_OK) {
        return status;
    }
    options->model.isa = cm_isa_resolve(options->model.isa);
    options->model.batch = options->train.batch;
    options->model.block = options->train.block;
    options->model.training = true;
    return plan_report_variants(report, error);
}

void cm_report_free(cm_report *report) {
    for (int i = 0; i < report->variant_count; ++i) {
        cm_report_run *runs = report->variants[i].runs;
        for (int seed = 0; runs != NULL && seed < report->options.seeds; ++seed) {
            free(runs[seed].epochs);
        }
        free(runs);
    }
    free(report->variants);
    cm_study_networks_free(&report->networks);
    cm_study_free(&report->study);
    *report = (cm_report){.variant_count = 0};
}

/* ---- What is in it ---- */

const cm_report_variant *cm_report_find(const cm_report *report, const char *id) {
    for (int i = 0; i < report->variant_count; ++i) {
        if (strcmp(report->variants[i].network->name, id) == 0) {
            return &report->variants[i];
        }
    }
    return NULL;
}

int cm_report_variant_run_count(const cm_report *report, const cm_report_variant *variant) {
    int count = 0;
    for (int seed = 0; seed < report->options.seeds; ++seed) {
        count += variant->runs[seed].done;
    }
    return count;
}

int cm_report_run_count(const cm_report *report) {
    int count = 0;
    for (int i = 0; i < report->variant_count; ++i) {
        count += cm_report_variant_run_count(report, &report->variants[i]);
    }
    return count;
}

int cm_report_values(const cm_report *report, const cm_report_variant *variant, cm_measure measure,
                     double *values) {
    int count = 0;
    for (int seed = 0; seed < report->options.seeds; ++seed) {
        if (variant->runs[seed].done) {
            values[count++] = variant->runs[seed].values[measure];
        }
    }
    return count;
}

bool cm_report_follows_protocol(const cm_report *report) {
    const cm_train_options published = cm_train_options_default();
    json_t *ours = cm_train_options_json(&report->options.train);
    json_t *theirs = cm_train_options_json(&published);
    const bool same = json_equal(ours, theirs);
    json_decref(ours);
    json_decref(theirs);
    return same;
}

const char *cm_report_data_sha256(const cm_report *report) {
    const char *sha256 = json_string_value(json_object_get(report->study.data, "sha256"));
    return sha256 == NULL ? "" : sha256;
}

cm_report_row cm_report_row_of(const cm_report *report, const cm_report_variant *variant,
                               cm_measure measure) {
    double values[CM_STUDY_MAX_SEEDS];
    cm_report_row row = {.published = NAN};
    row.ours = cm_summarize(values, cm_report_values(report, variant, measure, values));
    row.prediction = cm_prediction_interval(&row.ours, CM_RESULTS_LEVEL);
    if (variant->published != NULL) {
        row.published = cm_measure_as_published(measure, variant->published);
        row.inside = row.published >= row.prediction.low && row.published <= row.prediction.high;
    }
    return row;
}
