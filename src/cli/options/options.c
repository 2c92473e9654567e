#include "cli/options/options.h"

#include <popt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* popt's numbers for the options: the index in the flat list of all tables, from 1. */
enum { HELP_VALUE = CM_MAX_OPTIONS + 1 };

typedef struct flat_option {
    const cm_option *option;
    void *values; /* the structure that the row's table is for */
} flat_option;

/* The options of all groups in the order of --help, for one command. */
typedef struct flat_options {
    const cm_usage *usage;
    char prefix[32]; /* of messages: "train: ", or nothing for a program without commands */
    flat_option rows[CM_MAX_OPTIONS];
    int count;
} flat_options;

static flat_options flatten_groups(const cm_usage *usage, const cm_option_group *groups,
                                   int group_count) {
    flat_options flat = {.usage = usage};
    if (usage->command != NULL) {
        snprintf(flat.prefix, sizeof flat.prefix, "%s: ", usage->command);
    }
    for (int g = 0; g < group_count; ++g) {
        for (const cm_option *option = groups[g].options; option->name != NULL; ++option) {
            if (flat.count < CM_MAX_OPTIONS) {
                flat.rows[flat.count++] = (flat_option){option, groups[g].values};
            }
        }
    }
    return flat;
}

/* "convmark train", "convmark-bench". */
static const char *full_name(const cm_usage *usage, char text[64]) {
    snprintf(text, 64, "%s%s%s", usage->program, usage->command != NULL ? " " : "",
             usage->command != NULL ? usage->command : "");
    return text;
}

static void print_command_help(const flat_options *flat) {
    enum { COLUMN = 24 };
    const cm_usage *usage = flat->usage;
    char name[64];
    printf("Usage: %s%s%s [OPTION]...\n\n%s\n\nOptions:\n", full_name(usage, name),
           usage->arguments[0] != '\0' ? " " : "", usage->arguments, usage->summary);
    for (int i = 0; i < flat->count; ++i) {
        const cm_option *option = flat->rows[i].option;
        int width = printf("  --%s", option->name);
        if (option->argument != NULL) {
            width += printf(" %s", option->argument);
        }
        printf("%*s%s\n", width < COLUMN ? COLUMN - width : 1, "", option->help);
    }
    printf("  %-*s%s\n", COLUMN - 2, "--help", "Print this help and exit");
}

/* ---- Values ---- */

static cm_status refuse_value(const flat_options *flat, const cm_option *option, const char *text,
                              const char *wanted, cm_error *error) {
    return cm_fail(error, CM_USAGE, "%s--%s '%s' is not accepted; give %s", flat->prefix,
                   option->name, text, wanted);
}

static cm_status store_int(const flat_options *flat, const cm_option *option, const char *text,
                           int *member, cm_error *error) {
    char wanted[80];
    int value;
    if (cm_parse_int(text, &value) && value >= option->minimum && value <= option->maximum) {
        *member = value;
        return CM_OK;
    }
    snprintf(wanted, sizeof wanted, "a whole number from %.0f to %.0f", option->minimum,
             option->maximum);
    return refuse_value(flat, option, text, wanted, error);
}

static cm_status store_seed(const flat_options *flat, const cm_option *option, const char *text,
                            uint64_t *member, cm_error *error) {
    char wanted[80];
    uint64_t value;
    if (cm_parse_uint64(text, &value) && value <= INT64_MAX) {
        *member = value;
        return CM_OK;
    }
    snprintf(wanted, sizeof wanted, "a whole number from 0 to %lld", (long long)INT64_MAX);
    return refuse_value(flat, option, text, wanted, error);
}

static cm_status store_double(const flat_options *flat, const cm_option *option, const char *text,
                              double *member, cm_error *error) {
    char wanted[80];
    double value;
    if (cm_parse_double(text, &value) && value >= option->minimum && value <= option->maximum) {
        *member = value;
        return CM_OK;
    }
    snprintf(wanted, sizeof wanted, "a decimal number from %g to %g", option->minimum,
             option->maximum);
    return refuse_value(flat, option, text, wanted, error);
}

/* Checks and stores the value of an option. */
static cm_status store_value(const flat_options *flat, const flat_option *row, char *text,
                             cm_error *error) {
    const cm_option *option = row->option;
    void *member = (char *)row->values + option->offset;
    const bool text_kind = option->kind == CM_OPTION_STRING || option->kind == CM_OPTION_PARSED;
    if (text_kind && text[0] == '\0') {
        return cm_fail(error, CM_USAGE, "%s--%s '' is empty; give a %s", flat->prefix, option->name,
                       option->argument);
    }
    switch (option->kind) {
    case CM_OPTION_TRUE:
    case CM_OPTION_FALSE:
        *(bool *)member = option->kind == CM_OPTION_TRUE;
        return CM_OK;
    case CM_OPTION_INT:
        return store_int(flat, option, text, member, error);
    case CM_OPTION_SEED:
        return store_seed(flat, option, text, member, error);
    case CM_OPTION_DOUBLE:
        return store_double(flat, option, text, member, error);
    case CM_OPTION_STRING:
        *(const char **)member = text;
        return CM_OK;
    case CM_OPTION_PARSED:
        break;
    }
    cm_error problem = {""};
    const cm_status status = option->parse(text, row->values, &problem);
    return status == CM_OK
               ? CM_OK
               : cm_fail(error, status, "%s--%s %s", flat->prefix, option->name, problem.message);
}

/* ---- What popt refuses ---- */

