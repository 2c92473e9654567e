/* SIGINT and SIGTERM both stop the program; the exit code tells which, as in a shell. */
#include <unistd.h>

#include "cli/cli.h"

static volatile sig_atomic_t wait_for_step; /* the command reads `interrupted` */
static volatile sig_atomic_t interrupted;   /* the signal's number */

enum { SIGNAL_EXIT_CODE = 128 };

static void on_signal(int number) {
    if (!wait_for_step || interrupted) {
        _exit(SIGNAL_EXIT_CODE + number);
    }
    interrupted = number;
}

void cm_interrupt_install(void) {
    /* A shell makes the background jobs of a script ignore SIGINT. Whoever sends the signal to this
     * process wants it to stop, so it is installed even then. */
    struct sigaction action = {.sa_handler = on_signal, .sa_flags = SA_RESTART};
    sigemptyset(&action.sa_mask);
    sigaction(SIGINT, &action, NULL);
    sigaction(SIGTERM, &action, NULL);
}

const volatile sig_atomic_t *cm_interrupt_flag(void) {
    wait_for_step = 1;
    return &interrupted;
}

int cm_interrupt_exit_code(void) {
    return interrupted == 0 ? (int)CM_INTERRUPTED : SIGNAL_EXIT_CODE + interrupted;
}
