/**
 * The command line: the table of commands, and what every command shares: a table of options a
 * command over popt, strict numbers, data and machine options, interrupts.
 *
 * A command is one file, cmd_NAME.c, with the function cm_command_NAME(), and one row of
 * CM_COMMAND_LIST. It prints results on standard output; errors it returns, and main() prints them.
 */
#ifndef CM_CLI_CLI_H
#define CM_CLI_CLI_H

#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <jansson.h>

#include "convmark/dataset.h"
#include "convmark/kernels.h"
#include "convmark/network.h"
#include "convmark/status.h"
#include "convmark/trainer.h"
#include "core/system/topology.h"
#include "harness/studies/study.h"

/** The commands, in the order of --help: name, arguments, summary. */
#define CM_COMMAND_LIST(ROW)                                                                  \
    ROW(report, "", "train the eight variants and compare them with the published report")    \
    ROW(sweep, "", "images/s of every variant at every number of cores and batch size")       \
    ROW(explore, "", "which architecture pays: accuracy against images/s over a grid")        \
    ROW(profile, "VARIANT|FILE", "where the time of a step goes, and how far from the limit") \
    ROW(compare, "BEFORE NOW...", "files of measurements side by side: faster, slower, same") \
    ROW(export, "FILE", "measurements as CSV or as a Markdown table")                         \
    ROW(train, "VARIANT|FILE", "train a variant, or a network written as text")               \
    ROW(evaluate, "MODEL", "loss, accuracy and confusion matrix of a saved model")            \
    ROW(predict, "MODEL IMAGE.png", "name the class of a picture")                            \
    ROW(variants, "", "list the variants of the report")                                      \
    ROW(describe, "VARIANT|FILE", "list the layers of a network, with parameters and MACs")   \
    ROW(info, "", "this machine: cores, caches, what it can do, what spoils measurements")    \
    ROW(verify, "", "prove on this machine that results are the same bits everywhere")

typedef struct cm_command cm_command;

/** argv[0] is the command's name. The status is the program's exit code. */
typedef cm_status cm_command_run(const cm_command *command, int argc, const char **argv,
                                 cm_error *error);

struct cm_command {
    const char *name;
    const char *arguments; /* as in the usage line */
    const char *summary;
    cm_command_run *run;
};

#define CM_COMMAND_PROTOTYPE(name, arguments, summary) cm_command_run cm_command_##name;
CM_COMMAND_LIST(CM_COMMAND_PROTOTYPE)
#undef CM_COMMAND_PROTOTYPE

/* ---- Options ---- */

/** What an option's value is, and the type of the member it is stored in. */
typedef enum cm_option_kind {
    CM_OPTION_TRUE,   /* no value; bool = true */
    CM_OPTION_FALSE,  /* no value; bool = false */
    CM_OPTION_INT,    /* int, within minimum .. maximum */
    CM_OPTION_SEED,   /* uint64_t, at most 2^63 - 1, so that JSON's integers hold it */
    CM_OPTION_DOUBLE, /* double, finite, within minimum .. maximum */
    CM_OPTION_STRING  /* const char *, not empty; lives as long as the cm_arguments */
} cm_option_kind;

/** One row an option. A table ends with a row whose name is NULL. */
typedef struct cm_option {
    const char *name; /* without the dashes */
    cm_option_kind kind;
    size_t offset;        /* of the member, in the structure the table is for */
    const char *argument; /* "N", "FILE"; NULL when there is no value */
    const char *help;     /* one line, the default included */
    double minimum, maximum;
} cm_option;

/** A table together with the structure it writes to, which holds the defaults before. */
typedef struct cm_option_group {
    const cm_option *options;
    void *values;
} cm_option_group;

enum { CM_MAX_GROUPS = 4, CM_MAX_OPTIONS = 32 };

/** A number of words that the command checks itself. */
enum { CM_ANY_WORDS = -1 };

/** What a command line gave. */
typedef struct cm_arguments {
    bool help; /* --help was asked and printed: the command has nothing more to do */
    int count; /* words that are not options */
    const char **words;
    void *context;                 /* popt's, which owns the words */
    char *strings[CM_MAX_OPTIONS]; /* values of CM_OPTION_STRING and others, in order of tables */
} cm_arguments;

/**
 * Parses a command's arguments: options of `groups`, and exactly `word_count` other words (or
 * CM_ANY_WORDS). An
 * unknown option, a wrong value or a wrong number of words is CM_USAGE. An option given twice: the
 * last one holds. "--help" prints usage, summary and all options on standard output, and sets
 * arguments->help. Free *arguments with cm_arguments_free(), whatever the status.
 */
cm_status cm_arguments_parse(const cm_command *command, int argc, const char **argv,
                             const cm_option_group *groups, int group_count, int word_count,
                             cm_arguments *arguments, cm_error *error);
void cm_arguments_free(cm_arguments *arguments);

/** Strict decimal numbers: no spaces, no trailing characters, no overflow, no NaN or infinity, the
 * decimal point is '.' in every locale. False leaves *value unchanged. */
bool cm_parse_uint64(const char *text, uint64_t *value);
bool cm_parse_int(const char *text, int *value);
bool cm_parse_double(const char *text, double *value);

/** Splits an option's value at its commas. The items lie in *list: free() it, whatever the status.
 * CM_USAGE: an empty item, more than `limit`. */
cm_status cm_split_list(const char *option, const char *text, char **list, const char **items,
                        int limit, int *count, cm_error *error);
/** The same for whole numbers. */
cm_status cm_parse_int_list(const char *option, const char *text, int *values, int limit,
                            int *count, cm_error *error);

