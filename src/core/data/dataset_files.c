#include "core/data/dataset_files.h"

#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/data/idx.h"
#include "core/data/idx_set.h"
#include "core/files/sha256.h"

enum {
    TRAIN_COUNT = 60000,
    VALIDATION_COUNT = 10000,
    SIDE = 28,
    CLASSES = 10,
    PATH_SIZE = CM_IDX_FOLDER_SIZE + CM_IDX_NAME_SIZE
};

/** The files of Fashion-MNIST, and the SHA-256 of their decompressed bytes. */
static const struct file_row {
    cm_idx_shape shape;
    const char *sha256;
} files[CM_IDX_PART_COUNT] = {
    [CM_IDX_TRAIN_LABELS] = {{1, {TRAIN_COUNT}},
                             "bad3541b69d912435c50bb6ba87bec294ff4f6a2e1246121d8633921760443d9"},
    [CM_IDX_TEST_LABELS] = {{1, {VALIDATION_COUNT}},
                            "0402a96d92fd2663957122ceb108a494c5af83dab82d92729df917d7dec38c34"},
    [CM_IDX_TRAIN_PICTURES] = {{3, {TRAIN_COUNT, SIDE, SIDE}},
                               "c59f468a2f672dc815687fe0f83887768d799fd8a3f3276145d20f83aa44d888"},
    [CM_IDX_TEST_PICTURES] = {{3, {VALIDATION_COUNT, SIDE, SIDE}},
                              "5b4141f0afbad91edebe8549f8fcffe087ea10ca49f1dbef5c9a5cd8815ce37b"},
};

/* ---- Files ---- */

/** A file as it was read. */
typedef struct read_file {
    char path[PATH_SIZE];
    cm_idx_shape shape;
    char sha256[CM_SHA256_HEX_SIZE];
} read_file;

static cm_status name_file(const cm_idx_set *set, cm_idx_part part, read_file *file,
                           cm_error *error) {
    if (set->names[part][0] == '\0') {
        const char *name = cm_idx_part_name(part);
        return cm_fail(error, CM_BAD_INPUT, "%s: has no %s.gz and no %s", set->folder, name, name);
    }
    snprintf(file->path, sizeof file->path, "%s/%s", set->folder, set->names[part]);
    return CM_OK;
}

static cm_status check_labels(const char *path, const uint8_t *labels, uint32_t count,
                              cm_error *error) {
    for (uint32_t i = 0; i < count; ++i) {
        if (labels[i] >= CLASSES) {
            return cm_fail(error, CM_BAD_INPUT,
                           "%s: label %d of image %" PRIu32 " at byte %" PRIu32
                           " of the data is not in 0 to %d",
                           path, labels[i], i, i + 8, CLASSES - 1);
        }
    }
    return CM_OK;
}

/** One of Fashion-MNIST's files, and no other. */
static cm_status read_fashion_file(cm_idx_part part, read_file *file, uint8_t **data,
                                   cm_error *error) {
    const struct file_row *row = &files[part];
    file->shape = row->shape;
    cm_status status = cm_idx_read(file->path, &row->shape, data, file->sha256, error);
    if (status == CM_OK && row->shape.rank == 1) {
        status = check_labels(file->path, *data, row->shape.dims[0], error);
    }
    if (status == CM_OK && strcmp(file->sha256, row->sha256) != 0) {
        status = cm_fail(error, CM_BAD_INPUT,
                         "%s: not Fashion-MNIST: SHA-256 of the decompressed bytes is %.16s..., "
                         "not %.16s...",
                         file->path, file->sha256, row->sha256);
    }
    return status;
}

/* ---- A data set of files ---- */

static bool is_fashion_mnist(const read_file read[CM_IDX_PART_COUNT]) {
    bool same = true;
    for (int i = 0; i < CM_IDX_PART_COUNT; ++i) {
        same = same && strcmp(read[i].sha256, files[i].sha256) == 0;
    }
    return same;
}

/** Sizes that must agree, into the images. */
static cm_status take_sizes(const read_file *labels, const read_file *pictures, cm_images *images,
                            cm_error *error) {
    const uint32_t count = labels->shape.dims[0], *dims = pictures->shape.dims;
    if (dims[0] != count) {
        return cm_fail(error, CM_BAD_INPUT,
                       "%s: has %" PRIu32 " pictures, but %s has %" PRIu32 " labels; give each "
                       "picture one label",
                       pictures->path, dims[0], labels->path, count);
    }
    images->count = (int)count;
    images->height = (int)dims[1];
    images->width = (int)dims[2];
    return CM_OK;
}

static cm_status take_all_sizes(const read_file read[CM_IDX_PART_COUNT], cm_dataset *dataset,
                                cm_error *error) {
    cm_images *train = &dataset->train, *validation = &dataset->validation;
    cm_status status =
        take_sizes(&read[CM_IDX_TRAIN_LABELS], &read[CM_IDX_TRAIN_PICTURES], train, error);
    if (status == CM_OK) {
        status =
            take_sizes(&read[CM_IDX_TEST_LABELS], &read[CM_IDX_TEST_PICTURES], validation, error);
    }
    if (status == CM_OK &&
        (train->height != validation->height || train->width != validation->width)) {
        status = cm_fail(error, CM_BAD_INPUT,
                         "%s: pictures of %dx%d pixels, but those for training have %dx%d; give "
                         "all of them one size",
                         read[CM_IDX_TEST_PICTURES].path, validation->height, validation->width,
                         train->height, train->width);
    }
    return status;
}

