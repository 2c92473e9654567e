/* Numbers. The program never calls setlocale(), so strtod()'s decimal point is '.'. strtod() also
 * accepts hexadecimal numbers, infinity and leading spaces: the check of characters excludes them.
 */
#include <errno.h>
#include <limits.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "cli/options/options.h"

static bool all_in(const char *text, const char *characters) {
    return text[0] != '\0' && text[strspn(text, characters)] == '\0';
}

bool cm_parse_uint64(const char *text, uint64_t *value) {
    if (!all_in(text, "0123456789")) {
        return false;
    }
    errno = 0;
    const unsigned long long parsed = strtoull(text, NULL, 10);
    if (errno != 0 || parsed > UINT64_MAX) {
        return false;
    }
    *value = (uint64_t)parsed;
    return true;
}

bool cm_parse_int(const char *text, int *value) {
    const bool negative = text[0] == '-';
    uint64_t magnitude;
    if (!cm_parse_uint64(text + negative, &magnitude) || magnitude > INT_MAX) {
        return false;
    }
    *value = negative ? -(int)magnitude : (int)magnitude;
    return true;
}

bool cm_parse_double(const char *text, double *value) {
    if (!all_in(text, "0123456789+-.eE")) {
        return false;
    }
    char *end;
    errno = 0;
    const double parsed = strtod(text, &end);
    if (end == text || *end != '\0' || errno != 0 || !isfinite(parsed)) {
        return false;
    }
    *value = parsed;
    return true;
}
