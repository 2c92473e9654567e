/**
 * A data set from the IDX files of a folder: Fashion-MNIST, or any other of grey images.
 */
#ifndef CM_CORE_DATA_DATASET_FILES_H
#define CM_CORE_DATA_DATASET_FILES_H

#include <stdbool.h>

#include "convmark/dataset.h"

#ifdef __cplusplus
extern "C" {
#endif

/** Reads the set that cm_idx_set_find() finds in `folder` into *dataset, whose arrays are the
 * caller's to free whatever the status. `any`: take other sets than Fashion-MNIST. *found: there
 * was at least one file. CM_BAD_INPUT: something is wrong with them; CM_FAILED: no memory. */
cm_status cm_dataset_read_files(const char *folder, bool any, cm_dataset *dataset, bool *found,
                                cm_error *error);

#ifdef __cplusplus
}
#endif

#endif
