/* SIGINT and SIGTERM. Both mean the same: stop; the exit code says which it was, as a shell's does.
 */
#include <unistd.h>

#include "cli/cli.h"

static volatile sig_atomic_t wait_for_step; /* the command looks at `interrupted` */
static volatile sig_atomic_t interrupted;   /* the signal's number */

enum { SIGNAL_EXIT_CODE = 128 };

static void on_signal(int number) {
    if (!wait_for_step || interrupted) {
        _exit(SIGNAL_EXIT_CODE + number);
    }
    interrupted = number;
}

void cm_interrupt_install(void) {
    /* Installed even where the parent ignores SIGINT, as a shell does for the background jobs of a
     * script: who sends the signal to this process wants it to stop. */
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
