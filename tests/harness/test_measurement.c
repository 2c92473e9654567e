/* Measurements: written and read back, refused where damaged, as CSV; and conditions that make
 * timings unreliable. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "core/files/json.h"
#include "harness/measure/conditions.h"
#include "harness/studies/study_json.h"
#include "support/put_file.h"
#include "support/temporary.h"

#define COUNT(array) (sizeof(array) / sizeof(array)[0])

static cm_measurement example(double *samples, int n) {
    cm_measurement m = {.higher_is_better = true, .n = n, .samples = samples};
    snprintf(m.name, sizeof m.name, "train/a,b/n64/threads:2");
    snprintf(m.metric, sizeof m.metric, "images_per_second");
    snprintf(m.unit, sizeof m.unit, "images/s");
    m.attributes = json_pack("{s:s, s:i}", "variant", "say \"a\"", "batch", 64);
    return m;
}

static void test_there_and_back(void **state) {
    (void)state;
    double samples[] = {3, 1.0 / 3, 2, 5, 4, 6, 7, 8};
    cm_error error = {""};
    cm_measurement m = example(samples, COUNT(samples));
    json_t *list = json_array();
    assert_int_equal(json_array_append_new(list, cm_measurement_json(&m, &error)), 0);
    const json_t *o = json_array_get(list, 0);
    assert_true(json_real_value(json_object_get(o, "median")) == 4.5);
    assert_int_equal(json_array_size(json_object_get(o, "confidence_interval")), 2);
    cm_measurements back;
    assert_int_equal(cm_measurements_read(list, "f", &back, &error), CM_OK);
    assert_int_equal(back.count, 1);
    assert_memory_equal(back.items[0].samples, samples, sizeof samples);
    assert_true(json_equal(back.items[0].attributes, m.attributes));
    assert_string_equal(back.items[0].name, m.name);
    assert_string_equal(back.items[0].metric, m.metric);
    char *csv = cm_measurements_csv(&back);
    assert_non_null(csv);
    assert_non_null(strstr(csv, "\r\n\"train/a,b/n64/threads:2\",images_per_second,images/s,"
                                "\"say \"\"a\"\"\",,64,,,,1,0.33333333333333331\r\n"));
    free(csv);
    cm_measurements_free(&back);
    json_decref(list);
    samples[2] = NAN;
    assert_null(cm_measurement_json(&m, &error));
    json_decref(m.attributes);
}

static void test_damaged_lists_are_refused(void **state) {
    (void)state;
    static const struct {
        const char *text, *message;
    } rows[] = {
        {"{}", "not a list"},
        {"[1]", "measurements[0]: \"name\""},
        {"[{\"name\": 1}]", "\"name\""},
        {"[{\"name\": \"a\"}]", "\"metric\""},
        {"[{\"name\": \"a\", \"metric\": \"b\", \"unit\": []}]", "\"unit\""},
        {"[{\"name\": \"a\", \"metric\": \"b\", \"unit\": \"c\", \"higher_is_better\": 1}]",
         "\"higher_is_better\""},
        {"[{\"name\": \"a\", \"metric\": \"b\", \"unit\": \"c\", \"higher_is_better\": true}]",
         "\"samples\""},
        {"[{\"name\": \"a\", \"metric\": \"b\", \"unit\": \"c\", \"higher_is_better\": true, "
         "\"samples\": [1, null]}]",
         "no number"},
        {"[{\"name\": \"a\", \"metric\": \"b\", \"unit\": \"c\"}]", "\"higher_is_better\""},
        {"[{\"name\": \"a\", \"metric\": \"b\", \"unit\": \"c\", \"higher_is_better\": true, "
         "\"samples\": 1}]",
         "\"samples\""},
        {"[{\"name\": \"a\", \"metric\": \"b\", \"unit\": \"c\", \"higher_is_better\": true, "
         "\"samples\": [1]}, {\"name\": \"a\", \"metric\": \"b\", \"unit\": \"c\", "
         "\"higher_is_better\": true, \"samples\": [2]}]",
         "twice"},
    };
    for (size_t i = 0; i < COUNT(rows); ++i) {
        json_t *json = NULL;
        cm_measurements list;
        cm_error error = {""};
        assert_int_equal(cm_json_parse(rows[i].text, strlen(rows[i].text), "f", &json, &error),
                         CM_OK);
        assert_int_equal(cm_measurements_read(json, "f", &list, &error), CM_BAD_INPUT);
        if (strstr(error.message, rows[i].message) == NULL) {
            fail_msg("'%s' is not in '%s'", rows[i].message, error.message);
        }
        cm_measurements_free(&list);
        json_decref(json);
    }
}

/* Two planned, of three samples each at the most. */
static cm_status resume(const char *text, cm_measurements *planned, cm_error *error) {
    json_t *json = NULL;
    assert_int_equal(cm_json_parse(text, strlen(text), "f", &json, error), CM_OK);
    const cm_status status = cm_study_resume_measurements(planned, 3, json, "f", error);
    json_decref(json);
    return status;
}

