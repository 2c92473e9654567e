/* The driver of studies, with a study that only keeps a diary: order of the work, resuming,
 * stopping, failures, and the step that a failure belongs to. */
#include "support/temporary.h"

#include "core/files/atomic_file.h"
#include "core/files/json.h"
#include "harness/studies/study_json.h"

enum { CELLS = 2, ROUNDS = 3, RUNS = 2 };

/* ---- A study ---- */

typedef struct diary {
    cm_study study;
    cm_study_settings settings;
    cm_measurements measurements; /* one per cell */
    bool runs[RUNS];
    char text[512];          /* what was done: "open a b a b ... run0 run1 close" */
    const char *failing;     /* the entry that ends with CM_FAILED; NULL: none */
    const char *stopping_at; /* the entry after which `stop` is set */
    volatile sig_atomic_t stop;
} diary;

static cm_dataset dataset = {.name = "test", .source = "", .classes = 10, .real = true};

static cm_status write_entry(diary *d, const char *entry, cm_error *error) {
    const size_t used = strlen(d->text);
    snprintf(d->text + used, sizeof d->text - used, "%s%s", used > 0 ? " " : "", entry);
    d->stop = d->stop || (d->stopping_at != NULL && strcmp(entry, d->stopping_at) == 0);
    return d->failing != NULL && strcmp(entry, d->failing) == 0
               ? cm_fail(error, CM_FAILED, "%s failed", entry)
               : CM_OK;
}

static cm_status plan_diary(void *self, cm_error *error) {
    diary *d = self;
    d->measurements.items = calloc(CELLS, sizeof *d->measurements.items);
    assert_non_null(d->measurements.items);
    d->measurements.count = CELLS;
    for (int i = 0; i < CELLS; ++i) {
        assert_true(cm_measurement_plan_throughput(&d->measurements.items[i], "train",
                                                   i == 0 ? "a" : "b", 1, 1, "scalar", ROUNDS));
    }
    return write_entry(d, "plan", error);
}

static json_t *diary_to_json(const void *self, cm_error *error) {
    const diary *d = self;
    json_t *o = json_object();
    assert_true(cm_study_set_head(o, "diary", &d->study, error));
    assert_true(
        cm_json_set(o, "measurements", cm_study_measurements_json(&d->measurements, error), error));
    assert_true(cm_json_set(o, "runs", json_pack("[b, b]", d->runs[0], d->runs[1]), error));
    return o;
}

static cm_status diary_take_json(void *self, const json_t *earlier, const char *file,
                                 cm_error *error) {
    diary *d = self;
    const json_t *runs = json_object_get(earlier, "runs");
    if (json_array_size(runs) != RUNS) {
        return cm_study_refuse(file, "\"runs\" is damaged", error);
    }
    for (size_t i = 0; i < RUNS; ++i) {
        d->runs[i] = json_is_true(json_array_get(runs, i));
    }
    return cm_study_resume_measurements(&d->measurements, ROUNDS,
                                        json_object_get(earlier, "measurements"), file, error);
}

static char *diary_text(const void *self) {
    return strdup(((const diary *)self)->text);
}

static cm_status open_diary(void *self, cm_error *error) {
    return write_entry(self, "open", error);
}

static void close_diary(void *self) {
    write_entry(self, "close", NULL);
}

static cm_status open_diary_rounds(void *self, cm_error *error) {
    return write_entry(self, "(", error);
}

static void close_diary_rounds(void *self) {
    write_entry(self, ")", NULL);
}

static cm_rounds diary_rounds(const void *self) {
    diary *d = (diary *)(uintptr_t)self;
    return (cm_rounds){
        .measurements = &d->measurements, .cells = CELLS, .rounds = ROUNDS, .seconds = 1};
}

static cm_status measure_diary(void *self, int cell, cm_error *error) {
    diary *d = self;
    cm_measurement *m = &d->measurements.items[cell];
    const cm_status status = write_entry(d, "cell", error);
    if (status == CM_OK) {
        assert_true(m->n < ROUNDS);
        m->samples[m->n++] = 1 + cell;
    }
    return status;
}

