#include "cli/data.h"

#include <string.h>

#include "convmark/network.h"

cm_status cm_data_open(const char *where, cm_dataset_shape shape, cm_dataset **dataset,
                       cm_error *error) {
    return cm_dataset_open_shaped(where, &shape, dataset, error);
}

const char *cm_network_file(const char *name_or_file) {
    return name_or_file != NULL && cm_network_is_name(name_or_file) ? NULL : name_or_file;
}

const char *cm_data_folder(const char *where) {
    return where != NULL && strcmp(where, "synthetic") == 0 ? NULL : where;
}
