#include "support/temporary.h"

#include "convmark/dataset.h"
#include "core/data/dataset_search.h"
#include "core/data/synthetic.h"
#include "core/files/sha256.h"

/* Debian's package; without it the test that reads the real data is skipped. */
static const char real_folder[] = "/usr/share/datasets/fashion-mnist";

static const char *const names[] = {"train-images-idx3-ubyte", "train-labels-idx1-ubyte",
                                    "t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte"};
enum { TRAIN_LABELS_SIZE = 60008 };

/* A folder below the temporary one; the text stays valid until the next call with this slot. */
static const char *make_folder(int slot, const char *name) {
    static char paths[4][TEMPORARY_PATH_SIZE];
    snprintf(paths[slot], TEMPORARY_PATH_SIZE, "%s/%s", temporary_folder, name);
    char *part = paths[slot] + strlen(temporary_folder) + 1;
    while ((part = strchr(part, '/')) != NULL) {
        *part = '\0';
        (void)mkdir(paths[slot], 0700);
        *part++ = '/';
    }
    assert_int_equal(mkdir(paths[slot], 0700), 0);
    return paths[slot];
}

/* Puts the four names there, all empty files. */
static void put_empty_files(const char *folder) {
    for (int i = 0; i < 4; ++i) {
        char path[2 * TEMPORARY_PATH_SIZE];
        snprintf(path, sizeof path, "%s/%s.gz", folder, names[i]);
        FILE *file = fopen(path, "wb");
        assert_non_null(file);
        fclose(file);
    }
}

static void put_labels(const char *folder, const uint8_t *bytes, size_t size) {
    char path[2 * TEMPORARY_PATH_SIZE];
    snprintf(path, sizeof path, "%s/train-labels-idx1-ubyte", folder);
    FILE *file = fopen(path, "wb");
    assert_non_null(file);
    assert_int_equal(fwrite(bytes, 1, size, file), size);
    fclose(file);
}

/* A folder and an environment for each test; nothing of the caller's is used. */
static int set_up(void **state) {
    const int failed = temporary_create(state);
    unsetenv("CONVMARK_DATA");
    unsetenv("XDG_CACHE_HOME");
    setenv("HOME", temporary_folder, 1);
    return failed;
}

static const cm_dataset_shape fashion = {1, 28, 28, 10};

static void assert_refused_in(const char *where, const char *package, const char *contains,
                              const char *also) {
    cm_dataset *dataset = (cm_dataset *)(uintptr_t)1;
    cm_error error = {""};
    assert_int_equal(cm_dataset_search(where, &fashion, package, &dataset, &error), CM_BAD_INPUT);
    assert_null(dataset);
    assert_message(error.message, contains, also);
}

static void test_named_folder_must_be_one(void **state) {
    (void)state;
    const char *package = real_folder;
    assert_refused_in(temporary_path("missing"), package, "data set: ", "missing: No such file");
    assert_refused_in("", package, "data set: ", "empty");
    assert_refused_in(temporary_write("file", "x", 1), package, "data set: ", "is not a folder");
    char *endless = malloc(6000);
    assert_non_null(endless);
    memset(endless, 'a', 5999);
    endless[5999] = '\0';
    assert_refused_in(endless, package, "data set: ", "longer than 4095 bytes");
    free(endless);
}

static void test_missing_file_is_named(void **state) {
    (void)state;
    const char *folder = make_folder(0, "empty");
    assert_refused_in(folder, "/nowhere", folder,
                      "has no train-labels-idx1-ubyte.gz and no train-labels-idx1-ubyte; ");
    assert_refused_in(folder, "/nowhere", "run scripts/get-data.sh",
                      "apt install dataset-fashion-mnist, or use the data set 'synthetic'");
}

