/* JSON in and out: limits, one-line errors, exact numbers, no NaN, no locale. */
#include <limits.h>
#include <locale.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "core/files/atomic_file.h"
#include "core/files/json.h"

static void assert_mentions(const cm_error *error, const char *text) {
    if (strstr(error->message, text) == NULL) {
        fail_msg("\"%s\" does not mention \"%s\"", error->message, text);
    }
}

static void test_parse_errors(void **state) {
    (void)state;
    static const struct {
        const char *text, *mentions;
    } cases[] = {
        {"", "name:1: "},
        {"{\"a\": 1,\n \"b\" 2}", "name:2: "},
        {"{\"a\": 1, \"a\": 2}", "duplicate"},
        {"{\"a\": NaN}", "name:1: "},
        {"{\"a\": 1} x", "name:1: "},
        {"{\"a\": 1e999}", "overflow"},
        {"{\"a\": 99999999999999999999}", "too big"},
        {"{\"a\": \"\xff\"}", "decode"},
        {"12", "name:1: "},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; ++i) {
        json_t *value = NULL;
        cm_error error = {{0}};
        assert_int_equal(
            cm_json_parse(cases[i].text, strlen(cases[i].text), "name", &value, &error),
            CM_BAD_INPUT);
        assert_null(value);
        assert_mentions(&error, cases[i].mentions);
        assert_null(strchr(error.message, '\n'));
    }
}

/* A few bytes of text become many of memory: it is refused before anything is built. */
static void test_large_values_are_refused(void **state) {
    (void)state;
    static const struct {
        const char *what, *item;
        int most; /* that are read */
    } cases[] = {
        {"objects", "{},", CM_JSON_MAX_MEMORY / 240},
        {"arrays", "[],", CM_JSON_MAX_MEMORY / 144},
        {"numbers", "1,", CM_JSON_MAX_MEMORY / 48},
        {"strings", "\"\",", CM_JSON_MAX_MEMORY / 90},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; ++i) {
        const size_t length = strlen(cases[i].item);
        const size_t size = 2 + length * (size_t)(cases[i].most + 1);
        char *text = malloc(size);
        assert_non_null(text);
        text[0] = '[';
        for (size_t at = 1; at + length < size; at += length) {
            memcpy(text + at, cases[i].item, length);
        }
        text[size - 2] = ']'; /* in the place of the last comma */
        json_t *value = NULL;
        cm_error error = {{0}};
        assert_int_equal(cm_json_parse(text, size - 1, "name", &value, &error), CM_BAD_INPUT);
        assert_null(value);
        assert_mentions(&error, "name: its values would take 128 MiB of memory, at most 128");
        /* Ten items fewer are read: the array around them is the size of a few. */
        text[size - 2 - 10 * length] = ']';
        assert_int_equal(cm_json_parse(text, size - 1 - 10 * length, "name", &value, &error),
                         CM_OK);
        assert_int_equal(json_array_size(value), cases[i].most - 9);
        json_decref(value);
        free(text);
    }
}

static void test_long_strings_are_refused(void **state) {
    (void)state;
    char *text = malloc(CM_JSON_MAX_STRING + 8);
    assert_non_null(text);
    for (int longer = 0; longer < 2; ++longer) {
        const size_t string = (size_t)CM_JSON_MAX_STRING + (size_t)longer;
        memset(text, 'x', string + 2);
        text[0] = '[';
        text[1] = text[string] = '"'; /* both quotes count */
        text[string + 1] = ']';
        json_t *value = NULL;
        cm_error error = {{0}};
        assert_int_equal(cm_json_parse(text, string + 2, "name", &value, &error),
                         longer != 0 ? CM_BAD_INPUT : CM_OK);
        if (longer != 0) {
            assert_mentions(&error, "name: it has a string of 1048577 bytes, at most 1048576");
        }
        json_decref(value);
    }
    free(text);
}

/* Every allocation of a parse is refused, alone and with all after it: never "not valid". */
static json_malloc_t real_malloc;
static json_free_t real_free;
static long allocations, refused_from, refused_to;

static void *refusing_malloc(size_t size) {
    const long number = ++allocations;
    return number >= refused_from && number <= refused_to ? NULL : real_malloc(size);
}

