#include "core/network/model_tensors.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* A file's tensor under its name without the parts that wrappers add. */
typedef struct named_tensor {
    char *name;
    const cm_safetensor *tensor;
    bool used;
} named_tensor;

/* All of a file's, in the order of their names. */
typedef struct tensor_index {
    named_tensor *items;
    int count;
} tensor_index;

/* ---- Names ---- */

/* Parts that wrappers of PyTorch put into names, wherever they stand: DataParallel and
 * AveragedModel, torch.compile, FSDP, activation checkpoints. */
static const char *const wrappers[] = {"module.", "_orig_mod.", "_fsdp_wrapped_module.",
                                       "_checkpoint_wrapped_module."};

static char *without_wrappers(const char *name) {
    char *plain = strdup(name);
    char *to = plain;
    bool begins = true; /* a part of the name */
    for (const char *from = name; plain != NULL && *from != '\0';) {
        size_t skip = 0;
        for (size_t i = 0; begins && skip == 0 && i < sizeof wrappers / sizeof *wrappers; ++i) {
            const size_t length = strlen(wrappers[i]);
            skip = strncmp(from, wrappers[i], length) == 0 ? length : 0;
        }
        from += skip;
        if (skip == 0) {
            begins = *from == '.';
            *to++ = *from++;
        }
    }
    if (plain != NULL) {
        *to = '\0';
    }
    return plain;
}

static int compare_names(const void *a, const void *b) {
    return strcmp(((const named_tensor *)a)->name, ((const named_tensor *)b)->name);
}

static void free_index(tensor_index *index) {
    for (int i = 0; i < index->count; ++i) {
        free(index->items[i].name);
    }
    free(index->items);
    *index = (tensor_index){NULL, 0};
}

static cm_status make_index(const cm_tensor_match *match, tensor_index *index, cm_error *error) {
    const int count = cm_safetensors_count(match->file);
    *index = (tensor_index){calloc((size_t)count + 1, sizeof *index->items), 0};
    bool ok = index->items != NULL;
    for (int i = 0; ok && i < count; ++i) {
        const cm_safetensor *tensor = cm_safetensors_at(match->file, i);
        index->items[i] = (named_tensor){without_wrappers(tensor->name), tensor, false};
        ok = index->items[i].name != NULL;
        index->count += ok;
    }
    if (!ok) {
        return cm_fail(error, CM_FAILED, "%s: out of memory; close some programs", match->path);
    }
    qsort(index->items, (size_t)count, sizeof *index->items, compare_names);
    for (int i = 1; i < count; ++i) {
        const named_tensor *a = &index->items[i - 1], *b = &index->items[i];
        if (strcmp(a->name, b->name) == 0) {
            return cm_fail(error, CM_BAD_INPUT,
                           "%s: tensors \"%.100s\" and \"%.100s\" are both \"%.100s\"; keep one",
                           match->path, a->tensor->name, b->tensor->name, a->name);
        }
    }
    return CM_OK;
}

/* ---- The beginning that all names share ---- */

enum { PREFIX_SIZE = 200, NAME_SIZE = PREFIX_SIZE + 48 };

static named_tensor *find_tensor(const tensor_index *index, const char *prefix, const char *name) {
    char whole[NAME_SIZE];
    snprintf(whole, sizeof whole, "%s%s", prefix, name);
    const named_tensor key = {.name = whole};
    return index->count == 0
               ? NULL
               : bsearch(&key, index->items, (size_t)index->count, sizeof key, compare_names);
}

static bool is_counter(const cm_tensor_spec *spec) {
    return spec->kind == CM_TENSOR_NUM_BATCHES_TRACKED;
}

/* The first of the network's tensors that is not under the prefix; NULL: all are, but counters. */
static const cm_tensor_spec *first_missing(const cm_tensor_match *match, const tensor_index *index,
                                           const char *prefix) {
    for (int i = 0; i < match->count; ++i) {
        const cm_tensor_spec *spec = &match->specs[i];
        if (!is_counter(spec) && find_tensor(index, prefix, spec->name) == NULL) {
            return spec;
        }
    }
    return NULL;
}

/* Whether a name is PREFIX followed by that of the network's first tensor. */
static bool take_prefix(const char *name, const char *first, char prefix[PREFIX_SIZE]) {
    const size_t length = strlen(name), tail = strlen(first);
    if (length < tail || length - tail >= PREFIX_SIZE || strcmp(name + length - tail, first) != 0 ||
        (length > tail && name[length - tail - 1] != '.')) {
        return false;
    }
    snprintf(prefix, PREFIX_SIZE, "%.*s", (int)(length - tail), name);
    return true;
}

