/**
 * Files for tests of readers: a temporary folder per test program, and damaged copies in it. A
 * failure to set up is a failure of the test (cmocka's assertions).
 */
#ifndef CM_TESTS_TEMPORARY_H
#define CM_TESTS_TEMPORARY_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <dirent.h>
#include <sys/stat.h>
#include <unistd.h>

enum { TEMPORARY_PATH_SIZE = 512 };

static char temporary_folder[64];

/* cmocka group fixtures. */
static int temporary_create(void **state) {
    (void)state;
    snprintf(temporary_folder, sizeof temporary_folder, "/tmp/convmark-test-XXXXXX");
    return mkdtemp(temporary_folder) != NULL ? 0 : -1;
}

static void temporary_empty(const char *folder) {
    DIR *listing = opendir(folder);
    assert_non_null(listing);
    const struct dirent *entry;
    while ((entry = readdir(listing)) != NULL) {
        char path[TEMPORARY_PATH_SIZE];
        struct stat info;
        if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0) {
            continue;
        }
        snprintf(path, sizeof path, "%s/%s", folder, entry->d_name);
        if (lstat(path, &info) == 0 && S_ISDIR(info.st_mode)) {
            temporary_empty(path);
        }
        assert_int_equal(remove(path), 0);
    }
    closedir(listing);
}

static int temporary_remove(void **state) {
    (void)state;
    temporary_empty(temporary_folder);
    return rmdir(temporary_folder);
}

/* Path of `name` in the folder; the buffer is static: one path at a time. */
static inline const char *temporary_path(const char *name) {
    static char path[TEMPORARY_PATH_SIZE];
    snprintf(path, sizeof path, "%s/%s", temporary_folder, name);
    return path;
}

static inline const char *temporary_write(const char *name, const void *bytes, size_t size) {
    const char *path = temporary_path(name);
    FILE *file = fopen(path, "wb");
    assert_non_null(file);
    assert_int_equal(fwrite(bytes, 1, size, file), size);
    assert_int_equal(fclose(file), 0);
    return path;
}

/* One line, and it says where. */
static inline void assert_message(const char *message, const char *path, const char *contains) {
    if (strstr(message, path) == NULL || strstr(message, contains) == NULL ||
        strchr(message, '\n') != NULL) {
        fail_msg("message \"%s\" lacks \"%s\" or \"%s\"", message, path, contains);
    }
}

#endif
