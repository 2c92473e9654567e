#include "harness/measure/conditions.h"

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "build_info.h"
#include "core/files/json.h"

enum { TEXT_SIZE = 8192 };

/* A load average, in CPUs, that a quiet machine has as well. */
static const double quiet_load = 0.5;

typedef struct machine_files {
    const char *root;
    const cm_topology *topology;
} machine_files;

/* The first TEXT_SIZE - 1 bytes of a system file, without a newline at the end; "" without the
 * file. */
static const char *read_text(const machine_files *m, const char *name, char text[TEXT_SIZE]) {
    char path[512];
    text[0] = '\0';
    snprintf(path, sizeof path, "%s/%s", m->root, name);
    FILE *file = fopen(path, "re");
    if (file != NULL) {
        const size_t size = fread(text, 1, TEXT_SIZE - 1, file);
        fclose(file);
        text[size] = '\0';
        if (size > 0 && text[size - 1] == '\n') {
            text[size - 1] = '\0';
        }
    }
    return text;
}

/* ---- One function per condition: true where it holds. The message is written in any case ---- */

static bool slow_build(const machine_files *m, char *message, size_t size) {
    (void)m;
    snprintf(message, size, "this is a %s build; build with -DCMAKE_BUILD_TYPE=Release",
             CM_BUILD_TYPE);
    return strcmp(CM_BUILD_TYPE, "Release") != 0 && strcmp(CM_BUILD_TYPE, "RelWithDebInfo") != 0;
}

static bool scaled(const machine_files *m, char *message, size_t size) {
    char text[TEXT_SIZE];
    read_text(m, "sys/devices/system/cpu/cpu0/cpufreq/scaling_governor", text);
    snprintf(message, size,
             "the frequency governor is '%.40s'; 'cpupower frequency-set -g performance' keeps the "
             "clock up",
             text);
    return text[0] != '\0' && strcmp(text, "performance") != 0;
}

static bool turbo_on(const machine_files *m, char *message, size_t size) {
    char intel[TEXT_SIZE], other[TEXT_SIZE];
    read_text(m, "sys/devices/system/cpu/intel_pstate/no_turbo", intel);
    read_text(m, "sys/devices/system/cpu/cpufreq/boost", other);
    snprintf(message, size, "turbo is on: the clock depends on temperature and on busy cores");
    return strcmp(intel, "0") == 0 || strcmp(other, "1") == 0;
}

static bool loaded(const machine_files *m, char *message, size_t size) {
    char text[TEXT_SIZE];
    const double load = strtod(read_text(m, "proc/loadavg", text), NULL);
    snprintf(message, size, "other programs are running: the load average of a minute is %.2f",
             load);
    return load > quiet_load;
}

static bool limited(const machine_files *m, char *message, size_t size) {
    snprintf(message, size, "a control group limits this process to the time of %.2f CPUs",
             m->topology->cpu_quota);
    return m->topology->cpu_quota > 0;
}

static bool confined(const machine_files *m, char *message, size_t size) {
    snprintf(message, size, "this process may use %d of %d cores", m->topology->usable_cores,
             m->topology->cores);
    return m->topology->usable_cores < m->topology->cores;
}

static bool hybrid(const machine_files *m, char *message, size_t size) {
    char kinds[120];
    cm_topology_kinds_text(m->topology, m->topology->usable_cores, kinds, sizeof kinds);
    snprintf(message, size, "this CPU is hybrid: %s; the slow cores hold up a team with both",
             kinds);
    return m->topology->kind_count > 1;
}

static bool granted_memory(const machine_files *m, char *message, size_t size) {
    snprintf(message, size, "a control group limits this process to %.0f MiB of memory",
             m->topology->memory_limit / (1 << 20));
    return m->topology->memory_limit > 0;
}

static bool siblings(const machine_files *m, char *message, size_t size) {
    snprintf(message, size,
             "SMT is on: %d CPUs on %d cores; other work on a core's second CPU slows the first",
             m->topology->usable_pus, m->topology->usable_cores);
    return m->topology->usable_pus > m->topology->usable_cores;
}

static bool virtual_machine(const machine_files *m, char *message, size_t size) {
    char text[TEXT_SIZE];
    read_text(m, "proc/cpuinfo", text);
    snprintf(message, size, "this is a virtual machine: its neighbours share caches and clock");
    return strstr(text, " hypervisor") != NULL;
}

static bool small_pages(const machine_files *m, char *message, size_t size) {
    char text[TEXT_SIZE];
    read_text(m, "sys/kernel/mm/transparent_hugepage/enabled", text);
    snprintf(message, size,
             "transparent huge pages are off; 'madvise' in "
             "/sys/kernel/mm/transparent_hugepage/enabled allows them");
    return strstr(text, "[never]") != NULL;
}

static bool throttled(const machine_files *m, char *message, size_t size) {
    char text[TEXT_SIZE];
    read_text(m, "sys/devices/system/cpu/cpu0/thermal_throttle/package_throttle_count", text);
    const long count = strtol(text, NULL, 10);
    snprintf(message, size, "the CPU was throttled for heat %ld times since it was started", count);
    return count > 0;
}

static const struct {
    const char *name;
    bool (*holds)(const machine_files *m, char *message, size_t size);
} conditions[] = {
    {"build", slow_build},      {"governor", scaled},
    {"turbo", turbo_on},        {"load", loaded},
    {"quota", limited},         {"affinity", confined},
    {"smt", siblings},          {"hybrid", hybrid},
    {"memory", granted_memory}, {"virtual", virtual_machine},
    {"pages", small_pages},     {"throttling", throttled},
};

_Static_assert(sizeof conditions / sizeof *conditions <= CM_MAX_CONDITIONS, "all fit");

int cm_conditions_find(const char *root, const cm_topology *topology,
                       cm_condition found[CM_MAX_CONDITIONS]) {
    const machine_files m = {root, topology};
    int count = 0;
    for (size_t i = 0; i < sizeof conditions / sizeof *conditions; ++i) {
        cm_condition *to = &found[count];
        if (conditions[i].holds(&m, to->message, sizeof to->message)) {
            to->name = conditions[i].name;
            ++count;
        }
    }
    return count;
}

json_t *cm_conditions_json(const cm_topology *topology) {
    cm_condition found[CM_MAX_CONDITIONS];
    const int count = cm_conditions_find("", topology, found);
    json_t *list = json_array();
    for (int i = 0; i < count; ++i) {
        cm_json_append(&list, json_pack("{s:s, s:o}", "name", found[i].name, "message",
                                        cm_json_string(found[i].message)));
    }
    return list;
}
