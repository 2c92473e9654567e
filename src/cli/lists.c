/* Options that are lists with commas. */
#include <stdlib.h>
#include <string.h>

#include "cli/cli.h"

cm_status cm_split_list(const char *option, const char *text, char **list, const char **items,
                        int limit, int *count, cm_error *error) {
    *count = 0;
    *list = strdup(text);
    if (*list == NULL) {
        return cm_fail(error, CM_FAILED, "--%s: out of memory; close other programs", option);
    }
    for (char *item = *list; item != NULL;) {
        char *comma = strchr(item, ',');
        if (comma != NULL) {
            *comma++ = '\0';
        }
        if (*item == '\0') {
            return cm_fail(error, CM_USAGE, "--%s has an empty item; give items with single commas",
                           option);
        }
        if (*count == limit) {
            return cm_fail(error, CM_USAGE, "--%s has more than %d items; give fewer", option,
                           limit);
        }
        items[(*count)++] = item;
        item = comma;
    }
    return CM_OK;
}

cm_status cm_parse_int_list(const char *option, const char *text, int *values, int limit,
                            int *count, cm_error *error) {
    char *list = NULL;
    const char **items = calloc((size_t)limit, sizeof *items);
    cm_status status = items == NULL
                           ? cm_fail(error, CM_FAILED, "out of memory; close other programs")
                           : cm_split_list(option, text, &list, items, limit, count, error);
    for (int i = 0; status == CM_OK && i < *count; ++i) {
        if (!cm_parse_int(items[i], &values[i])) {
            status = cm_fail(error, CM_USAGE,
                             "--%s: '%s' is no whole number; give numbers with single commas",
                             option, items[i]);
        }
    }
    free(items);
    free(list);
    return status;
}
