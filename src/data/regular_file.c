#include "data/regular_file.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static const char *kind_of(mode_t mode) {
    return S_ISDIR(mode)    ? "a folder"
           : S_ISFIFO(mode) ? "a pipe"
           : S_ISSOCK(mode) ? "a socket"
                            : "a device";
}

static cm_status cannot_open(const char *path, cm_error *error) {
    const int reason = errno;
    struct stat info;
    if (reason == ENOENT && lstat(path, &info) == 0) {
        return cm_fail(error, CM_BAD_INPUT, "%s: the link points to nothing", path);
    }
    return cm_fail(error, CM_BAD_INPUT, "%s: cannot open: %s", path, strerror(reason));
}

static cm_status check_regular(const char *path, const struct stat *info, cm_error *error) {
    if (!S_ISREG(info->st_mode)) {
        return cm_fail(error, CM_BAD_INPUT, "%s: is %s, not a regular file", path,
                       kind_of(info->st_mode));
    }
    return CM_OK;
}

cm_status cm_regular_file_open(const char *path, int *descriptor, uint64_t *size, cm_error *error) {
    /* Looked at before it is opened, because opening alone can act on a device; and again after,
     * because the name may mean another file by then (O_NONBLOCK: a pipe must not block). */
    struct stat info;
    if (stat(path, &info) != 0) {
        return cannot_open(path, error);
    }
    cm_status status = check_regular(path, &info, error);
    if (status != CM_OK) {
        return status;
    }
    const int opened = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
    if (opened < 0) {
        return cannot_open(path, error);
    }
    status =
        fstat(opened, &info) != 0 ? cannot_open(path, error) : check_regular(path, &info, error);
    if (status != CM_OK) {
        close(opened);
        return status;
    }
    *descriptor = opened;
    *size = (uint64_t)info.st_size;
    return CM_OK;
}

cm_status cm_regular_file_read(int descriptor, const char *path, void *buffer, size_t size,
                               size_t *count, cm_error *error) {
    *count = 0;
    while (*count < size) {
        const ssize_t got = read(descriptor, (char *)buffer + *count, size - *count);
        if (got < 0 && errno == EINTR) {
            continue;
        }
        if (got < 0) {
            return cm_fail(error, CM_BAD_INPUT, "%s: cannot read: %s", path, strerror(errno));
        }
        if (got == 0) {
            break;
        }
        *count += (size_t)got;
    }
    return CM_OK;
}
