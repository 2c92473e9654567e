#include "cli/data.h"

cm_status cm_data_open(const char *where, cm_dataset_shape shape, cm_dataset **dataset,
                       cm_error *error) {
    return cm_dataset_open_shaped(where, &shape, dataset, error);
}
