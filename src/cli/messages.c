/* Warnings, and option names in messages of the libraries. */
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "cli/cli.h"

void cm_warn(const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    fputs("convmark: warning: ", stderr);
    vfprintf(stderr, format, arguments);
    fputc('\n', stderr);
    va_end(arguments);
}

cm_status cm_name_options(cm_status status, const char *options, cm_error *error) {
    if (status == CM_USAGE || status == CM_BAD_INPUT) {
        const size_t used = strlen(error->message);
        snprintf(error->message + used, sizeof error->message - used, " (options: %s)", options);
    }
    return status;
}
