/**
 * Files in one piece: written whole or not at all, read whole and within a limit.
 */
#ifndef CM_CORE_FILES_ATOMIC_FILE_H
#define CM_CORE_FILES_ATOMIC_FILE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "convmark/status.h"

#ifdef __cplusplus
extern "C" {
#endif

/**
 * Writes `size` bytes to `path`: to a new file in the same folder, flushed to the disk, then
 * renamed over `path`. Readers see the old file or the whole new one; after a failure the old file
 * is as it was and nothing else is left. A link is followed, unless another user made it or could
 * have put it there; the permissions of a replaced file are kept, and never wider in between.
 * Folders and devices are refused. The path "-" is standard output (flushed, no rename). CM_FAILED
 * when the system refuses, CM_USAGE for an empty path.
 */
cm_status cm_file_write(const char *path, const void *data, size_t size, cm_error *error);

/**
 * The same, and the file that was at `path` is kept: renamed to `previous`, a path in the same
 * folder, when the new one is on the disk. Whenever the process or the machine stops, one of the
 * two is whole. `path` is not "-" and not a link.
 */
cm_status cm_file_write_keeping(const char *path, const char *previous, const void *data,
                                size_t size, cm_error *error);

/**
 * Finds out early whether cm_file_write() to `path` would be refused (missing folder, permission,
 * read-only disk, a folder or device in its place): creates a file beside it and removes it again.
 * Removes the temporary files that killed runs left in the folder, too: those of this user that no
 * living process holds locked.
 * "-" is accepted if `allow_stdout`. CM_USAGE: it would be refused; CM_FAILED: no memory.
 */
cm_status cm_path_check_writable(const char *path, bool allow_stdout, cm_error *error);

/** Whether both paths are one file, however they are spelt: one folder and one name in it, links
 * followed, or, where both exist, one device and inode. "-" is only the same as itself. CM_FAILED:
 * no memory. */
CM_MUST_CHECK cm_status cm_path_compare(const char *a, const char *b, bool *same, cm_error *error);

/**
 * Reads a regular file of at most `limit` bytes. *data has a NUL after its `size` bytes (which may
 * contain others); free() it. A missing, unreadable or larger file, a folder, pipe or device is
 * CM_BAD_INPUT; *data is then NULL. `size` may be NULL.
 */
cm_status cm_file_read(const char *path, size_t limit, char **data, size_t *size, cm_error *error);

/**
 * The same for the first `wanted` bytes of a file of any length (*size is smaller where the file
 * is). *file_size, if not NULL, gets the whole file's length.
 */
cm_status cm_file_read_start(const char *path, size_t wanted, char **data, size_t *size,
                             uint64_t *file_size, cm_error *error);

#ifdef __cplusplus
}
#endif

#endif
