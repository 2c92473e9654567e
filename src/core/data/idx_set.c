#include "core/data/idx_set.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

static const char *const part_names[CM_IDX_PART_COUNT] = {
    [CM_IDX_TRAIN_LABELS] = "train-labels-idx1-ubyte",
    [CM_IDX_TEST_LABELS] = "t10k-labels-idx1-ubyte",
    [CM_IDX_TRAIN_PICTURES] = "train-images-idx3-ubyte",
    [CM_IDX_TEST_PICTURES] = "t10k-images-idx3-ubyte",
};

/* Other names of the same, separated by '-' as in the table above. */
static const struct {
    cm_idx_part part;
    const char *name;
} other_names[] = {
    {CM_IDX_TEST_LABELS, "test-labels-idx1-ubyte"},
    {CM_IDX_TEST_PICTURES, "test-images-idx3-ubyte"},
};
enum { OTHER_COUNT = sizeof other_names / sizeof *other_names };

const char *cm_idx_part_name(cm_idx_part part) {
    return part_names[part];
}

/* ---- One name ---- */

/* What a file's name says. */
typedef struct parsed_name {
    cm_idx_part part;
    size_t title_length; /* of what stands before, with its separator; 0: nothing */
    bool canonical, gzip;
} parsed_name;

static bool is_separator(char c) {
    return c == '-' || c == '.' || c == '_';
}

/* Whether `text`, with any separators and in any case, ends with `name`. */
static bool ends_with(const char *text, size_t length, const char *name) {
    const size_t size = strlen(name);
    if (length < size) {
        return false;
    }
    const char *tail = text + length - size;
    for (size_t i = 0; i < size; ++i) {
        const bool same =
            name[i] == '-' ? is_separator(tail[i]) : tolower((unsigned char)tail[i]) == name[i];
        if (!same) {
            return false;
        }
    }
    return length == size || is_separator(tail[-1]);
}

static bool parse_name(const char *name, parsed_name *parsed) {
    size_t length = strlen(name);
    parsed->gzip = length > 3 && strcmp(name + length - 3, ".gz") == 0;
    length -= parsed->gzip ? 3 : 0;
    for (int i = 0; i < CM_IDX_PART_COUNT + OTHER_COUNT; ++i) {
        const bool main = i < CM_IDX_PART_COUNT;
        const int other = main ? 0 : i - CM_IDX_PART_COUNT;
        const char *known = main ? part_names[i] : other_names[other].name;
        if (ends_with(name, length, known)) {
            parsed->part = main ? (cm_idx_part)i : other_names[other].part;
            parsed->title_length = length - strlen(known);
            parsed->canonical = main && strncmp(name, known, strlen(known)) == 0;
            return true;
        }
    }
    return false;
}

/* ---- One folder ---- */

/* Which of two names of one part is taken: the usual one, compressed, the first in order. */
static bool is_better(const char *name, const char *than) {
    parsed_name a, b;
    if (!parse_name(than, &b) || !parse_name(name, &a)) {
        return true;
    }
    if (a.canonical != b.canonical) {
        return a.canonical;
    }
    return a.gzip != b.gzip ? a.gzip : strcmp(name, than) < 0;
}

static bool is_folder(const char *folder, const char *name) {
    char path[CM_IDX_FOLDER_SIZE + CM_IDX_NAME_SIZE];
    struct stat info;
    snprintf(path, sizeof path, "%s/%s", folder, name);
    return stat(path, &info) == 0 && S_ISDIR(info.st_mode);
}

/* Adds a file of the set; a second title is an error. A set without a title comes before others. */
static cm_status add_name(const char *name, const parsed_name *parsed, cm_idx_set *set, bool *found,
                          cm_error *error) {
    char title[CM_IDX_NAME_SIZE] = "";
    if (parsed->title_length > 0) {
        snprintf(title, sizeof title, "%.*s", (int)parsed->title_length - 1, name);
    }
    if (*found && strcmp(title, set->title) != 0) {
        if (title[0] != '\0' && set->title[0] != '\0') {
            return cm_fail(error, CM_BAD_INPUT,
                           "%s: has files of '%s' and of '%s'; give each set a folder of its own",
                           set->folder, set->title, title);
        }
        if (title[0] != '\0') {
            return CM_OK;
        }
        memset(set->names, 0, sizeof set->names);
    }
    snprintf(set->title, sizeof set->title, "%s", title);
    char *taken = set->names[parsed->part];
    if (taken[0] == '\0' || is_better(name, taken)) {
        snprintf(taken, CM_IDX_NAME_SIZE, "%s", name);
    }
    *found = true;
    return CM_OK;
}

