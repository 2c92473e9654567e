#include "core/files/atomic_file.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/files/links.h"

/* What the system says, in the same words under every locale, and what to do about it. */
static const struct {
    int code;
    const char *text;
} SYSTEM_ERRORS[] = {
    {ENOENT, "no such file or folder; check the path"},
    {ENOTDIR, "a part of the path is not a folder; check the path"},
    {EACCES, "permission denied; choose another path or change its permissions"},
    {EPERM, "operation not permitted; choose another path or change its permissions"},
    {EROFS, "the file system is read-only; choose another path"},
    {ENOSPC, "no space left on the device; free some or choose another path"},
    {EDQUOT, "disk quota exceeded; free some space or choose another path"},
    {EFBIG, "the file would be larger than allowed; raise the limit (ulimit -f)"},
    {EIO, "input/output error; check the disk"},
    {ELOOP, "too many symbolic links; check the path"},
    {ENAMETOOLONG, "the name is too long; choose a shorter one"},
    {EMFILE, "too many open files; raise the limit (ulimit -n)"},
    {ENFILE, "too many open files on this system; close some programs"},
    {ENOMEM, "out of memory; close some programs"},
    {EPIPE, "the reader has closed the pipe"},
};

static cm_status fail_errno(cm_error *error, cm_status status, const char *path, const char *what,
                            int code) {
    for (size_t i = 0; i < sizeof SYSTEM_ERRORS / sizeof *SYSTEM_ERRORS; ++i) {
        if (SYSTEM_ERRORS[i].code == code) {
            return cm_fail(error, status, "%s: %s: %s", path, what, SYSTEM_ERRORS[i].text);
        }
    }
    return cm_fail(error, status, "%s: %s: %s (errno %d); check the path", path, what,
                   strerror(code), code);
}

static int write_all(int fd, const void *data, size_t size) {
    const char *next = data;
    while (size > 0) {
        /* Some systems refuse writes above 2 GiB in one call. */
        const ssize_t n = write(fd, next, size < ((size_t)1 << 30) ? size : (size_t)1 << 30);
        if (n == 0) {
            return EIO;
        }
        if (n < 0 && errno != EINTR) {
            return errno;
        }
        if (n > 0) {
            next += n;
            size -= (size_t)n;
        }
    }
    return 0;
}

static cm_status write_stdout(const void *data, size_t size, cm_error *error) {
    int code = fflush(stdout) == 0 ? 0 : errno;
    if (code == 0) {
        code = write_all(STDOUT_FILENO, data, size);
    }
    return code == 0 ? CM_OK
                     : fail_errno(error, CM_FAILED, "standard output", "cannot write", code);
}

/* Where a write to a path goes: the file itself (links followed), its folder and its permissions
 * if it exists. */
typedef struct target {
    char *path;
    char *temporary; /* room for the temporary file's path */
    size_t folder_length;
    bool exists;
    bool no_memory; /* is why there is no target */
    mode_t mode;
} target;

static const char TEMPORARY_FORMAT[] = ".convmark-%ld-%d.tmp";
enum { TEMPORARY_NAME_SIZE = 64, TEMPORARY_ATTEMPTS = 1000 };

static void target_free(target *to) {
    free(to->path);
    free(to->temporary);
}

static cm_status check_existing(const char *path, const struct stat *info, cm_error *error) {
    if (S_ISDIR(info->st_mode)) {
        return cm_fail(error, CM_FAILED, "%s: is a folder; give the path of a file", path);
    }
    if (!S_ISREG(info->st_mode)) {
        return cm_fail(error, CM_FAILED,
                       "%s: is a device, pipe or socket; give the path of a regular file", path);
    }
    if (access(path, W_OK) != 0) {
        return fail_errno(error, CM_FAILED, path, "cannot replace the file", errno);
    }
    return CM_OK;
}