#define ITEM(name, samples)                                                      \
    "{\"name\": \"" name "/n64/threads:1\", \"metric\": \"m\", \"unit\": \"u\"," \
    " \"higher_is_better\": true, \"samples\": " samples "}"

static void test_resumes_what_all_have(void **state) {
    (void)state;
    static const char *const refused[] = {
        "{}", "[]", "[" ITEM("train/a", "[1]") "]",
        "[" ITEM("train/b", "[1]") ", " ITEM("train/a", "[1]") "]",
        "[" ITEM("train/a", "[1]") ", " ITEM("train/b", "[1, 2, 3, 4]") "]"};
    cm_measurement items[2] = {{.n = 0}, {.n = 0}};
    cm_measurements planned = {2, items};
    cm_error error = {""};
    assert_true(cm_measurement_plan_throughput(&items[0], "train", "a", 64, 1, "scalar", 3));
    assert_true(cm_measurement_plan_throughput(&items[1], "train", "b", 64, 1, "scalar", 3));
    assert_int_equal(resume("[" ITEM("train/a", "[1, 2, 3]") ", " ITEM("train/b", "[4, 5]") "]",
                            &planned, &error),
                     CM_OK);
    assert_int_equal(items[0].n * 10 + items[1].n, 22);
    assert_true(items[0].samples[1] == 2.0 && items[1].samples[1] == 5.0);
    for (size_t i = 0; i < COUNT(refused); ++i) {
        assert_int_equal(resume(refused[i], &planned, &error), CM_BAD_INPUT);
        assert_message(error.message, "f: ", "measurements");
        assert_int_equal(items[0].n + items[1].n, 0);
    }
    for (int i = 0; i < 2; ++i) {
        free(items[i].samples);
        json_decref(items[i].attributes);
    }
}

/* ---- Conditions ---- */

static bool finds(const char *root, const cm_topology *topology, const char *name) {
    cm_condition found[CM_MAX_CONDITIONS];
    const int count = cm_conditions_find(root, topology, found);
    for (int i = 0; i < count; ++i) {
        assert_true(found[i].message[0] != '\0');
        if (strcmp(found[i].name, name) == 0) {
            return true;
        }
    }
    return false;
}

/* Each file makes its condition true, or not. */
static void test_conditions_of_files(void **state) {
    (void)state;
    static const struct {
        const char *name, *file, *bad, *good;
    } rows[] = {
        {"governor", "sys/devices/system/cpu/cpu0/cpufreq/scaling_governor", "powersave\n",
         "performance\n"},
        {"turbo", "sys/devices/system/cpu/intel_pstate/no_turbo", "0\n", "1\n"},
        {"turbo", "sys/devices/system/cpu/cpufreq/boost", "1\n", "0\n"},
        {"load", "proc/loadavg", "1.50 0.1 0.1 2/300 9\n", "0.10 3.0 3.0 1/300 9\n"},
        {"virtual", "proc/cpuinfo", "flags\t: fpu hypervisor lm\n", "flags\t: fpu lm\n"},
        {"pages", "sys/kernel/mm/transparent_hugepage/enabled", "always madvise [never]\n",
         "always [madvise] never\n"},
        {"throttling", "sys/devices/system/cpu/cpu0/thermal_throttle/package_throttle_count", "3\n",
         "0\n"},
    };
    const cm_topology plain = {.cores = 2, .usable_cores = 2, .usable_pus = 2};
    for (size_t i = 0; i < COUNT(rows); ++i) {
        char root[TEMPORARY_PATH_SIZE];
        snprintf(root, sizeof root, "%s/%d", temporary_folder, (int)i);
        assert_int_equal(mkdir(root, 0700), 0);
        assert_false(finds(root, &plain, rows[i].name)); /* the system does not say */
        put(root, rows[i].file, rows[i].bad);
        assert_true(finds(root, &plain, rows[i].name));
        put(root, rows[i].file, rows[i].good);
        assert_false(finds(root, &plain, rows[i].name));
    }
}

static void test_conditions_of_the_topology(void **state) {
    (void)state;
    const cm_topology plain = {.cores = 4, .usable_cores = 4, .usable_pus = 4};
    cm_topology quota = plain, affinity = plain, smt = plain;
    quota.cpu_quota = 1.5;
    affinity.usable_cores = affinity.usable_pus = 2;
    smt.usable_pus = 8;
    const struct {
        const char *name;
        const cm_topology *topology;
    } rows[] = {{"quota", &quota}, {"affinity", &affinity}, {"smt", &smt}};
    for (size_t i = 0; i < COUNT(rows); ++i) {
        assert_true(finds("/nonexistent", rows[i].topology, rows[i].name));
        assert_false(finds("/nonexistent", &plain, rows[i].name));
    }
    json_t *json = cm_conditions_json(&quota);
    assert_true(json_array_size(json) >= 1);
    json_decref(json);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_there_and_back),
        cmocka_unit_test(test_damaged_lists_are_refused),
        cmocka_unit_test(test_resumes_what_all_have),
        cmocka_unit_test(test_conditions_of_files),
        cmocka_unit_test(test_conditions_of_the_topology),
    };
    return cmocka_run_group_tests(tests, temporary_create, temporary_remove);
}
