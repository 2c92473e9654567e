#include "core/files/json.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/files/atomic_file.h"
#include "core/files/json_memory.h"
#include "core/files/json_scan.h"

/* ---- Reading ---- */

/* Text that the parser is fed with. */
typedef struct text_feed {
    const char *next;
    size_t left;
} text_feed;

static size_t feed_parser(void *bytes, size_t room, void *data) {
    text_feed *feed = data;
    size_t size = room < CM_JSON_FEED ? room : CM_JSON_FEED;
    size = size < feed->left ? size : feed->left;
    if (cm_json_reserve_touched()) {
        return (size_t)-1;
    }
    memcpy(bytes, feed->next, size);
    feed->next += size;
    feed->left -= size;
    return size;
}

/* False, with what is said of the text in *problem, when it would take too much. */
static bool is_affordable(const cm_json_cost *cost, json_error_t *problem) {
    *problem = (json_error_t){.line = -1};
    if (cost->longest > CM_JSON_MAX_STRING) {
        snprintf(problem->text, sizeof problem->text,
                 "it has a string of %zu bytes, at most %d are accepted", cost->longest,
                 (int)CM_JSON_MAX_STRING);
    } else if (cost->memory > CM_JSON_MAX_MEMORY) {
        snprintf(problem->text, sizeof problem->text,
                 "its values would take %zu MiB of memory, at most %d are accepted",
                 cost->memory >> 20, (int)(CM_JSON_MAX_MEMORY >> 20));
    }
    return problem->text[0] == '\0';
}

static cm_status json_out_of_memory(const char *name, cm_error *error) {
    return cm_fail(error, CM_FAILED, "%s: out of memory; close other programs", name);
}

cm_status cm_json_decode(const char *text, size_t size, const char *name, json_t **value,
                         json_error_t *problem, cm_error *error) {
    const cm_json_cost cost = cm_json_scan(text, size);
    text_feed feed = {text, size};
    *value = NULL;
    if (!is_affordable(&cost, problem)) {
        return CM_BAD_INPUT;
    }
    if (!cm_json_reserve_keep(cost.longest)) {
        return json_out_of_memory(name, error);
    }
    *value = json_load_callback(feed_parser, &feed, JSON_REJECT_DUPLICATES, problem);
    const bool refused = cm_json_reserve_touched() || (*value == NULL && problem->text[0] == '\0');
    if (refused) {
        json_decref(*value); /* parts of it may be in the reserve */
        *value = NULL;
    }
    cm_json_reserve_release();
    if (refused) {
        return json_out_of_memory(name, error);
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
    if (problem.line < 0) {
        return cm_fail(error, CM_BAD_INPUT, "%s: %s; is it the right file?", name, problem.text);
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

bool cm_json_take_integer(const json_t *object, const char *key, int64_t low, int64_t high,
                          int64_t *value) {
    const json_t *member = json_object_get(object, key);
    if (!json_is_integer(member) || json_integer_value(member) < low ||
        json_integer_value(member) > high) {
        return false;
    }
    *value = json_integer_value(member);
    return true;
}

bool cm_json_take_number(const json_t *object, const char *key, double *value) {
    const json_t *member = json_object_get(object, key);
    if (!json_is_number(member)) {
        return false;
    }
    *value = json_number_value(member);
    return true;
}

const char *cm_json_take_string(const json_t *object, const char *key) {
    return json_string_value(json_object_get(object, key));
}

/* ---- Writing ---- */

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

void cm_json_append(json_t **list, json_t *value) {
    if (json_array_append_new(*list, value) != 0) {
        json_decref(*list);
        *list = NULL;
    }
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
        cm_json_append(&list, json_integer(values[i]));
    }
    return list;
}
