/* convmark explore: which architecture pays on this machine. */
#include <stdlib.h>
#include <string.h>

#include "cli/cli.h"
#include "cli/progress.h"
#include "core/system/energy.h"
#include "harness/studies/explore/explore_json.h"
#include "harness/studies/explore/explore_study.h"
#include "harness/studies/explore/explore_text.h"

typedef struct explore_options {
    cm_explore_options explore;
    /* As given; NULL: the default. */
    const char *depths, *pools, *batch_norm, *dropouts, *widths, *schedules, *json;
} explore_options;

#define MEMBER(name) offsetof(explore_options, name)
static const cm_option option_table[] = {
    {"depth", CM_OPTION_STRING, MEMBER(depths), "LIST", "numbers of convolutions (default: 3,8)", 0,
     0},
    {"pool", CM_OPTION_STRING, MEMBER(pools), "LIST",
     "pooling periods P: behind convolutions 0, P, 2P ... (default: 1,3)", 0, 0},
    {"batch-norm", CM_OPTION_STRING, MEMBER(batch_norm), "WHICH", "on, off or both (default: both)",
     0, 0},
    {"dropout", CM_OPTION_STRING, MEMBER(dropouts), "LIST",
     "dropout before the output layer (default: 0.1)", 0, 0},
    {"width", CM_OPTION_STRING, MEMBER(widths), "LIST",
     "channels of each convolution (default: 32,64,128)", 0, 0},
    {"schedule", CM_OPTION_STRING, MEMBER(schedules), "LIST",
     "plateau, constant, step, cosine, one-cycle (default: plateau,one-cycle)", 0, 0},
    {"lr", CM_OPTION_DOUBLE, MEMBER(explore.train.optimizer.learning_rate), "X",
     "Adam's learning rate; of one-cycle the highest (default: 0.001)", 0, 1000},
    {"seeds", CM_OPTION_INT, MEMBER(explore.seeds), "N",
     "training runs of each point, seeds 0 to N - 1 (default: 1)", 1, CM_STUDY_MAX_SEEDS},
    {"epochs", CM_OPTION_INT, MEMBER(explore.train.epochs), "N",
     "epochs of a training run (protocol and default: 3)", 1, CM_MAX_EPOCHS},
    {"steps", CM_OPTION_INT, MEMBER(explore.train.steps), "N",
     "training batches an epoch (protocol: 100)", 1, CM_MAX_STEPS},
    {"valid-steps", CM_OPTION_INT, MEMBER(explore.train.valid_steps), "N",
     "validation batches after each epoch (protocol: 100)", 1, CM_MAX_STEPS},
    {"batch", CM_OPTION_INT, MEMBER(explore.train.batch), "N", "images a batch (default: 64)", 1,
     10000},
    {"until-accuracy", CM_OPTION_DOUBLE, MEMBER(explore.until_accuracy), "X",
     "tell what it took to reach it; runs go on to their end", 0, 1},
    {"rounds", CM_OPTION_INT, MEMBER(explore.rounds), "N",
     "samples of each network's images/s (default: 9)", 1, CM_STUDY_MAX_ROUNDS},
    {"seconds", CM_OPTION_DOUBLE, MEMBER(explore.seconds), "X",
     "length of a sample, at least (default: 0.25)", 0, 3600},
    {"order-seed", CM_OPTION_SEED, MEMBER(explore.order_seed), "N",
     "seed of the order in which a round measures (default: 0)", 0, 0},
    {"allow-synthetic", CM_OPTION_TRUE, MEMBER(explore.study.allow_synthetic), NULL,
     "accept generated pictures, to try it out", 0, 0},
    {"output", CM_OPTION_STRING, MEMBER(explore.study.output), "DIR",
     "folder of explore.json, .csv and .md (default: convmark-explore)", 0, 0},
    {"json", CM_OPTION_STRING, MEMBER(json), "FILE",
     "write explore.json here as well ('-': standard output)", 0, 0},
    {"restart", CM_OPTION_TRUE, MEMBER(explore.study.restart), NULL,
     "begin anew, not where explore.json in DIR ends", 0, 0},
    {0}};
#undef MEMBER

/* ---- Lists ---- */

static cm_status read_batch_norm(const char *text, cm_explore_options *explore, cm_error *error) {
    static const struct {
        const char *name;
        bool values[2];
        int count;
    } rows[] = {{"both", {false, true}, 2}, {"on", {true}, 1}, {"off", {false}, 1}};
    for (size_t i = 0; text != NULL && i < sizeof rows / sizeof *rows; ++i) {
        if (strcmp(rows[i].name, text) == 0) {
            memcpy(explore->batch_norms, rows[i].values, sizeof explore->batch_norms);
            explore->batch_norm_count = rows[i].count;
            return CM_OK;
        }
    }
    return text == NULL
               ? CM_OK
               : cm_fail(error, CM_USAGE, "--batch-norm '%s': choose on, off or both", text);
}

static cm_status take_dropout(const char *item, cm_explore_options *explore, cm_error *error) {
    return cm_parse_double(item, &explore->dropouts[explore->dropout_count++])
               ? CM_OK
               : cm_fail(error, CM_USAGE,
                         "--dropout: '%s' is no number; give numbers with single commas", item);
}

