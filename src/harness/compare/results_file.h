/**
 * Files of measurements: ours (sweep, explore, profile, peers), and what Google Benchmark programs
 * write.
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
    const char *path; /* borrowed */
    json_t *json;
    char kind[24]; /* "sweep", "explore", "profile", "peers", "benchmark" */
    cm_measurements measurements;
} cm_results_file;

/**
 * Reads a file of at most 64 MiB. From Google Benchmark's JSON each iteration's real time becomes
 * a sample, in seconds. CM_BAD_INPUT: not JSON, of another program or schema version, or without
 * measurements. Free with cm_results_file_close(), whatever the status.
 */
cm_status cm_results_file_open(const char *path, cm_results_file *file, cm_error *error);
void cm_results_file_close(cm_results_file *file);

#ifdef __cplusplus
}
#endif

#endif