/* Archives are unpacked into folders of their files' names: NAME/NAME. A folder without such a file
 * is taken for the file, so that reading it says what it is. */
static void take_folders(const char folders[CM_IDX_PART_COUNT][CM_IDX_NAME_SIZE], cm_idx_set *set,
                         bool *found) {
    for (int part = 0; part < CM_IDX_PART_COUNT; ++part) {
        const char *name = folders[part];
        char path[CM_IDX_FOLDER_SIZE + CM_IDX_NAME_SIZE], inside[CM_IDX_NAME_SIZE];
        struct stat info;
        if (name[0] == '\0' || set->names[part][0] != '\0') {
            continue;
        }
        snprintf(inside, sizeof inside, "%.120s/%.120s", name, name);
        snprintf(path, sizeof path, "%s/%s", set->folder, inside);
        memcpy(set->names[part], stat(path, &info) == 0 ? inside : name, CM_IDX_NAME_SIZE);
        *found = true;
    }
}

/* The files in this folder. */
static cm_status scan_folder(const char *folder, cm_idx_set *set, bool *found, cm_error *error) {
    *set = (cm_idx_set){.title = ""};
    *found = false;
    snprintf(set->folder, sizeof set->folder, "%s", folder);
    DIR *entries = opendir(folder);
    if (entries == NULL) {
        return cm_fail(error, CM_BAD_INPUT, "%s: %s", folder, strerror(errno));
    }
    char folders[CM_IDX_PART_COUNT][CM_IDX_NAME_SIZE] = {""};
    cm_status status = CM_OK;
    for (const struct dirent *entry; status == CM_OK && (entry = readdir(entries)) != NULL;) {
        parsed_name parsed;
        if (strlen(entry->d_name) >= CM_IDX_NAME_SIZE || !parse_name(entry->d_name, &parsed)) {
            continue;
        }
        if (!is_folder(folder, entry->d_name)) {
            status = add_name(entry->d_name, &parsed, set, found, error);
        } else if (parsed.title_length == 0) {
            snprintf(folders[parsed.part], CM_IDX_NAME_SIZE, "%s", entry->d_name);
        }
    }
    closedir(entries);
    if (status == CM_OK && set->title[0] == '\0') {
        take_folders((const char(*)[CM_IDX_NAME_SIZE])folders, set, found);
    }
    return status;
}

/* ---- Folders below ---- */

/* A set in folder/name, or in folder/name/raw. */
static cm_status scan_below(const char *folder, const char *name, cm_idx_set *set, bool *found,
                            cm_error *error) {
    static const char *const endings[] = {"", "/raw"};
    cm_status status = CM_OK;
    *found = false;
    for (int i = 0; status == CM_OK && !*found && i < 2; ++i) {
        char path[CM_IDX_FOLDER_SIZE];
        const int length = snprintf(path, sizeof path, "%s/%s%s", folder, name, endings[i]);
        /* What cannot be entered is passed over: nobody asked for it. */
        if (length > 0 && (size_t)length < sizeof path && is_folder(path, ".")) {
            cm_error reason = {""};
            status = scan_folder(path, set, found, &reason);
            if (status != CM_OK && *found) {
                return cm_fail(error, status, "%s", reason.message);
            }
            status = CM_OK;
        }
    }
    return status;
}

cm_status cm_idx_set_find(const char *folder, cm_idx_set *set, bool *found, cm_error *error) {
    cm_status status = scan_folder(folder, set, found, error);
    if (status != CM_OK || *found) {
        return status;
    }
    DIR *entries = opendir(folder);
    if (entries == NULL) {
        return cm_fail(error, CM_BAD_INPUT, "%s: %s", folder, strerror(errno));
    }
    for (const struct dirent *entry; status == CM_OK && (entry = readdir(entries)) != NULL;) {
        cm_idx_set below;
        bool here = false;
        if (entry->d_name[0] != '.') {
            status = scan_below(folder, entry->d_name, &below, &here, error);
        }
        if (status == CM_OK && here && *found) {
            status = cm_fail(error, CM_BAD_INPUT, "%s: has a set in %s and one in %s; name one",
                             folder, set->folder, below.folder);
        } else if (status == CM_OK && here) {
            *set = below;
            *found = true;
        }
    }
    closedir(entries);
    return status;
}
