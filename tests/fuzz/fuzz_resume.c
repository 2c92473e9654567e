/*
 * Any JSON object as what an interrupted report, sweep or explore left: its members replace those
 * of a file that fits, so that mutations get past the comparison of machine and options. What is
 * taken over can be written again.
 */
#include <signal.h>

#include "core/files/json.h"
#include "fuzz.h"
#include "harness/studies/explore/explore_json.h"
#include "harness/studies/explore/explore_study.h"
#include "harness/studies/explore/explore_text.h"
#include "harness/studies/report/report_json.h"
#include "harness/studies/report/report_study.h"
#include "harness/studies/report/report_text.h"
#include "harness/studies/sweep/sweep_json.h"
#include "harness/studies/sweep/sweep_study.h"
#include "harness/studies/sweep/sweep_text.h"

enum { SEEDS = 3, EPOCHS = 2 };

static uint8_t pixels[2 * 28 * 28], labels[2] = {0, 9};
static const cm_dataset dataset = {.name = "fashion-mnist",
                                   .source = "/nowhere",
                                   .classes = 10,
                                   .real = true,
                                   .verified = true,
                                   .train = {2, 28, 28, pixels, labels},
                                   .validation = {2, 28, 28, pixels, labels}};
static const char *const variants[] = {"baseline", "bn-3"};
static const volatile sig_atomic_t stop = 1;
static const cm_study_control plan_only = {.stop = &stop};

static void print_nothing(char *text) {
    FUZZ_EXPECT(text != NULL);
    free(text);
}

/* A copy of `whole` with the members of `part`. */
static json_t *merge(const json_t *whole, json_t *part) {
    json_t *merged = json_copy((json_t *)(uintptr_t)whole);
    FUZZ_EXPECT(merged != NULL && json_object_update(merged, part) == 0);
    return merged;
}

static void expect_writable(json_t *json) {
    cm_error error = {""};
    char *text = NULL;
    FUZZ_EXPECT(cm_json_dump(json, &text, NULL, &error) == CM_OK);
    free(text);
    json_decref(json);
}

/* ---- The report ---- */

static void empty_report(cm_report *report) {
    for (int i = 0; i < report->variant_count; ++i) {
        cm_report_variant *variant = &report->variants[i];
        for (int seed = 0; seed < SEEDS; ++seed) {
            free(variant->runs[seed].epochs);
            variant->runs[seed] = (cm_report_run){.done = false};
        }
    }
}

static void try_report(json_t *part) {
    static cm_report report;
    static json_t *whole;
    cm_error error = {""};
    if (whole == NULL) {
        cm_report_options options = cm_report_options_default();
        options.variants = variants;
        options.variant_count = 2;
        options.seeds = SEEDS;
        options.train.epochs = EPOCHS;
        const cm_status made = cm_report_make(&options, &dataset, &plan_only, &report, &error);
        FUZZ_EXPECT(made == CM_INTERRUPTED);
        whole = cm_report_to_json(&report, &error);
    }
    json_t *json = merge(whole, part);
    const cm_status status = cm_report_take_json(&report, json, "FILE", &error);
    if (status == CM_OK) {
        expect_writable(cm_report_to_json(&report, &error));
        print_nothing(cm_report_markdown(&report));
        print_nothing(cm_report_text(&report));
    } else {
        fuzz_expect_refused(status, &error, "FILE");
    }
    empty_report(&report);
    json_decref(json);
}

/* ---- The sweep ---- */

static cm_topology *topology;

static void make_sweep(cm_sweep *sweep) {
    cm_error error = {""};
    cm_sweep_options options = cm_sweep_options_default();
    FUZZ_EXPECT(topology != NULL || cm_topology_load(&topology, &error) == CM_OK);
    options.variants = variants;
    options.variant_count = 2;
    options.cores[0] = 1;
    options.core_count = 1;
    options.rounds = SEEDS;
    options.study.topology = topology;
    FUZZ_EXPECT(cm_sweep_make(&options, &dataset, &plan_only, sweep, &error) == CM_INTERRUPTED);
}

static void try_sweep(json_t *part) {
    static cm_sweep sweep;
    static json_t *whole;
    cm_error error = {""};
    if (whole == NULL) {
        make_sweep(&sweep);
        whole = cm_sweep_to_json(&sweep, &error);
        FUZZ_EXPECT(whole != NULL);
    }
    json_t *json = merge(whole, part);
    const cm_status status = cm_sweep_take_json(&sweep, json, "FILE", &error);
    if (status == CM_OK) {
        expect_writable(cm_sweep_to_json(&sweep, &error));
        print_nothing(cm_sweep_text(&sweep));
        print_nothing(cm_sweep_markdown(&sweep));
    } else {
        fuzz_expect_refused(status, &error, "FILE");
    }
    for (int i = 0; i < sweep.measurements.count; ++i) {
        sweep.measurements.items[i].n = 0;
    }
    for (int i = 0; i < sweep.run_count; ++i) {
        sweep.runs[i] =
            (cm_sweep_run){.variant = sweep.runs[i].variant, .cores = sweep.runs[i].cores};
    }
    json_decref(json);
}

/* ---- The exploration ---- */

static void make_explore(cm_explore *explore) {
    cm_error error = {""};
    cm_explore_options options = cm_explore_options_default();
    FUZZ_EXPECT(topology != NULL || cm_topology_load(&topology, &error) == CM_OK);
    options.depth_count = options.pool_count = options.width_count = 1;
    options.dropout_count = options.batch_norm_count = 1;
    options.seeds = options.rounds = SEEDS;
    options.until_accuracy = 0.5;
    options.threads = 1;
    options.isa = CM_ISA_SCALAR;
    options.study.topology = topology;
    FUZZ_EXPECT(cm_explore_make(&options, &dataset, &plan_only, explore, &error) == CM_INTERRUPTED);
}

static void try_explore(json_t *part) {
    static cm_explore explore;
    static json_t *whole;
    cm_error error = {""};
    if (whole == NULL) {
        make_explore(&explore);
        whole = cm_explore_to_json(&explore, &error);
        FUZZ_EXPECT(whole != NULL);
    }
    json_t *json = merge(whole, part);
    const cm_status status = cm_explore_take_json(&explore, json, "FILE", &error);
    if (status == CM_OK) {
        expect_writable(cm_explore_to_json(&explore, &error));
        print_nothing(cm_explore_text(&explore));
        print_nothing(cm_explore_markdown(&explore));
    } else {
        fuzz_expect_refused(status, &error, "FILE");
    }
    for (int i = 0; i < explore.measurements.count; ++i) {
        explore.measurements.items[i].n = 0;
    }
    for (int i = 0; i < explore.point_count * SEEDS; ++i) {
        explore.runs[i] = (cm_explore_run){0};
    }
    json_decref(json);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    json_t *part = NULL;
    cm_error error = {""};
    if (cm_json_parse((const char *)data, size, "FILE", &part, &error) == CM_OK &&
        json_is_object(part)) {
        try_report(part);
        try_sweep(part);
        try_explore(part);
    }
    json_decref(part);
    return 0;
}
