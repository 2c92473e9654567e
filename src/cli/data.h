/**
 * The data set of a command.
 */
#ifndef CM_CLI_DATA_H
#define CM_CLI_DATA_H

#include "convmark/dataset.h"
#include "convmark/status.h"

/** Opens the data set of --data (NULL: search). `shape`: of generated pictures. */
cm_status cm_data_open(const char *where, cm_dataset_shape shape, cm_dataset **dataset,
                       cm_error *error);

#endif