/* On success the caller frees *to. */
static cm_status target_find(const char *path, target *to, cm_error *error) {
    *to = (target){0};
    const size_t length = strlen(path);
    if (length == 0) {
        return cm_fail(error, CM_USAGE, "an output path is empty; give the path of a file");
    }
    struct stat info;
    if (stat(path, &info) == 0) {
        cm_status status = check_existing(path, &info, error);
        if (status == CM_OK) {
            status = cm_links_check(path, &to->no_memory, error);
        }
        if (status != CM_OK) {
            return status;
        }
        to->exists = true;
        to->mode = info.st_mode & 0777;
        to->path = realpath(path, NULL);
    } else if (errno != ENOENT) {
        return fail_errno(error, CM_FAILED, path, "cannot write", errno);
    } else if (lstat(path, &info) == 0) {
        return cm_fail(error, CM_FAILED, "%s: is a link to a file that does not exist; remove it",
                       path);
    } else if (path[length - 1] == '/') {
        return cm_fail(error, CM_FAILED, "%s: names a folder; give the path of a file", path);
    } else {
        to->path = strdup(path);
    }
    if (to->path != NULL) {
        const char *slash = strrchr(to->path, '/');
        to->folder_length = slash == NULL ? 0 : (size_t)(slash - to->path) + 1;
        to->temporary = malloc(to->folder_length + TEMPORARY_NAME_SIZE);
    }
    if (to->temporary == NULL) {
        target_free(to);
        to->no_memory = true;
        return fail_errno(error, CM_FAILED, path, "cannot write", ENOMEM);
    }
    memcpy(to->temporary, to->path, to->folder_length);
    return CM_OK;
}

/* A lock says that the file has an owner who lives: it ends with the process. False when another
 * process has taken the file, or removed it, between its creation and the lock; a file system
 * without locks cannot tell. */
static bool temporary_lock(int fd) {
    struct stat info;
    if (flock(fd, LOCK_EX | LOCK_NB) != 0 && errno == EWOULDBLOCK) {
        return false;
    }
    return fstat(fd, &info) != 0 || info.st_nlink > 0;
}

/* Creates a file of a name that did not exist, and locks it; -1 with errno set if that fails. */
static int temporary_open(target *to) {
    for (int i = 0; i < TEMPORARY_ATTEMPTS; ++i) {
        snprintf(to->temporary + to->folder_length, TEMPORARY_NAME_SIZE, TEMPORARY_FORMAT,
                 (long)getpid(), i);
        /* Never wider than the file that it replaces, not even before fchmod(). */
        const int fd = open(to->temporary, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW,
                            to->exists ? to->mode : 0666);
        if (fd < 0 && errno != EEXIST) {
            return -1;
        }
        if (fd >= 0 && temporary_lock(fd)) {
            return fd;
        }
        if (fd >= 0) {
            close(fd);
        }
    }
    errno = EEXIST;
    return -1;
}

/* Whether `name` is one that TEMPORARY_FORMAT gives. */
static bool is_temporary_name(const char *name) {
    long process = 0;
    int number = 0;
    char again[TEMPORARY_NAME_SIZE];
    return strlen(name) < sizeof again && sscanf(name, TEMPORARY_FORMAT, &process, &number) == 2 &&
           snprintf(again, sizeof again, TEMPORARY_FORMAT, process, number) > 0 &&
           strcmp(name, again) == 0;
}

/* Removes a temporary file that nobody holds locked. Only who has the lock removes, so that what a
 * living process writes is never taken away. */
static void remove_abandoned(const char *path) {
    const int fd = open(path, O_RDWR | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY);
    struct stat opened, named;
    if (fd < 0) {
        return;
    }
    if (fstat(fd, &opened) == 0 && S_ISREG(opened.st_mode) && opened.st_uid == geteuid() &&
        flock(fd, LOCK_EX | LOCK_NB) == 0 && lstat(path, &named) == 0 &&
        named.st_dev == opened.st_dev && named.st_ino == opened.st_ino) {
        unlink(path);
    }
    close(fd);
}

/* What runs left behind that were killed while they wrote. That it cannot be done is no error. */
static void remove_leftovers(target *to) {
    to->temporary[to->folder_length] = '\0';
    DIR *folder = opendir(to->folder_length == 0 ? "." : to->temporary);
    if (folder == NULL) {
        return;
    }
    for (const struct dirent *entry; (entry = readdir(folder)) != NULL;) {
        if (is_temporary_name(entry->d_name)) {
            /* There is room: is_temporary_name() knows its length. */
            memcpy(to->temporary + to->folder_length, entry->d_name, strlen(entry->d_name) + 1);
            remove_abandoned(to->temporary);
        }
    }
    closedir(folder);
}

/* The folder's entry must reach the disk too. Not every file system can do that, and a folder may
 * be writable without being readable: neither is an error. */
