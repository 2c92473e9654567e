/**
 * Command-line options over popt, for convmark and convmark-bench.
 *
 * A table has one row per option: its name, how its value is checked, where the value goes, and the
 * line that --help prints. The same row makes the help and checks the value, so every message about
 * a single value is made here, with the option's name.
 */
#ifndef CM_CLI_OPTIONS_OPTIONS_H
#define CM_CLI_OPTIONS_OPTIONS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "convmark/status.h"

/** How an option's value is checked, and the type of the member that it is stored in. */
typedef enum cm_option_kind {
    CM_OPTION_TRUE,   /* no value; bool = true */
    CM_OPTION_FALSE,  /* no value; bool = false */
    CM_OPTION_INT,    /* int, within minimum .. maximum */
    CM_OPTION_SEED,   /* uint64_t, at most 2^63 - 1, so that JSON's integers hold it */
    CM_OPTION_DOUBLE, /* double, finite, within minimum .. maximum */
    CM_OPTION_STRING, /* const char *, not empty; lives as long as the cm_arguments */
    CM_OPTION_PARSED  /* not empty; the row's own function checks and stores it */
} cm_option_kind;

/**
 * Checks the value `text` of a CM_OPTION_PARSED and stores it in `values`, the structure that the
 * table is for. May change `text` and keep pointers into it: it lives as long as the cm_arguments.
 * The message of a CM_USAGE follows the option's name: "'x' is not a schedule; choose ...".
 */
typedef cm_status cm_option_parse(char *text, void *values, cm_error *error);

/** One row per option. A table ends with a row whose name is NULL. */
typedef struct cm_option {
    const char *name; /* without the dashes */
    cm_option_kind kind;
    size_t offset;        /* of the member, in the structure that the table is for */
    const char *argument; /* "N", "FILE"; NULL: the option takes no value */
    const char *help;     /* one line: an imperative verb, an object, the default */
    double minimum, maximum;
    cm_option_parse *parse; /* of CM_OPTION_PARSED */
} cm_option;

/** A table and the structure that it writes to. The structure holds the defaults before. */
typedef struct cm_option_group {
    const cm_option *options;
    void *values;
} cm_option_group;

/** What a usage line and messages name. */
typedef struct cm_usage {
    const char *program;   /* "convmark" */
    const char *command;   /* "train"; NULL: the program has no commands */
    const char *arguments; /* of the usage line: "VARIANT|FILE"; "" for none */
    const char *summary;   /* --help prints it below the usage line */
} cm_usage;

enum { CM_MAX_OPTIONS = 48 };

/** A word count for commands that count their words themselves. */
enum { CM_ANY_WORDS = -1 };

/** What a command line gave. */
typedef struct cm_arguments {
    bool help; /* --help was given and printed: nothing is left to do */
    int count; /* words that are not options */
    const char **words;
    void *context;  /* popt's, which owns the words */
    char **strings; /* every value that was given: options point at them */
    int string_count;
} cm_arguments;

/**
 * Parses argv[1] ... argv[argc - 1]: options of `groups`, and exactly `word_count` other words (or
 * CM_ANY_WORDS). If an option is repeated, the last value holds. An unknown option, a wrong value
 * or a wrong number of words is CM_USAGE. "--help" prints usage, summary and all options on
 * standard output and sets arguments->help. Free *arguments with cm_arguments_free(), whatever the
 * status.
 */
cm_status cm_arguments_parse(const cm_usage *usage, int argc, const char **argv,
                             const cm_option_group *groups, int group_count, int word_count,
                             cm_arguments *arguments, cm_error *error);
void cm_arguments_free(cm_arguments *arguments);

/** Strict decimal numbers: no spaces, no trailing characters, no overflow, no NaN or infinity, the
 * decimal point is '.' in every locale. False leaves *value unchanged. */
bool cm_parse_uint64(const char *text, uint64_t *value);
bool cm_parse_int(const char *text, int *value);
bool cm_parse_double(const char *text, double *value);

/** Splits `text` in place at its commas into items[0] ... items[*count - 1], at most `limit`.
 * CM_USAGE: an empty item, or too many. */
cm_status cm_parse_list(char *text, const char **items, int limit, int *count, cm_error *error);

/** A list of whole numbers from `minimum` to `maximum`. */
typedef struct cm_int_list {
    int *values;
    int *count;
    int limit; /* most values */
    int minimum, maximum;
} cm_int_list;

/** Parses whole numbers with commas between them, each within the bounds and given once. */
cm_status cm_parse_int_list(char *text, const cm_int_list *list, cm_error *error);

/** Finds `text` among the names; CM_USAGE says that it is not `what` ("a schedule") and lists the
 * names. */
cm_status cm_parse_choice(const char *text, const char *what, const char *const *names, int count,
                          int *choice, cm_error *error);

/** A suggestion for a word that is none of `names`: what people who come from other programs mean
 * by it ("batch-size": batch), or the name with the fewest differences. NULL: nothing near. */
const char *cm_suggest_word(const char *word, const char *const *names, int count);

#endif