static void test_environment_is_used_and_not_passed_over(void **state) {
    (void)state;
    const char *package = make_folder(0, "package");
    put_empty_files(package);
    setenv("CONVMARK_DATA", temporary_path("missing"), 1);
    assert_refused_in(NULL, package, "$CONVMARK_DATA: ", "missing: No such file");
    const char *folder = make_folder(1, "named");
    assert_refused_in(folder, package, "data set: ", folder); /* the argument is stronger */
    setenv("CONVMARK_DATA", "", 1);                           /* as if not set */
    assert_refused_in(NULL, package, "the installed package: ", package);
}

static void test_search_takes_the_cache_before_the_package(void **state) {
    (void)state;
    const char *package = make_folder(0, "package");
    put_empty_files(package);
    assert_refused_in(NULL, package, "the installed package: ", package);
    const char *home_cache = make_folder(1, ".cache/convmark/fashion-mnist");
    assert_refused_in(NULL, package, "the installed package: ", package); /* an empty folder */
    put_empty_files(home_cache);
    assert_refused_in(NULL, package, "the cache folder: ", home_cache);
    const char *cache = make_folder(2, "xdg/convmark/fashion-mnist");
    put_empty_files(cache);
    setenv("XDG_CACHE_HOME", temporary_path("xdg"), 1);
    assert_refused_in(NULL, package, "the cache folder: ", cache);
    setenv("XDG_CACHE_HOME", "xdg", 1); /* relative: to be ignored */
    assert_refused_in(NULL, package, "the cache folder: ", home_cache);
    unsetenv("XDG_CACHE_HOME");
    unsetenv("HOME");
    assert_refused_in(NULL, package, "the installed package: ", package);
}

/* One of the files, or a dangling link of its name, makes a place the one. */
static void test_incomplete_place_is_not_passed_over(void **state) {
    (void)state;
    const char *package = make_folder(0, "package");
    const char *cache = make_folder(1, ".cache/convmark/fashion-mnist");
    char path[2 * TEMPORARY_PATH_SIZE];
    put_empty_files(package);
    snprintf(path, sizeof path, "%s/t10k-labels-idx1-ubyte.gz", cache);
    assert_int_equal(symlink("nowhere", path), 0);
    assert_refused_in(NULL, package, cache, "has no train-labels-idx1-ubyte.gz");
    snprintf(path, sizeof path, "%s/train-labels-idx1-ubyte", cache);
    assert_int_equal(symlink("nowhere", path), 0);
    assert_refused_in(NULL, package, path, "no such file");
}

static void test_search_that_finds_nothing_lists_the_places(void **state) {
    (void)state;
    const char *package = make_folder(0, "package");
    char cache[2 * TEMPORARY_PATH_SIZE];
    snprintf(cache, sizeof cache, "%s/.cache/convmark/fashion-mnist", temporary_folder);
    assert_refused_in(NULL, package, "$CONVMARK_DATA is not set", cache);
    assert_refused_in(NULL, package, package, "run scripts/get-data.sh");
    assert_refused_in(NULL, package, "apt install dataset-fashion-mnist",
                      "the data set 'synthetic'");
    unsetenv("HOME");
    assert_refused_in(NULL, package, "no $HOME", package);
}

/* Where Fashion-MNIST is searched for, nothing else will do. */
static void test_wrong_labels_are_refused(void **state) {
    (void)state;
    static uint8_t bytes[TRAIN_LABELS_SIZE] = {0, 0, 8, 1, 0, 0, 0xEA, 0x60};
    const char *folder = make_folder(0, ".cache/convmark/fashion-mnist");
    put_labels(folder, bytes, sizeof bytes - 1);
    assert_refused_in(folder, "/nowhere", folder, "cut off: 60007 of 60008 bytes");
    assert_refused_in(NULL, "/nowhere", folder, "cut off: 60007 of 60008 bytes");
    put_labels(folder, bytes, sizeof bytes);
    assert_refused_in(NULL, "/nowhere", folder, "not Fashion-MNIST: SHA-256");
    bytes[13] = 9;
    put_labels(folder, bytes, sizeof bytes);
    assert_refused_in(NULL, "/nowhere", folder, "not Fashion-MNIST: SHA-256");
    bytes[13] = 10;
    put_labels(folder, bytes, sizeof bytes);
    assert_refused_in(NULL, "/nowhere", folder, "label 10 of image 5 at byte 13");
    bytes[7] = 0x61;
    put_labels(folder, bytes, sizeof bytes);
    assert_refused_in(NULL, "/nowhere", folder, "dimension 0 at byte 4 is 60001, not 60000");
}

