/**
 * Data sets of images with labels: Fashion-MNIST (Xiao, Rasul & Vollgraf, arXiv 1708.07747) in IDX
 * files, other sets of grey images in such files, or a deterministic synthetic set of any shape.
 */
#ifndef CM_DATASET_H
#define CM_DATASET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "convmark/status.h"

#ifdef __cplusplus
extern "C" {
#endif

/** Images as bytes, [count][height][width][channels], and one label per image. The data set owns
 * both arrays. */
typedef struct cm_images {
    int count, height, width;
    uint8_t *pixels;
    uint8_t *labels;
    int channels; /* 0 counts as 1: grey */
} cm_images;

/** Channels of an image, at least 1, and bytes of one. */
int cm_images_channels(const cm_images *images);
size_t cm_images_size(const cm_images *images);

enum { CM_MAX_IMAGE_BYTES = 1 << 28, CM_MAX_LABELS = 256 };

/** What a network takes: images of this size, labels 0 .. classes - 1. */
typedef struct cm_dataset_shape {
    int channels, height, width, classes;
} cm_dataset_shape;

typedef struct cm_dataset {
    char name[64];     /* "fashion-mnist", "synthetic", "my-set (unverified)" */
    char source[4096]; /* folder it was read from; "" for synthetic */
    int classes;       /* labels are 0 .. classes-1 */
    bool real;         /* false for synthetic: its accuracies mean nothing */
    bool verified;     /* Fashion-MNIST, by its SHA-256 */
    cm_images train;
    cm_images validation; /* the set's test images */
} cm_dataset;

/**
 * Opens the data set. `where`: a folder with four IDX files (gz or plain; docs/guide/data.md), the
 * word "synthetic" (a folder of this name: "./synthetic"), or NULL: the same in $CONVMARK_DATA if
 * it is set, or else a search of the XDG cache folder ($XDG_CACHE_HOME or ~/.cache, then
 * /convmark/fashion-mnist) and Debian's /usr/share/datasets/fashion-mnist. The first place with one
 * of the files is taken: what is wrong with it is an error, never a reason to look elsewhere.
 * In a folder that is named, or in $CONVMARK_DATA, any set of grey pictures is taken; it is
 * "verified" if it is Fashion-MNIST. The other places must hold Fashion-MNIST. Content is checked
 * before it is used: magic, counts, sizes, labels, SHA-256 of the decompressed bytes. Everything
 * that is wrong with the data or its place is CM_BAD_INPUT, with a line that says what to do;
 * CM_FAILED: no memory. Free with cm_dataset_close(). On failure *dataset is NULL.
 */
cm_status cm_dataset_open(const char *where, cm_dataset **dataset, cm_error *error);

/** cm_dataset_open() for a network that takes images of `shape`: "synthetic" is a set of this shape
 * and number of classes; files are what they are, whether it fits or not. Images of 1x28x28 and ten
 * classes are those of cm_dataset_open(). CM_USAGE: a size below 1, or above
 * the limits. */
cm_status cm_dataset_open_shaped(const char *where, const cm_dataset_shape *shape,
                                 cm_dataset **dataset, cm_error *error);

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
