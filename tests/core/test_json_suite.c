/* The public JSONTestSuite (data/json_test_suite/): valid files are read, invalid ones are refused,
 * nothing crashes. */
#include "support/temporary.h"

#include <stdbool.h>

#include "core/files/json.h"

/* Valid JSON that this project refuses all the same: keys that are there twice, NUL in texts, and
 * anything but an object or array as the whole. */
static const char *const refused[] = {
    "y_object_duplicated_key.json",
    "y_object_duplicated_key_and_value.json",
    "y_object_escaped_null_in_key.json",
    "y_string_null_escape.json",
    "y_string_space.json",
    "y_structure_lonely_false.json",
    "y_structure_lonely_int.json",
    "y_structure_lonely_negative_real.json",
    "y_structure_lonely_null.json",
    "y_structure_lonely_string.json",
    "y_structure_lonely_true.json",
    "y_structure_string_empty.json",
};

static bool is_refused(const char *name) {
    for (size_t i = 0; i < sizeof refused / sizeof refused[0]; ++i) {
        if (strcmp(name, refused[i]) == 0) {
            return true;
        }
    }
    return name[0] == 'n';
}

/* Whether it was read; what was not has one line that names the file. */
static bool reads(const char *path) {
    json_t *value = NULL;
    cm_error error = {""};
    const cm_status status = cm_json_load(path, 1 << 20, &value, &error);
    if (status != CM_OK) {
        assert_int_equal(status, CM_BAD_INPUT);
        assert_null(value);
        assert_message(error.message, path, ": not valid JSON: ");
    }
    json_decref(value);
    return status == CM_OK;
}

static void test_public_suite(void **state) {
    (void)state;
    DIR *folder = opendir("data/json_test_suite");
    assert_non_null(folder);
    int count = 0;
    const struct dirent *entry;
    while ((entry = readdir(folder)) != NULL) {
        const char *name = entry->d_name;
        const size_t length = strlen(name);
        if (length < 5 || strcmp(name + length - 5, ".json") != 0) {
            continue;
        }
        char path[TEMPORARY_PATH_SIZE];
        snprintf(path, sizeof path, "data/json_test_suite/%s", name);
        const bool read = reads(path);
        if (name[0] != 'i' && read == is_refused(name)) {
            fail_msg("%s was %s", path, read ? "read" : "refused");
        }
        ++count;
    }
    closedir(folder);
    assert_int_equal(count, 316);
}

/* The suite's two large files: 100,000 times the text. */
static void test_nested_without_end(void **state) {
    (void)state;
    static const char *const texts[] = {"[", "[{\"\":"};
    enum { TIMES = 100000 };
    for (size_t i = 0; i < 2; ++i) {
        const size_t length = strlen(texts[i]);
        char *bytes = malloc(TIMES * length);
        assert_non_null(bytes);
        for (size_t at = 0; at < TIMES; ++at) {
            memcpy(bytes + at * length, texts[i], length);
        }
        assert_false(reads(temporary_write("nested.json", bytes, TIMES * length)));
        free(bytes);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_public_suite),
        cmocka_unit_test(test_nested_without_end),
    };
    return cmocka_run_group_tests(tests, temporary_create, temporary_remove);
}
