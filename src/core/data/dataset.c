#include "convmark/dataset.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "core/data/dataset_files.h"
#include "core/data/dataset_search.h"
#include "core/data/idx_set.h"
#include "core/data/synthetic.h"
#include "core/files/sha256.h"

enum { SIDE = 28, CLASSES = 10 };

static const char get_it[] = "run scripts/get-data.sh, or apt install dataset-fashion-mnist, or "
                             "use the data set 'synthetic' (throughput only)";
static const char write_it[] = "docs/guide/data.md shows how to write a data set";

/** Where a search looks, and what an error says of it. */
typedef struct place {
    const char *title; /* "data set", "$CONVMARK_DATA" ... */
    char folder[CM_IDX_FOLDER_SIZE];
    bool named; /* by the user: any data set is taken; elsewhere only Fashion-MNIST */
} place;

static cm_status set_folder(place *at, const char *title, const char *folder, const char *below,
                            cm_error *error) {
    at->title = title;
    at->named = false;
    const int length = snprintf(at->folder, sizeof at->folder, "%s%s", folder, below);
    if (length < 0 || (size_t)length >= sizeof at->folder) {
        return cm_fail(error, CM_BAD_INPUT, "%s: the folder's name is longer than %zu bytes", title,
                       sizeof at->folder - 1);
    }
    return CM_OK;
}

static bool has_any_file(const place *at) {
    cm_idx_set set;
    cm_error ignored = {""};
    bool found = false;
    (void)cm_idx_set_find(at->folder, &set, &found, &ignored);
    return found;
}

static cm_status read_set(const place *at, cm_dataset *dataset, cm_error *error) {
    bool found = false;
    cm_error reason = {""};
    const cm_status status = cm_dataset_read_files(at->folder, at->named, dataset, &found, &reason);
    if (status == CM_BAD_INPUT && at->named && found) {
        return cm_fail(error, status, "%s: %s; %s", at->title, reason.message, write_it);
    }
    if (status == CM_BAD_INPUT) {
        return cm_fail(error, status, "%s: %s; %s%s%s", at->title, reason.message, get_it,
                       at->named ? "; " : "", at->named ? write_it : "");
    }
    return status == CM_OK ? status : cm_fail(error, status, "%s", reason.message);
}

/* ---- Generated pictures ---- */

static cm_status make_synthetic_part(const cm_dataset_shape *shape, cm_synthetic_part part,
                                     uint8_t *workspace, cm_images *images, cm_error *error) {
    *images = (cm_images){.count = cm_synthetic_count(shape, part),
                          .height = shape->height,
                          .width = shape->width,
                          .channels = shape->channels};
    images->pixels = malloc((size_t)images->count * cm_images_size(images));
    images->labels = malloc((size_t)images->count);
    if (images->pixels == NULL || images->labels == NULL) {
        return cm_fail(error, CM_FAILED,
                       "out of memory: synthetic data set of %d images of %dx%dx%d", images->count,
                       shape->channels, shape->height, shape->width);
    }
    cm_synthetic_draw(shape, part, images->count, workspace, images->pixels, images->labels);
    return CM_OK;
}

static cm_status make_synthetic(const cm_dataset_shape *shape, cm_dataset *dataset,
                                cm_error *error) {
    const size_t size = cm_synthetic_workspace(shape);
    uint8_t *workspace = size == SIZE_MAX ? NULL : malloc(size);
    if (workspace == NULL) {
        return cm_fail(error, CM_FAILED,
                       "out of memory: patterns of a synthetic data set of %d classes of %dx%dx%d",
                       shape->classes, shape->channels, shape->height, shape->width);
    }
    cm_status status =
        make_synthetic_part(shape, CM_SYNTHETIC_TRAIN, workspace, &dataset->train, error);
    if (status == CM_OK) {
        status = make_synthetic_part(shape, CM_SYNTHETIC_VALIDATION, workspace,
                                     &dataset->validation, error);
    }
    free(workspace);
    dataset->classes = shape->classes;
    snprintf(dataset->name, sizeof dataset->name, "synthetic");
    return status;
}

/* ---- Where it is ---- */

/** The folder a user named: it must exist. */
static cm_status named_place(const char *title, const char *folder, place *at, cm_error *error) {
    struct stat info;
    const cm_status status = set_folder(at, title, folder, "", error);
    if (status != CM_OK) {
        return status;
    }
    at->named = true;
    if (folder[0] == '\0') {
        return cm_fail(error, CM_BAD_INPUT, "%s: the folder's name is empty; %s", title, get_it);
    }
    if (stat(folder, &info) != 0) {
        return cm_fail(error, CM_BAD_INPUT, "%s: %s: %s; %s", title, folder, strerror(errno),
                       get_it);
    }
    if (!S_ISDIR(info.st_mode)) {
        return cm_fail(error, CM_BAD_INPUT, "%s: %s: is not a folder; name the folder of the files",
                       title, folder);
    }
    return CM_OK;
}

/** $XDG_CACHE_HOME counts when it is absolute (XDG Base Directory Specification). */
static cm_status cache_place(place *at, cm_error *error) {
    static const char title[] = "the cache folder";
    const char *cache = getenv("XDG_CACHE_HOME");
    const char *home = getenv("HOME");
    if (cache != NULL && cache[0] == '/') {
        return set_folder(at, title, cache, "/convmark/fashion-mnist", error);
    }
    if (home != NULL && home[0] == '/') {
        return set_folder(at, title, home, "/.cache/convmark/fashion-mnist", error);
    }
    return set_folder(at, title, "", "", error);
}