static void test_no_memory_is_not_damage(void **state) {
    (void)state;
    static const char *const texts[] = {
        "{\"a\": [1, 2.5, true, null, [], {}, {\"b\": [[[\"\\u00e9\\n\"]]]}], \"c\": {\"d\": 1}}",
        "[{\"a\":1,\"b\":2,\"c\":3,\"d\":4,\"e\":5,\"f\":6,\"g\":7,\"h\":8,\"i\":9,\"j\":10,"
        "\"k\":11,\"l\":12,\"m\":13,\"n\":14,\"o\":15,\"p\":16,\"q\":17},1,2,3,4,5,6,7,8,9,10]",
        "[\"a string that makes the parser's buffer grow, and grow again: 0123456789 0123456789 "
        "0123456789 0123456789 0123456789 0123456789\", 123456789012345678, -1.5e-300]",
        "[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[]]]]]]]]]]]]]]]]]]]]]]]]]]"
        "]]"
        "]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]",
        "{\"damaged\": [1, 2, {\"a\": 1}, ",
    };
    for (size_t i = 0; i < sizeof texts / sizeof *texts; ++i) {
        for (int rest = 0; rest < 2; ++rest) {
            bool reached = true;
            for (long point = 1; reached; ++point) {
                json_t *value = NULL;
                cm_error error = {{0}};
                allocations = 0;
                refused_from = point;
                refused_to = rest != 0 ? LONG_MAX : point;
                const cm_status status =
                    cm_json_parse(texts[i], strlen(texts[i]), "name", &value, &error);
                reached = allocations >= point;
                refused_from = LONG_MAX;
                if (reached) {
                    assert_int_equal(status, CM_FAILED);
                    assert_null(value);
                    assert_mentions(&error, "name: out of memory");
                } else {
                    assert_int_equal(status, i == 4 ? CM_BAD_INPUT : CM_OK);
                }
                json_decref(value);
                assert_true(point < 1000);
            }
        }
    }
}

static void test_deep_nesting_is_refused(void **state) {
    (void)state;
    enum { DEPTH = 900000 };
    char *text = malloc(DEPTH);
    assert_non_null(text);
    memset(text, '[', DEPTH);
    json_t *value = NULL;
    cm_error error = {{0}};
    assert_int_equal(cm_json_parse(text, DEPTH, "deep", &value, &error), CM_BAD_INPUT);
    assert_null(value);
    assert_mentions(&error, "depth");
    free(text);
}

static void assert_round_trip(const double *numbers, size_t count) {
    json_t *list = json_array();
    for (size_t i = 0; i < count; ++i) {
        assert_int_equal(json_array_append_new(list, json_real(numbers[i])), 0);
    }
    char *text = NULL;
    size_t size = 0;
    json_t *back = NULL;
    cm_error error = {{0}};
    assert_int_equal(cm_json_dump(list, &text, &size, &error), CM_OK);
    assert_int_equal(size, strlen(text));
    assert_int_equal(text[size - 1], '\n');
    assert_int_equal(cm_json_parse(text, size, "text", &back, &error), CM_OK);
    for (size_t i = 0; i < count; ++i) {
        const double value = json_real_value(json_array_get(back, i));
        assert_memory_equal(&value, &numbers[i], sizeof value);
    }
    json_decref(back);
    json_decref(list);
    free(text);
}

static void test_numbers_are_exact(void **state) {
    (void)state;
    const double numbers[] = {0.1,
                              1.0 / 3,
                              0.5591158866882324,
                              0x1.fffffffffffffp1023,
                              5e-324,
                              -0.0,
                              1e22,
                              0x1.0000000000001p0,
                              -1e-7,
                              100000,
                              0.8053125};
    assert_round_trip(numbers, sizeof numbers / sizeof *numbers);
}

/* Where no locale with a comma is installed there is nothing to test. */
static void test_locale(void **state) {
    (void)state;
    static const char *const names[] = {"de_DE.UTF-8", "de_DE.utf8", "fr_FR.UTF-8", "de_DE"};
    bool found = false;
    for (size_t i = 0; !found && i < sizeof names / sizeof *names; ++i) {
        found = setlocale(LC_ALL, names[i]) != NULL;
    }
    if (!found) {
        skip();
    }
    const double numbers[] = {0.5, 1234567.25};
    assert_round_trip(numbers, 2);
    json_t *half = json_pack("[f]", 0.5);
    char *text = NULL;
    cm_error error = {{0}};
    assert_int_equal(cm_json_dump(half, &text, NULL, &error), CM_OK);
    assert_string_equal(text, "[\n  0.5\n]\n");
    setlocale(LC_ALL, "C");
    free(text);
    json_decref(half);
}

static void test_not_finite_is_refused(void **state) {
    (void)state;
    json_t *object = json_object();
    cm_error error = {{0}};
    assert_true(cm_json_set(object, "loss", json_real(0.5), &error));
    assert_false(cm_json_set(object, "worse", json_real((double)NAN), &error));
    assert_mentions(&error, "worse");
    assert_false(cm_json_set(object, "worst", json_real((double)INFINITY), &error));
    assert_mentions(&error, "worst");
    assert_false(cm_json_set(NULL, "nothing", json_true(), &error));
    assert_int_equal(json_object_size(object), 1);
    json_decref(object);
    char *text = NULL;
    error.message[0] = '\0';
    assert_int_equal(cm_json_dump(NULL, &text, NULL, &error), CM_FAILED);
    assert_null(text);
    assert_mentions(&error, "finite");
    json_t *number = json_integer(1);
    assert_int_equal(cm_json_dump(number, &text, NULL, &error), CM_FAILED);
    assert_null(text);
    json_decref(number);
}