static int diary_run_count(const void *self) {
    (void)self;
    return RUNS;
}

static cm_study_task diary_run_at(const void *self, int run) {
    cm_study_task task = {.done = ((const diary *)self)->runs[run], .amount = 10};
    snprintf(task.doing, sizeof task.doing, "run%d", run);
    return task;
}

static cm_status do_diary_run(void *self, int run, const cm_study_train_hooks *hooks,
                              cm_error *error) {
    diary *d = self;
    const cm_train_progress step = {.eta_seconds = 1};
    hooks->observer(&step, NULL, hooks->observer_context);
    const cm_status status = write_entry(d, run == 0 ? "run0" : "run1", error);
    d->runs[run] = status == CM_OK;
    return status;
}

static cm_status check_diary_run(const void *self, int run, cm_error *error) {
    return write_entry((diary *)(uintptr_t)self, run == 0 ? "check0" : "check1", error);
}

static const cm_study_kind diary_kind = {
    .name = "diary",
    .plan = plan_diary,
    .to_json = diary_to_json,
    .take_json = diary_take_json,
    .tables = {{".md", diary_text}},
    .open = open_diary,
    .close = close_diary,
    .rounds = diary_rounds,
    .open_rounds = open_diary_rounds,
    .close_rounds = close_diary_rounds,
    .measure = measure_diary,
    .run_count = diary_run_count,
    .run_at = diary_run_at,
    .train = do_diary_run,
    .check_run = check_diary_run,
};

/* ---- Calls ---- */

static int last_done, last_all, steps;

static void watch_diary(const cm_study_progress *progress, void *context) {
    (void)context;
    assert_true(progress->done >= last_done && progress->done <= progress->all);
    steps += progress->train != NULL;
    last_done = progress->done;
    last_all = progress->all;
}

/* Makes the study; free_diary() it. */
static cm_status make_diary(diary *d, const cm_study_kind *kind, cm_error *error) {
    static char folder[TEMPORARY_PATH_SIZE];
    snprintf(folder, sizeof folder, "%s", temporary_path("out"));
    d->study.dataset = &dataset;
    if (d->settings.output == NULL) {
        d->settings.output = folder;
    }
    const cm_study_call call = {
        .kind = kind, .self = d, .study = &d->study, .options = &d->settings, .accuracy = true};
    const cm_study_control control = {.observer = watch_diary, .stop = &d->stop};
    last_done = steps = 0;
    return cm_study_make(&call, &control, error);
}

static void free_diary(diary *d) {
    cm_measurements_free(&d->measurements);
    cm_study_free(&d->study);
    remove(temporary_path("out/diary.json"));
    remove(temporary_path("out/diary.md"));
}

/* Frees the study and keeps its files, for another call. */
static void close_first_call(diary *d) {
    cm_measurements_free(&d->measurements);
    cm_study_free(&d->study);
}

static json_t *load_diary(void) {
    json_t *json = NULL;
    cm_error error = {""};
    if (cm_json_load(temporary_path("out/diary.json"), 1 << 20, &json, &error) != CM_OK) {
        fail_msg("%s", error.message);
    }
    return json;
}

#define ALL_ROUNDS "( cell cell cell cell cell cell )"

static void test_order(void **state) {
    (void)state;
    static diary d;
    d = (diary){.stop = 0};
    assert_int_equal(make_diary(&d, &diary_kind, NULL), CM_OK);
    assert_string_equal(d.text, "plan open " ALL_ROUNDS " run0 check0 run1 check1 close");
    assert_true(d.study.complete);
    assert_int_equal(d.study.step, CM_STUDY_WORK);
    assert_true(last_done == CELLS * ROUNDS + RUNS && last_all == last_done && steps == RUNS);
    json_t *json = load_diary();
    assert_true(json_is_true(json_object_get(json, "complete")));
    json_decref(json);
    assert_int_equal(access(temporary_path("out/diary.md"), R_OK), 0);
    free_diary(&d);
}

