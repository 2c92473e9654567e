#include "cli/machine.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/cli.h"
#include "core/system/threads.h"
#include "harness/measure/conditions.h"

/* "Use scalar, neon, ... (default: ...)", made by cm_machine_options_default(). */
enum { ISA_NAMES_SIZE = 64 };
static char isa_help[ISA_NAMES_SIZE + 48];

#define ISA_OPTION \
    { "isa", CM_OPTION_STRING, offsetof(cm_machine_options, isa), "NAME", isa_help, 0, 0, NULL }

#define QUIET_OPTION                                                                             \
    {                                                                                            \
        "quiet", CM_OPTION_TRUE, offsetof(cm_machine_options, quiet), NULL, "Print errors only", \
            0, 0, NULL                                                                           \
    }

const cm_option cm_isa_option_table[] = {ISA_OPTION, {0}};
const cm_option cm_isa_quiet_option_table[] = {ISA_OPTION, QUIET_OPTION, {0}};

const cm_option cm_machine_option_table[] = {
    {"threads", CM_OPTION_INT, offsetof(cm_machine_options, threads), "N",
     "Use N threads (default: one per usable core)", 1, CM_MAX_THREADS, NULL},
    ISA_OPTION,
    {"pin", CM_OPTION_TRUE, offsetof(cm_machine_options, pin), NULL,
     "Bind each thread to a core (default)", 0, 0, NULL},
    {"no-pin", CM_OPTION_FALSE, offsetof(cm_machine_options, pin), NULL,
     "Let the system move threads between cores", 0, 0, NULL},
    QUIET_OPTION,
    {0}};

static bool any_isa(cm_isa isa) {
    (void)isa;
    return true;
}

static bool usable_isa(cm_isa isa) {
    return cm_kernels_of(isa) != NULL;
}

/* The names of the instruction sets that `wanted` accepts, with commas between them. */
static const char *isa_names(bool (*wanted)(cm_isa), char *text, size_t size) {
    size_t used = 0;
    text[0] = '\0';
    for (cm_isa isa = 0; isa < CM_ISA_COUNT; ++isa) {
        if (wanted(isa) && used < size) {
            const int written =
                snprintf(text + used, size - used, "%s%s", used > 0 ? ", " : "", cm_isa_name(isa));
            used += written > 0 ? (size_t)written : 0;
        }
    }
    return text;
}

cm_machine_options cm_machine_options_default(void) {
    char names[ISA_NAMES_SIZE];
    snprintf(isa_help, sizeof isa_help, "Use %s (default: $CONVMARK_ISA, or the best)",
             isa_names(any_isa, names, sizeof names));
    return (cm_machine_options){.threads = 0, .pin = true, .chosen_isa = CM_ISA_BEST};
}

void cm_warn_of_conditions(const cm_machine_options *options) {
    cm_condition found[CM_MAX_CONDITIONS];
    const int count = options->quiet ? 0 : cm_conditions_find("", options->topology, found);
    for (int i = 0; i < count; ++i) {
        cm_warn("%s", found[i].message);
    }
}

/* ---- Instruction set ---- */

static cm_status choose_isa(cm_machine_options *options, cm_error *error) {
    const char *from = "--isa", *name = options->isa;
    if (name == NULL) {
        from = "CONVMARK_ISA";
        name = getenv(from);
    }
    if (name == NULL || name[0] == '\0') {
        options->chosen_isa = cm_isa_resolve(CM_ISA_BEST);
        return CM_OK;
    }
    char usable[ISA_NAMES_SIZE];
    const cm_isa isa = cm_isa_from_name(name);
    const char *problem = isa == CM_ISA_COUNT          ? "is not an instruction set"
                          : !cm_isa_built(isa)         ? "is not in this build"
                          : cm_kernels_of(isa) == NULL ? "cannot run on this CPU and system"
                                                       : NULL;
    if (problem != NULL) {
        return cm_fail(error, CM_USAGE, "%s '%s' %s; choose one of: %s", from, name, problem,
                       isa_names(usable_isa, usable, sizeof usable));
    }
    options->chosen_isa = isa;
    return CM_OK;
}

/* ---- Threads ---- */

static cm_status prepare_threads(cm_machine_options *options, cm_error *error) {
    const cm_topology *topology = options->topology;
    if (options->threads == 0) {
        options->threads = topology->default_threads;
    }
    /* More threads than PUs cannot be pinned; the warning below says enough of it. */
    const bool pin = options->pin && options->threads <= topology->usable_pus;
    cm_error warning;
    const cm_status status =
        cm_threads_start(options->threads, pin, topology, &options->pin, &warning, error);
    if (status == CM_OK && options->threads > topology->usable_cores && !options->quiet) {
        cm_warn(
            "--threads %d is more than the %d cores this process may use; expect it to be slower",
            options->threads, topology->usable_cores);
    }
    if (status == CM_OK && warning.message[0] != '\0') { /* quiet or not: results are in doubt */
        cm_warn("%s", warning.message);
    }
    return status;
}

cm_status cm_machine_load(cm_machine_options *options, cm_error *error) {
    cm_status status = choose_isa(options, error);
    if (status == CM_OK) {
        cm_threads_unbind();
        status = cm_topology_load(&options->topology, error);
    }
    return status;
}

cm_status cm_machine_prepare(cm_machine_options *options, cm_error *error) {
    cm_status status = cm_machine_load(options, error);
    if (status == CM_OK) {
        status = cm_topology_check_own(options->topology, error);
    }
    if (status == CM_OK) {
        status = prepare_threads(options, error);
    }
    return status;
}

void cm_machine_release(cm_machine_options *options) {
    cm_topology_free(options->topology);
    options->topology = NULL;
}
