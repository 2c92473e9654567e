#include "harness/record/folder.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "convmark/convmark.h"
#include "core/files/atomic_file.h"
#include "core/files/json.h"
#include "harness/record/train_json.h"

enum { MAX_JSON = 1 << 28 };

static cm_status path_of(const char *folder, const char *name, const char *suffix,
                         char path[CM_FOLDER_PATH_SIZE], cm_error *error) {
    const int length = snprintf(path, CM_FOLDER_PATH_SIZE, "%s/%s%s", folder, name, suffix);
    return length > 0 && length < CM_FOLDER_PATH_SIZE
               ? CM_OK
               : cm_fail(error, CM_USAGE, "--output: the path is too long; give a shorter one");
}

cm_status cm_folder_prepare(const char *folder, const char *kind, bool restart,
                            cm_folder_take *take, void *results, cm_error *error) {
    char path[CM_FOLDER_PATH_SIZE];
    struct stat found;
    cm_error cause;
    if (mkdir(folder, 0777) != 0 && errno != EEXIST) {
        return cm_fail(error, CM_USAGE, "--output: cannot make folder %s: %s; give another one",
                       folder, strerror(errno));
    }
    /* KIND.json is the last: it is read. */
    static const char *const suffixes[] = {".csv", ".md", ".json"};
    for (size_t i = 0; i < sizeof suffixes / sizeof *suffixes; ++i) {
        const cm_status status = path_of(folder, kind, suffixes[i], path, error);
        if (status != CM_OK) {
            return status;
        }
        if (cm_path_check_writable(path, false, &cause) != CM_OK) {
            return cm_fail(error, CM_USAGE, "--output: %s", cause.message);
        }
    }
    if (restart || stat(path, &found) != 0) {
        return CM_OK;
    }
    json_t *earlier = NULL;
    cm_status status = cm_json_load(path, MAX_JSON, &earlier, error);
    if (status == CM_OK) {
        status = take(results, earlier, path, error);
    }
    json_decref(earlier);
    return status;
}

cm_status cm_folder_write(const char *folder, const char *name, char *text, cm_error *error) {
    char path[CM_FOLDER_PATH_SIZE];
    cm_status status = path_of(folder, name, "", path, error);
    if (status == CM_OK) {
        status = text == NULL
                     ? cm_fail(error, CM_FAILED, "%s: out of memory; close other programs", path)
                     : cm_file_write(path, text, strlen(text), error);
    }
    free(text);
    return status;
}

/* A link that the user made stays, and the file behind it stays one: an empty one. */
static cm_status remove_table(const char *path, cm_error *error) {
    struct stat info;
    if (lstat(path, &info) == 0 && S_ISLNK(info.st_mode)) {
        return stat(path, &info) == 0 && info.st_size == 0 ? CM_OK
                                                           : cm_file_write(path, "", 0, error);
    }
    return unlink(path) == 0 || errno == ENOENT
               ? CM_OK
               : cm_fail(error, CM_FAILED, "%s: an earlier call's file cannot be removed: %s", path,
                         strerror(errno));
}

/* What an earlier call made of its results does not say what ours are. */
static cm_status remove_tables(const char *folder, const char *kind, cm_error *error) {
    static const char *const suffixes[] = {".csv", ".md"};
    char path[CM_FOLDER_PATH_SIZE];
    for (size_t i = 0; i < sizeof suffixes / sizeof *suffixes; ++i) {
        cm_status status = path_of(folder, kind, suffixes[i], path, error);
        if (status == CM_OK) {
            status = remove_table(path, error);
        }
        if (status != CM_OK) {
            return status;
        }
    }
    return CM_OK;
}

cm_status cm_folder_write_json(const char *folder, const char *kind, json_t *json,
                               cm_error *error) {
    char path[CM_FOLDER_PATH_SIZE];
    cm_status status = json == NULL ? CM_FAILED : CM_OK;
    if (status == CM_OK && json_is_false(json_object_get(json, "complete"))) {
        status = remove_tables(folder, kind, error);
    }
    if (status == CM_OK) {
        status = path_of(folder, kind, ".json", path, error);
    }
    if (status == CM_OK) {
        status = cm_json_write(path, json, error);
    }
    json_decref(json);
    return status;
}

static json_t *program_json(void) {
    return json_pack("{s:s, s:s, s:i}", "name", "convmark", "version", CM_VERSION,
                     "numeric_contract", CM_NUMERIC_CONTRACT);
}

bool cm_folder_set_head(json_t *object, const char *kind, bool complete, int argc,
                        const char *const *argv, json_t *machine, json_t *conditions,
                        cm_error *error) {
    return cm_json_set(object, "schema_version", json_integer(CM_RESULTS_SCHEMA_VERSION), error) &&
           cm_json_set(object, "kind", json_string(kind), error) &&
           cm_json_set(object, "complete", json_boolean(complete), error) &&
           cm_json_set(object, "program", program_json(), error) &&
           cm_json_set(object, "command", cm_command_json(argc, argv), error) &&
           cm_json_set(object, "machine", json_incref(machine), error) &&
           cm_json_set(object, "conditions", json_incref(conditions), error);
}

cm_status cm_folder_refuse(const char *file, const char *what, cm_error *error) {
    return cm_fail(error, CM_BAD_INPUT,
                   "%s: %s; give --restart to begin anew, or another folder with --output", file,
                   what);
}

/* Whether both have the same member, or member of a member. */
static bool agree(const json_t *a, const json_t *b, const char *key, const char *inner) {
    const json_t *left = json_object_get(a, key), *right = json_object_get(b, key);
    return inner == NULL ? json_equal(left, right)
                         : json_equal(json_object_get(left, inner), json_object_get(right, inner));
}

cm_status cm_folder_check_same(const json_t *earlier, const json_t *ours, const char *file,
                               cm_error *error) {
    static const struct {
        const char *key, *inner, *what; /* %s: the kind */
    } rows[] = {{"kind", NULL, "this is no file of convmark %s"},
                {"schema_version", NULL, "another schema version than this %s writes"},
                {"options", NULL, "a %s with other options or another data set"},
                {"data", NULL, "a %s with other options or another data set"},
                {"program", NULL, "a %s of another program or build"},
                {"machine", "build", "a %s of another program or build"},
                {"machine", "cpu", "a %s of another machine"}};
    const char *kind = json_string_value(json_object_get(ours, "kind"));
    for (size_t i = 0; i < sizeof rows / sizeof *rows; ++i) {
        if (!agree(earlier, ours, rows[i].key, rows[i].inner)) {
            const char *split = strstr(rows[i].what, "%s");
            char what[120];
            snprintf(what, sizeof what, "%.*s%s%s", (int)(split - rows[i].what), rows[i].what, kind,
                     split + 2);
            return cm_folder_refuse(file, what, error);
        }
    }
    return CM_OK;
}
