#include "core/files/json.h"

#include <stdlib.h>
#include <string.h>

#include "core/files/atomic_file.h"

cm_status cm_json_decode(const char *text, size_t size, const char *name, json_t **value,
                         json_error_t *problem, cm_error *error) {
    *value = json_loadb(text, size, JSON_REJECT_DUPLICATES, problem);
    if (*value == NULL && problem->text[0] == '\0') { /* what Jansson says then */
        return cm_fail(error, CM_FAILED, "%s: out of memory; close other programs", name);
    }
    return *value != NULL ? CM_OK : CM_BAD_INPUT;
}

cm_status cm_json_parse(const char *text, size_t size, const char *name, json_t **value,
                        cm_error *error) {
    json_error_t problem;
    const cm_status status = cm_json_decode(text, size, name, value, &problem, error);
    if (status != CM_BAD_INPUT) {
        return status;
    }
    return cm_fail(error, CM_BAD_INPUT, "%s:%d: not valid JSON: %s; correct or remove the file",
                   name, problem.line > 0 ? problem.line : 1, problem.text);
}

cm_status cm_json_load(const char *path, size_t limit, json_t **value, cm_error *error) {
    *value = NULL;
    char *text = NULL;
    size_t size = 0;
    cm_status status = cm_file_read(path, limit, &text, &size, error);
    if (status == CM_OK) {
        status = cm_json_parse(text, size, path, value, error);
        free(text);
    }
    return status;
}

/* Text that grows, and remembers that it could not. */
typedef struct growing_text {
    char *bytes;
    size_t size, room;
    bool failed;
} growing_text;

static int append_bytes(const char *bytes, size_t size, void *data) {
    growing_text *text = data;
    if (text->size + size + 2 > text->room) {
        const size_t room = 2 * (text->size + size) + 256;
        char *grown = realloc(text->bytes, room);
        if (grown == NULL) {
            text->failed = true;
            return -1;
        }
        text->bytes = grown;
        text->room = room;
    }
    memcpy(text->bytes + text->size, bytes, size);
    text->size += size;
    text->bytes[text->size] = '\0';
    return 0;
}

char *cm_json_text(const json_t *value, size_t flags, size_t *size) {
    growing_text text = {0};
    if (value == NULL || json_dump_callback(value, append_bytes, &text, flags) != 0 ||
        text.failed) {
        free(text.bytes);
        return NULL;
    }
    *size = text.size;
    return text.bytes;
}

cm_status cm_json_dump(const json_t *value, char **text, size_t *size, cm_error *error) {
    size_t length = 0;
    *text = json_is_object(value) || json_is_array(value)
                ? cm_json_text(value, CM_JSON_DUMP_FLAGS, &length)
                : NULL;
    if (*text == NULL) {
        return cm_fail(error, CM_FAILED,
                       "JSON: a value cannot be written: not a finite number, not an object or "
                       "array, or out of memory");
    }
    memcpy(*text + length, "\n", 2); /* there is room for these two */
    if (size != NULL) {
        *size = length + 1;
    }
    return CM_OK;
}

cm_status cm_json_write(const char *path, const json_t *value, cm_error *error) {
    char *text = NULL;
    size_t size = 0;
    cm_status status = cm_json_dump(value, &text, &size, error);
    if (status == CM_OK) {
        status = cm_file_write(path, text, size, error);
        free(text);
    }
    return status;
}

bool cm_json_set(json_t *object, const char *key, json_t *value, cm_error *error) {
    if (value != NULL && json_object_set_new(object, key, value) == 0) {
        return true;
    }
    cm_fail(error, CM_FAILED,
            "JSON: \"%s\" cannot be set: not a finite number, not UTF-8, or out of memory", key);
    return false;
}

json_t *cm_json_string(const char *bytes) {
    if (bytes == NULL) {
        return json_null();
    }
    json_t *string = json_string(bytes);
    if (string != NULL) {
        return string;
    }
    char *ascii = strdup(bytes);
    if (ascii == NULL) {
        return NULL;
    }
    bool replaced = false;
    for (char *c = ascii; *c != '\0'; ++c) {
        if ((unsigned char)*c > 0x7F) {
            *c = '?';
            replaced = true;
        }
    }
    string = replaced ? json_string(ascii) : NULL; /* ASCII is refused for want of memory only */
    free(ascii);
    return string;
}

json_t *cm_json_integers(const int *values, int count) {
    json_t *list = json_array();
    for (int i = 0; i < count; ++i) {
        if (json_array_append_new(list, json_integer(values[i])) != 0) {
            json_decref(list);
            return NULL;
        }
    }
    return list;
}
