/* Making the report, with a trainer that answers at once: order of runs, files, resuming, bad
 * input. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "core/files/atomic_file.h"
#include "core/files/json.h"
#include "harness/studies/report/report_cells.h"
#include "support/fake_trainer.h"

static char folder[64], json_path[128], markdown_path[128];

static int setup(void **state) {
    (void)state;
    fake_reset();
    strcpy(folder, "/tmp/convmark-report-XXXXXX");
    snprintf(json_path, sizeof json_path, "%s/report.json",
             mkdtemp(folder) != NULL ? folder : "/dev/null");
    snprintf(markdown_path, sizeof markdown_path, "%s/report.md", folder);
    return 0;
}

static int teardown(void **state) {
    (void)state;
    remove(json_path);
    remove(markdown_path);
    return rmdir(folder); /* fails when something else was left in it */
}

static cm_report_options two_variants(void) {
    static const char *const variants[] = {"baseline", "bn-8"};
    cm_report_options options = cm_report_options_default();
    options.variants = variants;
    options.variant_count = 2;
    options.seeds = 3;
    options.study.output = folder;
    options.run = fake_train;
    return options;
}

/* A report that must fail with `status` before anything is trained, its message having `words`. */
static void assert_refused(const cm_report_options *options, cm_status status, const char *words) {
    cm_report report;
    cm_error error = {""};
    const int calls = trainer.calls;
    assert_int_equal(cm_report_make(options, &dataset, NULL, &report, &error), status);
    if (strstr(error.message, words) == NULL) {
        fail_msg("'%s' is not in: %s", words, error.message);
    }
    assert_int_equal(trainer.calls, calls);
    cm_report_free(&report);
}

static cm_status make(const cm_report_options *options, cm_error *error) {
    cm_report report;
    const cm_status status = cm_report_make(options, &dataset, NULL, &report, error);
    cm_report_free(&report);
    return status;
}

static json_t *load_json(void) {
    json_t *json = NULL;
    cm_error error = {""};
    if (cm_json_load(json_path, 1 << 24, &json, &error) != CM_OK) {
        fail_msg("%s", error.message);
    }
    return json;
}

static void save_json(const json_t *json) {
    assert_int_equal(cm_json_write(json_path, json, NULL), CM_OK);
}

/* report.json's variants[v].seeds[s]. */
static json_t *json_run(const json_t *json, size_t v, size_t s) {
    const json_t *variant = json_array_get(json_object_get(json, "variants"), v);
    return json_array_get(json_object_get(variant, "seeds"), s);
}

/* ---- Making it ---- */

typedef struct seen {
    const cm_report *report;
    int steps, runs, last_run;
    double first_eta, last_eta;
} seen;

static void watch(const cm_study_progress *progress, void *context) {
    seen *all = context;
    assert_int_equal(progress->all, 6);
    if (progress->train != NULL) {
        if (all->steps++ == 0) {
            all->first_eta = progress->eta_seconds;
        }
        return;
    }
    const cm_report_place at = cm_report_place_of(all->report, progress->run);
    assert_int_equal(at.seed, progress->run / 2);
    assert_int_equal(at.run->done, progress->advanced);
    assert_non_null(strstr(progress->doing, at.variant->network->name));
    if (!progress->advanced) { /* the beginning of a run */
        return;
    }
    all->last_run = progress->done;
    all->last_eta = progress->eta_seconds;
    ++all->runs;
}

static void test_order_and_progress(void **state) {
    (void)state;
    const cm_report_options options = two_variants();
    cm_report report;
    seen all = {.report = &report};
    const cm_study_control control = {.observer = watch, .context = &all};
    assert_int_equal(cm_report_make(&options, &dataset, &control, &report, NULL), CM_OK);
    assert_string_equal(trainer.order, "baseline/0 bn-8/0 baseline/1 bn-8/1 baseline/2 bn-8/2");
    assert_true(report.study.complete && cm_report_run_count(&report) == 6);
    assert_true(all.steps == 6 && all.runs == 6 && all.last_run == 6);
    /* 2 s of the first run, and the others by their multiply-accumulates: the sum is more. */
    assert_true(all.first_eta > 3 * 2 && all.first_eta < 3 * 2 * 20);
    assert_true(all.last_eta == 0);
    cm_report_free(&report);
}