/* ---- What the machine and the data set are ---- */

/** --threads --isa --pin --no-pin --quiet: how the kernels run. */
typedef struct cm_machine_options {
    int threads;     /* 0 until cm_machine_prepare(): as many as there are usable cores */
    const char *isa; /* NULL: $CONVMARK_ISA, or the best */
    bool pin;   /* cm_machine_prepare() makes it false where there are more threads than CPUs */
    bool quiet; /* no word about too many threads; the command prints errors only */
    /* Set by cm_machine_prepare(): */
    cm_isa chosen_isa;
    cm_topology *topology; /* as it was before threads were pinned */
} cm_machine_options;

extern const cm_option cm_machine_option_table[];
/** --isa alone, of a command that works on one thread. */
extern const cm_option cm_isa_option_table[];
/** --isa --quiet, of a command that chooses its threads itself. */
extern const cm_option cm_isa_quiet_option_table[];
/** Defaults: all usable cores, the best instruction set, pinned. Call it before the options are
 * parsed: it makes the help of --isa. */
cm_machine_options cm_machine_options_default(void);

/**
 * Chooses the instruction set (CM_USAGE when it is unknown, not built, or this machine cannot run
 * it) and the number of threads, and prepares and pins them. CM_USAGE where variables of the OpenMP
 * runtime would bind threads or give fewer of them. Warnings go to standard error. Call
 * cm_machine_release() at the end, whatever the status, also when it was never prepared.
 */
cm_status cm_machine_prepare(cm_machine_options *options, cm_error *error);
void cm_machine_release(cm_machine_options *options);

/** The help of --conv-algorithm. */
#define CM_CONV_ALGORITHM_HELP \
    "auto (default), direct, t4, dft10, winograd3, winograd4: where it fits"

/** The algorithm called `name` (NULL: AUTO). CM_USAGE when there is none. */
cm_status cm_parse_conv_algorithm(const char *name, cm_conv2d_algorithm *algorithm,
                                  cm_error *error);

/** --data */
typedef struct cm_data_options {
    const char *data; /* NULL: search, as cm_dataset_open() does */
} cm_data_options;

extern const cm_option cm_data_option_table[];

/** --lr --schedule --schedule-step --schedule-factor, of the commands that train. */
typedef struct cm_rate_options {
    double learning_rate;
    const char *schedule; /* NULL: as the training options have it */
    int step;             /* 0: not given */
    double factor;        /* 0: not given */
} cm_rate_options;

extern const cm_option cm_rate_option_table[];
cm_rate_options cm_rate_options_default(void);

/** Puts them into `train`. CM_USAGE: no such schedule, or an option of another one. */
cm_status cm_rate_options_apply(const cm_rate_options *options, cm_train_options *train,
                                cm_error *error);

/** Prints "convmark: warning: ..." on standard error. */
void cm_warn(const char *format, ...) CM_PRINTF(1, 2);

/** Warns of everything that spoils measurements here (measure/conditions.h). */
void cm_warn_of_conditions(const cm_machine_options *options);

/** An option that names a file to write. */
typedef struct cm_output {
    const char *option, *path; /* path NULL: not given */
    bool allow_stdout;
} cm_output;

/** Checks them all as cm_check_output() does, and that no two are the same. `command` is named in
 * the message. */
cm_status cm_check_outputs(const char *command, const cm_output *outputs, int count,
                           cm_error *error);

/** Checks an output path before work starts (NULL: nothing to check; "-" is standard output, if
 * allowed). `option` names it in the message. The status is CM_USAGE or CM_FAILED. */
cm_status cm_check_output(const char *option, const char *path, bool allow_stdout, cm_error *error);

/** Whether an output path is standard output: text for people then has to stay off it. */
bool cm_is_stdout(const char *path);

/** How a command that fills a folder ends: as a whole, or interrupted after some rounds. */
typedef struct cm_folder_output {
    const char *kind, *folder; /* "sweep", of whose files KIND.json is one */
    const char *json;          /* --json, or NULL */
    bool complete, restart;    /* restart: --restart was given */
    int rounds, all_rounds;    /* done, of all */
    FILE *text;                /* for people; NULL: quiet */
} cm_folder_output;

/** Writes `json` where --json asks for it and prints the tables; takes over both, of which NULL is
 * an error that was told (json) or nothing to print. CM_INTERRUPTED, with how to go on, where it is
 * not complete. */
cm_status cm_show_folder(const cm_folder_output *output, json_t *json, char *tables,
                         cm_error *error);

/** Adds options to the message of a study that failed, by the step in which it did: the harness
 * speaks of values, which have the names of the options in `options`. `without_real_data` is what a
 * user without a data set may give. */
cm_status cm_explain_study(const cm_study *study, const cm_option *options,
                           const char *without_real_data, cm_status status, cm_error *error);

/** What `convmark compare` does with these files and no options. */
cm_status cm_compare_paths(const char *const *paths, int count, cm_error *error);

/* ---- Interrupts ---- */

/** Called once by main(): SIGINT and SIGTERM end the program at once with exit code 130 or 143. */
void cm_interrupt_install(void);
/** From now on the first SIGINT or SIGTERM only sets the value that the result points at, for
 * cm_train() to look at; a second one ends the program at once. */
const volatile sig_atomic_t *cm_interrupt_flag(void);
/** What CM_INTERRUPTED is as the program's exit code: 130 after SIGINT, 143 after SIGTERM. */
int cm_interrupt_exit_code(void);

#endif
