/*
 * Any bytes as a file of results: what is read is written again, as CSV too, and compared with
 * itself, which must show no difference.
 */
#include "core/files/json.h"
#include "fuzz.h"
#include "harness/compare/compare.h"

static void check_measurements(const cm_measurements *list) {
    char *csv = cm_measurements_csv(list);
    FUZZ_EXPECT(csv != NULL);
    free(csv);
    for (int i = 0; i < list->count; ++i) {
        cm_error error = {""};
        char *text = NULL;
        json_t *json = cm_measurement_json(&list->items[i], &error);
        FUZZ_EXPECT((json == NULL) == (error.message[0] != '\0'));
        if (json != NULL) {
            FUZZ_EXPECT(cm_json_dump(json, &text, NULL, &error) == CM_OK);
            free(text);
        }
        json_decref(json);
    }
}

static void check_comparison(const cm_results_file files[2]) {
    const cm_compare_options options = cm_compare_options_default();
    cm_comparisons result;
    cm_error error = {""};
    const cm_status status = cm_compare(&options, files, 2, &result, &error);
    FUZZ_EXPECT(status == (files[0].measurements.count > 0 ? CM_OK : CM_BAD_INPUT));
    FUZZ_EXPECT(result.unmatched == 0);
    for (int i = 0; i < result.count; ++i) {
        FUZZ_EXPECT(result.items[i].verdict == CM_SPEED_SAME ||
                    result.items[i].verdict == CM_SPEED_UNKNOWN);
    }
    for (int markdown = 0; status == CM_OK && markdown < 2; ++markdown) {
        char *text = cm_compare_text(files, &result, markdown != 0);
        FUZZ_EXPECT(text != NULL);
        free(text);
    }
    cm_comparisons_free(&result);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    const char *path = fuzz_file(data, size);
    cm_results_file files[2];
    cm_error error = {""};
    const cm_status status = cm_results_file_open(path, &files[0], &error);
    FUZZ_EXPECT(cm_results_file_open(path, &files[1], &error) == status);
    if (status == CM_OK) {
        check_measurements(&files[0].measurements);
        check_comparison(files);
    } else {
        fuzz_expect_refused(status, &error, path);
    }
    cm_results_file_close(&files[0]);
    cm_results_file_close(&files[1]);
    return 0;
}
