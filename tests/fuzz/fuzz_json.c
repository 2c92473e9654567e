/* Any bytes as JSON: what is read is written as text that reads as the same. */
#include "core/files/json.h"
#include "fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    json_t *value = NULL, *again = NULL;
    char *text = NULL, *same = NULL;
    size_t length = 0;
    cm_error error = {""};
    const cm_status status = cm_json_parse((const char *)data, size, "FILE", &value, &error);
    if (status != CM_OK) {
        FUZZ_EXPECT(value == NULL);
        fuzz_expect_refused(status, &error, "FILE:");
        return 0;
    }
    FUZZ_EXPECT(json_is_object(value) || json_is_array(value));
    FUZZ_EXPECT(cm_json_dump(value, &text, &length, &error) == CM_OK);
    FUZZ_EXPECT(length == strlen(text) && text[length - 1] == '\n');
    FUZZ_EXPECT(cm_json_parse(text, length, "copy", &again, &error) == CM_OK);
    FUZZ_EXPECT(json_equal(value, again));
    FUZZ_EXPECT(cm_json_dump(again, &same, NULL, &error) == CM_OK && strcmp(text, same) == 0);
    free(same);
    free(text);
    json_decref(again);
    json_decref(value);
    return 0;
}
