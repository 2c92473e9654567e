#include "harness/profile/profile.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "convmark/stream.h"
#include "core/system/clock.h"
#include "harness/record/results_json.h"

/* Marks per thread; a step of the report's variants makes far fewer. */
enum { DEFAULT_MARKS = 1 << 16 };

/* Rows are found by a dense number while steps are added up. */
typedef struct collector {
    cm_profile *profile;
    int stages;
    int *row_of;       /* [pass][stage][phase]; -1: none yet */
    double *by_thread; /* [row][threads] nanoseconds of all steps */
    int capacity;      /* rows that there is room for */
} collector;

static cm_status profile_out_of_memory(cm_error *error) {
    return cm_fail(error, CM_FAILED, "profile: out of memory; use fewer steps");
}

static cm_status trace_full(const cm_trace_thread *thread, int index, cm_error *error) {
    return cm_fail(error, CM_FAILED,
                   "profile: the trace of thread %d is full after %zu marks in one step; profile a "
                   "network with fewer layers",
                   index, thread->count);
}

static size_t dense_count(const collector *c) {
    return (size_t)CM_PASS_COUNT * (size_t)c->stages * CM_PHASE_COUNT;
}

static cm_profile_row *row_at(collector *c, int32_t task, int32_t phase) {
    cm_profile *profile = c->profile;
    const int pass = task >> 16, stage = task & 0xFFFF;
    const size_t dense =
        ((size_t)pass * (size_t)c->stages + (size_t)stage) * CM_PHASE_COUNT + (size_t)phase;
    if (c->row_of[dense] < 0) {
        cm_profile_row *row = &profile->rows[profile->row_count];
        *row = (cm_profile_row){.pass = (cm_pass)pass, .stage = stage, .phase = (cm_phase)phase};
        row->samples = calloc((size_t)profile->steps, sizeof *row->samples);
        if (row->samples == NULL) {
            return NULL;
        }
        c->row_of[dense] = profile->row_count++;
    }
    return &profile->rows[c->row_of[dense]];
}

/* Adds up the marks of one step: each phase lasts until the next mark, the last one until the
 * step's end. */
static cm_status add_step(collector *c, int step, int64_t end_ns, cm_error *error) {
    cm_profile *profile = c->profile;
    for (int t = 0; t < profile->threads; ++t) {
        const cm_trace_thread *thread = &profile->trace->thread[t];
        if (thread->full) {
            return trace_full(thread, t, error);
        }
        for (size_t i = 0; i < thread->count; ++i) {
            const cm_trace_mark *mark = &thread->marks[i];
            const int64_t until = i + 1 < thread->count ? thread->marks[i + 1].ns : end_ns;
            const double ns = (double)(until - mark->ns);
            cm_profile_row *row = row_at(c, mark->task, mark->phase);
            if (row == NULL) {
                return profile_out_of_memory(error);
            }
            const size_t index = (size_t)(row - profile->rows);
            row->samples[step] += ns * 1e-9 / profile->threads;
            row->calls += 1.0 / profile->threads;
            c->by_thread[index * (size_t)profile->threads + (size_t)t] += ns;
        }
    }
    return CM_OK;
}

/* ---- Steps ---- */

typedef struct driver {
    cm_model *model;
    cm_mode mode;
    cm_stream *stream;
    int batch;
    float *images;
    uint8_t *labels;
} driver;

/* One step as the trainer does it; returns the seconds of reading its data. */
static double run_step(driver *d) {
    const cm_optimizer adam = cm_optimizer_default();
    const int64_t start = cm_clock_ns();
    cm_stream_next(d->stream, d->images, d->labels);
    const int64_t read = cm_clock_ns();
    if (d->mode == CM_MODE_TRAIN) {
        cm_model_train_step(d->model, d->batch, d->images, d->labels, &adam, 0);
    } else {
        cm_model_evaluate(d->model, d->batch, d->images, d->labels);
    }
    return (double)(read - start) * 1e-9;
}

/* Adds to the profile what the counters counted since `before`. */
static bool add_counts(const cm_counters *counters, const double before[CM_COUNTER_COUNT],
                       cm_profile *profile) {
    double now[CM_COUNTER_COUNT];
    const bool read = cm_counters_read(counters, now);
    for (int i = 0; read && i < CM_COUNTER_COUNT; ++i) {
        profile->counts[i] += (now[i] - before[i]) / profile->steps;
    }
    return read;
}