static void assert_whole(const cm_images *images, int count) {
    assert_int_equal(images->count, count);
    assert_int_equal(images->height, 28);
    assert_int_equal(images->width, 28);
    assert_non_null(images->pixels);
    for (int i = 0; i < count; ++i) {
        assert_in_range(images->labels[i], 0, 9);
    }
}

/* gz files by links, one of them plain: the same bytes. */
static void test_real_data_are_read(void **state) {
    (void)state;
    if (access(real_folder, R_OK) != 0) {
        print_message("needs the package dataset-fashion-mnist: skipped\n");
        skip();
    }
    const char *folder = make_folder(0, "real");
    char from[2 * TEMPORARY_PATH_SIZE], to[2 * TEMPORARY_PATH_SIZE], command[2048];
    for (int i = 0; i < 3; ++i) {
        snprintf(from, sizeof from, "%s/%s.gz", real_folder, names[i]);
        snprintf(to, sizeof to, "%s/%s.gz", folder, names[i]);
        assert_int_equal(symlink(from, to), 0);
    }
    snprintf(command, sizeof command, "gzip -dc %s/%s.gz >%s/%s", real_folder, names[3], folder,
             names[3]);
    assert_int_equal(system(command), 0);
    cm_dataset *dataset = NULL;
    cm_error error = {""};
    assert_int_equal(cm_dataset_open(folder, &dataset, &error), CM_OK);
    assert_string_equal(error.message, "");
    assert_string_equal(dataset->name, "fashion-mnist");
    assert_string_equal(dataset->source, folder);
    assert_true(dataset->real);
    assert_true(dataset->verified);
    assert_int_equal(dataset->classes, 10);
    assert_whole(&dataset->train, 60000);
    assert_whole(&dataset->validation, 10000);
    assert_int_equal(dataset->train.labels[0], 9); /* an ankle boot */
    int per_class[10] = {0};
    for (int i = 0; i < 10000; ++i) {
        ++per_class[dataset->validation.labels[i]];
    }
    for (int i = 0; i < 10; ++i) {
        assert_int_equal(per_class[i], 1000);
    }
    cm_dataset_close(dataset);
}

static void test_synthetic_set_has_the_golden_bytes(void **state) {
    (void)state;
    cm_dataset *dataset = NULL;
    cm_error error = {""};
    setenv("CONVMARK_DATA", "synthetic", 1);
    assert_int_equal(cm_dataset_open(NULL, &dataset, &error), CM_OK);
    assert_string_equal(dataset->name, "synthetic");
    assert_string_equal(dataset->source, "");
    assert_false(dataset->real);
    assert_int_equal(dataset->classes, 10);
    assert_whole(&dataset->train, 60000);
    assert_whole(&dataset->validation, 10000);
    cm_sha256 hash;
    char hex[CM_SHA256_HEX_SIZE];
    cm_sha256_init(&hash);
    cm_sha256_update(&hash, dataset->train.labels, 60000);
    cm_sha256_update(&hash, dataset->train.pixels, 60000 * 784);
    cm_sha256_update(&hash, dataset->validation.labels, 10000);
    cm_sha256_update(&hash, dataset->validation.pixels, 10000 * 784);
    cm_sha256_final(&hash, hex);
    assert_string_equal(hex, "4abd482f488a3f259e5364b2413d6ebbff23a7f49c56cdbdd2ea5818febff9f2");
    cm_dataset_close(dataset);

    unsetenv("CONVMARK_DATA"); /* by name, and its images do not depend on how many are asked for */
    uint8_t pixels[2 * 784], labels[2], first[784], label;
    cm_synthetic_images(CM_SYNTHETIC_VALIDATION, 2, pixels, labels);
    cm_synthetic_images(CM_SYNTHETIC_VALIDATION, 1, first, &label);
    assert_memory_equal(first, pixels, 784);
    assert_int_equal(label, labels[0]);
}