static cm_status unknown_option(const flat_options *flat, const char *given, cm_error *error) {
    const char *names[CM_MAX_OPTIONS + 1];
    for (int i = 0; i < flat->count; ++i) {
        names[i] = flat->rows[i].option->name;
    }
    names[flat->count] = "help";
    char word[64], name[64];
    const char *start = given + strspn(given, "-");
    const size_t length = strcspn(start, "=");
    const char *suggestion = NULL;
    if (length < sizeof word) {
        memcpy(word, start, length);
        word[length] = '\0';
        suggestion = cm_suggest_word(word, names, flat->count + 1);
    }
    if (suggestion != NULL) {
        return cm_fail(error, CM_USAGE, "%sunknown option '%s'; did you mean --%s?", flat->prefix,
                       given, suggestion);
    }
    return cm_fail(error, CM_USAGE, "%sunknown option '%s'; '%s --help' lists the options",
                   flat->prefix, given, full_name(flat->usage, name));
}

static cm_status popt_failure(const flat_options *flat, poptContext popt, int code,
                              cm_error *error) {
    const char *given = poptBadOption(popt, 0);
    char name[64];
    full_name(flat->usage, name);
    if (code == POPT_ERROR_BADOPT) {
        return unknown_option(flat, given, error);
    }
    if (code == POPT_ERROR_NOARG) {
        return cm_fail(error, CM_USAGE, "%soption '%s' needs a value; see '%s --help'",
                       flat->prefix, given, name);
    }
    if (code == POPT_ERROR_UNWANTEDARG) {
        return cm_fail(error, CM_USAGE, "%soption '%s' takes no value; leave the value out",
                       flat->prefix, given);
    }
    return cm_fail(error, code == POPT_ERROR_MALLOC ? CM_FAILED : CM_USAGE,
                   "%s'%s': %s; see '%s --help'", flat->prefix, given, poptStrerror(code), name);
}

/* ---- The command line ---- */

static cm_status options_out_of_memory(const flat_options *flat, cm_error *error) {
    return cm_fail(error, CM_FAILED, "%sout of memory; close other programs", flat->prefix);
}

/* Keeps a value for cm_arguments_free(). Takes it over, also on failure. */
static bool keep_string(cm_arguments *arguments, char *text) {
    char **strings =
        realloc(arguments->strings, ((size_t)arguments->string_count + 1) * sizeof *strings);
    if (strings == NULL) {
        free(text);
        return false;
    }
    strings[arguments->string_count++] = text;
    arguments->strings = strings;
    return true;
}

static cm_status parse_command_line(const flat_options *flat, cm_arguments *arguments,
                                    cm_error *error) {
    int value;
    while ((value = poptGetNextOpt(arguments->context)) > 0) {
        if (value == HELP_VALUE) {
            print_command_help(flat);
            arguments->help = true;
            return CM_OK;
        }
        const flat_option *row = &flat->rows[value - 1];
        char *text = NULL;
        if (row->option->argument != NULL) {
            text = poptGetOptArg(arguments->context);
            if (text == NULL || !keep_string(arguments, text)) {
                return options_out_of_memory(flat, error);
            }
        }
        const cm_status status = store_value(flat, row, text, error);
        if (status != CM_OK) {
            return status;
        }
    }
    return value == -1 ? CM_OK : popt_failure(flat, arguments->context, value, error);
}

static cm_status take_words(const flat_options *flat, int word_count, cm_arguments *arguments,
                            cm_error *error) {
    char name[64];
    full_name(flat->usage, name);
    arguments->words = poptGetArgs(arguments->context);
    while (arguments->words != NULL && arguments->words[arguments->count] != NULL) {
        ++arguments->count;
    }
    if (word_count == CM_ANY_WORDS) {
        return CM_OK;
    }
    if (arguments->count > word_count) {
        return cm_fail(error, CM_USAGE, "%sunexpected argument '%s'; see '%s --help'", flat->prefix,
                       arguments->words[word_count], name);
    }
    if (arguments->count < word_count) {
        return cm_fail(error, CM_USAGE, "%stoo few arguments; usage: %s %s", flat->prefix, name,
                       flat->usage->arguments);
    }
    return CM_OK;
}

cm_status cm_arguments_parse(const cm_usage *usage, int argc, const char **argv,
                             const cm_option_group *groups, int group_count, int word_count,
                             cm_arguments *arguments, cm_error *error) {
    *arguments = (cm_arguments){.help = false};
    const flat_options flat = flatten_groups(usage, groups, group_count);
    struct poptOption table[CM_MAX_OPTIONS + 2] = {{0}};
    for (int i = 0; i < flat.count; ++i) {
        const cm_option *option = flat.rows[i].option;
        table[i] = (struct poptOption){.longName = option->name,
                                       .argInfo = option->argument == NULL ? POPT_ARG_NONE
                                                                           : POPT_ARG_STRING,
                                       .val = i + 1};
    }
    table[flat.count] = (struct poptOption){
        .longName = "help", .shortName = 'h', .argInfo = POPT_ARG_NONE, .val = HELP_VALUE};
    /* With it popt would take options after the first argument for arguments. */
    unsetenv("POSIXLY_CORRECT");
    arguments->context = poptGetContext(usage->program, argc, argv, table, POPT_CONTEXT_NO_EXEC);
    if (arguments->context == NULL) {
        return options_out_of_memory(&flat, error);
    }
    cm_status status = parse_command_line(&flat, arguments, error);
    if (status == CM_OK && !arguments->help) {
        status = take_words(&flat, word_count, arguments, error);
    }
    return status;
}

void cm_arguments_free(cm_arguments *arguments) {
    for (int i = 0; i < arguments->string_count; ++i) {
        free(arguments->strings[i]);
    }
    free(arguments->strings);
    if (arguments->context != NULL) {
        poptFreeContext(arguments->context);
    }
    *arguments = (cm_arguments){.help = false};
}