static int sync_folder(target *to) {
    to->temporary[to->folder_length] = '\0';
    const int fd =
        open(to->folder_length == 0 ? "." : to->temporary, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0) {
        return 0;
    }
    const int code = fsync(fd) == 0 || errno == EINVAL || errno == ENOTSUP ? 0 : errno;
    close(fd);
    return code;
}

/* Moves the new file to its place, the old one to `previous` (NULL: it is replaced). */
static int temporary_rename(const target *to, const char *previous) {
    const bool keep = previous != NULL && to->exists;
    if (keep && rename(to->path, previous) != 0) {
        return errno;
    }
    if (rename(to->temporary, to->path) == 0) {
        return 0;
    }
    const int code = errno;
    if (keep) {
        (void)rename(previous, to->path); /* where it fails, `previous` still has the content */
    }
    return code;
}

static int temporary_fill(const target *to, int fd, const char *previous, const void *data,
                          size_t size) {
    /* A lock ends with the last descriptor: this one holds it until the file has its name. */
    const int lock = fcntl(fd, F_DUPFD_CLOEXEC, 0);
    int code = lock < 0 ? errno : write_all(fd, data, size);
    if (code == 0 && to->exists && fchmod(fd, to->mode) != 0) {
        code = errno;
    }
    if (code == 0 && fsync(fd) != 0) {
        code = errno;
    }
    if (close(fd) != 0 && code == 0 && errno != EINTR) {
        code = errno;
    }
    if (code == 0) {
        code = temporary_rename(to, previous);
    }
    if (code != 0) {
        unlink(to->temporary);
    }
    if (lock >= 0) {
        close(lock);
    }
    return code;
}

cm_status cm_file_write(const char *path, const void *data, size_t size, cm_error *error) {
    return strcmp(path, "-") == 0 ? write_stdout(data, size, error)
                                  : cm_file_write_keeping(path, NULL, data, size, error);
}

cm_status cm_file_write_keeping(const char *path, const char *previous, const void *data,
                                size_t size, cm_error *error) {
    target to;
    const cm_status status = target_find(path, &to, error);
    if (status != CM_OK) {
        return status;
    }
    const int fd = temporary_open(&to);
    int code = fd < 0 ? errno : temporary_fill(&to, fd, previous, data, size);
    if (code == 0) {
        code = sync_folder(&to);
    }
    target_free(&to);
    return code == 0 ? CM_OK : fail_errno(error, CM_FAILED, path, "cannot write", code);
}

cm_status cm_path_check_writable(const char *path, bool allow_stdout, cm_error *error) {
    if (strcmp(path, "-") == 0) {
        return allow_stdout ? CM_OK
                            : cm_fail(error, CM_USAGE,
                                      "-: standard output cannot be used here; give the path of a "
                                      "file (./- for a file of this name)");
    }
    target to;
    if (target_find(path, &to, error) != CM_OK) {
        return to.no_memory ? CM_FAILED : CM_USAGE;
    }
    remove_leftovers(&to);
    const int fd = temporary_open(&to);
    const int code = fd < 0 ? errno : 0;
    if (fd >= 0) {
        close(fd);
        unlink(to.temporary);
    }
    target_free(&to);
    return code == 0 ? CM_OK
                     : fail_errno(error, code == ENOMEM ? CM_FAILED : CM_USAGE, path,
                                  "cannot write", code);
}

/* The folder and the name in it that a path leads to; free() what is returned. NULL: there is no
 * such folder, or with errno ENOMEM, no memory. */
static char *locate(const char *path, struct stat *folder, const char **name) {
    char *found = realpath(path, NULL);
    if (found == NULL && errno != ENOMEM) {
        found = strdup(path);
    }
    if (found == NULL) {
        errno = ENOMEM;
        return NULL;
    }
    char *slash = strrchr(found, '/');
    *name = slash == NULL ? found : slash + 1;
    int code;
    if (slash == NULL || slash == found) {
        code = stat(slash == NULL ? "." : "/", folder);
    } else {
        *slash = '\0';
        code = stat(found, folder);
    }
    if (code != 0) {
        free(found);
        errno = ENOENT;
        return NULL;
    }
    return found;
}

static bool is_one_inode(const struct stat *a, const struct stat *b) {
    return a->st_dev == b->st_dev && a->st_ino == b->st_ino;
}

