#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "convmark/network.h"
#include "core/files/atomic_file.h"
#include "core/files/file_kind.h"
#include "core/name_suggestion.h"
#include "core/network/network_builder.h"

/* A new variant is a new row here. Titles in the words of the report (README.md names it); what it
 * published is in src/harness/studies/report/published.c. */
static const cm_variant variants[] = {
    /* id, title, conv layers, pool period, batch norm, dropout conv, dropout output */
    /* clang-format off */
    {"baseline", "3 conv", 3, 1, false, 0.0F, 0.0F},
    {"dropout-out-0.5", "baseline + dropout 0.5 before the output layer", 3, 1, false, 0.0F, 0.5F},
    {"dropout-conv-0.5", "baseline + dropout 0.5 after the last conv layer",
     3, 1, false, 0.5F, 0.0F},
    {"dropout-conv-0.3", "baseline + dropout 0.3 after the last conv layer",
     3, 1, false, 0.3F, 0.0F},
    {"bn-3", "3 conv, batch norm after each", 3, 1, true, 0.0F, 0.1F},
    {"plain-8", "8 conv, no batch norm", 8, 3, false, 0.0F, 0.1F},
    {"bn-8", "8 conv, batch norm after each", 8, 3, true, 0.0F, 0.1F},
    {"bn-16", "16 conv, batch norm after each", 16, 6, true, 0.0F, 0.1F},
    /* clang-format on */
};

enum { VARIANT_COUNT = sizeof variants / sizeof variants[0] };

/* The report's sizes. */
enum { CHANNELS = 128, HIDDEN = 128, CLASSES = 10, IMAGE = 28 };

const cm_variant *cm_variants(int *count) {
    *count = VARIANT_COUNT;
    return variants;
}

const cm_variant *cm_variant_find(const char *id) {
    for (int i = 0; i < VARIANT_COUNT; ++i) {
        if (strcmp(variants[i].id, id) == 0) {
            return &variants[i];
        }
    }
    return NULL;
}

/* Layers are appended one after another; after the first failure nothing more is. */
typedef struct builder {
    cm_network *network;
    cm_status status;
    cm_error *error;
} builder;

static void append_layer(builder *b, cm_layer layer) {
    if (b->status == CM_OK) {
        b->status = cm_network_append(b->network, &layer, b->error);
    }
}

static void append_conv_stage(builder *b, const cm_recipe *recipe, int index) {
    append_layer(b, (cm_layer){.kind = CM_LAYER_CONV2D,
                               .out.channels = recipe->channels,
                               .kernel_h = 3,
                               .kernel_w = 3,
                               .stride_h = 1,
                               .stride_w = 1,
                               .padding_h = 1,
                               .padding_w = 1});
    if (recipe->batch_norm) {
        append_layer(b, (cm_layer){.kind = CM_LAYER_BATCH_NORM});
    }
    append_layer(b, (cm_layer){.kind = CM_LAYER_RELU});
    if (index % recipe->pool_period == 0) {
        append_layer(b, (cm_layer){.kind = CM_LAYER_MAX_POOL2D,
                                   .kernel_h = 3,
                                   .kernel_w = 3,
                                   .stride_h = 3,
                                   .stride_w = 3});
    }
}

cm_status cm_network_from_recipe(const cm_recipe *recipe, cm_network **network, cm_error *error) {
    builder b = {.network = NULL, .status = CM_OK, .error = error};
    const bool report = recipe->data.channels == 0;
    const cm_dataset_shape data =
        report ? (cm_dataset_shape){1, IMAGE, IMAGE, CLASSES} : recipe->data;
    const cm_layer_shape input = {data.channels, data.height, data.width};
    b.status = cm_network_create(recipe->name, input, &b.network, error);
    for (int i = 0; i < recipe->conv_layers; ++i) {
        append_conv_stage(&b, recipe, i);
    }
    if (recipe->dropout_conv > 0.0F) {
        append_layer(&b, (cm_layer){.kind = CM_LAYER_DROPOUT, .p = recipe->dropout_conv});
    }
    append_layer(&b, (cm_layer){.kind = CM_LAYER_FLATTEN});
    append_layer(&b, (cm_layer){.kind = CM_LAYER_LINEAR, .out.channels = HIDDEN});
    append_layer(&b, (cm_layer){.kind = CM_LAYER_RELU});
    /* Also with p = 0: the report's module has it, and so the output layer is dense.4. */
    append_layer(&b, (cm_layer){.kind = CM_LAYER_DROPOUT, .p = recipe->dropout_output});
    append_layer(&b, (cm_layer){.kind = CM_LAYER_LINEAR, .out.channels = data.classes});
    if (b.status == CM_OK) {
        b.status = cm_network_finish(b.network, error);
    }
    if (b.status != CM_OK) {
        cm_network_free(b.network);
        return b.status;
    }
    *network = b.network;
    return CM_OK;
}

