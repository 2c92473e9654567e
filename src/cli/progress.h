/**
 * How far a training run is, for people: one line that is rewritten on a terminal, plain lines
 * otherwise (four an epoch and one at its end). No colours and no control characters but '\r'.
 */
#ifndef CM_CLI_PROGRESS_H
#define CM_CLI_PROGRESS_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "cli/cli.h"
#include "convmark/trainer.h"
#include "harness/studies/meter.h"

typedef struct cm_progress {
    FILE *out;
    bool quiet;
    bool terminal;  /* `out` is one that can rewrite its line */
    int line_width; /* columns of the line that is to be rewritten; 0: none */
    int64_t shown_ns;
    /* What spoils measurements there is warned of once, when the first work is done: then the
     * options are known to be good. NULL: of nothing. */
    const cm_machine_options *machine;
} cm_progress;

/** Progress on `out`; quiet: nothing is printed. */
cm_progress cm_progress_start(FILE *out, bool quiet);

/** A cm_train_observer; `context` is a cm_progress. */
void cm_progress_observe(const cm_train_progress *progress, const cm_epoch_result *epoch,
                         void *context);

/** A cm_study_observer: a bar on a terminal, else a line for each tenth. */
void cm_progress_observe_study(const cm_study_progress *progress, void *context);

/** Shows `text` in the line that is rewritten, ten times a second at most. Terminals only. */
void cm_progress_rewrite(cm_progress *progress, const char *text);

/** Seconds as "M:SS"; "-" when they are not known. */
void cm_progress_format_eta(double seconds, char *text, size_t size);

/** Clears a line that is still there, so that other text may follow. */
void cm_progress_end(cm_progress *progress);

#endif
