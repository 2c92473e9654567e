/**
 * What report, sweep and explore share: they fill a folder with results, resume from it, show
 * progress, and print tables at the end.
 *
 * A study's command is a cm_study_command: its own options, and functions that check them and run
 * the study. cm_study_command_run() does the rest in the same order for all of them: options,
 * paths, machine, data set, the study itself.
 */
#ifndef CM_CLI_STUDY_H
#define CM_CLI_STUDY_H

#include <jansson.h>

#include "cli/cli.h"
#include "cli/machine.h"
#include "cli/progress.h"
#include "convmark/dataset.h"
#include "harness/studies/study.h"

/** --output --json --restart --allow-synthetic */
typedef struct cm_study_options {
    const char *output, *json; /* json NULL: not given */
    bool restart, allow_synthetic;
} cm_study_options;

/** The table of these options. `files`: what the folder gets, in words. clang-format would give
 * each field a line. */
/* clang-format off */
#define CM_STUDY_MEMBER(name) offsetof(cm_study_options, name)
#define CM_STUDY_OPTION_ROWS(kind, files)                                                         \
    {"output", CM_OPTION_STRING, CM_STUDY_MEMBER(output), "DIR",                                   \
     "Write " files " to folder DIR (default: convmark-" kind ")", 0, 0, NULL},                    \
    {"json", CM_OPTION_STRING, CM_STUDY_MEMBER(json), "FILE",                                      \
     "Write " kind ".json to FILE as well ('-': standard output)", 0, 0, NULL},                    \
    {"restart", CM_OPTION_TRUE, CM_STUDY_MEMBER(restart), NULL,                                    \
     "Start over instead of resuming from " kind ".json in DIR", 0, 0, NULL},                      \
    {"allow-synthetic", CM_OPTION_TRUE, CM_STUDY_MEMBER(allow_synthetic), NULL,                    \
     "Accept generated pictures although their accuracy means nothing", 0, 0, NULL},               \
    {0}
/* clang-format on */

/** A study while its command runs: what cm_study_command_run() has prepared. */
typedef struct cm_study_run {
    const cm_command *command;
    int argc;
    const char **argv;
    cm_study_options options;
    cm_machine_options machine;
    cm_dataset *dataset;
    FILE *text; /* for people; NULL: quiet */
    cm_progress progress;
    cm_study_step step; /* set by make(): the step that failed, where one did */
} cm_study_run;

/** What a study gives, complete or interrupted. */
typedef struct cm_study_result {
    bool complete;
    int done, all;     /* of `unit`s */
    const char *unit;  /* "round" */
    const char *files; /* written by a complete study: "sweep.json, sweep.csv, sweep.md" */
    json_t *json;      /* made where --json is given; NULL: out of memory */
    char *tables;      /* made where there is text; NULL: out of memory */
} cm_study_result;

/** A study's command. */
typedef struct cm_study_command {
    void *values;                  /* the command's own options */
    const cm_option_group *groups; /* tables of `values`; at most CM_STUDY_GROUPS */
    int group_count;
    const cm_option *study_options;   /* CM_STUDY_OPTION_ROWS */
    const cm_option *machine_options; /* which of the machine's options there are */
    const char *output;               /* default folder */
    /* The networks that are read, names or files, as the options leave them; NULL: none. */
    const char *const *const *networks;
    const int *network_count;
    /* Checks rules over several options. */
    cm_status (*check)(void *values, cm_error *error);
    /* The shape of generated pictures; NULL: the report's. */
    cm_status (*shape)(const void *values, cm_dataset_shape *shape, cm_error *error);
    const char *without_real_data; /* what to give instead: "--no-accuracy" */
    /* Runs the study, and shows what it gives with cm_study_show(). */
    cm_status (*make)(void *values, cm_study_run *run, cm_error *error);
} cm_study_command;

enum { CM_STUDY_GROUPS = 4 };

/** Parses the command line, prepares everything, and runs the study. */
cm_status cm_study_command_run(const cm_study_command *study, const cm_command *command, int argc,
                               const char **argv, cm_error *error);

/** What the library is told of the run. */
cm_study_settings cm_study_settings_of(const cm_study_run *run);

/** Writes --json, prints the tables and the names of the files. Takes over json and tables.
 * CM_INTERRUPTED, with how to resume, where the study is not complete. */
cm_status cm_study_show(const cm_study_run *run, const cm_study_result *result, cm_error *error);

#endif