/* Traced and untraced steps in turn, so that drift is the same for both. */
static cm_status run_steps(driver *d, collector *c, const cm_counters *counters,
                           const volatile sig_atomic_t *stop, cm_error *error) {
    cm_profile *profile = c->profile;
    double before[CM_COUNTER_COUNT];
    for (int i = 0; i < CM_PROFILE_WARM_UP; ++i) {
        run_step(d);
    }
    for (int step = 0; step < profile->steps; ++step) {
        if (stop != NULL && *stop) {
            return cm_fail(error, CM_INTERRUPTED,
                           "interrupted after %d of %d steps; nothing is "
                           "written",
                           step, profile->steps);
        }
        int64_t start = cm_clock_ns();
        run_step(d);
        profile->untraced[step] = (double)(cm_clock_ns() - start) * 1e-9;
        cm_trace_clear(profile->trace);
        cm_model_set_trace(d->model, profile->trace);
        profile->counted = profile->counted && cm_counters_read(counters, before);
        start = cm_clock_ns();
        profile->data[step] = run_step(d);
        const int64_t end = cm_clock_ns();
        cm_model_set_trace(d->model, NULL);
        profile->counted = profile->counted && add_counts(counters, before, profile);
        profile->wall[step] = (double)(end - start) * 1e-9;
        profile->trace_start_ns = start;
        profile->trace_end_ns = end;
        const cm_status status = add_step(c, step, end, error);
        if (status != CM_OK) {
            return status;
        }
    }
    return CM_OK;
}

/* ---- Judging ---- */

static double mean_of(const double *values, int n) {
    double sum = 0.0;
    for (int i = 0; i < n; ++i) {
        sum += values[i];
    }
    return n > 0 ? sum / n : 0.0;
}

/* The nearest memory that holds these arrays: of a cache the parts of all threads together. */
static const cm_level *level_of(const cm_capability *capability, double bytes) {
    for (int i = 0; i + 1 < capability->level_count; ++i) {
        const cm_level *level = &capability->levels[i];
        if (bytes <= 2.0 * (double)level->buffer * capability->threads) {
            return level;
        }
    }
    return &capability->levels[capability->level_count - 1];
}

static void judge_part(const cm_profile *profile, cm_profile_row *row) {
    const cm_capability *capability = &profile->capability;
    const double peak = capability->flops[cm_model_isa(profile->model)];
    row->work = cm_work_of(profile->plan, row->pass, row->stage, row->phase, profile->batch);
    row->peak_share = row->bandwidth_share = NAN;
    row->limit = CM_LIMIT_NONE;
    row->gain = 0.0;
    if (row->phase == CM_PHASE_BARRIER) {
        row->limit = CM_LIMIT_BARRIER;
        row->gain = row->seconds;
        return;
    }
    if (!(row->work.bytes > 0.0) || !(row->seconds > 0.0)) {
        return;
    }
    row->level = level_of(capability, row->work.bytes);
    const double compute = row->work.flops / peak;
    const double memory = row->work.bytes / row->level->bytes_per_second;
    row->peak_share = row->work.flops > 0.0 ? compute / row->seconds : NAN;
    row->bandwidth_share = memory / row->seconds;
    row->limit = compute >= memory ? CM_LIMIT_COMPUTE : CM_LIMIT_MEMORY;
    row->gain = fmax(0.0, row->seconds - fmax(compute, memory));
    /* Where the slowest thread alone explains more than half of what is lost. */
    if (row->imbalance * row->seconds > 0.5 * row->gain && row->imbalance > 0.05) {
        row->limit = CM_LIMIT_IMBALANCE;
    }
}

static int by_time(const void *left, const void *right) {
    const cm_profile_row *a = left, *b = right;
    return (a->seconds < b->seconds) - (a->seconds > b->seconds);
}

/* A rank test of more steps than this tells nothing more. */
enum { COMPARED_STEPS = 1000 };

static cm_status finish(collector *c, cm_error *error) {
    cm_profile *profile = c->profile;
    double explained = mean_of(profile->data, profile->steps);
    for (int i = 0; i < profile->row_count; ++i) {
        cm_profile_row *row = &profile->rows[i];
        double slowest = 0.0, sum = 0.0;
        for (int t = 0; t < profile->threads; ++t) {
            const double ns = c->by_thread[i * profile->threads + t];
            slowest = fmax(slowest, ns);
            sum += ns;
        }
        row->seconds = mean_of(row->samples, profile->steps);
        row->calls /= profile->steps;
        row->imbalance = sum > 0.0 ? slowest * profile->threads / sum - 1.0 : 0.0;
        explained += row->seconds;
        judge_part(profile, row);
    }
    profile->accounted = explained / mean_of(profile->wall, profile->steps);
    qsort(profile->rows, (size_t)profile->row_count, sizeof *profile->rows, by_time);
    const int n = profile->steps < COMPARED_STEPS ? profile->steps : COMPARED_STEPS;
    return cm_sample_ratio(profile->untraced, n, profile->wall, n, CM_RESULTS_LEVEL,
                           &profile->traced, error);
}

/* ---- All of it ---- */

