/**
 * A folder of results that grows while a command works: KIND.json, from which the same command goes
 * on, and what is made of it in the end.
 */
#ifndef CM_RESULTS_FOLDER_H
#define CM_RESULTS_FOLDER_H

#include <jansson.h>
#include <stdbool.h>

#include "convmark/status.h"

#ifdef __cplusplus
extern "C" {
#endif

enum { CM_FOLDER_PATH_SIZE = 4096 };

/** Takes over into `results` what an earlier call wrote to `file`, its path for messages. */
typedef cm_status cm_folder_take(void *results, const json_t *earlier, const char *file,
                                 cm_error *error);

/**
 * Makes `folder` if it is not there, and finds out whether its files KIND.json, .csv and .md can be
 * written. What KIND.json holds goes to `take`, with `results`, but for `restart`. CM_USAGE: the
 * folder; CM_BAD_INPUT: the file.
 */
cm_status cm_folder_prepare(const char *folder, const char *kind, bool restart,
                            cm_folder_take *take, void *results, cm_error *error);

/** Writes a file of the folder; frees `text`, of which NULL is "no memory". */
cm_status cm_folder_write(const char *folder, const char *name, char *text, cm_error *error);

/** Writes KIND.json; takes over the reference, of which NULL is an error that was told already.
 * Where it is not complete yet, KIND.csv and .md, which an earlier call left, are removed; a
 * symbolic link stays, and the file behind it is emptied. */
cm_status cm_folder_write_json(const char *folder, const char *kind, json_t *json, cm_error *error);

/** The head of such a file: schema_version, kind, complete, program, command, machine, conditions.
 * False, with a message, when one is NULL; the references of machine and conditions stay. */
bool cm_folder_set_head(json_t *object, const char *kind, bool complete, int argc,
                        const char *const *argv, json_t *machine, json_t *conditions,
                        cm_error *error);

/**
 * Whether `earlier` may be gone on from: `ours` is what the same file will be, of which kind,
 * schema, program, build, CPU, options and data are compared. CM_BAD_INPUT, naming `file`.
 */
cm_status cm_folder_check_same(const json_t *earlier, const json_t *ours, const char *file,
                               cm_error *error);

/** CM_BAD_INPUT: what is wrong with it, and the two ways out. */
cm_status cm_folder_refuse(const char *file, const char *what, cm_error *error);

#ifdef __cplusplus
}
#endif

#endif
