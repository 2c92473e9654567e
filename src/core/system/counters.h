/**
 * Hardware counters of the team's threads through perf_event_open(2), where the kernel grants them.
 */
#ifndef CM_CORE_SYSTEM_COUNTERS_H
#define CM_CORE_SYSTEM_COUNTERS_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#ifdef __cplusplus
extern "C" {
#endif

/** The counters: name in results, PERF_COUNT_HW_... */
#define CM_COUNTER_LIST(ROW)                                    \
    ROW(CYCLES, "cycles", CPU_CYCLES)                           \
    ROW(INSTRUCTIONS, "instructions", INSTRUCTIONS)             \
    ROW(CACHE_REFERENCES, "cache_references", CACHE_REFERENCES) \
    ROW(CACHE_MISSES, "cache_misses", CACHE_MISSES)

typedef enum cm_counter {
#define CM_COUNTER_ENUM(name, text, event) CM_COUNTER_##name,
    CM_COUNTER_LIST(CM_COUNTER_ENUM)
#undef CM_COUNTER_ENUM
        CM_COUNTER_COUNT
} cm_counter;

/** "cycles" ... */
const char *cm_counter_name(cm_counter counter);

struct perf_event_attr;

/** The system's part, for tests to stand in for. */
typedef struct cm_counter_system {
    int (*open)(struct perf_event_attr *attr, int group); /* of this thread; -1 and errno */
    ssize_t (*read)(int fd, void *data, size_t size);
    int (*close)(int fd);
    const char *paranoid; /* file with the kernel's restriction */
} cm_counter_system;

/** The kernel itself. */
extern const cm_counter_system cm_counter_kernel;

typedef struct cm_counters {
    const cm_counter_system *system;
    bool available;
    char reason[200]; /* why not, one line */
    int threads;
    int (*fds)[CM_COUNTER_COUNT]; /* of each thread; the first one leads its group */
} cm_counters;

/**
 * Opens the counters on every thread of a team of `threads`, the team that will do the work.
 * Without them everything else works: `available` is false then and `reason` says why. Close with
 * cm_counters_close() in any case.
 */
void cm_counters_open(cm_counters *counters, int threads, const cm_counter_system *system);
void cm_counters_close(cm_counters *counters);

/** What all threads counted since they were opened, scaled up where the kernel shared the hardware
 * with other counters. False: it cannot be read. */
bool cm_counters_read(const cm_counters *counters, double values[CM_COUNTER_COUNT]);

#ifdef __cplusplus
}
#endif

#endif