static cm_status prepare_profile(driver *d, collector *c, const cm_profile_args *args,
                                 cm_error *error) {
    cm_profile *profile = c->profile;
    const cm_images *images = &args->dataset->train;
    const size_t steps = (size_t)profile->steps;
    c->stages = profile->plan->stage_count;
    const size_t dense = dense_count(c);
    c->row_of = malloc(dense * sizeof *c->row_of);
    c->by_thread = calloc(dense * (size_t)profile->threads, sizeof *c->by_thread);
    profile->rows = calloc(dense, sizeof *profile->rows);
    profile->wall = calloc(steps, sizeof(double));
    profile->untraced = calloc(steps, sizeof(double));
    profile->data = calloc(steps, sizeof(double));
    profile->trace =
        cm_trace_create(profile->threads, args->max_marks > 0 ? args->max_marks : DEFAULT_MARKS);
    d->images = malloc((size_t)d->batch * cm_images_size(images) * sizeof *d->images);
    d->labels = malloc((size_t)d->batch);
    if (c->row_of == NULL || c->by_thread == NULL || profile->rows == NULL ||
        profile->wall == NULL || profile->untraced == NULL || profile->data == NULL ||
        profile->trace == NULL || d->images == NULL || d->labels == NULL) {
        return profile_out_of_memory(error);
    }
    for (size_t i = 0; i < dense; ++i) {
        c->row_of[i] = -1;
    }
    return cm_stream_create(images, d->batch, true, 0, CM_RANDOM_TRAIN_ORDER, &d->stream, error);
}

cm_status cm_profile_make(const cm_profile_args *args, const volatile sig_atomic_t *stop,
                          cm_profile *profile, cm_error *error) {
    cm_model *model = args->model;
    *profile = (cm_profile){.model = model,
                            .plan = cm_model_plan(model, args->mode == CM_MODE_TRAIN),
                            .mode = args->mode,
                            .threads = cm_model_threads(model),
                            .batch = args->batch,
                            .steps = args->steps};
    cm_clock_utc(profile->started);
    driver d = {.model = model, .mode = args->mode, .batch = args->batch};
    collector c = {.profile = profile};
    cm_status status = cm_capability_measure(args->topology, profile->threads, cm_model_isa(model),
                                             &profile->capability, error);
    if (status == CM_OK) {
        status = prepare_profile(&d, &c, args, error);
    }
    if (status == CM_OK) {
        cm_counters counters;
        cm_counters_open(&counters, profile->threads, args->counters);
        profile->counted = counters.available;
        snprintf(profile->no_counters, sizeof profile->no_counters, "%s", counters.reason);
        status = run_steps(&d, &c, &counters, stop, error);
        cm_counters_close(&counters);
    }
    if (status == CM_OK) {
        status = finish(&c, error);
    }
    cm_stream_free(d.stream);
    free(d.images);
    free(d.labels);
    free(c.row_of);
    free(c.by_thread);
    return status;
}

void cm_profile_free(cm_profile *profile) {
    for (int i = 0; i < profile->row_count; ++i) {
        free(profile->rows[i].samples);
    }
    free(profile->rows);
    free(profile->wall);
    free(profile->untraced);
    free(profile->data);
    cm_trace_free(profile->trace);
    *profile = (cm_profile){.row_count = 0};
}

void cm_profile_overhead(const cm_profile *profile, double *overhead, double *low, double *high) {
    *overhead = profile->traced.ratio - 1.0;
    *low = profile->traced.interval.low - 1.0;
    *high = profile->traced.interval.high - 1.0;
}

/* ---- Names ---- */

const char *cm_pass_name(cm_pass pass) {
    static const char *const names[CM_PASS_COUNT] = {"forward", "backward", "loss", "update",
                                                     "prepare"};
    return names[pass];
}

const char *cm_phase_name(cm_phase phase) {
    static const char *const names[CM_PHASE_COUNT] = {
#define PHASE_NAME(name, text) text,
        CM_PHASE_LIST(PHASE_NAME)
#undef PHASE_NAME
    };
    return names[phase];
}

const char *cm_limit_name(const cm_profile_row *row) {
    static const char *const names[] = {[CM_LIMIT_NONE] = "-",
                                        [CM_LIMIT_COMPUTE] = "compute",
                                        [CM_LIMIT_MEMORY] = "memory",
                                        [CM_LIMIT_IMBALANCE] = "imbalance",
                                        [CM_LIMIT_BARRIER] = "waiting"};
    return row->limit == CM_LIMIT_MEMORY && row->level != NULL ? row->level->name
                                                               : names[row->limit];
}

void cm_profile_layer(const cm_profile *profile, const cm_profile_row *row, char *text,
                      size_t size) {
    static const char *const kinds[] = {[CM_STAGE_CONV2D] = "conv2d",
                                        [CM_STAGE_BATCH_NORM] = "batch_norm",
                                        [CM_STAGE_MAX_POOL2D] = "max_pool2d",
                                        [CM_STAGE_CONV2D_MAX_POOL2D] = "conv2d+pool",
                                        [CM_STAGE_RELU] = "relu",
                                        [CM_STAGE_DROPOUT] = "dropout"};
    if (row->pass == CM_PASS_LOSS || row->pass == CM_PASS_UPDATE) {
        snprintf(text, size, "%s", row->pass == CM_PASS_LOSS ? "loss" : "adam");
        return;
    }
    const cm_network *network = cm_model_network(profile->model);
    const cm_stage *stage = &profile->plan->stages[row->stage];
    const cm_layer *layer = &network->layers[stage->layer];
    snprintf(text, size, "%s %s", layer->name,
             layer->kind == CM_LAYER_LINEAR ? "linear" : kinds[stage->kind]);
}
