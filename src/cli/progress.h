/**
 * Progress for people: one line that is rewritten on a terminal, plain lines otherwise (four per
 * epoch of training and one at its end). No colours, and no control character except '\r'.
 */
#ifndef CM_CLI_PROGRESS_H
#define CM_CLI_PROGRESS_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "cli/machine.h"
#include "convmark/trainer.h"
#include "harness/studies/meter.h"

typedef struct cm_progress {
    FILE *out;
    bool quiet;
    bool terminal;  /* `out` can rewrite its line */
    int line_width; /* columns of the line to rewrite; 0: none */
    int64_t shown_ns;
    /* Conditions that make timings unreliable are warned of once, when the first work is done: the
     * options are then known to be good. NULL: no warning. */
    const cm_machine_options *machine;
} cm_progress;

/** Progress on `out`; quiet: nothing is printed. */
cm_progress cm_progress_start(FILE *out, bool quiet);

/** A cm_train_observer; `context` is a cm_progress. */
void cm_progress_observe(const cm_train_progress *progress, const cm_epoch_result *epoch,
                         void *context);

/** A cm_study_observer: a bar on a terminal, otherwise a line for each tenth. */
void cm_progress_observe_study(const cm_study_progress *progress, void *context);

/** Rewrites the line with `text`, at most ten times per second. Terminals only. */
void cm_progress_rewrite(cm_progress *progress, const char *text);

/** Seconds as "M:SS"; "-" when they are not known. */
void cm_progress_format_eta(double seconds, char *text, size_t size);

/** Clears the rewritten line, so that other text can follow. */
void cm_progress_end(cm_progress *progress);

#endif
