/**
 * How much a JSON text takes when it is read, found before it is read: a few bytes of text can
 * become a hundred times as much memory.
 */
#ifndef CM_CORE_FILES_JSON_SCAN_H
#define CM_CORE_FILES_JSON_SCAN_H

#include <stddef.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct cm_json_cost {
    size_t memory;  /* bytes that the values take, nearly */
    size_t longest; /* bytes of the longest string or other token */
} cm_json_cost;

/** Costs of a text, which need not be JSON. One pass, no memory. */
cm_json_cost cm_json_scan(const char *text, size_t size);

#ifdef __cplusplus
}
#endif

#endif
