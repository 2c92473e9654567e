#include "core/system/counters.h"

#include <errno.h>
#include <linux/perf_event.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "convmark/team.h"

static const uint64_t events[CM_COUNTER_COUNT] = {
#define EVENT(name, text, event) PERF_COUNT_HW_##event,
    CM_COUNTER_LIST(EVENT)
#undef EVENT
};

const char *cm_counter_name(cm_counter counter) {
    static const char *const names[CM_COUNTER_COUNT] = {
#define NAME(name, text, event) text,
        CM_COUNTER_LIST(NAME)
#undef NAME
    };
    return names[counter];
}

static int kernel_open(struct perf_event_attr *attr, int group) {
    return (int)syscall(SYS_perf_event_open, attr, 0, -1, group, PERF_FLAG_FD_CLOEXEC);
}

const cm_counter_system cm_counter_kernel = {kernel_open, read, close,
                                             "/proc/sys/kernel/perf_event_paranoid"};

/* What a read of a group gives with the format below. */
typedef struct group_values {
    uint64_t count, time_enabled, time_running;
    uint64_t values[CM_COUNTER_COUNT];
} group_values;

typedef struct open_job {
    cm_counters *counters;
    int *failures; /* errno of each thread; 0: none */
} open_job;

/* A counter belongs to the thread that opens it. */
static void open_on_thread(const cm_team *team, void *context) {
    const open_job *job = context;
    int *fds = job->counters->fds[team->index];
    for (int i = 0; i < CM_COUNTER_COUNT; ++i) {
        struct perf_event_attr attr = {
            .type = PERF_TYPE_HARDWARE,
            .size = sizeof attr,
            .config = events[i],
            .read_format =
                PERF_FORMAT_GROUP | PERF_FORMAT_TOTAL_TIME_ENABLED | PERF_FORMAT_TOTAL_TIME_RUNNING,
            .exclude_kernel = 1,
            .exclude_hv = 1,
        };
        fds[i] = job->counters->system->open(&attr, i == 0 ? -1 : fds[0]);
        if (fds[i] < 0) {
            job->failures[team->index] = errno;
            return;
        }
    }
}

static int read_paranoid(const char *path) {
    int level = -1;
    FILE *file = fopen(path, "re");
    if (file != NULL) {
        char text[16] = "";
        level = fgets(text, sizeof text, file) != NULL ? (int)strtol(text, NULL, 10) : -1;
        fclose(file);
    }
    return level;
}

static void explain_counters(cm_counters *counters, int failure) {
    char *reason = counters->reason;
    const size_t size = sizeof counters->reason;
    switch (failure) {
    case EACCES:
    case EPERM:
        snprintf(reason, size,
                 "the kernel denies them: perf_event_paranoid is %d (2 or less is needed), or a "
                 "container forbids perf_event_open",
                 read_paranoid(counters->system->paranoid));
        break;
    case ENOENT:
    case ENODEV:
    case EOPNOTSUPP:
        snprintf(
            reason, size,
            "this CPU shows none, as in most virtual machines (no performance monitoring unit)");
        break;
    case ENOSYS:
        snprintf(reason, size, "this kernel has no perf_event_open");
        break;
    default:
        snprintf(reason, size, "perf_event_open: %s", strerror(failure));
        break;
    }
}

void cm_counters_open(cm_counters *counters, int threads, const cm_counter_system *system) {
    *counters = (cm_counters){.system = system, .threads = threads};
    counters->fds = malloc((size_t)threads * sizeof *counters->fds);
    int *failures = calloc((size_t)threads, sizeof *failures);
    if (counters->fds == NULL || failures == NULL) {
        snprintf(counters->reason, sizeof counters->reason, "out of memory");
        counters->threads = 0;
        free(failures);
        return;
    }
    for (int i = 0; i < threads * CM_COUNTER_COUNT; ++i) {
        counters->fds[i / CM_COUNTER_COUNT][i % CM_COUNTER_COUNT] = -1;
    }
    open_job job = {counters, failures};
    cm_team_run(threads, open_on_thread, &job);
    counters->available = true;
    for (int i = 0; i < threads && counters->available; ++i) {
        if (failures[i] != 0) {
            counters->available = false;
            explain_counters(counters, failures[i]);
        }
    }
    free(failures);
}

void cm_counters_close(cm_counters *counters) {
    for (int i = 0; i < counters->threads * CM_COUNTER_COUNT; ++i) {
        const int fd = counters->fds[i / CM_COUNTER_COUNT][i % CM_COUNTER_COUNT];
        if (fd >= 0) {
            counters->system->close(fd);
        }
    }
    free(counters->fds);
    *counters = (cm_counters){.available = false};
}

bool cm_counters_read(const cm_counters *counters, double values[CM_COUNTER_COUNT]) {
    for (int i = 0; i < CM_COUNTER_COUNT; ++i) {
        values[i] = 0.0;
    }
    for (int t = 0; counters->available && t < counters->threads; ++t) {
        group_values group;
        if (counters->system->read(counters->fds[t][0], &group, sizeof group) !=
                (ssize_t)sizeof group ||
            group.count != CM_COUNTER_COUNT) {
            return false;
        }
        const double scale =
            group.time_running > 0 ? (double)group.time_enabled / (double)group.time_running : 0.0;
        for (int i = 0; i < CM_COUNTER_COUNT; ++i) {
            values[i] += (double)group.values[i] * scale;
        }
    }
    return counters->available;
}