static void test_files(void **state) {
    (void)state;
    const cm_report_options options = two_variants();
    assert_int_equal(make(&options, NULL), CM_OK);
    json_t *json = load_json();
    assert_true(json_is_true(json_object_get(json, "complete")));
    const json_t *bn8 = json_array_get(json_object_get(json, "variants"), 1);
    assert_string_equal(json_string_value(json_object_get(bn8, "id")), "bn-8");
    assert_int_equal(json_integer_value(json_object_get(bn8, "params")), 1054218);
    assert_int_equal(json_array_size(json_object_get(bn8, "seeds")), 3);
    const json_t *run = json_run(json, 1, 2);
    char hash[65];
    cm_sha256_buffer("bn-8/2", 6, hash);
    assert_string_equal(json_string_value(json_object_get(run, "sha256")), hash);
    assert_int_equal(json_integer_value(json_object_get(run, "seed")), 2);
    const double *golden = NULL;
    for (size_t i = 0; i < COUNT(golden_variants); ++i) {
        if (strcmp(golden_variants[i].variant, "bn-8") == 0) {
            golden = &golden_variants[i].values[0][0];
        }
    }
    static const char *const keys[] = {"train_loss", "test_loss", "accuracy"};
    for (int m = 0; m < 3; ++m) { /* to the last bit, through the file */
        assert_true(json_real_value(json_object_get(run, keys[m])) == golden[m * GOLDEN_SEEDS + 2]);
    }
    assert_int_equal(json_array_size(json_object_get(run, "epochs")), 3);
    assert_int_equal(json_array_size(json_object_get(json, "claims")), 5);
    json_decref(json);

    char *markdown = NULL;
    assert_int_equal(cm_file_read(markdown_path, 1 << 20, &markdown, NULL, NULL), CM_OK);
    assert_non_null(strstr(markdown, hash));
    assert_non_null(strstr(markdown, "1,054,218\\*"));
    assert_non_null(strstr(markdown, "The report prints 1,052,170 parameters for bn-8"));
    free(markdown);
}

static void test_interrupt_and_resume(void **state) {
    (void)state;
    const cm_report_options options = two_variants();
    trainer.end_at = 3;
    trainer.end = CM_INTERRUPTED;
    assert_int_equal(make(&options, NULL), CM_INTERRUPTED);
    json_t *json = load_json();
    assert_true(json_is_false(json_object_get(json, "complete")));
    assert_null(json_run(json, 1, 1)); /* the run that was interrupted is not there */
    assert_non_null(json_run(json, 0, 1));
    json_decref(json);
    assert_int_equal(access(markdown_path, R_OK), 0);

    trainer.order[0] = '\0';
    trainer.end_at = -1;
    cm_report report;
    assert_int_equal(cm_report_make(&options, &dataset, NULL, &report, NULL), CM_OK);
    assert_string_equal(trainer.order, "bn-8/1 baseline/2 bn-8/2");
    char *resumed = cm_report_text(&report);
    cm_report_free(&report);

    cm_report_options whole = options;
    whole.study.output = NULL;
    assert_int_equal(cm_report_make(&whole, &dataset, NULL, &report, NULL), CM_OK);
    char *at_once = cm_report_text(&report);
    assert_string_equal(resumed, at_once);
    free(resumed);
    free(at_once);
    cm_report_free(&report);

    /* A finished report is shown again without training, and can be resumed with more seeds. */
    cm_report_options more = options;
    trainer.order[0] = '\0';
    assert_int_equal(make(&more, NULL), CM_OK);
    assert_string_equal(trainer.order, "");
    more.seeds = 4;
    assert_int_equal(make(&more, NULL), CM_OK);
    assert_string_equal(trainer.order, "baseline/3 bn-8/3");
}

