/**
 * How the kernels run: the instruction set, the threads and where they are pinned.
 */
#ifndef CM_CLI_MACHINE_H
#define CM_CLI_MACHINE_H

#include "cli/options/options.h"
#include "convmark/kernels.h"
#include "core/system/topology.h"

/* More than any machine has. The OpenMP runtime ends the process when it cannot start a thread. */
enum { CM_MAX_THREADS = 1024 };

/** --threads --isa --pin --no-pin --quiet */
typedef struct cm_machine_options {
    int threads;     /* 0 until cm_machine_prepare(): one per usable core */
    const char *isa; /* NULL: $CONVMARK_ISA, or the best */
    bool pin;        /* asked for; from cm_machine_prepare() on: read back from the system */
    bool quiet;      /* print errors only, and no warning about too many threads */
    /* Set by cm_machine_prepare(): */
    cm_isa chosen_isa;
    cm_topology *topology; /* as it was before threads were pinned */
} cm_machine_options;

extern const cm_option cm_machine_option_table[];
/** --isa alone, for a command that works on one thread. */
extern const cm_option cm_isa_option_table[];
/** --isa --quiet, for a command that chooses its threads itself. */
extern const cm_option cm_isa_quiet_option_table[];
/** Defaults: all usable cores, the best instruction set, pinned. Call it before the options are
 * parsed: it makes the help of --isa. */
cm_machine_options cm_machine_options_default(void);

/**
 * Chooses the instruction set (CM_USAGE: unknown, not built, or this machine cannot run it) and the
 * number of threads, then prepares and pins them, whatever binding the OpenMP runtime began with.
 * CM_USAGE where variables describe another machine or make the team smaller. Warnings go to
 * standard error. Call cm_machine_release() at the end, whatever the status, also if it was never
 * prepared.
 */
cm_status cm_machine_prepare(cm_machine_options *options, cm_error *error);
/** The part of it that works without threads, also with another machine's topology. */
cm_status cm_machine_load(cm_machine_options *options, cm_error *error);
void cm_machine_release(cm_machine_options *options);

/** Warns of every condition that makes timings unreliable (measure/conditions.h), unless quiet. */
void cm_warn_of_conditions(const cm_machine_options *options);

#endif