/** Pictures of one value, or of 0 and 1, are a mistake of the program that wrote them. */
static cm_status check_pictures(const read_file *file, const cm_images *images, cm_error *error) {
    const size_t count = (size_t)images->count * cm_images_size(images);
    const uint8_t first = images->pixels[0];
    bool same = true, small = true;
    for (size_t i = 0; i < count && (same || small); ++i) {
        same = same && images->pixels[i] == first;
        small = small && images->pixels[i] <= 1;
    }
    if (same || small) {
        return cm_fail(error, CM_BAD_INPUT,
                       "%s: %s: the pictures are empty; write values from 0 to 255, not 0 to 1",
                       file->path, small ? "no pixel is above 1" : "all pixels are the same");
    }
    return CM_OK;
}

static int largest_label(const cm_images *images) {
    int largest = 0;
    for (int i = 0; i < images->count; ++i) {
        largest = images->labels[i] > largest ? images->labels[i] : largest;
    }
    return largest;
}

/** "FashionMNIST (unverified)" of /data/FashionMNIST/raw: in printable ASCII. */
static void name_unverified(const cm_idx_set *set, cm_dataset *dataset) {
    char path[PATH_MAX], *name = path;
    if (set->title[0] != '\0') {
        snprintf(path, sizeof path, "%s", set->title);
    } else if (realpath(set->folder, path) != NULL) {
        const size_t length = strlen(path);
        if (length > 4 && strcmp(path + length - 4, "/raw") == 0) {
            path[length - 4] = '\0';
        }
        name = strrchr(path, '/') != NULL ? strrchr(path, '/') + 1 : path;
    } else {
        *path = '\0';
    }
    for (char *c = name; *c != '\0'; ++c) {
        *c = (char)(*c < ' ' || *c > '~' ? '_' : *c);
    }
    snprintf(dataset->name, sizeof dataset->name, "%.40s (unverified)", name);
}

static cm_status read_files(bool any, const cm_idx_set *set, read_file read[CM_IDX_PART_COUNT],
                            cm_dataset *dataset, cm_error *error) {
    uint8_t **const targets[CM_IDX_PART_COUNT] = {
        [CM_IDX_TRAIN_LABELS] = &dataset->train.labels,
        [CM_IDX_TEST_LABELS] = &dataset->validation.labels,
        [CM_IDX_TRAIN_PICTURES] = &dataset->train.pixels,
        [CM_IDX_TEST_PICTURES] = &dataset->validation.pixels,
    };
    cm_status status = CM_OK;
    for (int i = 0; status == CM_OK && i < CM_IDX_PART_COUNT; ++i) {
        read_file *file = &read[i];
        const cm_idx_part part = (cm_idx_part)i;
        status = name_file(set, part, file, error);
        if (status == CM_OK) {
            status = any ? cm_idx_read_any(file->path, files[i].shape.rank, &file->shape,
                                           targets[i], file->sha256, error)
                         : read_fashion_file(part, file, targets[i], error);
        }
    }
    return status == CM_OK ? take_all_sizes(read, dataset, error) : status;
}

static void describe_set(const cm_idx_set *set, const read_file read[CM_IDX_PART_COUNT],
                         cm_dataset *dataset) {
    dataset->real = true;
    dataset->verified = is_fashion_mnist(read);
    dataset->train.channels = dataset->validation.channels = 1;
    snprintf(dataset->source, sizeof dataset->source, "%s", set->folder);
    if (dataset->verified) {
        dataset->classes = CLASSES;
        snprintf(dataset->name, sizeof dataset->name, "fashion-mnist");
    } else {
        const int train = largest_label(&dataset->train);
        const int validation = largest_label(&dataset->validation);
        dataset->classes = (train > validation ? train : validation) + 1;
        name_unverified(set, dataset);
    }
}

cm_status cm_dataset_read_files(const char *folder, bool any, cm_dataset *dataset, bool *found,
                                cm_error *error) {
    cm_idx_set set;
    cm_status status = cm_idx_set_find(folder, &set, found, error);
    read_file *read = calloc(CM_IDX_PART_COUNT, sizeof *read);
    if (status == CM_OK && read == NULL) {
        status = cm_fail(error, CM_FAILED, "out of memory: data set");
    }
    if (status == CM_OK) {
        status = read_files(any, &set, read, dataset, error);
    }
    if (status == CM_OK) {
        status = check_pictures(&read[CM_IDX_TRAIN_PICTURES], &dataset->train, error);
    }
    if (status == CM_OK) {
        status = check_pictures(&read[CM_IDX_TEST_PICTURES], &dataset->validation, error);
    }
    if (status == CM_OK) {
        describe_set(&set, read, dataset);
    }
    free(read);
    return status;
}
