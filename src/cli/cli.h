/**
 * The table of commands, and what every command uses: warnings, outputs, interrupts.
 *
 * A command is one file, cmd_NAME.c, with the function cm_command_NAME() and one row in
 * CM_COMMAND_LIST. It prints results on standard output and returns errors, which main() prints.
 *
 * Messages and option names. The libraries below (core, harness) know values, files and arrays, and
 * never name an option. Three rules put the option's name into a message:
 * 1. A value that is wrong by itself is refused by the option's row (options/options.h), so that no
 *    library sees it. The row also makes the help: limits and names are written once.
 * 2. A rule over several options (--every without --checkpoint) is checked by the command.
 * 3. What only a library can find (a folder that cannot be made, a file that was written with other
 *    options) is a message about that value or file. The command adds the options that help with
 *    cm_name_options().
 */
#ifndef CM_CLI_CLI_H
#define CM_CLI_CLI_H

#include <signal.h>
#include <stdbool.h>

#include "cli/options/options.h"
#include "convmark/status.h"

/** The commands, in the order of --help: name, arguments, summary. */
#define CM_COMMAND_LIST(ROW)                                                                      \
    ROW(report, "", "Train the eight variants and compare them with the published report")        \
    ROW(sweep, "", "Measure images per second of every variant by cores and batch size")          \
    ROW(explore, "", "Measure accuracy against images per second over a grid of architectures")   \
    ROW(profile, "VARIANT|FILE", "Show where the time of a step goes, and each part's limit")     \
    ROW(compare, "BEFORE NOW...", "Compare files of measurements: faster, slower, or the same")   \
    ROW(export, "FILE", "Write measurements as CSV or as a Markdown table")                       \
    ROW(train, "VARIANT|FILE", "Train a variant, or a network written as text")                   \
    ROW(evaluate, "MODEL", "Print loss, accuracy and confusion matrix of a saved model")          \
    ROW(predict, "MODEL IMAGE.png...", "Classify pictures")                                       \
    ROW(variants, "", "List the variants of the report")                                          \
    ROW(describe, "VARIANT|FILE", "List the layers of a network with their parameters and MACs")  \
    ROW(info, "", "Show this machine's capabilities and conditions that make timings unreliable") \
    ROW(verify, "", "Check that this machine computes the same bits as every other one")

typedef struct cm_command cm_command;

/** argv[0] is the command's name. The status is the program's exit code. */
typedef cm_status cm_command_run(const cm_command *command, int argc, const char **argv,
                                 cm_error *error);

struct cm_command {
    cm_usage usage;
    cm_command_run *run;
};

#define CM_COMMAND_PROTOTYPE(name, arguments, summary) cm_command_run cm_command_##name;
CM_COMMAND_LIST(CM_COMMAND_PROTOTYPE)
#undef CM_COMMAND_PROTOTYPE

/* ---- Messages ---- */

/** Prints "convmark: warning: ..." on standard error. */
void cm_warn(const char *format, ...) CM_PRINTF(1, 2);

struct cm_results_file;
/** Warns of each row that was left out of a file of measurements. */
void cm_warn_of_skipped_rows(const struct cm_results_file *file);

/** Returns `status`; where that is CM_USAGE or CM_BAD_INPUT, appends " (options: ...)" to the
 * message. `options`: "--restart, --output". */
cm_status cm_name_options(cm_status status, const char *options, cm_error *error);

/* ---- Outputs ---- */

/** An option that names a file to write. */
typedef struct cm_output {
    const char *option, *path; /* path NULL: not given */
    bool allow_stdout;
    bool checkpoint; /* PATH.previous and PATH.lock are written as well */
    bool later;      /* its folder is made later: only compared */
} cm_output;

/** Checks output paths before work starts: that each can be written, that no two are the same, and
 * that none is one of the files of `inputs`, which ends with NULL (NULL itself: there are none), or
 * of the pictures in a folder that is named there. A word that names no file is no input. `command`
 * is named in the message. The status is CM_USAGE or CM_FAILED. */
cm_status cm_check_outputs(const char *command, const cm_output *outputs, int count,
                           const char *const *inputs, cm_error *error);

/** Moves the inputs that were given before those that were not (NULL), which end the list. */
void cm_inputs_pack(const char **inputs, int count);

/** The same for one path. NULL: nothing to check; "-" is standard output, which is allowed. */
cm_status cm_check_output(const char *command, const char *option, const char *path,
                          const char *const *inputs, cm_error *error);

/** Whether an output path is standard output: text for people then has to stay off it. */
bool cm_is_stdout(const char *path);

/** Writes `text` to `path` and frees it. NULL: out of memory. */
cm_status cm_write_text(const char *command, const char *path, char *text, cm_error *error);

/** Runs `convmark compare` on these files without options. */
cm_status cm_compare_paths(const char *const *paths, int count, cm_error *error);

/* ---- Interrupts ---- */

/** Called once by main(): SIGINT and SIGTERM end the program immediately with exit code 130 or 143.
 */
void cm_interrupt_install(void);
/** From now on the first SIGINT or SIGTERM only sets the value that the result points at, for
 * cm_train() to read; a second one ends the program immediately. */
const volatile sig_atomic_t *cm_interrupt_flag(void);
/** The program's exit code for CM_INTERRUPTED: 130 after SIGINT, 143 after SIGTERM. */
int cm_interrupt_exit_code(void);

#endif
