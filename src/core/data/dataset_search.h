/**
 * cm_dataset_open_shaped() with the installed package's folder as an argument, so that the search
 * can be tested where the package is installed and where it is not. Not for programs.
 */
#ifndef CM_CORE_DATA_DATASET_SEARCH_H
#define CM_CORE_DATA_DATASET_SEARCH_H

#include "convmark/dataset.h"

#ifdef __cplusplus
extern "C" {
#endif

cm_status cm_dataset_search(const char *where, const cm_dataset_shape *shape,
                            const char *package_folder, cm_dataset **dataset, cm_error *error);

#ifdef __cplusplus
}
#endif

#endif
