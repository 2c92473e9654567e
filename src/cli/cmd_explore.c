/* convmark explore: accuracy against throughput over a grid of architectures. */
#include <stdlib.h>
#include <string.h>

#include "cli/study.h"
#include "cli/training_options.h"
#include "core/system/energy.h"
#include "harness/studies/explore/explore_json.h"
#include "harness/studies/explore/explore_study.h"
#include "harness/studies/explore/explore_text.h"

/* The values of the command's options. */
typedef struct explore_command {
    cm_explore_options explore; /* first: most rows of the table write to it */
    cm_dataset_shape shape;     /* of generated pictures */
} explore_command;

/* ---- Options ---- */

static cm_status parse_picture_shape(char *text, void *values, cm_error *error) {
    cm_dataset_shape *shape = &((explore_command *)values)->shape;
    int *const sizes[] = {&shape->channels, &shape->height, &shape->width};
    char *item = text;
    bool good = true;
    for (int i = 0; good && i < 3; ++i) {
        char *end = i < 2 ? strchr(item, 'x') : item + strlen(item);
        good = end != NULL;
        if (good) {
            *end = '\0';
            good = cm_parse_int(item, sizes[i]) && *sizes[i] >= 1 && *sizes[i] <= CM_MAX_LAYER_SIZE;
            item = end + 1;
        }
    }
    return good ? CM_OK
                : cm_fail(error, CM_USAGE,
                          "is not accepted; give channels, height and width, as in 3x32x32");
}

static cm_status parse_depths(char *text, void *values, cm_error *error) {
    cm_explore_options *explore = values;
    const cm_int_list list = {explore->depths, &explore->depth_count, CM_STUDY_MAX_LIST, 1,
                              CM_EXPLORE_MAX_DEPTH};
    return cm_parse_int_list(text, &list, error);
}

static cm_status parse_pools(char *text, void *values, cm_error *error) {
    cm_explore_options *explore = values;
    const cm_int_list list = {explore->pools, &explore->pool_count, CM_STUDY_MAX_LIST, 1,
                              CM_EXPLORE_MAX_DEPTH};
    return cm_parse_int_list(text, &list, error);
}

static cm_status parse_widths(char *text, void *values, cm_error *error) {
    cm_explore_options *explore = values;
    const cm_int_list list = {explore->widths, &explore->width_count, CM_STUDY_MAX_LIST, 1,
                              CM_EXPLORE_MAX_WIDTH};
    return cm_parse_int_list(text, &list, error);
}

static cm_status parse_batch_norm(char *text, void *values, cm_error *error) {
    static const char *const names[] = {"on", "off", "both"};
    static const struct {
        bool values[2];
        int count;
    } rows[] = {{{true}, 1}, {{false}, 1}, {{false, true}, 2}};
    cm_explore_options *explore = values;
    int choice = 0;
    const cm_status status = cm_parse_choice(text, "a choice", names, 3, &choice, error);
    memcpy(explore->batch_norms, rows[choice].values, sizeof explore->batch_norms);
    explore->batch_norm_count = rows[choice].count;
    return status;
}

static cm_status parse_dropouts(char *text, void *values, cm_error *error) {
    cm_explore_options *explore = values;
    const char *items[CM_STUDY_MAX_LIST];
    cm_status status =
        cm_parse_list(text, items, CM_STUDY_MAX_LIST, &explore->dropout_count, error);
    for (int i = 0; status == CM_OK && i < explore->dropout_count; ++i) {
        double *dropout = &explore->dropouts[i];
        /* A network computes with floats. */
        if (!cm_parse_double(items[i], dropout) || !(*dropout >= 0.0 && (float)*dropout < 1.0F)) {
            status = cm_fail(error, CM_USAGE,
                             "'%s' is not accepted; give decimal numbers from 0 to below 1, "
                             "separated by commas",
                             items[i]);
        }
    }
    return status;
}

static cm_status parse_schedules(char *text, void *values, cm_error *error) {
    cm_explore_options *explore = values;
    const char *items[CM_SCHEDULE_COUNT];
    cm_status status =
        cm_parse_list(text, items, CM_SCHEDULE_COUNT, &explore->schedule_count, error);
    for (int i = 0; status == CM_OK && i < explore->schedule_count; ++i) {
        status = cm_parse_schedule(items[i], &explore->schedules[i], error);
        for (int k = 0; status == CM_OK && k < i; ++k) {
            if (explore->schedules[k] == explore->schedules[i]) {
                status = cm_fail(error, CM_USAGE, "'%s' is given twice; give each schedule once",
                                 items[i]);
            }
        }
    }
    return status;
}

