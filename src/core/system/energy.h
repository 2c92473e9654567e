/**
 * Energy that the processor packages used, from the counters of Linux's powercap (RAPL). They count
 * everything that runs on the machine, not this process alone, and not the memory or the rest.
 */
#ifndef CM_CORE_SYSTEM_ENERGY_H
#define CM_CORE_SYSTEM_ENERGY_H

#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

enum { CM_ENERGY_MAX_PACKAGES = 64, CM_ENERGY_NOTE_SIZE = 600 };

typedef struct cm_energy_package {
    char folder[256];
    double last, range; /* microjoules: at the last reading; the counter wraps to 0 above it */
} cm_energy_package;

typedef struct cm_energy {
    int package_count; /* 0: cannot be read, and `note` says why */
    cm_energy_package packages[CM_ENERGY_MAX_PACKAGES];
    char note[CM_ENERGY_NOTE_SIZE]; /* "" while it can be read */
    double joules;                  /* of all packages since cm_energy_open() */
    int64_t read_ns;                /* when they were last read */
} cm_energy;

/** Looks for the packages' counters and begins at 0. `root` is "" for this machine, or a folder
 * that holds copies of files of /sys. */
void cm_energy_open(const char *root, cm_energy *energy);

/** Joules since cm_energy_open(); NAN where they cannot be read (any more). */
double cm_energy_read(cm_energy *energy);

/** Reads if that was last done a minute ago: a counter that wrapped twice between two readings
 * would lose energy, and the smallest ones last for some minutes. `energy` may be NULL. */
void cm_energy_keep_up(cm_energy *energy);

#ifdef __cplusplus
}
#endif

#endif
