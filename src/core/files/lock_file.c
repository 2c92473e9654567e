#include "core/files/lock_file.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

/* What comes of an attempt to take a lock. */
typedef enum lock_result {
    LOCK_TAKEN,
    LOCK_HELD,        /* another process has it */
    LOCK_FOREIGN,     /* the file is none that this program makes */
    LOCK_UNSUPPORTED, /* the file system has no locks */
    LOCK_FAILED       /* errno says why */
} lock_result;

/* Whether the opened file is still the one of that name: the one who held it before removes it. */
static bool is_named(int fd, const char *path) {
    struct stat opened, named;
    return fstat(fd, &opened) == 0 && lstat(path, &named) == 0 && opened.st_dev == named.st_dev &&
           opened.st_ino == named.st_ino;
}

/* Whether the file can be one that a run of this user left: nothing else may be taken, and later
 * removed. */
static bool is_ours(const struct stat *info) {
    return S_ISREG(info->st_mode) && info->st_size == 0 && info->st_nlink <= 1 &&
           info->st_uid == geteuid();
}

static int open_lock(const char *path, bool *created) {
    const int flags = O_RDWR | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY;
    for (;;) {
        int fd = open(path, flags | O_CREAT | O_EXCL, 0666);
        *created = fd >= 0;
        if (fd >= 0 || errno != EEXIST) {
            return fd;
        }
        fd = open(path, flags);
        if (fd >= 0 || errno != ENOENT) { /* else it was removed in between */
            return fd;
        }
    }
}

static bool has_no_locks(int code) {
    return code == ENOLCK || code == ENOTSUP || code == EOPNOTSUPP || code == ENOSYS ||
           code == EINVAL;
}

static lock_result try_lock(const char *path, int fd, bool created) {
    struct stat info;
    if (fstat(fd, &info) != 0) {
        return LOCK_FAILED;
    }
    if (!S_ISREG(info.st_mode) || info.st_size > 0) {
        return LOCK_FOREIGN;
    }
    if (flock(fd, LOCK_EX | LOCK_NB) != 0) {
        const int code = errno;
        if (code == EWOULDBLOCK) {
            return LOCK_HELD;
        }
        if (created) {
            unlink(path);
        }
        errno = code;
        return has_no_locks(code) ? LOCK_UNSUPPORTED : LOCK_FAILED;
    }
    return is_ours(&info) ? LOCK_TAKEN : LOCK_FOREIGN;
}

/* *fd is that of the locked file, or of the one that another process holds; else -1. */
static lock_result take_lock(const char *path, int *fd) {
    for (;;) {
        bool created = false;
        *fd = open_lock(path, &created);
        if (*fd < 0) {
            return errno == ELOOP ? LOCK_FOREIGN : LOCK_FAILED;
        }
        const lock_result result = try_lock(path, *fd, created);
        if (result == LOCK_HELD || (result == LOCK_TAKEN && is_named(*fd, path))) {
            return result;
        }
        const int code = errno;
        close(*fd);
        *fd = -1;
        errno = code;
        if (result != LOCK_TAKEN) {
            return result;
        }
    }
}

/* " (process 1234)" of the one that holds a lock on the file, where the system says. */
static void name_holder(int fd, char *text, size_t size) {
    char line[256];
    struct stat info;
    text[0] = '\0';
    FILE *locks = fopen("/proc/locks", "re");
    while (locks != NULL && fstat(fd, &info) == 0 && fgets(line, sizeof line, locks) != NULL) {
        long process = 0;
        uintmax_t inode = 0;
        /* 1: FLOCK  ADVISORY  WRITE 1234 08:01:5678 0 EOF */
        if (sscanf(line, "%*s FLOCK %*s WRITE %ld %*x:%*x:%ju", &process, &inode) == 2 &&
            inode == info.st_ino && process > 0) {
            snprintf(text, size, " (process %ld)", process);
        }
    }
    if (locks != NULL) {
        fclose(locks);
    }
}

static cm_status refuse_lock(const char *path, const char *what, lock_result result, int fd,
                             cm_error *error) {
    char holder[40];
    switch (result) {
    case LOCK_HELD:
        name_holder(fd, holder, sizeof holder);
        close(fd);
        return cm_fail(error, CM_FAILED,
                       "%s: is in use by another run%s, which holds %s; wait for its end or choose "
                       "another path",
                       what, holder, path);
    case LOCK_FOREIGN:
        return cm_fail(error, CM_FAILED,
                       "%s: cannot lock: it is not an empty file of this user, as a run leaves; "
                       "move it away or choose another path",
                       path);
    default:
        return cm_fail(error, CM_FAILED, "%s: cannot lock: %s; choose another path", path,
                       strerror(errno));
    }
}

cm_status cm_lock_file_take(const char *path, const char *what, cm_lock_file *lock,
                            cm_error *error) {
    *lock = (cm_lock_file){.path = NULL, .fd = -1};
    char *copy = strdup(path);
    if (copy == NULL) {
        return cm_fail(error, CM_FAILED, "%s: out of memory; close some programs", path);
    }
    const lock_result result = take_lock(path, &lock->fd);
    if (result == LOCK_TAKEN) {
        lock->path = copy;
        return CM_OK;
    }
    free(copy);
    if (result == LOCK_UNSUPPORTED) {
        lock->unsupported = true;
        return CM_OK;
    }
    const int fd = lock->fd;
    lock->fd = -1;
    return refuse_lock(path, what, result, fd, error);
}

void cm_lock_file_release(cm_lock_file *lock) {
    if (lock->path != NULL) {
        if (is_named(lock->fd, lock->path)) {
            unlink(lock->path); /* first, so that nobody locks a file that is about to go */
        }
        close(lock->fd);
        free(lock->path);
        lock->path = NULL;
    }
}
