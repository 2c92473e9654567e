/**
 * JSON over Jansson with this project's rules: limits, one-line errors, duplicate keys refused,
 * numbers written so that they read back as the same double, NaN and infinity never written. Output
 * has the order of insertion and does not depend on the locale.
 *
 * "No memory" is never called "damaged", and nothing is left out for want of it: other files use no
 * function of Jansson that reads, writes, sets or appends (scripts/ci/check_rules.py).
 */
#ifndef CM_CORE_FILES_JSON_H
#define CM_CORE_FILES_JSON_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <jansson.h>

#include "convmark/status.h"

#ifdef __cplusplus
extern "C" {
#endif

/** Flags of every dump: two spaces of indent, 17 significant digits. */
#define CM_JSON_DUMP_FLAGS (JSON_INDENT(2) | JSON_REAL_PRECISION(17))

/** Bounds of every text that is read: bytes of a string, and bytes of memory that all its values
 * take (nearly 3,000,000 numbers or 500,000 objects). Depth: 2,048 (Jansson's). */
enum { CM_JSON_MAX_STRING = 1 << 20, CM_JSON_MAX_MEMORY = 1 << 27 };

/** The object or array that text of `size` bytes is; json_decref() it. CM_BAD_INPUT, with no
 * message but *problem, when it is not JSON, or too large (the line is then -1); CM_FAILED, with a
 * message that begins with `name`: no memory. */
cm_status cm_json_decode(const char *text, size_t size, const char *name, json_t **value,
                         json_error_t *problem, cm_error *error);

/** Parses text of `size` bytes: an object or array. `name` is the file in messages
 * ("NAME:LINE: ..."). CM_BAD_INPUT when it is not JSON; json_decref() the result. */
cm_status cm_json_parse(const char *text, size_t size, const char *name, json_t **value,
                        cm_error *error);

/** Reads and parses a file of at most `limit` bytes. */
cm_status cm_json_load(const char *path, size_t limit, json_t **value, cm_error *error);

/** Members of an object. False or NULL, and *value as it was: not there, or not of this kind. */
CM_MUST_CHECK bool cm_json_take_integer(const json_t *object, const char *key, int64_t low,
                                        int64_t high, int64_t *value);
CM_MUST_CHECK bool cm_json_take_number(const json_t *object, const char *key, double *value);
CM_MUST_CHECK const char *cm_json_take_string(const json_t *object, const char *key);

/** The text of `value` under Jansson's flags; free() it. There is room for two more bytes. NULL: no
 * memory, which json_dumps() of Jansson 2.14 does not always notice: it then leaves out a key. */
CM_MUST_CHECK char *cm_json_text(const json_t *value, size_t flags, size_t *size);

/** The text of `value` with a newline at its end; free() it. CM_FAILED for NULL (which is what
 * Jansson makes of NaN and infinity) or no memory. `size` may be NULL. */
CM_MUST_CHECK cm_status cm_json_dump(const json_t *value, char **text, size_t *size,
                                     cm_error *error);

/** Writes `value` whole or not at all, see cm_file_write(); "-" is standard output. */
CM_MUST_CHECK cm_status cm_json_write(const char *path, const json_t *value, cm_error *error);

/**
 * Puts `value` into `object` under `key` and takes over the reference. False, with a message that
 * names the key, when `value` is NULL (a number that is not finite, text that is not UTF-8, no
 * memory) or cannot be set. Made for chains:
 *     ok = cm_json_set(o, "a", json_real(x), error) && cm_json_set(o, "b", json_real(y), error);
 */
CM_MUST_CHECK bool cm_json_set(json_t *object, const char *key, json_t *value, cm_error *error);

/** Appends to *list and takes over `value`. Where that fails, *list becomes NULL, and stays so:
 * whoever sets or packs it fails as well, and nothing is left out silently. Do not give the list
 * away before its last member. */
void cm_json_append(json_t **list, json_t *value);

/** Whole numbers as an array. NULL: no memory. */
CM_MUST_CHECK json_t *cm_json_integers(const int *values, int count);

/** A string from bytes of any kind, such as a command line or a path: where they are not UTF-8,
 * each byte above 0x7F becomes '?'. NULL: no memory. JSON's null for NULL. */
CM_MUST_CHECK json_t *cm_json_string(const char *bytes);

#ifdef __cplusplus
}
#endif

#endif
