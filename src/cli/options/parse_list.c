/* Values that are lists with commas, or one of several names. */
#include <stdio.h>
#include <string.h>

#include "cli/options/options.h"

static cm_status fail_empty_item(cm_error *error) {
    return cm_fail(error, CM_USAGE, "has an empty item; separate items by single commas");
}

cm_status cm_parse_list(char *text, const char **items, int limit, int *count, cm_error *error) {
    *count = 0;
    for (char *item = text; item != NULL;) {
        char *comma = strchr(item, ',');
        if (comma != NULL) {
            *comma++ = '\0';
        }
        if (*item == '\0') {
            return fail_empty_item(error);
        }
        if (*count == limit) {
            return cm_fail(error, CM_USAGE, "has more than %d items; give fewer", limit);
        }
        items[(*count)++] = item;
        item = comma;
    }
    return CM_OK;
}

static bool list_contains(const int *values, int count, int value) {
    for (int i = 0; i < count; ++i) {
        if (values[i] == value) {
            return true;
        }
    }
    return false;
}

cm_status cm_parse_int_list(char *text, const cm_int_list *list, cm_error *error) {
    *list->count = 0;
    for (char *item = text; item != NULL;) {
        char *comma = strchr(item, ',');
        if (comma != NULL) {
            *comma++ = '\0';
        }
        int value;
        if (*item == '\0') {
            return fail_empty_item(error);
        }
        if (!cm_parse_int(item, &value) || value < list->minimum || value > list->maximum) {
            return cm_fail(error, CM_USAGE,
                           "'%s' is not accepted; give whole numbers from %d to %d, separated by "
                           "commas",
                           item, list->minimum, list->maximum);
        }
        if (list_contains(list->values, *list->count, value)) {
            return cm_fail(error, CM_USAGE, "%d is given twice; give each number once", value);
        }
        if (*list->count == list->limit) {
            return cm_fail(error, CM_USAGE, "has more than %d items; give fewer", list->limit);
        }
        list->values[(*list->count)++] = value;
        item = comma;
    }
    return CM_OK;
}

cm_status cm_parse_choice(const char *text, const char *what, const char *const *names, int count,
                          int *choice, cm_error *error) {
    char listed[200] = "";
    size_t used = 0;
    for (int i = 0; i < count; ++i) {
        if (strcmp(text, names[i]) == 0) {
            *choice = i;
            return CM_OK;
        }
        const char *before = i == 0 ? "" : i == count - 1 ? " or " : ", ";
        const int length = snprintf(listed + used, sizeof listed - used, "%s%s", before, names[i]);
        used += length > 0 && used + (size_t)length < sizeof listed ? (size_t)length : 0;
    }
    return cm_fail(error, CM_USAGE, "'%s' is not %s; choose %s", text, what, listed);
}
