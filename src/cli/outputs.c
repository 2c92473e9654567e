/* Paths that options name for writing. */
#include <stdlib.h>
#include <string.h>

#include "cli/cli.h"
#include "core/files/atomic_file.h"

bool cm_is_stdout(const char *path) {
    return path != NULL && strcmp(path, "-") == 0;
}

cm_status cm_check_output(const char *option, const char *path, bool allow_stdout,
                          cm_error *error) {
    cm_error cause;
    const cm_status status =
        path == NULL ? CM_OK : cm_path_check_writable(path, allow_stdout, &cause);
    return status == CM_OK ? CM_OK : cm_fail(error, status, "--%s: %s", option, cause.message);
}

cm_status cm_check_outputs(const char *command, const cm_output *outputs, int count,
                           cm_error *error) {
    cm_status status = CM_OK;
    for (int i = 0; status == CM_OK && i < count; ++i) {
        const cm_output *a = &outputs[i];
        status = cm_check_output(a->option, a->path, a->allow_stdout, error);
        for (int k = 0; status == CM_OK && a->path != NULL && k < i; ++k) {
            const cm_output *b = &outputs[k];
            if (b->path != NULL && cm_path_same(a->path, b->path)) {
                status = cm_fail(error, CM_USAGE, "%s: --%s and --%s are both '%s'; give two files",
                                 command, b->option, a->option, a->path);
            }
        }
    }
    return status;
}

cm_status cm_write_text(const char *command, const char *path, char *text, cm_error *error) {
    const cm_status status =
        text == NULL ? cm_fail(error, CM_FAILED, "%s: out of memory; close other programs", command)
                     : cm_file_write(path, text, strlen(text), error);
    free(text);
    return status;
}
