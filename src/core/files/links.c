#include "core/files/links.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* Whether anybody but this user and root could have put a link here: that would decide where this
 * user writes. */
static bool is_link_of_others(const char *path, const struct stat *link) {
    const uid_t user = geteuid();
    if (link->st_uid != user && link->st_uid != 0) {
        return true;
    }
    if (link->st_uid == user) {
        return false;
    }
    struct stat folder;
    const char *slash = strrchr(path, '/');
    char *name = slash == NULL   ? strdup(".")
                 : slash == path ? strdup("/")
                                 : strndup(path, (size_t)(slash - path));
    const bool closed = name != NULL && stat(name, &folder) == 0 &&
                        (folder.st_uid == user || folder.st_uid == 0) &&
                        (folder.st_mode & (S_IWGRP | S_IWOTH)) == 0;
    free(name);
    return !closed; /* one of root's, moved here by someone else */
}

/* Where a link at `path`, of `size` bytes, leads, as a path from here; free() it. NULL: errno. */
static char *link_destination(const char *path, off_t size) {
    const char *slash = strrchr(path, '/');
    const size_t folder = slash == NULL ? 0 : (size_t)(slash - path) + 1;
    const size_t room = (size_t)size + 2;
    char *joined = malloc(folder + room);
    const ssize_t length = joined == NULL ? -1 : readlink(path, joined + folder, room);
    if (length < 0 || (size_t)length >= room) {
        free(joined);
        errno = length < 0 ? errno : EAGAIN;
        return NULL;
    }
    joined[folder + (size_t)length] = '\0';
    if (joined[folder] == '/') {
        memmove(joined, joined + folder, (size_t)length + 1);
    } else {
        memcpy(joined, path, folder);
    }
    return joined;
}

cm_status cm_links_check(const char *path, bool *no_memory, cm_error *error) {
    enum { MAX_LINKS = 40 };
    char *at = strdup(path);
    cm_status status = CM_OK;
    for (int i = 0; status == CM_OK && i < MAX_LINKS; ++i) {
        struct stat info;
        if (at == NULL || lstat(at, &info) != 0 || !S_ISLNK(info.st_mode)) {
            break;
        }
        if (is_link_of_others(at, &info)) {
            status = cm_fail(error, CM_FAILED,
                             "%s: is, or leads to, a link that another user made; give the path of "
                             "the file itself",
                             path);
            break;
        }
        char *next = link_destination(at, info.st_size);
        free(at);
        at = next;
    }
    if (at == NULL) {
        *no_memory = errno == ENOMEM;
        status = cm_fail(error, CM_FAILED, "%s: cannot follow the link: %s; check the path", path,
                         *no_memory ? "out of memory" : strerror(errno));
    }
    free(at);
    return status;
}
