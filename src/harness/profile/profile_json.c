/* The profile as JSON, as Chrome trace events, as folded stacks. */
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/files/atomic_file.h"
#include "core/files/json.h"
#include "harness/profile/profile.h"
#include "harness/record/measurement.h"
#include "harness/record/text_table.h"
#include "harness/record/train_json.h"

static json_t *number_or_null(double value) {
    return isfinite(value) ? json_real(value) : json_null();
}

static void name_row(const cm_profile *profile, const cm_profile_row *row, char *text,
                     size_t size) {
    char layer[CM_TABLE_CELL];
    cm_profile_layer(profile, row, layer, sizeof layer);
    layer[strcspn(layer, " ")] = '\0'; /* the layer's name alone: "conv.4" */
    snprintf(text, size, "%s/%s/n%d/threads:%d/%.60s/%s/%s", cm_mode_name(profile->mode),
             cm_model_network(profile->model)->name, profile->batch, profile->threads, layer,
             cm_pass_name(row->pass), cm_phase_name(row->phase));
}

static json_t *row_json(const cm_profile *profile, const cm_profile_row *row, double step,
                        cm_error *error) {
    char layer[CM_TABLE_CELL];
    cm_measurement m = {.n = profile->steps, .samples = row->samples};
    name_row(profile, row, m.name, sizeof m.name);
    snprintf(m.metric, sizeof m.metric, "seconds");
    snprintf(m.unit, sizeof m.unit, "s");
    cm_profile_layer(profile, row, layer, sizeof layer);
    m.attributes = json_pack(
        "{s:o, s:s, s:s, s:f, s:f, s:f, s:f, s:f, s:o, s:o, s:o, s:s, s:f}", "layer",
        cm_json_string(layer), "pass", cm_pass_name(row->pass), "part", cm_phase_name(row->phase),
        "calls", row->calls, "share", row->seconds / step, "imbalance", row->imbalance, "flops",
        row->work.flops, "bytes", row->work.bytes, "peak_share", number_or_null(row->peak_share),
        "bandwidth_share", number_or_null(row->bandwidth_share), "level",
        row->level != NULL ? json_string(row->level->name) : json_null(), "limit",
        cm_limit_name(row), "gain", row->gain);
    json_t *o = m.attributes == NULL ? NULL : cm_measurement_json(&m, error);
    json_decref(m.attributes);
    return o;
}

static json_t *whole_json(const cm_profile *profile, const char *part, double *samples,
                          cm_error *error) {
    cm_measurement m = {.n = profile->steps, .samples = samples};
    snprintf(m.name, sizeof m.name, "%s/%s/n%d/threads:%d/%s", cm_mode_name(profile->mode),
             cm_model_network(profile->model)->name, profile->batch, profile->threads, part);
    snprintf(m.metric, sizeof m.metric, "seconds");
    snprintf(m.unit, sizeof m.unit, "s");
    return cm_measurement_json(&m, error);
}

static json_t *profile_measurements_json(const cm_profile *profile, double step, cm_error *error) {
    json_t *list = json_array();
    cm_json_append(&list, whole_json(profile, "step", profile->wall, error));
    cm_json_append(&list, whole_json(profile, "untraced", profile->untraced, error));
    cm_json_append(&list, whole_json(profile, "data", profile->data, error));
    for (int i = 0; i < profile->row_count; ++i) {
        cm_json_append(&list, row_json(profile, &profile->rows[i], step, error));
    }
    return list;
}

/* Null, with the reason beside it, where the kernel grants none. */
static json_t *counters_json(const cm_profile *profile, cm_error *error) {
    if (!profile->counted) {
        return json_null();
    }
    json_t *o = json_object();
    for (cm_counter i = 0; i < CM_COUNTER_COUNT; ++i) {
        if (!cm_json_set(o, cm_counter_name(i), number_or_null(profile->counts[i]), error)) {
            json_decref(o);
            return NULL;
        }
    }
    return o;
}