static void test_without_rounds(void **state) {
    (void)state;
    static diary d;
    d = (diary){.stop = 0};
    cm_study_kind kind = diary_kind;
    kind.rounds = NULL;
    kind.open = NULL;
    kind.close = NULL;
    kind.check_run = NULL;
    assert_int_equal(make_diary(&d, &kind, NULL), CM_OK);
    assert_string_equal(d.text, "plan run0 run1");
    free_diary(&d);
}

/* Where it stops, what is then in the file, and what the next call does. */
static void test_stopping_and_resuming(void **state) {
    (void)state;
    static const struct {
        const char *stopping_at, *first, *second;
        int rounds, runs;
    } rows[] = {
        {"plan", "plan open ( ) close", "plan open " ALL_ROUNDS " run0 check0 run1 check1 close", 0,
         0},
        /* The first sample of a round that is not finished is dropped. */
        {"cell", "plan open ( cell ) close",
         "plan open " ALL_ROUNDS " run0 check0 run1 check1 close", 0, 0},
        {")", "plan open " ALL_ROUNDS " close", "plan open ( ) run0 check0 run1 check1 close",
         ROUNDS, 0},
        {"run0", "plan open " ALL_ROUNDS " run0 check0 close",
         "plan open ( ) check0 run1 check1 close", ROUNDS, 1},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; ++i) {
        static diary d;
        d = (diary){.stopping_at = rows[i].stopping_at};
        assert_int_equal(make_diary(&d, &diary_kind, NULL), CM_INTERRUPTED);
        assert_string_equal(d.text, rows[i].first);
        assert_false(d.study.complete);
        for (int cell = 0; cell < CELLS; ++cell) {
            assert_int_equal(d.measurements.items[cell].n, rows[i].rounds);
        }
        const bool kept = rows[i].rounds > 0;
        assert_int_equal(access(temporary_path("out/diary.json"), R_OK) == 0, kept);
        assert_int_not_equal(access(temporary_path("out/diary.md"), R_OK), 0);
        if (kept) {
            json_t *json = load_diary();
            assert_true(json_is_false(json_object_get(json, "complete")));
            assert_int_equal(json_is_true(json_array_get(json_object_get(json, "runs"), 0)),
                             rows[i].runs);
            json_decref(json);
        }
        close_first_call(&d);

        d = (diary){.stop = 0};
        assert_int_equal(make_diary(&d, &diary_kind, NULL), CM_OK);
        assert_string_equal(d.text, rows[i].second);
        assert_true(d.study.complete);
        free_diary(&d);
    }
}

static void test_tables_of_an_interrupted_study(void **state) {
    (void)state;
    cm_study_kind kind = diary_kind;
    kind.tables_when_interrupted = true;
    static diary d;
    d = (diary){.stopping_at = "run0"};
    assert_int_equal(make_diary(&d, &kind, NULL), CM_INTERRUPTED);
    assert_int_equal(access(temporary_path("out/diary.md"), R_OK), 0);
    free_diary(&d);
    d = (diary){.stopping_at = "plan"}; /* no run is done */
    assert_int_equal(make_diary(&d, &kind, NULL), CM_INTERRUPTED);
    assert_int_not_equal(access(temporary_path("out/diary.md"), R_OK), 0);
    free_diary(&d);
}

/* A failure ends the study; what it opened is closed, and the finished runs are kept. */
static void test_failures(void **state) {
    (void)state;
    static const struct {
        const char *failing, *text;
        cm_study_step step;
    } rows[] = {{"plan", "plan", CM_STUDY_PLAN},
                {"open", "plan open close", CM_STUDY_WORK},
                {"(", "plan open ( ) close", CM_STUDY_WORK},
                {"cell", "plan open ( cell ) close", CM_STUDY_WORK},
                {"run1", "plan open " ALL_ROUNDS " run0 check0 run1 close", CM_STUDY_WORK},
                {"check0", "plan open " ALL_ROUNDS " run0 check0 close", CM_STUDY_WORK}};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; ++i) {
        static diary d;
        cm_error error = {""};
        d = (diary){.failing = rows[i].failing};
        assert_int_equal(make_diary(&d, &diary_kind, &error), CM_FAILED);
        assert_non_null(strstr(error.message, " failed"));
        assert_string_equal(d.text, rows[i].text);
        assert_int_equal(d.study.step, rows[i].step);
        assert_false(d.study.complete);
        assert_int_not_equal(access(temporary_path("out/diary.md"), R_OK), 0);
        free_diary(&d);
    }
}

