#include "harness/record/folder.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/files/atomic_file.h"
#include "core/files/json.h"

enum { MAX_JSON = 1 << 26 };

static cm_status folder_path(const char *folder, const char *name, const char *suffix,
                             char path[CM_FOLDER_PATH_SIZE], cm_error *error) {
    const int length = snprintf(path, CM_FOLDER_PATH_SIZE, "%s/%s%s", folder, name, suffix);
    return length > 0 && length < CM_FOLDER_PATH_SIZE
               ? CM_OK
               : cm_fail(error, CM_USAGE, "the path of the folder is too long; give a shorter one");
}

cm_status cm_folder_prepare(const char *folder, const char *kind, cm_lock_file *lock,
                            cm_error *error) {
    static const char *const suffixes[] = {".csv", ".md", ".json"};
    char path[CM_FOLDER_PATH_SIZE];
    if (mkdir(folder, 0777) != 0 && errno != EEXIST) {
        return cm_fail(error, CM_USAGE, "cannot make folder %s: %s; give another one", folder,
                       strerror(errno));
    }
    cm_status status = CM_OK;
    for (size_t i = 0; status == CM_OK && i < sizeof suffixes / sizeof *suffixes; ++i) {
        status = folder_path(folder, kind, suffixes[i], path, error);
        if (status == CM_OK) {
            status = cm_path_check_writable(path, false, error);
        }
    }
    if (status == CM_OK) {
        status = folder_path(folder, kind, ".lock", path, error);
    }
    return status == CM_OK ? cm_lock_file_take(path, folder, lock, error) : status;
}

cm_status cm_folder_read_json(const char *folder, const char *kind, json_t **earlier,
                              char path[CM_FOLDER_PATH_SIZE], cm_error *error) {
    struct stat found;
    *earlier = NULL;
    const cm_status status = folder_path(folder, kind, ".json", path, error);
    if (status != CM_OK || stat(path, &found) != 0) {
        return status;
    }
    return cm_json_load(path, MAX_JSON, earlier, error);
}

cm_status cm_folder_write(const char *folder, const char *name, char *text, cm_error *error) {
    char path[CM_FOLDER_PATH_SIZE];
    cm_status status = folder_path(folder, name, "", path, error);
    if (status == CM_OK) {
        status = text == NULL
                     ? cm_fail(error, CM_FAILED, "%s: out of memory; close other programs", path)
                     : cm_file_write(path, text, strlen(text), error);
    }
    free(text);
    return status;
}

/* A symbolic link that the user made stays, and the file that it names is emptied. */
static cm_status remove_table(const char *path, cm_error *error) {
    struct stat info;
    if (lstat(path, &info) == 0 && S_ISLNK(info.st_mode)) {
        return stat(path, &info) == 0 && info.st_size == 0 ? CM_OK
                                                           : cm_file_write(path, "", 0, error);
    }
    return unlink(path) == 0 || errno == ENOENT
               ? CM_OK
               : cm_fail(error, CM_FAILED, "%s: cannot remove the file of an earlier call: %s",
                         path, strerror(errno));
}

/* The tables of an earlier call describe other results than those that are written now. */
static cm_status remove_tables(const char *folder, const char *kind, cm_error *error) {
    static const char *const suffixes[] = {".csv", ".md"};
    char path[CM_FOLDER_PATH_SIZE];
    for (size_t i = 0; i < sizeof suffixes / sizeof *suffixes; ++i) {
        cm_status status = folder_path(folder, kind, suffixes[i], path, error);
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
        status = folder_path(folder, kind, ".json", path, error);
    }
    if (status == CM_OK) {
        status = cm_json_write(path, json, error);
    }
    json_decref(json);
    return status;
}