cm_status cm_network_from_variant(const cm_variant *variant, cm_network **network,
                                  cm_error *error) {
    const cm_recipe recipe = {.name = variant->id,
                              .conv_layers = variant->conv_layers,
                              .pool_period = variant->pool_period,
                              .channels = CHANNELS,
                              .batch_norm = variant->batch_norm,
                              .dropout_conv = variant->dropout_conv,
                              .dropout_output = variant->dropout_output};
    return cm_network_from_recipe(&recipe, network, error);
}

static const char *nearest_id(const char *name) {
    const char *ids[VARIANT_COUNT];
    for (int i = 0; i < VARIANT_COUNT; ++i) {
        ids[i] = variants[i].id;
    }
    return cm_suggest_name(name, ids, VARIANT_COUNT);
}

/* Ids have points as well, so "dropout-out-0.6" is a wrong id unless there is such a file. */
static bool means_file(const char *name) {
    struct stat about;
    if (strpbrk(name, "/.") == NULL) {
        return false;
    }
    return strchr(name, '/') != NULL || stat(name, &about) == 0 || errno != ENOENT ||
           nearest_id(name) == NULL;
}

/* A file that is known to be no text of a network, whatever its size. */
static cm_status check_kind(const char *path, cm_error *error) {
    char *start = NULL;
    size_t size = 0;
    const cm_status status =
        cm_file_read_start(path, CM_FILE_KIND_BYTES, &start, &size, NULL, error);
    if (status != CM_OK) {
        return status;
    }
    const char *title = NULL;
    const cm_file_kind kind = cm_file_kind_of(start, size, &title);
    free(start);
    switch (kind) {
    case CM_FILE_UNKNOWN:
    case CM_FILE_EMPTY:
    case CM_FILE_NETWORK_TEXT:
    case CM_FILE_TEXT:
        return CM_OK;
    case CM_FILE_SAFETENSORS:
        return cm_fail(
            error, CM_BAD_INPUT,
            "%s: is %s, not a network text; give it as the model, and here the text that "
            "it was trained with",
            path, title);
    case CM_FILE_UTF16:
        return cm_fail(error, CM_BAD_INPUT, "%s: is %s; save it as UTF-8", path, title);
    default:
        return cm_fail(error, CM_BAD_INPUT,
                       "%s: is %s, not a network text; give a file of network text, as "
                       "docs/reference/network-text.md describes it",
                       path, title);
    }
}

bool cm_network_is_name(const char *name_or_file) {
    cm_recipe recipe;
    return cm_variant_find(name_or_file) != NULL || cm_recipe_parse_name(name_or_file, &recipe);
}

cm_status cm_network_open(const char *name_or_file, cm_network **network, cm_error *error) {
    const cm_variant *variant = cm_variant_find(name_or_file);
    if (variant != NULL) {
        return cm_network_from_variant(variant, network, error);
    }
    cm_recipe recipe;
    if (cm_recipe_parse_name(name_or_file, &recipe)) {
        return cm_network_from_recipe(&recipe, network, error);
    }
    if (!means_file(name_or_file)) {
        const char *nearest = nearest_id(name_or_file);
        return nearest != NULL
                   ? cm_fail(error, CM_USAGE, "unknown variant '%s'; did you mean '%s'?",
                             name_or_file, nearest)
                   : cm_fail(error, CM_USAGE,
                             "unknown variant '%s'; 'convmark variants' lists them, and a file "
                             "of network text is given with its folder, as in ./%s",
                             name_or_file, name_or_file);
    }
    char *text = NULL;
    size_t size = 0;
    cm_status status = check_kind(name_or_file, error);
    if (status == CM_OK) {
        status = cm_file_read(name_or_file, CM_MAX_NETWORK_TEXT, &text, &size, error);
    }
    if (status == CM_OK) {
        status = cm_network_parse(text, size, name_or_file, network, error);
        free(text);
    }
    return status;
}