static void test_refusals(void **state) {
    (void)state;
    static diary d;
    cm_error error = {""};
    dataset.real = false;
    d = (diary){.stop = 0};
    assert_int_equal(make_diary(&d, &diary_kind, &error), CM_USAGE);
    assert_string_equal(d.text, "");
    assert_int_equal(d.study.step, CM_STUDY_DATA);
    d.settings.allow_synthetic = true;
    assert_int_equal(make_diary(&d, &diary_kind, &error), CM_OK);
    dataset.real = true;
    close_first_call(&d);

    assert_int_equal(cm_file_write(temporary_path("out/diary.json"), "{}", 2, NULL), CM_OK);
    d = (diary){.stop = 0};
    assert_int_equal(make_diary(&d, &diary_kind, &error), CM_BAD_INPUT);
    assert_int_equal(d.study.step, CM_STUDY_RESUME);
    assert_non_null(strstr(error.message, "out/diary.json: \"runs\" is damaged"));
    close_first_call(&d);
    d = (diary){.settings = {.restart = true}};
    assert_int_equal(make_diary(&d, &diary_kind, &error), CM_OK);
    free_diary(&d);

    d = (diary){.settings = {.output = "/nonexistent/out"}};
    assert_int_equal(make_diary(&d, &diary_kind, &error), CM_USAGE);
    assert_int_equal(d.study.step, CM_STUDY_FOLDER);
    free_diary(&d);
}

static void test_lists(void **state) {
    (void)state;
    static const struct {
        int values[2], limit;
        const char *message; /* NULL: accepted */
    } rows[] = {{{1, 9}, 9, NULL},
                {{0, 1}, 9, "width: 0 is not accepted; give 1 to 9!"},
                {{1, 10}, 9, "width: 10 is not accepted; give 1 to 9!"},
                {{3, 3}, 9, "width: 3 is there twice; name each one once"}};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; ++i) {
        cm_error error = {""};
        const cm_status status =
            cm_study_check_list("width", rows[i].values, 2, rows[i].limit, "!", &error);
        assert_int_equal(status, rows[i].message == NULL ? CM_OK : CM_USAGE);
        assert_string_equal(error.message, rows[i].message == NULL ? "" : rows[i].message);
    }
}

/* Every round has all cells, in an order that the seed and the round decide. */
static void test_orders(void **state) {
    (void)state;
    enum { MANY = 9 };
    cm_rounds rounds = {.cells = MANY, .seed = 1};
    int first[MANY], again[MANY], other[MANY];
    cm_rounds_order(&rounds, 0, first);
    cm_rounds_order(&rounds, 0, again);
    assert_memory_equal(first, again, sizeof first);
    cm_rounds_order(&rounds, 1, other);
    assert_memory_not_equal(first, other, sizeof first);
    rounds.seed = 2;
    cm_rounds_order(&rounds, 0, other);
    assert_memory_not_equal(first, other, sizeof first);
    int seen = 0;
    for (int i = 0; i < MANY; ++i) {
        seen |= 1 << other[i];
    }
    assert_int_equal(seen, (1 << MANY) - 1);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_order),
        cmocka_unit_test(test_without_rounds),
        cmocka_unit_test(test_stopping_and_resuming),
        cmocka_unit_test(test_tables_of_an_interrupted_study),
        cmocka_unit_test(test_failures),
        cmocka_unit_test(test_refusals),
        cmocka_unit_test(test_lists),
        cmocka_unit_test(test_orders),
    };
    return cmocka_run_group_tests_name("study", tests, temporary_create, temporary_remove);
}
