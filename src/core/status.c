#include "convmark/status.h"

#include <stdarg.h>
#include <stdio.h>

cm_status cm_fail(cm_error *error, cm_status status, const char *format, ...) {
    if (error != NULL) {
        va_list arguments;
        va_start(arguments, format);
        vsnprintf(error->message, sizeof error->message, format, arguments);
        va_end(arguments);
        for (char *c = error->message; *c != '\0'; ++c) {
            if ((unsigned char)*c < 0x20 || *c == 0x7F) {
                *c = '?';
            }
        }
    }
    return status;
}