static cm_status take_schedule(const char *item, cm_explore_options *explore, cm_error *error) {
    const cm_schedule_kind kind = cm_schedule_from_name(item);
    explore->schedules[explore->schedule_count++] = kind;
    return kind < CM_SCHEDULE_COUNT
               ? CM_OK
               : cm_fail(error, CM_USAGE,
                         "--schedule: '%s' is no schedule; choose plateau, constant, step, cosine "
                         "or one-cycle",
                         item);
}

/* Hands the items of a list with commas to `take`; *count, which it moves, starts from 0. */
static cm_status read_list(const char *option, const char *text, int limit, int *count,
                           cm_status (*take)(const char *, cm_explore_options *, cm_error *),
                           cm_explore_options *explore, cm_error *error) {
    const char *items[CM_STUDY_MAX_LIST];
    int item_count = 0;
    char *list = NULL;
    cm_status status = cm_split_list(option, text, &list, items, limit, &item_count, error);
    *count = 0;
    for (int i = 0; status == CM_OK && i < item_count; ++i) {
        status = take(items[i], explore, error);
    }
    free(list);
    return status;
}

/* The options that are text. */
static cm_status read_options(explore_options *options, cm_error *error) {
    cm_explore_options *e = &options->explore;
    const struct {
        const char *option, *text;
        int *values, *count;
    } lists[] = {{"depth", options->depths, e->depths, &e->depth_count},
                 {"pool", options->pools, e->pools, &e->pool_count},
                 {"width", options->widths, e->widths, &e->width_count}};
    cm_status status = read_batch_norm(options->batch_norm, e, error);
    for (size_t i = 0; status == CM_OK && i < sizeof lists / sizeof *lists; ++i) {
        if (lists[i].text != NULL) {
            status = cm_parse_int_list(lists[i].option, lists[i].text, lists[i].values,
                                       CM_STUDY_MAX_LIST, lists[i].count, error);
        }
    }
    if (status == CM_OK && options->dropouts != NULL) {
        status = read_list("dropout", options->dropouts, CM_STUDY_MAX_LIST, &e->dropout_count,
                           take_dropout, e, error);
    }
    if (status == CM_OK && options->schedules != NULL) {
        status = read_list("schedule", options->schedules, CM_SCHEDULE_COUNT, &e->schedule_count,
                           take_schedule, e, error);
    }
    return status == CM_OK ? cm_check_output("json", options->json, true, error) : status;
}

/* ---- The command ---- */

static cm_status show(const explore_options *options, const cm_explore *explore, FILE *text,
                      cm_error *error) {
    const cm_folder_output output = {.kind = "explore",
                                     .folder = options->explore.study.output,
                                     .json = options->json,
                                     .complete = explore->study.complete,
                                     .restart = options->explore.study.restart,
                                     .rounds = explore->measurements.items[0].n,
                                     .all_rounds = options->explore.rounds,
                                     .text = text};
    return cm_show_folder(&output,
                          options->json != NULL ? cm_explore_to_json(explore, error) : NULL,
                          text != NULL ? cm_explore_text(explore) : NULL, error);
}

static cm_status make(const explore_options *options, const cm_dataset *dataset,
                      const cm_machine_options *machine, cm_error *error) {
    FILE *text = machine->quiet ? NULL : cm_is_stdout(options->json) ? stderr : stdout;
    cm_explore explore;
    cm_progress progress = cm_progress_start(text != NULL ? text : stdout, text == NULL);
    progress.machine = machine;
    const cm_study_control control = {cm_progress_observe_study, &progress, cm_interrupt_flag()};
    cm_status status = cm_explore_make(&options->explore, dataset, &control, &explore, error);
    cm_progress_end(&progress);
    if (status == CM_OK || status == CM_INTERRUPTED) {
        status = show(options, &explore, text, error);
    } else {
        status = cm_explain_study(&explore.study, option_table, "--allow-synthetic to try it out",
                                  status, error);
    }
    cm_explore_free(&explore);
    return status;
}

static cm_status run(explore_options *options, const char *data, cm_machine_options *machine,
                     cm_error *error) {
    cm_dataset *dataset = NULL;
    cm_status status = read_options(options, error);
    if (status == CM_OK) {
        status = cm_machine_prepare(machine, error);
    }
    if (status == CM_OK) {
        status = cm_dataset_open(data, &dataset, error);
    }
    if (status == CM_OK) {
        cm_energy energy;
        cm_energy_open("", &energy);
        options->explore.train.energy = &energy;
        options->explore.isa = machine->chosen_isa;
        options->explore.threads = machine->threads;
        options->explore.pinned = machine->pin;
        options->explore.study.topology = machine->topology;
        status = make(options, dataset, machine, error);
    }
    cm_dataset_close(dataset);
    return status;
}

cm_status cm_command_explore(const cm_command *command, int argc, const char **argv,
                             cm_error *error) {
    explore_options options = {.explore = cm_explore_options_default()};
    options.explore.study.output = "convmark-explore";
    options.explore.study.argc = argc;
    options.explore.study.argv = argv;
    cm_data_options data = {NULL};
    cm_machine_options machine = cm_machine_options_default();
    const cm_option_group groups[] = {{option_table, &options},
                                      {cm_data_option_table, &data},
                                      {cm_machine_option_table, &machine}};
    cm_arguments arguments;
    cm_status status = cm_arguments_parse(command, argc, argv, groups, 3, 0, &arguments, error);
    if (status == CM_OK && !arguments.help) {
        status = run(&options, data.data, &machine, error);
    }
    cm_machine_release(&machine);
    cm_arguments_free(&arguments);
    return status;
}