#define MEMBER(name) offsetof(cm_explore_options, name)
static const cm_option option_table[] = {
    {"depth", CM_OPTION_PARSED, 0, "LIST", "Try these numbers of convolutions (default: 3,8)", 0, 0,
     parse_depths},
    {"pool", CM_OPTION_PARSED, 0, "LIST",
     "Pool after convolutions 0, P, 2P ... for these P (default: 1,3)", 0, 0, parse_pools},
    {"batch-norm", CM_OPTION_PARSED, 0, "WHICH",
     "Try networks with batch norm (on), without (off), or both (default: both)", 0, 0,
     parse_batch_norm},
    {"dropout", CM_OPTION_PARSED, 0, "LIST",
     "Try these dropout probabilities before the output layer (default: 0.1)", 0, 0,
     parse_dropouts},
    {"width", CM_OPTION_PARSED, 0, "LIST",
     "Try these numbers of channels per convolution (default: 32,64,128)", 0, 0, parse_widths},
    {"schedule", CM_OPTION_PARSED, 0, "LIST",
     "Try plateau, constant, step, cosine, one-cycle (default: plateau,one-cycle)", 0, 0,
     parse_schedules},
    {"lr", CM_OPTION_DOUBLE, MEMBER(train.optimizer.learning_rate), "X",
     "Set Adam's first learning rate, or one-cycle's highest (default: 0.001)", 0, 1000, NULL},
    {"seeds", CM_OPTION_INT, MEMBER(seeds), "N",
     "Train each point with seeds 0 to N - 1 (default: 1)", 1, CM_STUDY_MAX_SEEDS, NULL},
    {"batch", CM_OPTION_INT, MEMBER(train.batch), "N", "Use N images per batch (default: 64)", 1,
     CM_MAX_BATCH, NULL},
    {"until-accuracy", CM_OPTION_DOUBLE, MEMBER(until_accuracy), "X",
     "Report the cost of reaching accuracy X (0 to 1); runs are not cut short", 0, 1, NULL},
    {"input", CM_OPTION_PARSED, 0, "CxHxW",
     "Generate pictures of this shape for --data synthetic (default: 1x28x28)", 0, 0,
     parse_picture_shape},
    {"classes", CM_OPTION_INT, offsetof(explore_command, shape.classes), "N",
     "Generate pictures of N classes for --data synthetic (default: 10)", 2, CM_MAX_CLASSES, NULL},
    {"rounds", CM_OPTION_INT, MEMBER(rounds), "N",
     "Take N samples of each network's images per second (default: 9)", 1, CM_STUDY_MAX_ROUNDS,
     NULL},
    {"seconds", CM_OPTION_DOUBLE, MEMBER(seconds), "X",
     "Measure for at least X seconds per sample (default: 0.25)", 0, 3600, NULL},
    {"order-seed", CM_OPTION_SEED, MEMBER(order_seed), "N",
     "Seed the random order of measurements within a round (default: 0)", 0, 0, NULL},
    {0}};
#undef MEMBER

static const cm_option study_option_table[] = {
    CM_STUDY_OPTION_ROWS("explore", "explore.json, .csv and .md")};

static cm_status check_explore(void *values, cm_error *error) {
    return cm_check_training("explore", &((cm_explore_options *)values)->train, error);
}

static cm_status shape_of_explore(const void *values, cm_dataset_shape *shape, cm_error *error) {
    (void)error;
    *shape = ((const explore_command *)values)->shape;
    return CM_OK;
}

/* ---- The command ---- */

static cm_status make_explore(void *values, cm_study_run *run, cm_error *error) {
    cm_explore_options *options = values;
    cm_energy energy;
    cm_energy_open("", &energy);
    options->train.energy = &energy;
    options->isa = run->machine.chosen_isa;
    options->threads = run->machine.threads;
    options->pinned = run->machine.pin;
    options->study = cm_study_settings_of(run);
    run->progress.machine = &run->machine;
    cm_explore explore;
    const cm_study_control control = {cm_progress_observe_study, &run->progress,
                                      cm_interrupt_flag()};
    cm_status status = cm_explore_make(options, run->dataset, &control, &explore, error);
    run->step = explore.study.step;
    cm_progress_end(&run->progress);
    if (status == CM_OK || status == CM_INTERRUPTED) {
        const cm_study_result result = {
            .complete = explore.study.complete,
            .done = explore.measurements.items[0].n,
            .all = options->rounds,
            .unit = "round",
            .files = "explore.json, explore.csv, explore.md",
            .json = run->options.json != NULL ? cm_explore_to_json(&explore, error) : NULL,
            .tables = run->text != NULL ? cm_explore_text(&explore) : NULL};
        status = cm_study_show(run, &result, error);
    }
    cm_explore_free(&explore);
    return status;
}

cm_status cm_command_explore(const cm_command *command, int argc, const char **argv,
                             cm_error *error) {
    explore_command options = {cm_explore_options_default(), {1, 28, 28, 10}};
    const cm_option_group groups[] = {{option_table, &options},
                                      {cm_protocol_option_table, &options.explore.train}};
    const cm_study_command study = {.values = &options,
                                    .groups = groups,
                                    .group_count = 2,
                                    .study_options = study_option_table,
                                    .machine_options = cm_machine_option_table,
                                    .output = "convmark-explore",
                                    .check = check_explore,
                                    .shape = shape_of_explore,
                                    .without_real_data = "--allow-synthetic to try it out",
                                    .make = make_explore};
    return cm_study_command_run(&study, command, argc, argv, error);
}
