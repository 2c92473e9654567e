/* Files of results that compare reads: whose they are, what is refused, and many rows. */
#include "support/temporary.h"

#include "core/files/json.h"
#include "harness/compare/compare.h"
#include "harness/record/train_json.h"

#define MEASUREMENT(name)                                                            \
    "{\"name\": \"" name "\", \"metric\": \"m\", \"unit\": \"s\", \"samples\": [1]," \
    " \"higher_is_better\": false}"

static cm_status open_text(const char *text, cm_results_file *file, cm_error *error) {
    return cm_results_file_open(temporary_write("results.json", text, strlen(text)), file, error);
}

static void test_refuses_what_it_does_not_know(void **state) {
    (void)state;
    static const char *const rows[][2] = {
        {"[]", "not a results file"},
        {"{}", "not a results file"},
        {"{\"kind\": \"sweep\"}", "not a results file"},
        {"{\"schema_version\": 1.0, \"kind\": \"sweep\"}", "not a results file"},
        {"{\"schema_version\": 99, \"kind\": \"sweep\"}", "schema version 99, this program reads"},
        {"{\"schema_version\": 1}", "not a results file"},
        {"{\"schema_version\": 1, \"kind\": 3}", "not a results file"},
        {"{\"schema_version\": 1, \"kind\": \"train\"}", "\"measurements\" is not a list"},
        {"{\"context\": {}, \"benchmarks\": {}}", "not a results file"},
        {"{\"context\": [], \"benchmarks\": []}", "not a results file"},
        {"{\"benchmarks\": []}", "not a results file"},
        {"{\"context\": {}}", "not a results file"},
        {"{\"kind\": NaN}", "not a results file"},
        {"{\"context\": {}, \"benchmarks\": [{\"name\": \"alpha\"}]}", "'alpha'"},
        {"\xEF\xBB\xBF{}", "byte order mark"},
        {"\xFF\xFE{", "UTF-16"},
        {"{\"kind\": ", "not valid JSON"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; ++i) {
        cm_results_file file;
        cm_error error = {""};
        if (open_text(rows[i][0], &file, &error) != CM_BAD_INPUT) {
            fail_msg("read: %s", rows[i][0]);
        }
        assert_message(error.message, "results.json", rows[i][1]);
        cm_results_file_close(&file);
    }
}

/* One damaged row is left out with its name; what did not run has no value. */
static void test_rows_that_are_left_out(void **state) {
    (void)state;
    static const struct {
        const char *text;
        int rows, skipped;
        const char *note;
    } cases[] = {
        {"{\"context\": {}, \"benchmarks\": [3, {\"name\": \"b\", \"real_time\": 1, \"time_unit\": "
         "\"s\"}]}",
         1, 1, "left out"},
        {"{\"context\": {}, \"benchmarks\": [{\"name\": \"alpha\", \"real_time\": NaN, "
         "\"time_unit\": \"s\"}, {\"name\": \"b NaN\", \"real_time\": 1, \"time_unit\": \"s\", "
         "\"misses\": -nan, \"x\": Infinity}]}",
         1, 0, ""},
        {"{\"context\": {}, \"benchmarks\": [{\"name\": \"c\", \"skipped\": true}]}", 0, 0, ""},
        {"{\"schema_version\": 1, \"kind\": \"x\", \"measurements\": [{\"name\": "
         "\"delta\"}, " MEASUREMENT("e") ", " MEASUREMENT("e") "]}",
         1, 2, "'delta'"},
        {"{\"results\": [{\"command\": \"sleep 1\", \"mean\": 1, \"times\": [1, 2, null]}, "
         "{\"command\": \"true\"}]}",
         1, 1, "'true'"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; ++i) {
        cm_results_file file;
        cm_error error = {""};
        if (open_text(cases[i].text, &file, &error) != CM_OK) {
            fail_msg("%s: %s", cases[i].text, error.message);
        }
        assert_int_equal(file.measurements.count, cases[i].rows);
        assert_int_equal(file.skipped.count, cases[i].skipped);
        assert_non_null(strstr(file.skipped.notes[0].message, cases[i].note));
        cm_results_file_close(&file);
    }
}

static void test_long_names_are_names(void **state) {
    (void)state;
    char text[1200], name[600];
    for (int length = 511; length <= 512; ++length) {
        cm_results_file file;
        cm_error error = {""};
        memset(name, 'x', sizeof name);
        name[length] = '\0';
        snprintf(text, sizeof text,
                 "{\"context\": {}, \"benchmarks\": [{\"name\": \"%s\", \"real_time\": 1, "
                 "\"time_unit\": \"us\"}]}",
                 name);
        const cm_status status = open_text(text, &file, &error);
        assert_int_equal(status, length < 512 ? CM_OK : CM_BAD_INPUT);
        cm_results_file_close(&file);
    }
}

/* What convmark-bench writes of its machine counts as the machine of our other files. */
static void test_machines_of_the_bench(void **state) {
    (void)state;
    static const char *const keys[] = {"cpu", "convmark_type", "convmark_compiler",
                                       "convmark_flags"};
    for (size_t i = 0; i < sizeof keys / sizeof *keys; ++i) {
        cm_results_file files[2];
        cm_error error = {""};
        for (int k = 0; k < 2; ++k) {
            char text[300];
            snprintf(text, sizeof text,
                     "{\"context\": {\"%s\": \"%s\"}, \"benchmarks\": [{\"name\": \"a\", "
                     "\"real_time\": 1, \"time_unit\": \"us\"}]}",
                     keys[i], k == 0 ? "left" : "right");
            assert_int_equal(open_text(text, &files[k], &error), CM_OK);
        }
        cm_compare_options options = cm_compare_options_default();
        cm_comparisons result;
        assert_int_equal(cm_compare(&options, files, 2, &result, &error), CM_BAD_INPUT);
        assert_message(error.message, "'left'", "'right'");
        cm_comparisons_free(&result);
        cm_results_file_close(&files[0]);
        cm_results_file_close(&files[1]);
    }
}

static void test_too_many_benchmarks(void **state) {
    (void)state;
    static const char start[] = "{\"context\": {}, \"benchmarks\": [0";
    enum { START = sizeof start - 1 };
    char *text = malloc(START + 2 * CM_MAX_MEASUREMENTS + 3);
    cm_results_file file;
    cm_error error = {""};
    assert_non_null(text);
    memcpy(text, start, START);
    for (int i = 0; i < CM_MAX_MEASUREMENTS; ++i) {
        memcpy(text + START + 2 * i, ",0", 2);
    }
    memcpy(text + START + 2 * CM_MAX_MEASUREMENTS, "]}", 3);
    assert_int_equal(open_text(text, &file, &error), CM_BAD_INPUT);
    assert_message(error.message, "results.json", "more than 100000 benchmarks");
    cm_results_file_close(&file);
    free(text);
}

/* Repetitions of one benchmark are its samples, also when others are between them. */
static void test_benchmarks_become_samples(void **state) {
    (void)state;
    static const char text[] =
        "{\"context\": {}, \"benchmarks\": ["
        "{\"name\": \"a\", \"run_type\": \"iteration\", \"real_time\": 2, \"time_unit\": \"ms\"},"
        "{\"name\": \"b/0\", \"run_name\": \"b\", \"real_time\": 1.5, \"time_unit\": \"s\"},"
        "{\"name\": \"a\", \"run_type\": \"iteration\", \"real_time\": 4, \"time_unit\": \"us\"},"
        "{\"name\": \"a_mean\", \"run_type\": \"aggregate\", \"real_time\": 3},"
        "{\"name\": \"c\", \"error_occurred\": true}]}";
    cm_results_file file;
    cm_error error = {""};
    assert_int_equal(open_text(text, &file, &error), CM_OK);
    assert_string_equal(file.kind, "benchmark");
    assert_int_equal(file.measurements.count, 2);
    const cm_measurement *a = &file.measurements.items[0], *b = &file.measurements.items[1];
    assert_string_equal(a->name, "a");
    assert_string_equal(b->name, "b");
    assert_int_equal(a->n, 2);
    assert_true(a->samples[0] == 2e-3 && a->samples[1] == 4e-6 && b->samples[0] == 1.5);
    cm_results_file_close(&file);
}

/* The most rows that are read, all of different names, in opposite orders: searched one by one they
 * would be 10^10 comparisons of text. */
static void test_many_rows(void **state) {
    (void)state;
    char *text = malloc((size_t)CM_MAX_MEASUREMENTS * 80 + 100);
    assert_non_null(text);
    cm_results_file files[2];
    cm_error error = {""};
    for (int k = 0; k < 2; ++k) {
        size_t used = (size_t)sprintf(text, "{\"context\": {}, \"benchmarks\": [");
        for (int i = 0; i < CM_MAX_MEASUREMENTS; ++i) {
            const int name = k == 0 ? i : CM_MAX_MEASUREMENTS - 1 - i;
            used += (size_t)sprintf(
                text + used, "%s{\"name\": \"b/%d\", \"real_time\": 1, \"time_unit\": \"s\"}",
                i > 0 ? "," : "", name);
        }
        strcpy(text + used, "]}");
        assert_int_equal(open_text(text, &files[k], &error), CM_OK);
        assert_int_equal(files[k].measurements.count, CM_MAX_MEASUREMENTS);
    }
    free(text);
    const cm_compare_options options = cm_compare_options_default();
    cm_comparisons result;
    assert_int_equal(cm_compare(&options, files, 2, &result, &error), CM_OK);
    assert_int_equal(result.count, CM_MAX_MEASUREMENTS);
    assert_int_equal(result.unmatched, 0);
    assert_string_equal(result.items[7].base->name, "b/7");
    assert_string_equal(result.items[7].other->name, "b/7");
    cm_comparisons_free(&result);
    cm_results_file_close(&files[0]);
    cm_results_file_close(&files[1]);
}

/* Rows are in the order of the first file, then of the files; what has no partner is counted. */
static void test_order_of_rows(void **state) {
    (void)state;
    static const char *const texts[3] = {
        "{\"schema_version\": 1, \"kind\": \"sweep\", \"measurements\": [" MEASUREMENT(
            "z") "," MEASUREMENT("a") "," MEASUREMENT("only") "]}",
        "{\"schema_version\": 1, \"kind\": \"sweep\", \"measurements\": [" MEASUREMENT(
            "a") "," MEASUREMENT("z") "]}",
        "{\"schema_version\": 1, \"kind\": \"sweep\", \"measurements\": [" MEASUREMENT("z") "]}",
    };
    static const struct {
        const char *name;
        int file;
    } rows[] = {{"z", 1}, {"z", 2}, {"a", 1}};
    cm_results_file files[3];
    cm_error error = {""};
    for (int i = 0; i < 3; ++i) {
        assert_int_equal(open_text(texts[i], &files[i], &error), CM_OK);
    }
    const cm_compare_options options = cm_compare_options_default();
    cm_comparisons result;
    assert_int_equal(cm_compare(&options, files, 3, &result, &error), CM_OK);
    assert_int_equal(result.count, 3);
    assert_int_equal(result.unmatched, 3); /* "only" in two files, "a" in the last */
    for (int i = 0; i < 3; ++i) {
        assert_string_equal(result.items[i].base->name, rows[i].name);
        assert_int_equal(result.items[i].file, rows[i].file);
    }
    cm_comparisons_free(&result);
    for (int i = 0; i < 3; ++i) {
        cm_results_file_close(&files[i]);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_refuses_what_it_does_not_know),
        cmocka_unit_test(test_rows_that_are_left_out),
        cmocka_unit_test(test_long_names_are_names),
        cmocka_unit_test(test_machines_of_the_bench),
        cmocka_unit_test(test_too_many_benchmarks),
        cmocka_unit_test(test_benchmarks_become_samples),
        cmocka_unit_test(test_many_rows),
        cmocka_unit_test(test_order_of_rows),
    };
    return cmocka_run_group_tests(tests, temporary_create, temporary_remove);
}
