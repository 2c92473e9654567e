/**
 * The driver that every study shares. A study is a plan of measurements and training runs: the
 * driver resumes what an earlier call left in the output folder, measures the rounds, then does the
 * training runs, keeps NAME.json up to date after each of them, and writes the tables at the end.
 *
 * A new study is a model (data), a cm_study_kind (what to do) and functions for JSON and text.
 */
#ifndef CM_HARNESS_STUDIES_STUDY_H
#define CM_HARNESS_STUDIES_STUDY_H

#include <jansson.h>
#include <signal.h>
#include <stdbool.h>

#include "convmark/dataset.h"
#include "convmark/status.h"
#include "convmark/trainer.h"
#include "core/files/lock_file.h"
#include "core/system/topology.h"
#include "harness/studies/meter.h"
#include "harness/studies/rounds.h"

#ifdef __cplusplus
extern "C" {
#endif

/** The limits of all studies. */
enum {
    CM_STUDY_MAX_LIST = 64,     /* values of one list: variants, core counts, widths ... */
    CM_STUDY_MAX_SEEDS = 1000,  /* training runs of one network */
    CM_STUDY_MAX_ROUNDS = 10000 /* samples of one measurement */
};

/** What every study's options have. Everything is borrowed until the study's call returns. */
typedef struct cm_study_settings {
    const char *output;          /* folder of the results; NULL: write no files */
    bool restart;                /* ignore what the folder holds */
    bool allow_synthetic;        /* accept accuracies on generated pictures */
    int argc;                    /* the command line, for the record */
    const char *const *argv;     /* may be NULL when argc is 0 */
    const cm_topology *topology; /* as it was before threads were pinned */
} cm_study_settings;

/** How a call is watched and stopped; all members may be NULL. */
typedef struct cm_study_control {
    cm_study_observer *observer;       /* called after each sample, and around each training run */
    void *context;                     /* handed to the observer */
    const volatile sig_atomic_t *stop; /* not 0: end with CM_INTERRUPTED */
} cm_study_control;

/** The steps of a study, in order. A caller uses the step of a failure to add how its users can
 * avoid it: this library speaks of values, not of command-line options. */
typedef enum cm_study_step {
    CM_STUDY_DATA,   /* checking that accuracies on the data set mean something */
    CM_STUDY_PLAN,   /* checking options, opening networks */
    CM_STUDY_FOLDER, /* preparing the output folder */
    CM_STUDY_RESUME, /* reading the file of an earlier call */
    CM_STUDY_WORK    /* measuring, training and writing */
} cm_study_step;

/** The part of a study's results that all have. Everything but `dataset` is owned. */
typedef struct cm_study {
    const cm_dataset *dataset; /* borrowed: it must outlive the study */
    cm_study_step step;        /* the last one that was begun */
    bool complete;             /* everything planned is done */
    json_t *machine, *data, *conditions, *command;
    cm_lock_file lock; /* of the folder's files of this kind, while the study lives */
    json_t *started;   /* when the first call began, UTC; a call that resumes takes it over */
} cm_study;

/** One training run of a study's plan. */
typedef struct cm_study_task {
    bool done;
    double amount;   /* of work, in seconds on a guessed machine */
    char doing[128]; /* "training bn-3 on 2 cores" */
} cm_study_task;

/** What a run hands to cm_train(). */
typedef struct cm_study_train_hooks {
    cm_train_observer *observer; /* reports steps; a study may leave it out */
    void *observer_context;
    const volatile sig_atomic_t *stop;
} cm_study_train_hooks;

/** A table that is written next to NAME.json: its suffix, and its text (NULL: no memory). */
typedef struct cm_study_table {
    const char *suffix; /* ".md"; NULL ends the list */
    char *(*text)(const void *self);
} cm_study_table;

enum { CM_STUDY_MAX_TABLES = 2 };

/** What a study is to the driver; `self` is the study's own structure. A member that may be NULL
 * says so. */
typedef struct cm_study_kind {
    const char *name; /* "sweep" */

    /** Checks the options and lays out measurements and runs. */
    cm_status (*plan)(void *self, cm_error *error);
    /** Everything so far; a new reference. NULL with a message: no memory. */
    json_t *(*to_json)(const void *self, cm_error *error);
    /** Takes over what an earlier call wrote; `file` names it in messages. */
    cm_status (*take_json)(void *self, const json_t *earlier, const char *file, cm_error *error);
    cm_study_table tables[CM_STUDY_MAX_TABLES + 1];
    bool tables_when_interrupted; /* as soon as one run is done; false: of complete studies only */

    /** Around all measuring and training; may be NULL. close() is called whatever open() returns.
     */
    cm_status (*open)(void *self, cm_error *error);
    void (*close)(void *self);

    /** The rounds; NULL: the study has none. */
    cm_rounds (*rounds)(const void *self);
    /** Around the rounds; called as open() and close() are. */
    cm_status (*open_rounds)(void *self, cm_error *error);
    void (*close_rounds)(void *self);
    /** Takes one sample of every measurement of a cell. */
    cm_status (*measure)(void *self, int cell, cm_error *error);

    /** How many training runs there are, in the order in which they are done, and each of them. */
    int (*run_count)(const void *self);
    cm_study_task (*run_at)(const void *self, int run);
    cm_status (*train)(void *self, int run, const cm_study_train_hooks *hooks, cm_error *error);
    /** Checks a run that is done, by this call or an earlier one; may be NULL. */
    cm_status (*check_run)(const void *self, int run, cm_error *error);
} cm_study_kind;

/** One call of the driver. */
typedef struct cm_study_call {
    const cm_study_kind *kind;
    void *self;
    cm_study *study; /* of self; its data set is set */
    const cm_study_settings *options;
    bool accuracy;      /* the study trains to compare accuracies: refuse generated pictures */
    bool fashion_mnist; /* its accuracies are those of Fashion-MNIST: refuse other sets */
} cm_study_call;

/**
 * Does what is not yet done. `control` may be NULL. CM_USAGE: options, or a folder that cannot be
 * written; CM_FAILED: another process fills it; CM_BAD_INPUT: the file of an earlier call is
 * damaged or of another study; CM_INTERRUPTED: stopped, and NAME.json holds what was done. The
 * study is the caller's to free, whatever the status.
 */
cm_status cm_study_make(const cm_study_call *call, const cm_study_control *control,
                        cm_error *error);

/** Frees what the study owns. */
void cm_study_free(cm_study *study);

/** CM_FAILED, with a message that names the study. */
cm_status cm_study_out_of_memory(const char *name, cm_error *error);

/** CM_USAGE where a value is not within 1 .. limit (`why` is added to the message), or is there
 * twice. `name` says what the values are. */
cm_status cm_study_check_list(const char *name, const int *values, int count, int limit,
                              const char *why, cm_error *error);

#ifdef __cplusplus
}
#endif

#endif