static cm_status fail_missing(const cm_tensor_match *match, const tensor_index *index,
                              const char *prefix, const cm_tensor_spec *spec, bool none,
                              cm_error *error) {
    char has[160] = "";
    if (none && index->count > 0) {
        snprintf(has, sizeof has, " (it has \"%.100s\")", index->items[0].tensor->name);
    }
    return cm_fail(error, CM_BAD_INPUT,
                   "%s: has no tensor \"%s%s\" of network %s%s; is it the right network?",
                   match->path, prefix, spec->name, match->network, has);
}

/* The prefix under which all of the network's tensors are; "" before others. */
static cm_status choose_prefix(const cm_tensor_match *match, const tensor_index *index,
                               char prefix[PREFIX_SIZE], cm_error *error) {
    char some[PREFIX_SIZE] = "", candidate[PREFIX_SIZE];
    bool any = false, whole = first_missing(match, index, "") == NULL;
    prefix[0] = '\0';
    for (int i = 0; !whole && i < index->count; ++i) {
        if (!take_prefix(index->items[i].name, match->specs[0].name, candidate)) {
            continue;
        }
        if (!any) {
            memcpy(some, candidate, sizeof some);
        }
        any = true;
        if (first_missing(match, index, candidate) != NULL) {
            continue;
        }
        if (prefix[0] != '\0') {
            return cm_fail(
                error, CM_BAD_INPUT,
                "%s: has the tensors of network %s twice, under \"%s\" and under \"%s\"; "
                "keep one of them",
                match->path, match->network, prefix, candidate);
        }
        memcpy(prefix, candidate, PREFIX_SIZE);
    }
    if (whole || prefix[0] != '\0') {
        return CM_OK;
    }
    return fail_missing(match, index, some, first_missing(match, index, some), !any, error);
}

/* ---- Types and shapes ---- */

enum { SHAPE_TEXT = CM_SAFETENSORS_MAX_RANK * 22 + 3 }; /* "[", digits, ", " ... "]" */

static void shape_text(char text[SHAPE_TEXT], int rank, const int64_t *dims) {
    size_t used = (size_t)snprintf(text, SHAPE_TEXT, "[");
    for (int i = 0; i < rank; ++i) {
        used += (size_t)snprintf(text + used, SHAPE_TEXT - used, "%s%lld", i > 0 ? ", " : "",
                                 (long long)dims[i]);
    }
    snprintf(text + used, SHAPE_TEXT - used, "]");
}

static bool is_float(cm_dtype dtype) {
    return dtype == CM_DTYPE_F32 || dtype == CM_DTYPE_F64 || dtype == CM_DTYPE_F16 ||
           dtype == CM_DTYPE_BF16;
}

static bool is_whole(cm_dtype dtype) {
    return dtype == CM_DTYPE_I64 || (dtype >= CM_DTYPE_I32 && dtype <= CM_DTYPE_U8);
}

static cm_status check_fits(const cm_tensor_match *match, const cm_tensor_spec *spec,
                            const cm_safetensor *tensor, cm_error *error) {
    if (is_counter(spec) ? !is_whole(tensor->dtype) : !is_float(tensor->dtype)) {
        return cm_fail(error, CM_BAD_INPUT,
                       "%s: tensor \"%s\" has type %s where the network has %s; is it the right "
                       "network?",
                       match->path, spec->name, cm_dtype_name(tensor->dtype),
                       is_counter(spec) ? "I64" : "F32");
    }
    const bool one = is_counter(spec) && tensor->rank == 1 && tensor->dims[0] == 1;
    if (!one && (tensor->rank != spec->rank ||
                 memcmp(tensor->dims, spec->dims, (size_t)spec->rank * sizeof *spec->dims) != 0)) {
        char theirs[SHAPE_TEXT], ours[SHAPE_TEXT];
        shape_text(theirs, tensor->rank, tensor->dims);
        shape_text(ours, spec->rank, spec->dims);
        return cm_fail(error, CM_BAD_INPUT,
                       "%s: tensor \"%s\" has shape %s where the network has %s; is it the right "
                       "network?",
                       match->path, spec->name, theirs, ours);
    }
    return CM_OK;
}

/* ---- Tensors that the network does not have ---- */

typedef struct name_list {
    char text[200];
    int count;
} name_list;

/* Three names, then a number. */
static void add_listed(name_list *list, const char *name) {
    const size_t used = strlen(list->text);
    if (list->count < 3) {
        snprintf(list->text + used, sizeof list->text - used, "%s\"%.48s\"",
                 list->count > 0 ? ", " : "", name);
    }
    ++list->count;
}

static void end_list(name_list *list) {
    const size_t used = strlen(list->text);
    if (list->count > 3) {
        snprintf(list->text + used, sizeof list->text - used, " and %d more", list->count - 3);
    }
}

