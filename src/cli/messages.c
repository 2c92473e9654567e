/* Warnings, and option names in messages of the libraries. */
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "cli/cli.h"
#include "core/escape.h"

void cm_warn(const char *format, ...) {
    char line[CM_ERROR_SIZE];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(line, sizeof line, format, arguments);
    va_end(arguments);
    cm_escape_for_terminal(line);
    fprintf(stderr, "convmark: warning: %s\n", line);
}

cm_status cm_name_options(cm_status status, const char *options, cm_error *error) {
    if (status == CM_USAGE || status == CM_BAD_INPUT) {
        const size_t used = strlen(error->message);
        snprintf(error->message + used, sizeof error->message - used, " (options: %s)", options);
    }
    return status;
}
