#include "core/system/energy.h"

#include <dirent.h>
#include <errno.h>
#include <math.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/system/clock.h"

static const int64_t keep_up_ns = INT64_C(60) * 1000 * 1000 * 1000;

/* The first line of a file of `folder`; false, with errno, when it cannot be read. */
static bool read_energy_line(const char *folder, const char *name, char line[64]) {
    char path[400];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    FILE *file = fopen(path, "re");
    if (file == NULL) {
        return false;
    }
    const bool read = fgets(line, 64, file) != NULL;
    fclose(file);
    errno = read ? errno : EIO;
    return read;
}

static bool read_number(const char *folder, const char *name, double *value) {
    char line[64], *end = NULL;
    if (!read_energy_line(folder, name, line)) {
        return false;
    }
    *value = (double)strtoull(line, &end, 10);
    errno = EINVAL;
    return end != line;
}

static void give_up(cm_energy *energy, const char *folder, const char *name) {
    energy->package_count = 0;
    snprintf(energy->note, sizeof energy->note, "energy cannot be read: %s/%s: %s%s", folder, name,
             strerror(errno),
             errno == EACCES || errno == EPERM ? " (only root may, or make the file readable)"
                                               : "");
}

/* Packages only: their parts ("core", "dram") would count twice, and so would "psys", the whole. */
static bool is_package(const char *folder) {
    char line[64];
    return read_energy_line(folder, "name", line) &&
           strncmp(line, "package", strlen("package")) == 0;
}

static bool add_package(cm_energy *energy, const char *folder) {
    cm_energy_package *package = &energy->packages[energy->package_count];
    snprintf(package->folder, sizeof package->folder, "%s", folder);
    const char *name = "max_energy_range_uj";
    bool read = read_number(folder, name, &package->range);
    if (read) {
        name = "energy_uj";
        read = read_number(folder, name, &package->last);
    }
    if (!read) {
        give_up(energy, folder, name);
        return false;
    }
    ++energy->package_count;
    return true;
}

void cm_energy_open(const char *root, cm_energy *energy) {
    *energy = (cm_energy){.read_ns = cm_clock_ns()};
    char base[200], folder[sizeof energy->packages->folder];
    snprintf(base, sizeof base, "%s/sys/class/powercap", root);
    DIR *listing = opendir(base);
    const struct dirent *entry;
    bool ok = listing != NULL;
    while (ok && energy->package_count < CM_ENERGY_MAX_PACKAGES &&
           (entry = readdir(listing)) != NULL) {
        /* "intel-rapl:0" (AMD's, too); its parts are "intel-rapl:0:1", and "intel-rapl-mmio:0" is
         * the same package by another way. */
        const size_t prefix = strlen("intel-rapl:");
        const int length = snprintf(folder, sizeof folder, "%s/%s", base, entry->d_name);
        if (strncmp(entry->d_name, "intel-rapl:", prefix) == 0 &&
            strchr(entry->d_name + prefix, ':') == NULL && length < (int)sizeof folder &&
            is_package(folder)) {
            ok = add_package(energy, folder);
        }
    }
    if (listing != NULL) {
        closedir(listing);
    }
    if (energy->package_count == 0 && energy->note[0] == '\0') {
        snprintf(energy->note, sizeof energy->note,
                 "energy cannot be read: %s has no package; virtual machines rarely show any, and "
                 "the kernel's module is intel_rapl_msr",
                 base);
    }
}

double cm_energy_read(cm_energy *energy) {
    energy->read_ns = cm_clock_ns();
    for (int i = 0; i < energy->package_count; ++i) {
        cm_energy_package *package = &energy->packages[i];
        double now = 0.0;
        if (!read_number(package->folder, "energy_uj", &now)) {
            char folder[sizeof package->folder];
            memcpy(folder, package->folder, sizeof folder);
            give_up(energy, folder, "energy_uj");
            break;
        }
        const double used = now - package->last;
        energy->joules += (used < 0.0 ? used + package->range : used) * 1e-6;
        package->last = now;
    }
    return energy->package_count > 0 ? energy->joules : (double)NAN;
}

void cm_energy_keep_up(cm_energy *energy) {
    if (energy != NULL && cm_clock_ns() - energy->read_ns > keep_up_ns) {
        cm_energy_read(energy);
    }
}