/* In conv or dense: this is another network. */
static bool is_of_network(const char *name, const char *prefix) {
    const size_t length = strlen(prefix);
    return strncmp(name, prefix, length) == 0 &&
           (strncmp(name + length, "conv.", 5) == 0 || strncmp(name + length, "dense.", 6) == 0);
}

static cm_status check_others(const cm_tensor_match *match, const tensor_index *index,
                              const char *prefix, name_list *left_out, cm_error *error) {
    name_list foreign = {"", 0};
    for (int i = 0; i < index->count; ++i) {
        const named_tensor *item = &index->items[i];
        if (!item->used) {
            add_listed(is_of_network(item->name, prefix) ? &foreign : left_out, item->tensor->name);
        }
    }
    end_list(&foreign);
    end_list(left_out);
    return foreign.count == 0 ? CM_OK
                              : cm_fail(error, CM_BAD_INPUT,
                                        "%s: tensor%s %s %s not in network %s; is it the "
                                        "right network?",
                                        match->path, foreign.count > 1 ? "s" : "", foreign.text,
                                        foreign.count > 1 ? "are" : "is", match->network);
}

/* ---- What is said of it ---- */

typedef struct oddities {
    const cm_safetensor *renamed; /* the first one whose name differs; NULL: none */
    const char *renamed_to;
    int without_counter;
    int converted[CM_DTYPE_COUNT]; /* tensors of this type */
    name_list left_out;
} oddities;

static void append_note(cm_model_note *note, const char *text) {
    const size_t used = strlen(note->text);
    snprintf(note->text + used, sizeof note->text - used, "%s%s", used > 0 ? "; " : "", text);
}

static void describe_oddities(const oddities *odd, cm_model_note *note) {
    char text[400];
    note->text[0] = '\0';
    if (odd->renamed != NULL) {
        const char *name = odd->renamed->name;
        const size_t length = strlen(name), tail = strlen(odd->renamed_to);
        if (length > tail && strcmp(name + length - tail, odd->renamed_to) == 0) {
            snprintf(text, sizeof text, "names are read without \"%.*s\"", (int)(length - tail),
                     name);
        } else {
            snprintf(text, sizeof text, "\"%.120s\" is read as \"%s\", others alike", name,
                     odd->renamed_to);
        }
        append_note(note, text);
    }
    for (int i = 0; i < CM_DTYPE_COUNT; ++i) {
        if (odd->converted[i] > 0) {
            snprintf(text, sizeof text, "%d tensor%s converted from %s to F32", odd->converted[i],
                     odd->converted[i] > 1 ? "s are" : " is", cm_dtype_name((cm_dtype)i));
            append_note(note, text);
        }
    }
    if (odd->without_counter > 0) {
        append_note(note, "num_batches_tracked is not there: 0 is taken");
    }
    if (odd->left_out.count > 0) {
        snprintf(text, sizeof text, "left out, as the network does not have %s: %s",
                 odd->left_out.count > 1 ? "them" : "it", odd->left_out.text);
        append_note(note, text);
    }
}

/* ---- All of it ---- */

static cm_status match_under(const cm_tensor_match *match, const tensor_index *index,
                             const char *prefix, const cm_safetensor **found, oddities *odd,
                             cm_error *error) {
    cm_status status = CM_OK;
    for (int i = 0; status == CM_OK && i < match->count; ++i) {
        const cm_tensor_spec *spec = &match->specs[i];
        named_tensor *item = find_tensor(index, prefix, spec->name);
        found[i] = item == NULL ? NULL : item->tensor;
        if (item == NULL) { /* of the counters only */
            ++odd->without_counter;
            continue;
        }
        item->used = true;
        status = check_fits(match, spec, item->tensor, error);
        odd->converted[item->tensor->dtype] +=
            !is_counter(spec) && item->tensor->dtype != CM_DTYPE_F32;
        if (odd->renamed == NULL && strcmp(item->tensor->name, spec->name) != 0) {
            odd->renamed = item->tensor;
            odd->renamed_to = spec->name;
        }
    }
    return status == CM_OK ? check_others(match, index, prefix, &odd->left_out, error) : status;
}

cm_status cm_match_tensors(const cm_tensor_match *match, const cm_safetensor **found,
                           cm_model_note *note, cm_error *error) {
    tensor_index index;
    char prefix[PREFIX_SIZE];
    oddities odd = {.renamed = NULL};
    cm_status status = make_index(match, &index, error);
    if (status == CM_OK) {
        status = choose_prefix(match, &index, prefix, error);
    }
    if (status == CM_OK) {
        status = match_under(match, &index, prefix, found, &odd, error);
    }
    if (status == CM_OK) {
        describe_oddities(&odd, note);
    }
    free_index(&index);
    return status;
}
