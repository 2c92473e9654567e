/**
 * What the fuzz targets share: the entry point, a check that stops the program, and a file that is
 * in memory only, for readers that take a path.
 */
#ifndef CM_TESTS_FUZZ_H
#define CM_TESTS_FUZZ_H

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "convmark/status.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/** Not assert(): it holds in every build. */
#define FUZZ_EXPECT(holds)                                                             \
    do {                                                                               \
        if (!(holds)) {                                                                \
            fprintf(stderr, "%s:%d: does not hold: %s\n", __FILE__, __LINE__, #holds); \
            abort();                                                                   \
        }                                                                              \
    } while (0)

/** The path of a regular file with these bytes; the next call reuses it. */
static inline const char *fuzz_file(const void *bytes, size_t size) {
    static char path[64];
    static int fd = -1;
    if (fd < 0) {
        fd = memfd_create("fuzz", 0);
        snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    }
    FUZZ_EXPECT(fd >= 0 && ftruncate(fd, 0) == 0 && pwrite(fd, bytes, size, 0) == (ssize_t)size);
    return path;
}

/** What a refusal must be: CM_BAD_INPUT, in one line that names the file. */
static inline void fuzz_expect_refused(cm_status status, const cm_error *error, const char *file) {
    FUZZ_EXPECT(status == CM_BAD_INPUT);
    FUZZ_EXPECT(strncmp(error->message, file, strlen(file)) == 0);
    FUZZ_EXPECT(strlen(error->message) > strlen(file) && strchr(error->message, '\n') == NULL);
}

#endif
