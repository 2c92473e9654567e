#include "cli/progress.h"

#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "core/escape.h"
#include "core/system/clock.h"

enum {
    LINES_PER_EPOCH = 4,            /* when redirected, besides the one at its end */
    REFRESH_NS = 100 * 1000 * 1000, /* on a terminal */
    LINE_SIZE = 160,
    BAR = 30
};

cm_progress cm_progress_start(FILE *out, bool quiet) {
    const char *term = getenv("TERM");
    const bool dumb = term == NULL || strcmp(term, "dumb") == 0;
    return (cm_progress){.out = out, .quiet = quiet, .terminal = isatty(fileno(out)) && !dumb};
}

void cm_progress_end(cm_progress *progress) {
    if (progress->line_width > 0) {
        fprintf(progress->out, "\r%*s\r", progress->line_width, "");
        progress->line_width = 0;
        fflush(progress->out);
    }
}

/* One less than the width: a full line would wrap, and '\r' would not return to its start. */
static int terminal_columns(FILE *out) {
    struct winsize size;
    const bool known = ioctl(fileno(out), TIOCGWINSZ, &size) == 0 && size.ws_col > 1;
    return known ? size.ws_col - 1 : 79;
}

void cm_progress_rewrite(cm_progress *progress, const char *text) {
    const int64_t now = cm_clock_ns();
    if (progress->line_width > 0 && now - progress->shown_ns < REFRESH_NS) {
        return;
    }
    const int columns = terminal_columns(progress->out);
    const int width = (int)strlen(text) < columns ? (int)strlen(text) : columns;
    const int rest = progress->line_width > width ? progress->line_width - width : 0;
    fprintf(progress->out, "\r%.*s%*s", width, text, rest, "");
    fflush(progress->out);
    progress->line_width = width;
    progress->shown_ns = now;
}

void cm_progress_format_eta(double seconds, char *text, size_t size) {
    if (!(seconds >= 0 && seconds < 1e7)) {
        snprintf(text, size, "-");
        return;
    }
    const long rounded = (long)(seconds + 0.5);
    snprintf(text, size, "%ld:%02ld", rounded / 60, rounded % 60);
}

static void format_step(const cm_train_progress *at, char *text, size_t size) {
    char eta[32];
    cm_progress_format_eta(at->eta_seconds, eta, sizeof eta);
    if (at->validating) {
        snprintf(text, size, "epoch %d/%d  validation %d/%d  loss %.4f  accuracy %.4f  ETA %s",
                 at->epoch + 1, at->epochs, at->step, at->steps, at->loss, at->accuracy, eta);
    } else {
        snprintf(text, size, "epoch %d/%d  step %d/%d  loss %.4f  %.0f images/s  ETA %s",
                 at->epoch + 1, at->epochs, at->step, at->steps, at->loss, at->images_per_second,
                 eta);
    }
}

/* Whether this step completes another of LINES_PER_EPOCH equal parts. */
static bool completes_part(int step, int steps) {
    return (int64_t)step * LINES_PER_EPOCH / steps != (int64_t)(step - 1) * LINES_PER_EPOCH / steps;
}

void cm_progress_observe(const cm_train_progress *at, const cm_epoch_result *epoch, void *context) {
    cm_progress *progress = context;
    if (progress->quiet) {
        return;
    }
    char text[LINE_SIZE];
    if (epoch != NULL) {
        cm_progress_end(progress);
        fprintf(progress->out, "epoch %d/%d  train loss %.4f  ", at->epoch + 1, at->epochs,
                epoch->train_loss);
        if (at->steps > 0) { /* there was a validation */
            fprintf(progress->out, "test loss %.4f  accuracy %.4f  ", epoch->test_loss,
                    epoch->accuracy);
        }
        fprintf(progress->out, "learning rate %g  %.1f s\n", epoch->learning_rate,
                epoch->train_seconds + epoch->valid_seconds);
        fflush(progress->out);
    } else if (progress->terminal) {
        format_step(at, text, sizeof text);
        cm_progress_rewrite(progress, text);
    } else if (!at->validating && completes_part(at->step, at->steps)) {
        format_step(at, text, sizeof text);
        fprintf(progress->out, "%s\n", text);
        fflush(progress->out);
    }
}

void cm_progress_observe_study(const cm_study_progress *at, void *context) {
    cm_progress *progress = context;
    if (progress->machine != NULL) {
        cm_warn_of_conditions(progress->machine);
        progress->machine = NULL;
    }
    if (progress->quiet) {
        return;
    }
    char eta[32], bar[BAR + 1], text[200 + CM_SHOWN_SIZE];
    const int filled = at->all > 0 ? BAR * at->done / at->all : 0;
    memset(bar, '.', BAR);
    memset(bar, '#', (size_t)filled);
    bar[BAR] = '\0';
    cm_progress_format_eta(at->eta_seconds, eta, sizeof eta);
    snprintf(text, sizeof text, "[%s] %d/%d  ETA %s  %s", bar, at->done, at->all, eta,
             CM_SHOW(at->doing));
    if (progress->terminal) {
        cm_progress_rewrite(progress, text);
    } else if (at->advanced && at->done * 10 / at->all != (at->done - 1) * 10 / at->all) {
        fprintf(progress->out, "%d/%d  ETA %s  %s\n", at->done, at->all, eta, CM_SHOW(at->doing));
        fflush(progress->out);
    }
}
