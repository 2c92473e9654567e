/* A command's arguments, over popt: popt finds options and their values, the values are checked
 * here, against the command's table. */
#include <popt.h>
#include <stdlib.h>
#include <string.h>

#include "cli/cli.h"
#include "core/name_suggestion.h"

/* popt's numbers for the options: the index in the flat list of all tables, from 1. */
enum { HELP_VALUE = CM_MAX_OPTIONS + 1 };

typedef struct flat_option {
    const cm_option *option;
    void *member;
} flat_option;

typedef struct flat_options {
    flat_option rows[CM_MAX_OPTIONS];
    int count;
} flat_options;

static flat_options flatten(const cm_option_group *groups, int group_count) {
    flat_options flat = {.count = 0};
    for (int g = 0; g < group_count; ++g) {
        for (const cm_option *option = groups[g].options; option->name != NULL; ++option) {
            if (flat.count < CM_MAX_OPTIONS) {
                flat.rows[flat.count++] =
                    (flat_option){option, (char *)groups[g].values + option->offset};
            }
        }
    }
    return flat;
}

static void print_help(const cm_command *command, const flat_options *flat) {
    enum { COLUMN = 24 };
    printf("Usage: convmark %s%s%s [OPTION]...\n\n%s\n\nOptions:\n", command->name,
           command->arguments[0] != '\0' ? " " : "", command->arguments, command->summary);
    for (int i = 0; i < flat->count; ++i) {
        const cm_option *option = flat->rows[i].option;
        int width = printf("  --%s", option->name);
        if (option->argument != NULL) {
            width += printf(" %s", option->argument);
        }
        printf("%*s%s\n", width < COLUMN ? COLUMN - width : 1, "", option->help);
    }
    printf("  %-*s%s\n", COLUMN - 2, "--help", "print this and exit");
}

/* The value of an option, checked and stored. */
static cm_status store_value(const flat_option *row, const char *text, const char **string,
                             const char *command, cm_error *error) {
    const cm_option *option = row->option;
    switch (option->kind) {
    case CM_OPTION_TRUE:
    case CM_OPTION_FALSE:
        *(bool *)row->member = option->kind == CM_OPTION_TRUE;
        return CM_OK;
    case CM_OPTION_INT: {
        int value;
        if (!cm_parse_int(text, &value) || value < option->minimum || value > option->maximum) {
            return cm_fail(error, CM_USAGE,
                           "%s: --%s '%s' is not accepted; give a whole number from %.0f to %.0f",
                           command, option->name, text, option->minimum, option->maximum);
        }
        *(int *)row->member = value;
        return CM_OK;
    }
    case CM_OPTION_SEED: {
        uint64_t value;
        if (!cm_parse_uint64(text, &value) || value > INT64_MAX) {
            return cm_fail(error, CM_USAGE,
                           "%s: --%s '%s' is not accepted; give a whole number from 0 to %lld",
                           command, option->name, text, (long long)INT64_MAX);
        }
        *(uint64_t *)row->member = value;
        return CM_OK;
    }
    case CM_OPTION_DOUBLE: {
        double value;
        if (!cm_parse_double(text, &value) || !(value >= option->minimum) ||
            !(value <= option->maximum)) {
            return cm_fail(error, CM_USAGE,
                           "%s: --%s '%s' is not accepted; give a decimal number from %g to %g",
                           command, option->name, text, option->minimum, option->maximum);
        }
        *(double *)row->member = value;
        return CM_OK;
    }
    case CM_OPTION_STRING:
        if (text[0] == '\0') {
            return cm_fail(error, CM_USAGE, "%s: --%s '' is empty; give a %s", command,
                           option->name, option->argument);
        }
        *string = text;
        return CM_OK;
    }
    return CM_OK;
}

static cm_status unknown_option(const cm_command *command, const flat_options *flat,
                                const char *given, cm_error *error) {
    const char *names[CM_MAX_OPTIONS + 1];
    for (int i = 0; i < flat->count; ++i) {
        names[i] = flat->rows[i].option->name;
    }
    names[flat->count] = "help";
    char word[64];
    const char *start = given + strspn(given, "-");
    const size_t length = strcspn(start, "=");
    if (length < sizeof word) {
        memcpy(word, start, length);
        word[length] = '\0';
        const char *nearest = cm_suggest_name(word, names, flat->count + 1);
        if (nearest != NULL) {
            return cm_fail(error, CM_USAGE, "%s: unknown option '%s'; did you mean --%s?",
                           command->name, given, nearest);
        }
    }
    return cm_fail(error, CM_USAGE,
                   "%s: unknown option '%s'; 'convmark %s --help' lists the options", command->name,
                   given, command->name);
}

