/**
 * The memory of Jansson's parser. Jansson 2.14 calls some failed allocations "invalid" input, loses
 * bytes at others, and reads through a null pointer at some. So it never gets a null pointer for
 * what it cannot do without: while a text is parsed there is a reserve that what the system refuses
 * is taken from. The parser is fed a few bytes at a time and ends with the first refusal.
 */
#ifndef CM_CORE_FILES_JSON_MEMORY_H
#define CM_CORE_FILES_JSON_MEMORY_H

#include <stdbool.h>
#include <stddef.h>

#include "convmark/status.h"

#ifdef __cplusplus
extern "C" {
#endif

/** The parser may read so many bytes after a refusal. */
enum { CM_JSON_FEED = 16 };

/**
 * Keeps a reserve for this thread's parser, for a text whose longest string has `longest` bytes.
 * False: no memory. What is taken from it must be freed before cm_json_reserve_release().
 */
CM_MUST_CHECK bool cm_json_reserve_keep(size_t longest);

/** Whether an allocation of Jansson in this thread was refused since the reserve is kept. */
bool cm_json_reserve_touched(void);

void cm_json_reserve_release(void);

#ifdef __cplusplus
}
#endif

#endif