/* Interrupted before a run is finished: nothing is written. */
static void test_interrupt_at_once(void **state) {
    (void)state;
    const cm_report_options options = two_variants();
    const volatile sig_atomic_t stop = 1;
    const cm_study_control control = {.stop = &stop};
    cm_report report;
    assert_int_equal(cm_report_make(&options, &dataset, &control, &report, NULL), CM_INTERRUPTED);
    cm_report_free(&report);
    assert_int_equal(trainer.calls, 0);
    assert_int_not_equal(access(json_path, F_OK), 0);
    assert_int_not_equal(access(markdown_path, F_OK), 0);
}

/* A run that fails ends the report; those before it are kept. */
static void test_failed_run(void **state) {
    (void)state;
    const cm_report_options options = two_variants();
    trainer.end_at = 3;
    trainer.end = CM_FAILED;
    cm_error error = {""};
    assert_int_equal(make(&options, &error), CM_FAILED);
    assert_string_equal(error.message, "bn-8, seed 1: epoch 2, step 5: the loss is not finite");
    json_t *json = load_json();
    assert_non_null(json_run(json, 0, 1));
    assert_null(json_run(json, 1, 1));
    json_decref(json);
}

static void test_resume_refused(void **state) {
    (void)state;
    const cm_report_options options = two_variants();
    assert_int_equal(make(&options, NULL), CM_OK);

    cm_report_options other = options;
    other.train.steps = 99;
    assert_refused(&other, CM_BAD_INPUT, "\"steps\" differs");
    other = options;
    other.train.optimizer.learning_rate *= 1 + 1e-15; /* the last digits count */
    assert_refused(&other, CM_BAD_INPUT, "differs");
    other = options;
    other.seeds = 2; /* would lose a seed */
    assert_refused(&other, CM_BAD_INPUT, "with seed 2");
    other = options;
    other.variant_count = 1; /* would lose a variant */
    assert_refused(&other, CM_BAD_INPUT, "bn-8, which is not asked for");
    pixels[0] = 1;
    assert_refused(&options, CM_BAD_INPUT, "other data");
    pixels[0] = 0;

    other = options;
    other.train.steps = 99;
    other.study.restart = true;
    trainer.calls = 0;
    assert_int_equal(make(&other, NULL), CM_OK);
    assert_int_equal(trainer.calls, 6);
}

/* Changes one thing in report.json at a time; each must be found, and --restart must not mind. */
static void test_damaged_json(void **state) {
    (void)state;
    cm_report_options options = two_variants();
    assert_int_equal(make(&options, NULL), CM_OK);
    json_t *good = load_json();
    static const struct {
        const char *key;
        const char *value; /* JSON */
        const char *words;
    } damages[] = {
        {"seed", "-1", "a run is missing or damaged"},
        {"seed", "1.5", "a run is missing or damaged"},
        {"seed", "2", "seed is there twice"},
        {"seed", "4000000000", "a run is missing or damaged"},
        {"accuracy", "\"high\"", "a run is missing or damaged"},
        {"sha256", "\"0123\"", "a run is missing or damaged"},
        {"sha256", "7", "a run is missing or damaged"},
        {"isa", "\"an instruction set with a long name\"", "a run is missing or damaged"},
        {"threads", "0", "a run is missing or damaged"},
        {"epochs", "{}", "a run is missing or damaged"},
        {"epochs", "[{}, {}, {}]", "an epoch of a run"},
        {"epochs", "[{}, {}, {}, {}]", "a run is missing or damaged"},
    };
    for (size_t i = 0; i < COUNT(damages); ++i) {
        json_t *bad = json_deep_copy(good);
        json_object_set_new(json_run(bad, 1, 1), damages[i].key,
                            json_loads(damages[i].value, JSON_DECODE_ANY, NULL));
        save_json(bad);
        json_decref(bad);
        assert_refused(&options, CM_BAD_INPUT, damages[i].words);
    }
    static const struct {
        const char *key, *words;
    } sections[] = {{"kind", "not a report"},          {"schema_version", "not a report"},
                    {"variants", "not a report"},      {"program", "program is missing"},
                    {"options", "options is missing"}, {"data", "data is missing"}};
    for (size_t i = 0; i < COUNT(sections); ++i) {
        json_t *bad = json_deep_copy(good);
        json_object_del(bad, sections[i].key);
        save_json(bad);
        json_decref(bad);
        assert_refused(&options, CM_BAD_INPUT, sections[i].words);
    }
    json_t *other = json_deep_copy(good);
    json_object_set_new(json_object_get(other, "program"), "numeric_contract", json_integer(999));
    save_json(other);
    assert_refused(&options, CM_BAD_INPUT, "\"numeric_contract\" differs");
    json_decref(other);
    json_decref(good);

    assert_int_equal(cm_file_write(json_path, "{\"kind\"", 7, NULL), CM_OK);
    assert_refused(&options, CM_BAD_INPUT, "not valid JSON");
    options.study.restart = true;
    assert_int_equal(make(&options, NULL), CM_OK);
}

