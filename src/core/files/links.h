/**
 * Symbolic links on the way to a file that is written.
 */
#ifndef CM_CORE_FILES_LINKS_H
#define CM_CORE_FILES_LINKS_H

#include <stdbool.h>

#include "convmark/status.h"

#ifdef __cplusplus
extern "C" {
#endif

/**
 * Refuses a path that is a link, or leads over links to one, which another user than this one and
 * root made, or which lies in a folder where others write and is not this user's: whoever put it
 * there would decide which file is replaced. CM_FAILED; where it is for want of memory, *no_memory
 * becomes true.
 */
cm_status cm_links_check(const char *path, bool *no_memory, cm_error *error);

#ifdef __cplusplus
}
#endif

#endif