/* Pictures of another shape: labels and colours of their own, as many as documented, and the rule
 * holds that a picture does not depend on how many there are. */
static void test_synthetic_set_takes_any_shape(void **state) {
    (void)state;
    static const struct {
        cm_dataset_shape shape;
        int train, validation;
    } rows[] = {{{3, 32, 32, 100}, 21845, 5461},
                {{1, 1, 1, 1}, 60000, 10000},
                {{2, 5, 3, 256}, 60000, 10000},
                {{3, 224, 224, 7}, 1024, 1024},
                {{1, 28, 28, 3}, 60000, 10000}};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; ++i) {
        const cm_dataset_shape *shape = &rows[i].shape;
        cm_dataset *dataset = NULL;
        cm_error error = {""};
        assert_int_equal(cm_dataset_open_shaped("synthetic", shape, &dataset, &error), CM_OK);
        assert_int_equal(dataset->classes, shape->classes);
        const cm_images *parts[] = {&dataset->train, &dataset->validation};
        assert_int_equal(parts[0]->count, rows[i].train);
        assert_int_equal(parts[1]->count, rows[i].validation);
        for (int p = 0; p < 2; ++p) {
            assert_int_equal(parts[p]->channels, shape->channels);
            assert_int_equal(parts[p]->height, shape->height);
            assert_int_equal(parts[p]->width, shape->width);
            assert_int_equal(cm_images_size(parts[p]),
                             shape->channels * shape->height * shape->width);
            int largest = 0;
            for (int n = 0; n < parts[p]->count; ++n) {
                largest = parts[p]->labels[n] > largest ? parts[p]->labels[n] : largest;
            }
            assert_int_equal(largest, shape->classes - 1);
        }
        uint8_t *workspace = malloc(cm_synthetic_workspace(shape)), label = 0;
        uint8_t *first = malloc(cm_images_size(parts[0]));
        assert_true(workspace != NULL && first != NULL);
        cm_synthetic_draw(shape, CM_SYNTHETIC_VALIDATION, 1, workspace, first, &label);
        assert_memory_equal(first, parts[1]->pixels, cm_images_size(parts[1]));
        assert_int_equal(label, parts[1]->labels[0]);
        free(first);
        free(workspace);
        cm_dataset_close(dataset);
    }
}

/* Fixed bytes: the channels of a pixel follow one another and differ. */
static void test_synthetic_colours_have_the_golden_bytes(void **state) {
    (void)state;
    const cm_dataset_shape shape = {3, 9, 5, 4};
    enum { COUNT = 50, SIZE = 3 * 9 * 5 };
    static uint8_t pixels[COUNT * SIZE], labels[COUNT];
    uint8_t *workspace = malloc(cm_synthetic_workspace(&shape));
    assert_non_null(workspace);
    cm_synthetic_draw(&shape, CM_SYNTHETIC_TRAIN, COUNT, workspace, pixels, labels);
    free(workspace);
    int differ = 0;
    for (int i = 0; i < COUNT * SIZE; i += 3) {
        differ += pixels[i] != pixels[i + 1] && pixels[i + 1] != pixels[i + 2];
    }
    assert_true(differ > COUNT * SIZE / 6);
    cm_sha256 hash;
    char hex[CM_SHA256_HEX_SIZE];
    cm_sha256_init(&hash);
    cm_sha256_update(&hash, labels, sizeof labels);
    cm_sha256_update(&hash, pixels, sizeof pixels);
    cm_sha256_final(&hash, hex);
    assert_string_equal(hex, "88e4531e8803ce1902fe02df53ec37c16229e077355475328cbc7a63c16b61e4");
}