json_t *cm_profile_json(const cm_profile *profile, json_t *machine, json_t *conditions,
                        json_t *command, cm_error *error) {
    double overhead, low, high, step = 0.0;
    for (int i = 0; i < profile->steps; ++i) {
        step += profile->wall[i] / profile->steps;
    }
    cm_profile_overhead(profile, &overhead, &low, &high);
    json_t *o = json_object();
    const bool ok =
        cm_json_set(o, "schema_version", json_integer(CM_RESULTS_SCHEMA_VERSION), error) &&
        cm_json_set(o, "kind", json_string("profile"), error) &&
        cm_json_set(o, "variant", cm_json_string(cm_model_network(profile->model)->name), error) &&
        cm_json_set(o, "mode", json_string(cm_mode_name(profile->mode)), error) &&
        cm_json_set(o, "batch", json_integer(profile->batch), error) &&
        cm_json_set(o, "threads", json_integer(profile->threads), error) &&
        cm_json_set(o, "isa", json_string(cm_isa_name(cm_model_isa(profile->model))), error) &&
        cm_json_set(o, "steps", json_integer(profile->steps), error) &&
        cm_json_set(o, "accounted", json_real(profile->accounted), error) &&
        cm_json_set(o, "overhead",
                    json_pack("[o, o, o]", number_or_null(overhead), number_or_null(low),
                              number_or_null(high)),
                    error) &&
        cm_json_set(o, "counters", counters_json(profile, error), error) &&
        cm_json_set(o, "no_counters",
                    profile->counted ? json_null() : cm_json_string(profile->no_counters), error) &&
        cm_json_set(o, "capability", cm_capability_json(&profile->capability, error), error) &&
        cm_json_set(o, "measurements", profile_measurements_json(profile, step, error), error) &&
        cm_json_set(o, "command", json_incref(command), error) &&
        cm_json_set(o, "started", json_string(profile->started), error) &&
        cm_json_set(o, "conditions", json_incref(conditions), error) &&
        cm_json_set(o, "machine", json_incref(machine), error);
    if (!ok) {
        json_decref(o);
        o = NULL;
    }
    json_decref(machine);
    json_decref(conditions);
    json_decref(command);
    return o;
}

/* ---- Chrome trace events ---- */

/* Threads count from 1: to Perfetto thread 0 is the idle task, which it does not draw; 1, the
 * number of the process too, is its main thread. */
enum { TRACE_PROCESS = 1 };

static int trace_thread(int index) {
    return TRACE_PROCESS + index;
}

/* A complete event ("X") of the format that Perfetto and chrome://tracing read: microseconds. */
static json_t *event_json(const cm_profile *profile, int thread, const cm_trace_mark *mark,
                          int64_t end_ns) {
    const cm_profile_row row = {.pass = (cm_pass)(mark->task >> 16),
                                .stage = mark->task & 0xFFFF,
                                .phase = (cm_phase)mark->phase};
    char layer[CM_TABLE_CELL], name[CM_TABLE_CELL + 32];
    cm_profile_layer(profile, &row, layer, sizeof layer);
    snprintf(name, sizeof name, "%s %s %s", layer, cm_pass_name(row.pass),
             cm_phase_name(row.phase));
    return json_pack("{s:o, s:s, s:s, s:i, s:i, s:f, s:f}", "name", cm_json_string(name), "cat",
                     cm_phase_name(row.phase), "ph", "X", "pid", TRACE_PROCESS, "tid",
                     trace_thread(thread), "ts",
                     (double)(mark->ns - profile->trace_start_ns) * 1e-3, "dur",
                     (double)(end_ns - mark->ns) * 1e-3);
}

static void add_thread(const cm_profile *profile, int index, json_t **events) {
    const cm_trace_thread *thread = &profile->trace->thread[index];
    char name[32];
    snprintf(name, sizeof name, "thread %d", index);
    cm_json_append(events, json_pack("{s:s, s:s, s:i, s:i, s:{s:s}}", "name", "thread_name", "ph",
                                     "M", "pid", TRACE_PROCESS, "tid", trace_thread(index), "args",
                                     "name", name));
    for (size_t i = 0; *events != NULL && i < thread->count; ++i) {
        const int64_t end = i + 1 < thread->count ? thread->marks[i + 1].ns : profile->trace_end_ns;
        cm_json_append(events, event_json(profile, index, &thread->marks[i], end));
    }
}

cm_status cm_profile_write_trace(const cm_profile *profile, const char *path, cm_error *error) {
    json_t *events = json_array();
    for (int i = 0; i < profile->threads; ++i) {
        add_thread(profile, i, &events);
    }
    json_t *o = json_pack("{s:o, s:s}", "traceEvents", events, "displayTimeUnit", "ms");
    const cm_status status = o != NULL ? cm_json_write(path, o, error)
                                       : cm_fail(error, CM_FAILED, "profile: out of memory");
    json_decref(o);
    return status;
}

/* ---- Folded stacks ---- */

/* "train;forward;conv.4 conv2d;multiply 123456": what flamegraph.pl and speedscope read. */
cm_status cm_profile_write_folded(const cm_profile *profile, const char *path, cm_error *error) {
    char *text = NULL;
    size_t size = 0;
    FILE *out = open_memstream(&text, &size);
    for (int i = 0; out != NULL && i < profile->row_count; ++i) {
        const cm_profile_row *row = &profile->rows[i];
        char layer[CM_TABLE_CELL];
        cm_profile_layer(profile, row, layer, sizeof layer);
        fprintf(out, "%s;%s;%s;%s %.0f\n", cm_mode_name(profile->mode), cm_pass_name(row->pass),
                layer, cm_phase_name(row->phase), row->seconds * 1e9);
    }
    const bool ok = out != NULL && fclose(out) == 0;
    const cm_status status = ok ? cm_file_write(path, text, size, error)
                                : cm_fail(error, CM_FAILED, "profile: out of memory");
    free(text);
    return status;
}
