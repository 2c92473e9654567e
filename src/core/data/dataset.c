#include "convmark/dataset.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "core/data/dataset_search.h"
#include "core/data/idx.h"
#include "core/data/synthetic.h"
#include "core/files/sha256.h"

enum {
    TRAIN_COUNT = 60000,
    VALIDATION_COUNT = 10000,
    SIDE = 28,
    CLASSES = 10,
    PATH_SIZE = sizeof((cm_dataset *)NULL)->source + 64 /* a folder and a file name */
};

static const char get_it[] = "run scripts/get-data.sh, or apt install dataset-fashion-mnist, or "
                             "use the data set 'synthetic' (throughput only)";

/** The files of Fashion-MNIST, and the SHA-256 of their decompressed bytes. Labels come first: they
 * are small, so that a wrong set is found out at once. */
enum { TRAIN_LABELS, VALIDATION_LABELS, TRAIN_PIXELS, VALIDATION_PIXELS, FILE_COUNT };
static const struct file_row {
    const char *name;
    cm_idx_shape shape;
    const char *sha256;
} files[FILE_COUNT] = {
    [TRAIN_LABELS] = {"train-labels-idx1-ubyte",
                      {1, {TRAIN_COUNT}},
                      "bad3541b69d912435c50bb6ba87bec294ff4f6a2e1246121d8633921760443d9"},
    [VALIDATION_LABELS] = {"t10k-labels-idx1-ubyte",
                           {1, {VALIDATION_COUNT}},
                           "0402a96d92fd2663957122ceb108a494c5af83dab82d92729df917d7dec38c34"},
    [TRAIN_PIXELS] = {"train-images-idx3-ubyte",
                      {3, {TRAIN_COUNT, SIDE, SIDE}},
                      "c59f468a2f672dc815687fe0f83887768d799fd8a3f3276145d20f83aa44d888"},
    [VALIDATION_PIXELS] = {"t10k-images-idx3-ubyte",
                           {3, {VALIDATION_COUNT, SIDE, SIDE}},
                           "5b4141f0afbad91edebe8549f8fcffe087ea10ca49f1dbef5c9a5cd8815ce37b"},
};

static const char *const suffixes[] = {".gz", ""};
enum { SUFFIX_COUNT = sizeof suffixes / sizeof suffixes[0] };

/** Where a search looks, and what an error says of it. */
typedef struct place {
    const char *title; /* "data set", "$CONVMARK_DATA" ... */
    char folder[sizeof((cm_dataset *)NULL)->source];
} place;

static cm_status set_folder(place *at, const char *title, const char *folder, const char *below,
                            cm_error *error) {
    at->title = title;
    const int length = snprintf(at->folder, sizeof at->folder, "%s%s", folder, below);
    if (length < 0 || (size_t)length >= sizeof at->folder) {
        return cm_fail(error, CM_BAD_INPUT, "%s: the folder's name is longer than %zu bytes", title,
                       sizeof at->folder - 1);
    }
    return CM_OK;
}

/** Finds file `index` under either name into `path`. False when neither exists; what is there but
 * cannot be read, such as a dangling link, counts as found, so that opening it says why. */
static bool find_file(const place *at, int index, char path[PATH_SIZE]) {
    for (int i = 0; i < SUFFIX_COUNT; ++i) {
        struct stat info;
        snprintf(path, PATH_SIZE, "%s/%s%s", at->folder, files[index].name, suffixes[i]);
        if (lstat(path, &info) == 0 || (errno != ENOENT && errno != ENOTDIR)) {
            return true;
        }
    }
    return false;
}

static bool has_any_file(const place *at) {
    char path[PATH_SIZE];
    for (int i = 0; i < FILE_COUNT; ++i) {
        if (find_file(at, i, path)) {
            return true;
        }
    }
    return false;
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

static cm_status read_file(const place *at, int index, uint8_t **data, cm_error *error) {
    const struct file_row *row = &files[index];
    char path[PATH_SIZE];
    char sha256[CM_SHA256_HEX_SIZE];
    if (!find_file(at, index, path)) {
        return cm_fail(error, CM_BAD_INPUT, "%s: has no %s.gz and no %s", at->folder, row->name,
                       row->name);
    }
    cm_status status = cm_idx_read(path, &row->shape, data, sha256, error);
    if (status == CM_OK && row->shape.rank == 1) {
        status = check_labels(path, *data, row->shape.dims[0], error);
    }
    if (status == CM_OK && strcmp(sha256, row->sha256) != 0) {
        status = cm_fail(error, CM_BAD_INPUT,
                         "%s: not Fashion-MNIST: SHA-256 of the decompressed bytes is %.16s..., "
                         "not %.16s...",
                         path, sha256, row->sha256);
    }
    return status;
}

static cm_status read_fashion_mnist(const place *at, cm_dataset *dataset, cm_error *error) {
    uint8_t **const targets[FILE_COUNT] = {
        [TRAIN_LABELS] = &dataset->train.labels,
        [VALIDATION_LABELS] = &dataset->validation.labels,
        [TRAIN_PIXELS] = &dataset->train.pixels,
        [VALIDATION_PIXELS] = &dataset->validation.pixels,
    };
    for (int i = 0; i < FILE_COUNT; ++i) {
        cm_error reason = {""};
        const cm_status status = read_file(at, i, targets[i], &reason);
        if (status == CM_BAD_INPUT) {
            return cm_fail(error, status, "%s: %s; %s", at->title, reason.message, get_it);
        }
        if (status != CM_OK) {
            return cm_fail(error, status, "%s", reason.message);
        }
    }
    snprintf(dataset->name, sizeof dataset->name, "fashion-mnist");
    snprintf(dataset->source, sizeof dataset->source, "%s", at->folder);
    dataset->real = true;
    return CM_OK;
}

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

/** The folder a user named: it must exist. */
static cm_status named_place(const char *title, const char *folder, place *at, cm_error *error) {
    struct stat info;
    const cm_status status = set_folder(at, title, folder, "", error);
    if (status != CM_OK) {
        return status;
    }
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
    return status != CM_OK ? status : read_fashion_mnist(&at, dataset, error);
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
    *opened = (cm_dataset){
        .classes = CLASSES,
        .train = {.count = TRAIN_COUNT, .height = SIDE, .width = SIDE, .channels = 1},
        .validation = {.count = VALIDATION_COUNT, .height = SIDE, .width = SIDE, .channels = 1},
    };
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
