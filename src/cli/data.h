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

/** The file or folder that a network's or a data set's argument names; NULL: it names none, but a
 * variant or generated pictures, or it is NULL. */
const char *cm_network_file(const char *name_or_file);
const char *cm_data_folder(const char *where);

#endif