static void test_synthetic_shapes_out_of_limits_are_refused(void **state) {
    (void)state;
    static const cm_dataset_shape shapes[] = {{0, 28, 28, 10},
                                              {1, 0, 28, 10},
                                              {1, 28, -1, 10},
                                              {1, 28, 28, 0},
                                              {1, 28, 28, 257},
                                              {1 << 20, 1 << 20, 1, 10},
                                              {1, 1 << 14, (1 << 14) + 1, 10}};
    for (size_t i = 0; i < sizeof shapes / sizeof *shapes; ++i) {
        cm_dataset *dataset = NULL;
        cm_error error = {""};
        assert_int_equal(cm_dataset_open_shaped("synthetic", &shapes[i], &dataset, &error),
                         CM_USAGE);
        assert_null(dataset);
        assert_message(error.message, "out of limits", "1 to 256 classes");
    }
}

/* The mean picture of each class, learnt from training images, tells most validation images: a
 * linear classifier can, so a network must. Chance is 10 %. */
static void test_synthetic_set_can_be_learnt(void **state) {
    (void)state;
    enum { TRAIN = 3000, VALIDATION = 1000, PIXELS = 784 };
    static uint8_t pixels[TRAIN * PIXELS], labels[TRAIN];
    static int64_t sums[10][PIXELS];
    int counts[10] = {0}, correct = 0;
    cm_synthetic_images(CM_SYNTHETIC_TRAIN, TRAIN, pixels, labels);
    memset(sums, 0, sizeof sums);
    for (int i = 0; i < TRAIN; ++i) {
        ++counts[labels[i]];
        for (int p = 0; p < PIXELS; ++p) {
            sums[labels[i]][p] += pixels[i * PIXELS + p];
        }
    }
    for (int c = 0; c < 10; ++c) {
        assert_in_range(counts[c], TRAIN / 10 - 60, TRAIN / 10 + 60);
    }
    cm_synthetic_images(CM_SYNTHETIC_VALIDATION, VALIDATION, pixels, labels);
    for (int i = 0; i < VALIDATION; ++i) {
        int best = 0;
        int64_t least = INT64_MAX;
        for (int c = 0; c < 10; ++c) {
            int64_t distance = 0;
            for (int p = 0; p < PIXELS; ++p) {
                const int64_t difference = pixels[i * PIXELS + p] - sums[c][p] / counts[c];
                distance += difference * difference;
            }
            if (distance < least) {
                least = distance;
                best = c;
            }
        }
        correct += best == labels[i];
    }
    print_message("nearest mean: %d of %d\n", correct, VALIDATION);
    assert_in_range(correct, 600, VALIDATION - 1); /* nor is it trivial */
}

static void test_classes_have_names(void **state) {
    (void)state;
    assert_string_equal(cm_class_name(0), "T-shirt/top");
    assert_string_equal(cm_class_name(7), "Sneaker");
    assert_string_equal(cm_class_name(9), "Ankle boot");
    assert_string_equal(cm_class_name(10), "?");
    assert_string_equal(cm_class_name(-1), "?");
}

#define IN_FOLDER(test) cmocka_unit_test_setup_teardown(test, set_up, temporary_remove)

int main(void) {
    const struct CMUnitTest tests[] = {
        IN_FOLDER(test_named_folder_must_be_one),
        IN_FOLDER(test_missing_file_is_named),
        IN_FOLDER(test_environment_is_used_and_not_passed_over),
        IN_FOLDER(test_search_takes_the_cache_before_the_package),
        IN_FOLDER(test_incomplete_place_is_not_passed_over),
        IN_FOLDER(test_search_that_finds_nothing_lists_the_places),
        IN_FOLDER(test_wrong_labels_are_refused),
        IN_FOLDER(test_real_data_are_read),
        IN_FOLDER(test_synthetic_set_has_the_golden_bytes),
        cmocka_unit_test(test_synthetic_set_takes_any_shape),
        cmocka_unit_test(test_synthetic_colours_have_the_golden_bytes),
        cmocka_unit_test(test_synthetic_shapes_out_of_limits_are_refused),
        cmocka_unit_test(test_synthetic_set_can_be_learnt),
        cmocka_unit_test(test_classes_have_names),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
