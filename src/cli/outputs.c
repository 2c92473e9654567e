/* Paths that options name for writing. */
#include <dirent.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/cli.h"
#include "core/files/atomic_file.h"

bool cm_is_stdout(const char *path) {
    return path != NULL && strcmp(path, "-") == 0;
}

void cm_inputs_pack(const char **inputs, int count) {
    int given = 0;
    for (int i = 0; i < count; ++i) {
        const char *input = inputs[i];
        inputs[i] = NULL;
        if (input != NULL) {
            inputs[given++] = input;
        }
    }
}

/* What is written beside a checkpoint. */
static const char *const siblings[] = {"", ".previous", ".lock"};
enum { SIBLINGS = sizeof siblings / sizeof *siblings };

/* Which file of output `a`, with its siblings, is also `path` or a sibling of it; NULL: none. */
static cm_status find_clash(const cm_output *a, const char *path, bool with_siblings, char *clash,
                            size_t size, cm_error *error) {
    char left[PATH_MAX], right[PATH_MAX];
    clash[0] = '\0';
    for (int i = 0; i < (a->checkpoint ? SIBLINGS : 1); ++i) {
        for (int k = 0; k < (with_siblings ? SIBLINGS : 1); ++k) {
            const int one = snprintf(left, sizeof left, "%s%s", a->path, siblings[i]);
            const int two = snprintf(right, sizeof right, "%s%s", path, siblings[k]);
            bool same = false;
            if (one >= (int)sizeof left || two >= (int)sizeof right) {
                continue; /* no file has such a name */
            }
            const cm_status status = cm_path_compare(left, right, &same, error);
            if (status != CM_OK) {
                return status;
            }
            if (same) {
                snprintf(clash, size, "%s", left);
                return CM_OK;
            }
        }
    }
    return CM_OK;
}

static cm_status check_against_outputs(const char *command, const cm_output *outputs, int index,
                                       cm_error *error) {
    const cm_output *a = &outputs[index];
    char clash[PATH_MAX];
    for (int k = 0; k < index; ++k) {
        const cm_output *b = &outputs[k];
        if (b->path == NULL) {
            continue;
        }
        const cm_status status = find_clash(a, b->path, b->checkpoint, clash, sizeof clash, error);
        if (status != CM_OK) {
            return status;
        }
        if (clash[0] != '\0') {
            return cm_fail(error, CM_USAGE, "%s: --%s and --%s are both '%s'; give two files",
                           command, b->option, a->option, clash);
        }
    }
    return CM_OK;
}

static cm_status check_against_input(const char *command, const cm_output *a, const char *input,
                                     cm_error *error) {
    char clash[PATH_MAX];
    const cm_status status = find_clash(a, input, false, clash, sizeof clash, error);
    if (status != CM_OK || clash[0] == '\0' || cm_is_stdout(input)) {
        return status;
    }
    return cm_fail(error, CM_USAGE,
                   "%s: --%s would write over '%s', which is read; give another file", command,
                   a->option, clash);
}

/* The files of a data set, whose folder is the input. */
static cm_status check_against_folder(const char *command, const cm_output *a, const char *input,
                                      cm_error *error) {
    DIR *folder = opendir(input);
    cm_status status = CM_OK;
    for (const struct dirent *entry;
         status == CM_OK && folder != NULL && (entry = readdir(folder)) != NULL;) {
        char path[PATH_MAX];
        if (strstr(entry->d_name, "-ubyte") != NULL &&
            snprintf(path, sizeof path, "%s/%s", input, entry->d_name) < (int)sizeof path) {
            status = check_against_input(command, a, path, error);
        }
    }
    if (folder != NULL) {
        closedir(folder);
    }
    return status;
}

static cm_status check_against_inputs(const char *command, const cm_output *a,
                                      const char *const *inputs, cm_error *error) {
    cm_status status = CM_OK;
    for (; status == CM_OK && inputs != NULL && *inputs != NULL; ++inputs) {
        status = check_against_input(command, a, *inputs, error);
        if (status == CM_OK) {
            status = check_against_folder(command, a, *inputs, error);
        }
    }
    return status;
}

/* Whether the path can be written. */
static cm_status check_writable(const cm_output *output, cm_error *error) {
    cm_error cause;
    const cm_status status = cm_path_check_writable(output->path, output->allow_stdout, &cause);
    return status == CM_OK ? CM_OK
                           : cm_fail(error, status, "--%s: %s", output->option, cause.message);
}

cm_status cm_check_outputs(const char *command, const cm_output *outputs, int count,
                           const char *const *inputs, cm_error *error) {
    cm_status status = CM_OK;
    for (int i = 0; status == CM_OK && i < count; ++i) {
        const cm_output *output = &outputs[i];
        if (output->path == NULL) {
            continue;
        }
        status = check_against_inputs(command, output, inputs, error);
        if (status == CM_OK) {
            status = check_against_outputs(command, outputs, i, error);
        }
        if (status == CM_OK && !output->later) {
            status = check_writable(output, error);
        }
    }
    return status;
}

cm_status cm_check_output(const char *command, const char *option, const char *path,
                          const char *const *inputs, cm_error *error) {
    const cm_output output = {.option = option, .path = path, .allow_stdout = true};
    return cm_check_outputs(command, &output, 1, inputs, error);
}

cm_status cm_write_text(const char *command, const char *path, char *text, cm_error *error) {
    const cm_status status =
        text == NULL ? cm_fail(error, CM_FAILED, "%s: out of memory; close other programs", command)
                     : cm_file_write(path, text, strlen(text), error);
    free(text);
    return status;
}