cm_status cm_path_compare(const char *a, const char *b, bool *same, cm_error *error) {
    *same = strcmp(a, b) == 0;
    if (*same || strcmp(a, "-") == 0 || strcmp(b, "-") == 0) {
        return CM_OK;
    }
    struct stat one, two;
    if (stat(a, &one) == 0 && stat(b, &two) == 0 && is_one_inode(&one, &two)) {
        *same = true;
        return CM_OK;
    }
    const char *name_a, *name_b;
    char *found_a = locate(a, &one, &name_a);
    bool no_memory = found_a == NULL && errno == ENOMEM;
    char *found_b = locate(b, &two, &name_b);
    no_memory = no_memory || (found_b == NULL && errno == ENOMEM);
    *same = found_a != NULL && found_b != NULL && strcmp(name_a, name_b) == 0 &&
            is_one_inode(&one, &two);
    free(found_a);
    free(found_b);
    return no_memory ? fail_errno(error, CM_FAILED, a, "cannot compare the path", ENOMEM) : CM_OK;
}

/* Opens a regular file for reading; a pipe without a writer does not block. */
static cm_status open_regular(const char *path, int *fd, uint64_t *size, cm_error *error) {
    *fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    if (*fd < 0) {
        return fail_errno(error, CM_BAD_INPUT, path, "cannot open", errno);
    }
    struct stat info;
    cm_status status = CM_OK;
    if (fstat(*fd, &info) != 0) {
        status = fail_errno(error, CM_BAD_INPUT, path, "cannot read", errno);
    } else if (!S_ISREG(info.st_mode)) {
        status = cm_fail(error, CM_BAD_INPUT, "%s: is a %s; give the path of a regular file", path,
                         S_ISDIR(info.st_mode) ? "folder" : "device, pipe or socket");
    }
    if (status != CM_OK) {
        close(*fd);
        return status;
    }
    *size = (uint64_t)info.st_size;
    return CM_OK;
}

/* Reads up to `wanted` bytes; *got is less only at the end of the file. */
static int read_whole_file(int fd, char *buffer, size_t wanted, size_t *got) {
    *got = 0;
    while (*got < wanted) {
        const ssize_t n = read(fd, buffer + *got, wanted - *got);
        if (n == 0) {
            break;
        }
        if (n < 0 && errno != EINTR) {
            return errno;
        }
        *got += n > 0 ? (size_t)n : 0;
    }
    return 0;
}

static cm_status read_open(int fd, const char *path, size_t wanted, bool whole, char **data,
                           cm_error *error) {
    char *buffer = malloc(wanted + 1);
    if (buffer == NULL) {
        return fail_errno(error, CM_FAILED, path, "cannot read", ENOMEM);
    }
    /* One byte more than the file had shows that it is growing. */
    size_t got = 0;
    const int code = read_whole_file(fd, buffer, wanted + (whole ? 1 : 0), &got);
    if (code != 0 || got != wanted) {
        free(buffer);
        return code != 0 ? fail_errno(error, CM_BAD_INPUT, path, "cannot read", code)
                         : cm_fail(error, CM_BAD_INPUT,
                                   "%s: changed its length while it was read; try again", path);
    }
    buffer[wanted] = '\0';
    *data = buffer;
    return CM_OK;
}

cm_status cm_file_read(const char *path, size_t limit, char **data, size_t *size, cm_error *error) {
    *data = NULL;
    int fd = -1;
    uint64_t length = 0;
    cm_status status = open_regular(path, &fd, &length, error);
    if (status != CM_OK) {
        return status;
    }
    if (length > limit || length >= SIZE_MAX) {
        status = cm_fail(error, CM_BAD_INPUT,
                         "%s: is %llu bytes long, at most %zu are accepted; is it the right file?",
                         path, (unsigned long long)length, limit);
    } else {
        status = read_open(fd, path, (size_t)length, true, data, error);
    }
    close(fd);
    if (status == CM_OK && size != NULL) {
        *size = (size_t)length;
    }
    return status;
}

cm_status cm_file_read_start(const char *path, size_t wanted, char **data, size_t *size,
                             uint64_t *file_size, cm_error *error) {
    *data = NULL;
    int fd = -1;
    uint64_t length = 0;
    cm_status status = open_regular(path, &fd, &length, error);
    if (status != CM_OK) {
        return status;
    }
    const size_t part = length < wanted ? (size_t)length : wanted;
    status = read_open(fd, path, part, false, data, error);
    close(fd);
    if (status == CM_OK) {
        *size = part;
        if (file_size != NULL) {
            *file_size = length;
        }
    }
    return status;
}