/** A place with one of the four files is the one: what is wrong there must be put right, not passed
 * over. */
static cm_status search_place(const char *package_folder, place *found, cm_error *error) {
    place cache, package;
    cm_status status = cache_place(&cache, error);
    if (status == CM_OK) {
        status = set_folder(&package, "the installed package", package_folder, "", error);
    }
    if (status != CM_OK) {
        return status;
    }
    const place *const places[] = {&cache, &package};
    for (int i = 0; i < 2; ++i) {
        if (places[i]->folder[0] != '\0' && has_any_file(places[i])) {
            *found = *places[i];
            return CM_OK;
        }
    }
    return cm_fail(error, CM_BAD_INPUT,
                   "Fashion-MNIST was not found: $CONVMARK_DATA is not set, %s and %s do not have "
                   "it; %s",
                   cache.folder[0] != '\0' ? cache.folder : "(no $HOME)", package.folder, get_it);
}

static cm_status fill_dataset(const char *where, const cm_dataset_shape *shape,
                              const char *package_folder, cm_dataset *dataset, cm_error *error) {
    const char *variable = getenv("CONVMARK_DATA");
    const char *title = "data set";
    if (where == NULL && variable != NULL && variable[0] != '\0') {
        where = variable;
        title = "$CONVMARK_DATA";
    }
    if (where != NULL && strcmp(where, "synthetic") == 0) {
        return make_synthetic(shape, dataset, error);
    }
    place at;
    const cm_status status = where != NULL ? named_place(title, where, &at, error)
                                           : search_place(package_folder, &at, error);
    return status != CM_OK ? status : read_set(&at, dataset, error);
}

static cm_status check_shape(const cm_dataset_shape *shape, cm_error *error) {
    const uint64_t limit = CM_MAX_IMAGE_BYTES, channels = (uint64_t)shape->channels;
    const uint64_t height = (uint64_t)shape->height, width = (uint64_t)shape->width;
    if (shape->channels < 1 || shape->height < 1 || shape->width < 1 || shape->classes < 1 ||
        shape->classes > CM_MAX_LABELS || channels > limit || height > limit / channels ||
        width > limit / channels / height) {
        return cm_fail(error, CM_USAGE,
                       "a data set of %d classes of %dx%dx%d images is out of limits: 1 to %d "
                       "classes, up to %d bytes per image",
                       shape->classes, shape->channels, shape->height, shape->width, CM_MAX_LABELS,
                       CM_MAX_IMAGE_BYTES);
    }
    return CM_OK;
}

cm_status cm_dataset_search(const char *where, const cm_dataset_shape *shape,
                            const char *package_folder, cm_dataset **dataset, cm_error *error) {
    *dataset = NULL;
    const cm_status good = check_shape(shape, error);
    if (good != CM_OK) {
        return good;
    }
    cm_dataset *opened = malloc(sizeof *opened);
    if (opened == NULL) {
        return cm_fail(error, CM_FAILED, "out of memory: data set");
    }
    *opened = (cm_dataset){.name = ""};
    const cm_status status = fill_dataset(where, shape, package_folder, opened, error);
    if (status != CM_OK) {
        cm_dataset_close(opened);
        return status;
    }
    *dataset = opened;
    return CM_OK;
}

cm_status cm_dataset_open_shaped(const char *where, const cm_dataset_shape *shape,
                                 cm_dataset **dataset, cm_error *error) {
    return cm_dataset_search(where, shape, "/usr/share/datasets/fashion-mnist", dataset, error);
}

cm_status cm_dataset_open(const char *where, cm_dataset **dataset, cm_error *error) {
    const cm_dataset_shape shape = {1, SIDE, SIDE, CLASSES};
    return cm_dataset_open_shaped(where, &shape, dataset, error);
}

void cm_dataset_close(cm_dataset *dataset) {
    if (dataset != NULL) {
        free(dataset->train.pixels);
        free(dataset->train.labels);
        free(dataset->validation.pixels);
        free(dataset->validation.labels);
        free(dataset);
    }
}

int cm_images_channels(const cm_images *images) {
    return images->channels > 0 ? images->channels : 1;
}

size_t cm_images_size(const cm_images *images) {
    return (size_t)images->height * (size_t)images->width * (size_t)cm_images_channels(images);
}

static void hash_images(cm_sha256 *hash, const cm_images *images) {
    const size_t count = (size_t)images->count;
    cm_sha256_update(hash, images->pixels, count * cm_images_size(images));
    cm_sha256_update(hash, images->labels, count);
}

void cm_dataset_sha256(const cm_dataset *dataset, char hex[65]) {
    cm_sha256 hash;
    cm_sha256_init(&hash);
    hash_images(&hash, &dataset->train);
    hash_images(&hash, &dataset->validation);
    cm_sha256_final(&hash, hex);
}

const char *cm_class_name(int label) {
    static const char *const names[CLASSES] = {"T-shirt/top", "Trouser",   "Pullover", "Dress",
                                               "Coat",        "Sandal",    "Shirt",    "Sneaker",
                                               "Bag",         "Ankle boot"};
    return label >= 0 && label < CLASSES ? names[label] : "?";
}
