#include "convmark/trace.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

/* CLOCK_MONOTONIC is read without entering the kernel: some 20 ns, where a phase takes 10 us and
 * more. */
static int64_t now_ns(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

cm_trace *cm_trace_create(int threads, size_t marks) {
    const size_t align = _Alignof(cm_trace_thread);
    cm_trace *trace = calloc(1, sizeof *trace);
    cm_trace_thread *thread = aligned_alloc(align, (size_t)threads * sizeof *thread);
    if (trace == NULL || thread == NULL) {
        free(trace);
        free(thread);
        return NULL;
    }
    memset(thread, 0, (size_t)threads * sizeof *thread);
    *trace = (cm_trace){threads, thread};
    for (int i = 0; i < threads; ++i) {
        thread[i].marks = calloc(marks, sizeof *thread[i].marks);
        thread[i].capacity = marks;
        if (thread[i].marks == NULL) {
            cm_trace_free(trace);
            return NULL;
        }
    }
    return trace;
}

void cm_trace_free(cm_trace *trace) {
    if (trace != NULL) {
        for (int i = 0; i < trace->threads; ++i) {
            free(trace->thread[i].marks);
        }
        free(trace->thread);
        free(trace);
    }
}

void cm_trace_clear(cm_trace *trace) {
    for (int i = 0; i < trace->threads; ++i) {
        trace->thread[i].count = 0;
        trace->thread[i].full = false;
    }
}

void cm_trace_put(const cm_team *team, int32_t task, int32_t phase) {
    cm_trace_thread *thread = &team->trace->thread[team->index];
    thread->task = task;
    thread->phase = phase;
    if (thread->count == thread->capacity) {
        thread->full = true;
        return;
    }
    thread->marks[thread->count++] = (cm_trace_mark){now_ns(), task, phase};
}