static void test_order_of_insertion(void **state) {
    (void)state;
    json_t *object = json_object();
    cm_error error = {{0}};
    assert_true(cm_json_set(object, "z", json_integer(1), &error));
    assert_true(cm_json_set(object, "a", json_integer(2), &error));
    char *text = NULL;
    assert_int_equal(cm_json_dump(object, &text, NULL, &error), CM_OK);
    assert_string_equal(text, "{\n  \"z\": 1,\n  \"a\": 2\n}\n");
    free(text);
    json_decref(object);
}

static long allocations_left;

static void *allocate_or_fail(size_t size) {
    return --allocations_left == 0 ? NULL : malloc(size);
}

/* One allocation of Jansson's fails: the text is whole, or there is none. */
static void test_no_text_without_a_key(void **state) {
    (void)state;
    json_t *object = json_object();
    cm_error error = {{0}};
    for (int i = 0; i < 40; ++i) {
        char key[64];
        snprintf(key, sizeof key, "a key that takes some room, number %d of them", i);
        assert_true(cm_json_set(object, key, json_integer(i), &error));
    }
    char *whole = NULL;
    assert_int_equal(cm_json_dump(object, &whole, NULL, &error), CM_OK);
    for (long point = 1; point <= 20; ++point) {
        char *text = NULL;
        allocations_left = point;
        json_set_alloc_funcs(allocate_or_fail, free);
        const cm_status status = cm_json_dump(object, &text, NULL, &error);
        json_set_alloc_funcs(malloc, free);
        if (status == CM_OK) {
            assert_string_equal(text, whole);
        }
        free(text);
    }
    free(whole);
    json_decref(object);
}

static void assert_string_becomes(const char *bytes, const char *text) {
    json_t *string = cm_json_string(bytes);
    assert_non_null(string);
    assert_string_equal(json_string_value(string), text);
    json_decref(string);
}

static void test_strings_of_any_bytes(void **state) {
    (void)state;
    assert_string_becomes("M\xc3\xbcller", "M\xc3\xbcller");
    assert_string_becomes("M\xfcller", "M?ller");
    assert_string_becomes("", "");
    assert_true(json_is_null(cm_json_string(NULL)));
}

static void test_files(void **state) {
    (void)state;
    char path[] = "/tmp/convmark-json-XXXXXX";
    const int fd = mkstemp(path);
    assert_true(fd >= 0);
    close(fd);
    cm_error error = {{0}};
    json_t *value = json_pack("{s:f}", "x", 0.1), *back = NULL;
    assert_int_equal(cm_json_write(path, value, &error), CM_OK);
    assert_int_equal(cm_json_load(path, 1000, &back, &error), CM_OK);
    assert_true(json_equal(value, back));
    json_decref(back);
    /* What cannot be written leaves the old file. */
    assert_int_equal(cm_json_write(path, NULL, &error), CM_FAILED);
    assert_int_equal(cm_json_load(path, 1000, &back, &error), CM_OK);
    json_decref(back);
    assert_int_equal(cm_json_load(path, 3, &back, &error), CM_BAD_INPUT);
    assert_null(back);
    assert_mentions(&error, "at most 3");
    assert_int_equal(cm_file_write(path, "{\n\n?", 4, &error), CM_OK);
    assert_int_equal(cm_json_load(path, 1000, &back, &error), CM_BAD_INPUT);
    assert_mentions(&error, path);
    assert_mentions(&error, ":3: ");
    json_decref(value);
    unlink(path);
}

int main(void) {
    json_get_alloc_funcs(&real_malloc, &real_free);
    refused_from = LONG_MAX;
    json_set_alloc_funcs(refusing_malloc, real_free); /* the program's come before it */
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_parse_errors),
        cmocka_unit_test(test_deep_nesting_is_refused),
        cmocka_unit_test(test_large_values_are_refused),
        cmocka_unit_test(test_long_strings_are_refused),
        cmocka_unit_test(test_no_memory_is_not_damage),
        cmocka_unit_test(test_numbers_are_exact),
        cmocka_unit_test(test_locale),
        cmocka_unit_test(test_not_finite_is_refused),
        cmocka_unit_test(test_order_of_insertion),
        cmocka_unit_test(test_no_text_without_a_key),
        cmocka_unit_test(test_strings_of_any_bytes),
        cmocka_unit_test(test_files),
    };
    return cmocka_run_group_tests_name("json", tests, NULL, NULL);
}
