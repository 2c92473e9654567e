/**
 * The four IDX files of a data set in a folder, as MNIST and its kin name them: training and test
 * pictures and labels.
 */
#ifndef CM_CORE_DATA_IDX_SET_H
#define CM_CORE_DATA_IDX_SET_H

#include <stdbool.h>

#include "convmark/status.h"

#ifdef __cplusplus
extern "C" {
#endif

/** Labels come first: they are small, so that a wrong set is found out at once. */
typedef enum cm_idx_part {
    CM_IDX_TRAIN_LABELS,
    CM_IDX_TEST_LABELS,
    CM_IDX_TRAIN_PICTURES,
    CM_IDX_TEST_PICTURES,
    CM_IDX_PART_COUNT
} cm_idx_part;

enum { CM_IDX_FOLDER_SIZE = 4096, CM_IDX_NAME_SIZE = 256 };

/** Names of the files of a set: "train-images-idx3-ubyte.gz"; "" for one that is not there. */
typedef struct cm_idx_set {
    char folder[CM_IDX_FOLDER_SIZE]; /* of the files: the one asked for, or one below it */
    char title[CM_IDX_NAME_SIZE];    /* "emnist-letters" of emnist-letters-train-...; or "" */
    char names[CM_IDX_PART_COUNT][CM_IDX_NAME_SIZE];
} cm_idx_set;

/** "train-labels-idx1-ubyte" ... */
const char *cm_idx_part_name(cm_idx_part part);

/**
 * Finds the set in `folder`, or, if there is no file of one, in a folder below it or its folder
 * raw (torchvision's FashionMNIST/raw). Names are [TITLE-]train-images-idx3-ubyte, with train or
 * t10k or test, images or labels, '-', '.' or '_' between the words, .gz or not; or NAME/NAME, in a
 * folder of the file's name. Links count whether or not they lead anywhere. The set is as complete
 * as it is; with no file at all *found is false and set->folder is `folder`. CM_BAD_INPUT: several
 * sets, named; or the folder cannot be read.
 */
cm_status cm_idx_set_find(const char *folder, cm_idx_set *set, bool *found, cm_error *error);

#ifdef __cplusplus
}
#endif

#endif
