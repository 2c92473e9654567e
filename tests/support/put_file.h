/* For tests of what is read from below a folder, such as that of control groups. Included after
 * cmocka.h. */
#ifndef CM_TESTS_PUT_FILE_H
#define CM_TESTS_PUT_FILE_H

#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

/* Writes ROOT/NAME, making the folders on the way. */
static inline void put(const char *root, const char *name, const char *text) {
    char path[1024];
    snprintf(path, sizeof path, "%s/%s", root, name);
    for (char *c = path + strlen(root) + 1; *c != '\0'; ++c) {
        if (*c == '/') {
            *c = '\0';
            mkdir(path, 0700);
            *c = '/';
        }
    }
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    assert_true(fputs(text, file) >= 0);
    assert_int_equal(fclose(file), 0);
}

#endif
