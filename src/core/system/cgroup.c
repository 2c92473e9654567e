#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/system/topology.h"

/* Where the hierarchies are mounted. Version 1 says "cpu" in its line of /proc/self/cgroup,
 * version 2 nothing. */
static const struct {
    const char *controller;
    const char *mount;
} HIERARCHIES[] = {
    {"", "/sys/fs/cgroup"},
    {"", "/sys/fs/cgroup/unified"},
    {"cpu", "/sys/fs/cgroup/cpu"},
    {"cpu", "/sys/fs/cgroup/cpu,cpuacct"},
};

enum { PATH_SIZE = 4096, LINE_SIZE = 4096 + 256 };

/* The first line of a small file of the system; false if there is none. */
static bool read_cgroup_line(const char *folder, const char *name, char *line, int size) {
    char path[PATH_SIZE + 64];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    FILE *file = fopen(path, "re");
    if (file == NULL) {
        return false;
    }
    const bool read = fgets(line, size, file) != NULL;
    fclose(file);
    return read;
}

static double ratio(long long quota, long long period) {
    return quota > 0 && period > 0 ? (double)quota / (double)period : 0;
}

/* Quota of one group's folder; 0: none. */
static double group_quota(const char *folder) {
    char line[128];
    if (read_cgroup_line(folder, "cpu.max", line,
                         sizeof line)) { /* version 2: "max 100000" or two numbers */
        char *rest = NULL;
        const long long quota = strtoll(line, &rest, 10);
        return rest == line ? 0 : ratio(quota, strtoll(rest, NULL, 10));
    }
    if (!read_cgroup_line(folder, "cpu.cfs_quota_us", line, sizeof line)) {
        return 0;
    }
    const long long quota = strtoll(line, NULL, 10);
    if (!read_cgroup_line(folder, "cpu.cfs_period_us", line, sizeof line)) {
        return 0;
    }
    return ratio(quota, strtoll(line, NULL, 10));
}

static double smaller_quota(double a, double b) {
    return a == 0 || (b > 0 && b < a) ? b : a;
}

/* The smallest quota from the group `path` up to the mount. In a container the path may be the
 * host's and not exist below the mount: its missing parts count as groups without quota. */
static double path_quota(const char *root, const char *mount, const char *path) {
    char folder[PATH_SIZE];
    if (strstr(path, "/..") != NULL) { /* a group outside this control-group namespace */
        path = "";
    }
    const int base = snprintf(folder, sizeof folder, "%s%s", root, mount);
    const int length = snprintf(folder, sizeof folder, "%s%s%s", root, mount, path);
    if (base < 0 || length < 0 || (size_t)length >= sizeof folder) {
        return 0;
    }
    double quota = 0;
    for (;;) {
        quota = smaller_quota(quota, group_quota(folder));
        char *slash = strrchr(folder + base, '/');
        if (slash == NULL) {
            return quota;
        }
        *slash = '\0';
    }
}

/* Whether `controllers` ("cpu,cpuacct") has `wanted`. */
static bool has_controller(const char *controllers, const char *wanted) {
    const size_t length = strlen(wanted);
    if (length == 0) {
        return controllers[0] == '\0';
    }
    for (const char *next = controllers; next != NULL; next = strchr(next, ',')) {
        next += *next == ',' ? 1 : 0;
        if (strncmp(next, wanted, length) == 0 && (next[length] == ',' || next[length] == '\0')) {
            return true;
        }
    }
    return false;
}

double cm_cgroup_cpu_quota(const char *root) {
    char path[PATH_SIZE];
    snprintf(path, sizeof path, "%s/proc/self/cgroup", root);
    FILE *file = fopen(path, "re");
    if (file == NULL) {
        return 0;
    }
    double quota = 0;
    char line[LINE_SIZE]; /* "NUMBER:CONTROLLERS:PATH" */
    while (fgets(line, sizeof line, file) != NULL) {
        line[strcspn(line, "\n")] = '\0';
        char *controllers = strchr(line, ':');
        char *group = controllers == NULL ? NULL : strchr(controllers + 1, ':');
        if (group == NULL) {
            continue;
        }
        *group++ = '\0';
        for (size_t i = 0; i < sizeof HIERARCHIES / sizeof *HIERARCHIES; ++i) {
            if (has_controller(controllers + 1, HIERARCHIES[i].controller)) {
                quota = smaller_quota(quota, path_quota(root, HIERARCHIES[i].mount, group));
            }
        }
    }
    fclose(file);
    return quota;
}
