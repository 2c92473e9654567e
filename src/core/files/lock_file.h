/**
 * A file that one process at a time can hold: it says that what it is named after is in use.
 */
#ifndef CM_CORE_FILES_LOCK_FILE_H
#define CM_CORE_FILES_LOCK_FILE_H

#include <stdbool.h>

#include "convmark/status.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct cm_lock_file {
    char *path; /* NULL: not held */
    int fd;
    bool unsupported; /* taken, but nothing is held: the file system has no locks */
} cm_lock_file;

/**
 * Takes the lock file at `path`, which is created where there is none. The lock ends with the
 * process, however that ends; the empty file that a killed one of this user leaves is taken over.
 * CM_FAILED when another process holds it (`what` is named as what that one uses, and its number
 * where the system knows it), when `path` is anything but an empty regular file of this user, which
 * stays as it is, or when the system refuses; *lock is then not held. Where the file system has no
 * locks nothing is held and no file stays: CM_OK, and *lock says so.
 */
cm_status cm_lock_file_take(const char *path, const char *what, cm_lock_file *lock,
                            cm_error *error);

/** Removes the file, if it is still the one that was locked, and the lock; one that is not held is
 * left alone. */
void cm_lock_file_release(cm_lock_file *lock);

#ifdef __cplusplus
}
#endif

#endif
