/**
 * Files of measurements: ours (sweep, explore, profile, peers), and what Google Benchmark programs
 * and hyperfine write.
 */
#ifndef CM_COMPARE_RESULTS_FILE_H
#define CM_COMPARE_RESULTS_FILE_H

#include <jansson.h>

#include "convmark/status.h"
#include "harness/record/measurement.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct cm_results_file {
    const char *path; /* borrowed, or that of the file in a folder */
    char *in_folder;  /* owned: that path; NULL: a file was given */
    json_t *json;
    char kind[24]; /* "sweep", "explore", "profile", "peers", "benchmark", "hyperfine" */
    cm_measurements measurements;
    cm_skipped_rows skipped; /* rows that are damaged */
} cm_results_file;

/**
 * Reads a file of at most 64 MiB; of a folder its sweep.json, explore.json, profile.json or
 * convmark.json, the first that is there. From Google Benchmark's JSON each iteration's real time
 * becomes a sample, in seconds, and each time of hyperfine's. NaN and rows that were skipped or
 * failed are missing values; a row that is damaged is left out and counted in `skipped`.
 * CM_BAD_INPUT: not JSON, of another program or schema version, without measurements, or a folder
 * without any of these files. Free with cm_results_file_close(), whatever the status.
 */
cm_status cm_results_file_open(const char *path, cm_results_file *file, cm_error *error);
void cm_results_file_close(cm_results_file *file);

#ifdef __cplusplus
}
#endif

#endif
