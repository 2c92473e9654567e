/* convmark: runs a command, prints its error, and returns its status as the exit code. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli/cli.h"
#include "convmark/convmark.h"
#include "core/system/threads.h"

#define COMMAND_ROW(name, arguments, summary) \
    {{"convmark", #name, arguments, summary}, cm_command_##name},
static const cm_command commands[] = {CM_COMMAND_LIST(COMMAND_ROW)};

enum { COMMAND_COUNT = sizeof commands / sizeof commands[0] };

static void print_program_help(void) {
    printf(
        "Usage: convmark COMMAND [ARGUMENT]... [OPTION]...\n\n"
        "Train convolutional networks on CPUs, with the same bits on every machine, and measure\n"
        "how fast the machine does it.\n\n"
        "Commands:\n");
    for (int i = 0; i < COMMAND_COUNT; ++i) {
        printf("  %-10s%s\n", commands[i].usage.command, commands[i].usage.summary);
    }
    printf(
        "\nOptions:\n"
        "  --help    Print this help and exit\n"
        "  --version Print the version and exit\n\n"
        "'convmark COMMAND --help' lists the options of a command; see convmark(1) for details.\n"
        "Exit codes: 0 success, 1 failed, 2 wrong usage, 3 bad input file,\n"
        "130 or 143 interrupted by SIGINT or SIGTERM, respectively.\n");
}

static const cm_command *find_command(const char *name) {
    for (int i = 0; i < COMMAND_COUNT; ++i) {
        if (strcmp(commands[i].usage.command, name) == 0) {
            return &commands[i];
        }
    }
    return NULL;
}

static cm_status unknown_command(const char *name, cm_error *error) {
    const char *names[COMMAND_COUNT + 2];
    for (int i = 0; i < COMMAND_COUNT; ++i) {
        names[i] = commands[i].usage.command;
    }
    names[COMMAND_COUNT] = "--help";
    names[COMMAND_COUNT + 1] = "--version";
    const char *kind = name[0] == '-' ? "option" : "command";
    const char *suggestion = cm_suggest_word(name, names, COMMAND_COUNT + 2);
    if (suggestion != NULL) {
        return cm_fail(error, CM_USAGE, "unknown %s '%s'; did you mean %s?", kind, name,
                       suggestion);
    }
    return cm_fail(error, CM_USAGE, "unknown %s '%s'; 'convmark --help' lists the commands", kind,
                   name);
}

static cm_status run_command(int argc, const char **argv, cm_error *error) {
    if (argc < 2) {
        return cm_fail(error, CM_USAGE, "no command given; 'convmark --help' lists the commands");
    }
    const char *name = argv[1];
    const bool help = strcmp(name, "--help") == 0 || strcmp(name, "-h") == 0;
    if (help || strcmp(name, "--version") == 0) {
        if (argc > 2) {
            return cm_fail(error, CM_USAGE, "unexpected argument '%s' after %s; leave it out",
                           argv[2], name);
        }
        if (help) {
            print_program_help();
        } else {
            printf("convmark %s\n", CM_VERSION);
        }
        return CM_OK;
    }
    const cm_command *command = find_command(name);
    if (command == NULL) {
        return unknown_command(name, error);
    }
    return command->run(command, argc - 1, argv + 1, error);
}

/* Where the parent closed a standard stream, the next file that is opened would get its number, and
 * text would be printed into that file. The wrong direction of /dev/null fails when it is used. */
static void fill_standard_streams(void) {
    for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; ++fd) {
        if (fcntl(fd, F_GETFD) == -1 && errno == EBADF) {
            (void)!open("/dev/null", fd == STDIN_FILENO ? O_WRONLY : O_RDONLY);
        }
    }
}

int main(int argc, char **argv) {
    fill_standard_streams();
    /* A closed pipe must not end a training run before its files are written. */
    signal(SIGPIPE, SIG_IGN);
    signal(SIGXFSZ, SIG_IGN); /* a file above the size limit is an error like a full disk */
    cm_interrupt_install();
    /* --threads decides. LLVM's runtime aborts the process if this is empty or huge. */
    unsetenv("OMP_NUM_THREADS");

    cm_error error = {""};
    cm_status status = cm_stack_check(&error);
    if (status == CM_OK) {
        status = run_command(argc, (const char **)argv, &error);
    }
    errno = 0;
    const bool lost = fflush(stdout) != 0 || ferror(stdout);
    if (lost && status == CM_OK) {
        status = cm_fail(&error, CM_FAILED,
                         "cannot write to standard output%s%s; its text is incomplete",
                         errno != 0 ? ": " : "", errno != 0 ? strerror(errno) : "");
    }
    if (error.message[0] != '\0' && status != CM_OK) {
        fprintf(stderr, "convmark: %s\n", error.message);
    }
    return status == CM_INTERRUPTED ? cm_interrupt_exit_code() : (int)status;
}
