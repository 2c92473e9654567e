#include "convmark/status.h"

#include <stdarg.h>
#include <stdio.h>

#include "core/escape.h"

cm_status cm_fail(cm_error *error, cm_status status, const char *format, ...) {
    if (error != NULL) {
        va_list arguments;
        va_start(arguments, format);
        vsnprintf(error->message, sizeof error->message, format, arguments);
        va_end(arguments);
        cm_escape_for_terminal(error->message);
    }
    return status;
}