static cm_status popt_failure(const cm_command *command, const flat_options *flat, poptContext popt,
                              int code, cm_error *error) {
    const char *given = poptBadOption(popt, 0);
    if (code == POPT_ERROR_BADOPT) {
        return unknown_option(command, flat, given, error);
    }
    if (code == POPT_ERROR_NOARG) {
        return cm_fail(error, CM_USAGE, "%s: option '%s' needs a value; see 'convmark %s --help'",
                       command->name, given, command->name);
    }
    if (code == POPT_ERROR_UNWANTEDARG) {
        return cm_fail(error, CM_USAGE, "%s: option '%s' takes no value; leave it out",
                       command->name, given);
    }
    return cm_fail(error, code == POPT_ERROR_MALLOC ? CM_FAILED : CM_USAGE,
                   "%s: '%s': %s; see 'convmark %s --help'", command->name, given,
                   poptStrerror(code), command->name);
}

static cm_status parse_options(const cm_command *command, const flat_options *flat,
                               cm_arguments *arguments, cm_error *error) {
    int value;
    while ((value = poptGetNextOpt(arguments->context)) > 0) {
        if (value == HELP_VALUE) {
            print_help(command, flat);
            arguments->help = true;
            return CM_OK;
        }
        const flat_option *row = &flat->rows[value - 1];
        char *text = poptGetOptArg(arguments->context);
        free(arguments->strings[value - 1]);
        arguments->strings[value - 1] = text;
        if (text == NULL && row->option->argument != NULL) {
            return cm_fail(error, CM_FAILED, "%s: out of memory; close other programs",
                           command->name);
        }
        const char *string = NULL;
        const cm_status status = store_value(row, text, &string, command->name, error);
        if (status != CM_OK) {
            return status;
        }
        if (string != NULL) {
            *(const char **)row->member = string;
        }
    }
    return value == -1 ? CM_OK : popt_failure(command, flat, arguments->context, value, error);
}

static cm_status take_words(const cm_command *command, int word_count, cm_arguments *arguments,
                            cm_error *error) {
    arguments->words = poptGetArgs(arguments->context);
    while (arguments->words != NULL && arguments->words[arguments->count] != NULL) {
        ++arguments->count;
    }
    if (word_count == CM_ANY_WORDS) {
        return CM_OK;
    }
    if (arguments->count > word_count) {
        return cm_fail(error, CM_USAGE, "%s: unexpected argument '%s'; see 'convmark %s --help'",
                       command->name, arguments->words[word_count], command->name);
    }
    if (arguments->count < word_count) {
        return cm_fail(error, CM_USAGE, "%s: too few arguments; usage: convmark %s %s",
                       command->name, command->name, command->arguments);
    }
    return CM_OK;
}

cm_status cm_arguments_parse(const cm_command *command, int argc, const char **argv,
                             const cm_option_group *groups, int group_count, int word_count,
                             cm_arguments *arguments, cm_error *error) {
    *arguments = (cm_arguments){.help = false};
    const flat_options flat = flatten(groups, group_count);
    struct poptOption table[CM_MAX_OPTIONS + 2] = {{0}};
    for (int i = 0; i < flat.count; ++i) {
        const cm_option *option = flat.rows[i].option;
        const bool flag = option->kind == CM_OPTION_TRUE || option->kind == CM_OPTION_FALSE;
        table[i] = (struct poptOption){.longName = option->name,
                                       .argInfo = flag ? POPT_ARG_NONE : POPT_ARG_STRING,
                                       .val = i + 1};
    }
    table[flat.count] = (struct poptOption){
        .longName = "help", .shortName = 'h', .argInfo = POPT_ARG_NONE, .val = HELP_VALUE};
    arguments->context = poptGetContext("convmark", argc, argv, table, POPT_CONTEXT_NO_EXEC);
    if (arguments->context == NULL) {
        return cm_fail(error, CM_FAILED, "%s: out of memory; close other programs", command->name);
    }
    cm_status status = parse_options(command, &flat, arguments, error);
    if (status == CM_OK && !arguments->help) {
        status = take_words(command, word_count, arguments, error);
    }
    return status;
}

void cm_arguments_free(cm_arguments *arguments) {
    for (int i = 0; i < CM_MAX_OPTIONS; ++i) {
        free(arguments->strings[i]);
    }
    poptFreeContext(arguments->context);
    *arguments = (cm_arguments){.help = false};
}