static void test_wrong_use(void **state) {
    (void)state;
    cm_report_options options = two_variants();
    options.seeds = 0;
    assert_refused(&options, CM_USAGE, "seeds: ");
    options.seeds = CM_STUDY_MAX_SEEDS + 1;
    assert_refused(&options, CM_USAGE, "seeds: ");

    options = two_variants();
    static const char *const unknown[] = {"baseline", "bn-4"};
    options.variants = unknown;
    assert_refused(&options, CM_USAGE, "bn-");
    static const char *const repeated[] = {"bn-3", "bn-3"};
    options.variants = repeated;
    assert_refused(&options, CM_USAGE, "'bn-3' is there twice");
    options.variant_count = 0;
    assert_refused(&options, CM_USAGE, "variants: 0 of them");

    options = two_variants();
    char below_file[160];
    assert_int_equal(cm_file_write(json_path, "x", 1, NULL), CM_OK);
    snprintf(below_file, sizeof below_file, "%s/under", json_path);
    options.study.output = below_file;
    assert_refused(&options, CM_USAGE, below_file);
}

/* A user's own network is trained and shown, without published figures. */
static void test_own_network(void **state) {
    (void)state;
    char path[128];
    snprintf(path, sizeof path, "%s/mine.txt", folder);
    static const char text[] = "input 1 28 28\nflatten\nlinear 10\n";
    assert_int_equal(cm_file_write(path, text, sizeof text - 1, NULL), CM_OK);
    cm_report_options options = two_variants();
    const char *variants[] = {path, "baseline"};
    options.variants = variants;
    assert_int_equal(make(&options, NULL), CM_OK);
    cm_report report;
    assert_int_equal(cm_report_make(&options, &dataset, NULL, &report, NULL), CM_OK);
    const cm_report_variant *mine = cm_report_find(&report, "mine");
    assert_non_null(mine);
    assert_null(mine->published);
    assert_int_equal(mine->params, 7850);
    const cm_report_row row = cm_report_row_of(&report, mine, CM_MEASURE_ACCURACY);
    assert_string_equal(cm_format_inside(&row), "-");
    cm_report_free(&report);

    /* The same name with other layers is another network: its runs are not taken over. */
    static const char wider[] = "input 1 28 28\nflatten\nlinear 20\nrelu\nlinear 10\n";
    assert_int_equal(cm_file_write(path, wider, sizeof wider - 1, NULL), CM_OK);
    assert_refused(&options, CM_BAD_INPUT, "mine has other layers");
    static const char other[] = "input 1 32 28\nflatten\nlinear 10\n";
    assert_int_equal(cm_file_write(path, other, sizeof other - 1, NULL), CM_OK);
    assert_refused(&options, CM_USAGE, "takes 1x32x28");
    remove(path);
}

#define TEST(name) cmocka_unit_test_setup_teardown(test_##name, setup, teardown)

int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(order_and_progress), TEST(files),      TEST(interrupt_and_resume),
        TEST(interrupt_at_once),  TEST(failed_run), TEST(resume_refused),
        TEST(damaged_json),       TEST(wrong_use),  TEST(own_network),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
