#include "core/files/lock_file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

/* Whether the opened file is still the one of that name: the one who held it before removes it. */
static bool is_named(int fd, const char *path) {
    struct stat opened, named;
    return fstat(fd, &opened) == 0 && lstat(path, &named) == 0 && opened.st_dev == named.st_dev &&
           opened.st_ino == named.st_ino;
}

/* The descriptor of the locked file; -1 with errno set: EWOULDBLOCK when another one holds it. */
static int take_lock(const char *path) {
    for (;;) {
        const int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK, 0666);
        if (fd < 0) {
            return -1;
        }
        if (flock(fd, LOCK_EX | LOCK_NB) != 0) {
            const int code = errno;
            close(fd);
            errno = code;
            return -1;
        }
        if (is_named(fd, path)) {
            return fd;
        }
        close(fd);
    }
}

cm_status cm_lock_file_take(const char *path, const char *what, cm_lock_file *lock,
                            cm_error *error) {
    *lock = (cm_lock_file){.path = strdup(path), .fd = -1};
    if (lock->path == NULL) {
        return cm_fail(error, CM_FAILED, "%s: out of memory; close some programs", path);
    }
    lock->fd = take_lock(path);
    if (lock->fd >= 0) {
        return CM_OK;
    }
    const int code = errno;
    free(lock->path);
    lock->path = NULL;
    if (code == EWOULDBLOCK) {
        return cm_fail(error, CM_FAILED,
                       "%s: is in use by another run, which holds %s; wait for its end or choose "
                       "another path",
                       what, path);
    }
    return cm_fail(error, CM_FAILED, "%s: cannot lock: %s; choose another path", path,
                   strerror(code));
}

void cm_lock_file_release(cm_lock_file *lock) {
    if (lock->path != NULL) {
        unlink(lock->path); /* first, so that nobody locks a file that is about to go */
        close(lock->fd);
        free(lock->path);
        lock->path = NULL;
    }
}
