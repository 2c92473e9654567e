/**
 * A folder of results that grows while a study runs: KIND.json, from which a later call resumes,
 * and the tables that are written from it at the end.
 */
#ifndef CM_HARNESS_RECORD_FOLDER_H
#define CM_HARNESS_RECORD_FOLDER_H

#include <jansson.h>
#include <stdbool.h>

#include "convmark/status.h"
#include "core/files/lock_file.h"

#ifdef __cplusplus
extern "C" {
#endif

enum { CM_FOLDER_PATH_SIZE = 4096 };

/**
 * Makes `folder` if it is not there, takes KIND.lock in it, and checks that its files KIND.json,
 * .csv and .md can be written. CM_USAGE: they cannot; CM_FAILED: another process writes them, or no
 * memory. Release *lock with cm_lock_file_release() when all is written, whatever the status.
 */
cm_status cm_folder_prepare(const char *folder, const char *kind, cm_lock_file *lock,
                            cm_error *error);

/**
 * Reads KIND.json: *earlier is a new reference, NULL where there is no such file. `path` receives
 * the file's path, for messages. CM_BAD_INPUT: the file is damaged.
 */
cm_status cm_folder_read_json(const char *folder, const char *kind, json_t **earlier,
                              char path[CM_FOLDER_PATH_SIZE], cm_error *error);

/** Writes a file of the folder; frees `text`, of which NULL means no memory. */
cm_status cm_folder_write(const char *folder, const char *name, char *text, cm_error *error);

/** Writes KIND.json and takes over the reference; NULL: an error whose message is in *error
 * already. Where "complete" is false, KIND.csv and .md of an earlier call are removed; a symbolic
 * link stays, and the file that it names is emptied. */
cm_status cm_folder_write_json(const char *folder, const char *kind, json_t *json, cm_error *error);

#ifdef __cplusplus
}
#endif

#endif
