/**
 * Data sets of grey images with labels: Fashion-MNIST (Xiao, Rasul & Vollgraf, arXiv 1708.07747) in
 * IDX files, or a deterministic synthetic set of the same shape.
 */
#ifndef CM_DATASET_H
#define CM_DATASET_H

#include <stdbool.h>
#include <stdint.h>

#include "convmark/status.h"

#ifdef __cplusplus
extern "C" {
#endif

/** Images as bytes, [count][height][width], and one label per image. The data set owns both arrays.
 */
typedef struct cm_images {
    int count, height, width;
    uint8_t *pixels;
    uint8_t *labels;
} cm_images;

typedef struct cm_dataset {
    char name[32];        /* "fashion-mnist" or "synthetic" */
    char source[4096];    /* folder it was read from; "" for synthetic */
    int classes;          /* labels are 0 .. classes-1 */
    bool real;            /* false for synthetic: its accuracies mean nothing */
    cm_images train;      /* 60,000 */
    cm_images validation; /* 10,000: the set's test images */
} cm_dataset;

/**
 * Opens the data set. `where`: a folder with the four IDX files (gz or plain), the word
 * "synthetic" (a folder of this name: "./synthetic"), or NULL: the same in $CONVMARK_DATA if it is
 * set, or else a search of the XDG cache folder ($XDG_CACHE_HOME or ~/.cache, then
 * /convmark/fashion-mnist) and Debian's /usr/share/datasets/fashion-mnist. The first place with one
 * of the files is taken: what is wrong with it is an error, never a reason to look elsewhere.
 * Content is checked before it is used: magic, counts, sizes, labels, SHA-256 of the decompressed
 * bytes. Everything that is wrong with the data or its place is CM_BAD_INPUT, with a line that says
 * how to get the data; CM_FAILED: no memory. Free with cm_dataset_close(). On failure *dataset is
 * NULL.
 */
cm_status cm_dataset_open(const char *where, cm_dataset **dataset, cm_error *error);

void cm_dataset_close(cm_dataset *dataset);

/** SHA-256, as 64 hex digits, over the training images' pixels and labels and the validation
 * images' pixels and labels, in this order, one byte each: the same for gz and plain files. */
void cm_dataset_sha256(const cm_dataset *dataset, char hex[65]);

/** Name of Fashion-MNIST's class 0 .. 9 ("T-shirt/top" ...); "?" outside. */
const char *cm_class_name(int label);

#ifdef __cplusplus
}
#endif

#endif
