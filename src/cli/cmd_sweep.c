/* convmark sweep: throughput and accuracy over variants, cores and batch sizes. */
#include "cli/study.h"
#include "cli/training_options.h"
#include "core/system/energy.h"
#include "harness/studies/networks.h"
#include "harness/studies/sweep/sweep_json.h"
#include "harness/studies/sweep/sweep_study.h"
#include "harness/studies/sweep/sweep_text.h"

typedef struct sweep_options {
    cm_sweep_options sweep;
    cm_rate_options rate;
    const char *variants[CM_STUDY_MAX_LIST];
} sweep_options;

/* ---- Options ---- */

static cm_status parse_sweep_variants(char *text, void *values, cm_error *error) {
    sweep_options *options = values;
    options->sweep.variants = options->variants;
    return cm_parse_list(text, options->variants, CM_STUDY_MAX_LIST, &options->sweep.variant_count,
                         error);
}

static cm_status parse_cores(char *text, void *values, cm_error *error) {
    cm_sweep_options *sweep = &((sweep_options *)values)->sweep;
    const cm_int_list list = {sweep->cores, &sweep->core_count, CM_STUDY_MAX_LIST, 1,
                              CM_MAX_THREADS};
    return cm_parse_int_list(text, &list, error);
}

static cm_status parse_batches(char *text, void *values, cm_error *error) {
    cm_sweep_options *sweep = &((sweep_options *)values)->sweep;
    const cm_int_list list = {sweep->batches, &sweep->batch_count, CM_STUDY_MAX_LIST, 1,
                              CM_SWEEP_MAX_BATCH};
    return cm_parse_int_list(text, &list, error);
}

static cm_status parse_pin_order(char *text, void *values, cm_error *error) {
    const char *names[CM_PIN_COUNT];
    int choice = 0;
    for (cm_pin pin = 0; pin < CM_PIN_COUNT; ++pin) {
        names[pin] = cm_pin_name(pin);
    }
    const cm_status status = cm_parse_choice(text, "an order", names, CM_PIN_COUNT, &choice, error);
    ((sweep_options *)values)->sweep.pin = (cm_pin)choice;
    return status;
}

#define MEMBER(name) offsetof(sweep_options, sweep.name)
static const cm_option option_table[] = {
    {"variants", CM_OPTION_PARSED, 0, "LIST",
     "Measure these variants or network files (default: all eight)", 0, 0, parse_sweep_variants},
    {"cores", CM_OPTION_PARSED, 0, "LIST",
     "Use these numbers of threads, one per core (default: 1, 2, 4 ... all)", 0, 0, parse_cores},
    {"batch", CM_OPTION_PARSED, 0, "LIST", "Use these batch sizes (default: 64)", 0, 0,
     parse_batches},
    {"pin", CM_OPTION_PARSED, 0, "ORDER",
     "Pin compact (default; fill packages), scatter (packages in turn) or none", 0, 0,
     parse_pin_order},
    {"rounds", CM_OPTION_INT, MEMBER(rounds), "N", "Take N samples per measurement (default: 9)", 1,
     CM_STUDY_MAX_ROUNDS, NULL},
    {"seconds", CM_OPTION_DOUBLE, MEMBER(seconds), "X",
     "Measure for at least X seconds per sample (default: 0.25)", 0, 3600, NULL},
    {"order-seed", CM_OPTION_SEED, MEMBER(order_seed), "N",
     "Seed the random order of measurements within a round (default: 0)", 0, 0, NULL},
    {"no-accuracy", CM_OPTION_FALSE, MEMBER(accuracy), NULL,
     "Skip the training runs that measure accuracy", 0, 0, NULL},
    {"until-accuracy", CM_OPTION_DOUBLE, MEMBER(train.until_accuracy), "X",
     "End a training run after the epoch that reaches accuracy X (0 to 1)", 0, 1, NULL},
    {0}};
#undef MEMBER

static const cm_option study_option_table[] = {
    CM_STUDY_OPTION_ROWS("sweep", "sweep.json, .csv and .md")};

static cm_status check_sweep(void *values, cm_error *error) {
    sweep_options *options = values;
    cm_sweep_options *sweep = &options->sweep;
    if (!sweep->accuracy && sweep->train.until_accuracy > 0.0) {
        return cm_fail(error, CM_USAGE,
                       "sweep: --until-accuracy has no effect with --no-accuracy; leave one of "
                       "them out");
    }
    const cm_status status = cm_rate_options_apply("sweep", &options->rate, &sweep->train, error);
    return status == CM_OK ? cm_check_training("sweep", &sweep->train, error) : status;
}

static cm_status shape_of_sweep(const void *values, cm_dataset_shape *shape, cm_error *error) {
    const cm_sweep_options *sweep = &((const sweep_options *)values)->sweep;
    return cm_study_networks_shape(sweep->variants, sweep->variant_count, shape, error);
}

/* ---- The command ---- */

static cm_status make_sweep(void *values, cm_study_run *run, cm_error *error) {
    cm_sweep_options *options = &((sweep_options *)values)->sweep;
    cm_energy energy;
    cm_energy_open("", &energy);
    options->train.energy = &energy;
    options->isa = run->machine.chosen_isa;
    options->study = cm_study_settings_of(run);
    run->progress.machine = &run->machine;
    cm_sweep sweep;
    const cm_study_control control = {cm_progress_observe_study, &run->progress,
                                      cm_interrupt_flag()};
    cm_status status = cm_sweep_make(options, run->dataset, &control, &sweep, error);
    run->step = sweep.study.step;
    cm_progress_end(&run->progress);
    if (status == CM_OK || status == CM_INTERRUPTED) {
        const cm_study_result result = {
            .complete = sweep.study.complete,
            .done = sweep.measurements.items[0].n,
            .all = options->rounds,
            .unit = "round",
            .files = "sweep.json, sweep.csv, sweep.md",
            .json = run->options.json != NULL ? cm_sweep_to_json(&sweep, error) : NULL,
            .tables = run->text != NULL ? cm_sweep_text(&sweep) : NULL};
        status = cm_study_show(run, &result, error);
    }
    cm_sweep_free(&sweep);
    return status;
}

cm_status cm_command_sweep(const cm_command *command, int argc, const char **argv,
                           cm_error *error) {
    sweep_options options = {.sweep = cm_sweep_options_default(),
                             .rate = cm_rate_options_default()};
    const cm_option_group groups[] = {{option_table, &options},
                                      {cm_protocol_option_table, &options.sweep.train},
                                      {cm_rate_option_table, &options.rate}};
    const cm_study_command study = {.values = &options,
                                    .groups = groups,
                                    .group_count = 3,
                                    .study_options = study_option_table,
                                    .networks = &options.sweep.variants,
                                    .network_count = &options.sweep.variant_count,
                                    .machine_options = cm_isa_quiet_option_table,
                                    .output = "convmark-sweep",
                                    .check = check_sweep,
                                    .shape = shape_of_sweep,
                                    .without_real_data = "--no-accuracy",
                                    .make = make_sweep};
    return cm_study_command_run(&study, command, argc, argv, error);
}
