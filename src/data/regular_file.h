/**
 * Opening the input files of the data floor: regular files only, so that a pipe, folder or device
 * given by mistake is an error at once and never a wait.
 */
#ifndef CM_DATA_REGULAR_FILE_H
#define CM_DATA_REGULAR_FILE_H

#include <stddef.h>
#include <stdint.h>

#include "status.h"

#ifdef __cplusplus
extern "C" {
#endif

/** Opens `path` for reading; links are followed. *size: its bytes. CM_BAD_INPUT, with a line that
 * names the path and what it is instead, when it cannot be opened or is not a regular file. Close
 * *descriptor with close(). */
cm_status cm_regular_file_open(const char *path, int *descriptor, uint64_t *size, cm_error *error);

/** Reads until `size` bytes are there or the file ends. *count: bytes read. CM_BAD_INPUT when
 * the system reports an error; `path` names the file in it. */
cm_status cm_regular_file_read(int descriptor, const char *path, void *buffer, size_t size,
                               size_t *count, cm_error *error);

#ifdef __cplusplus
}
#endif

#endif
