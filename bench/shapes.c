#include "bench/shapes.h"

#include <dirent.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/files/atomic_file.h"
#include "core/name_suggestion.h"

enum { MAX_FILE = 1 << 20, MAX_LINE = 1000, MAX_WORD = 80, MAX_VALUE = 1 << 26, LETTERS = 26 };

/* Fields in the order in which they are written. */
static const char field_order[] = "nchwkrspq";

/* The values of a shape's fields by letter; -1: not given. */
typedef struct fields {
    int of[LETTERS];
} fields;

static int get(const fields *f, char letter) {
    return f->of[letter - 'a'];
}

static int get_or(const fields *f, char letter, int otherwise) {
    return get(f, letter) < 0 ? otherwise : get(f, letter);
}

/* ---- One function an operation: false where the sizes do not fit one another ---- */

static bool set_conv2d(const fields *f, bench_shape *shape) {
    const int r = get(f, 'r'), stride = get_or(f, 's', 1), padding = get_or(f, 'p', (r - 1) / 2);
    shape->conv = (cm_conv2d_shape){.batch = get(f, 'n'),
                                    .in_channels = get(f, 'c'),
                                    .height = get(f, 'h'),
                                    .width = get(f, 'w'),
                                    .out_channels = get(f, 'k'),
                                    .kernel_h = r,
                                    .kernel_w = r,
                                    .stride_h = stride,
                                    .stride_w = stride,
                                    .padding_h = padding,
                                    .padding_w = padding};
    return cm_conv2d_shape_init(&shape->conv);
}

static bool set_conv2d_max_pool2d(const fields *f, bench_shape *shape) {
    if (!set_conv2d(f, shape)) {
        return false;
    }
    const cm_conv2d_shape *conv = &shape->conv;
    const int q = get(f, 'q');
    shape->pool = (cm_max_pool2d_shape){.batch = conv->batch,
                                        .height = conv->out_height,
                                        .width = conv->out_width,
                                        .channels = conv->out_channels,
                                        .kernel_h = q,
                                        .kernel_w = q,
                                        .stride_h = q,
                                        .stride_w = q};
    return (int64_t)conv->kernel_h * conv->kernel_w * conv->in_channels <= CM_MAX_PATCH &&
           cm_max_pool2d_shape_init(&shape->pool);
}

static bool set_linear(const fields *f, bench_shape *shape) {
    shape->conv = cm_linear_shape(get(f, 'n'), get(f, 'c'), get(f, 'k'));
    return cm_conv2d_shape_init(&shape->conv);
}

static bool set_map(const fields *f, bench_shape *shape) {
    shape->map = (cm_map_shape){get(f, 'n'), get(f, 'h'), get(f, 'w'), get(f, 'c')};
    /* Two values of 2^26 at most have a product far below 2^63. */
    const int64_t rows = (int64_t)shape->map.batch * shape->map.height;
    const int64_t columns = (int64_t)shape->map.width * shape->map.channels;
    const bool fits = rows <= INT32_MAX && columns <= INT32_MAX && rows * columns <= INT32_MAX;
    shape->count = fits ? (size_t)(rows * columns) : 0;
    return fits;
}

static bool set_max_pool2d(const fields *f, bench_shape *shape) {
    const int window = get(f, 'r'), stride = get_or(f, 's', window);
    shape->pool = (cm_max_pool2d_shape){.batch = get(f, 'n'),
                                        .height = get(f, 'h'),
                                        .width = get(f, 'w'),
                                        .channels = get(f, 'c'),
                                        .kernel_h = window,
                                        .kernel_w = window,
                                        .stride_h = stride,
                                        .stride_w = stride};
    return set_map(f, shape) && cm_max_pool2d_shape_init(&shape->pool);
}

static bool set_loss(const fields *f, bench_shape *shape) {
    shape->map = (cm_map_shape){get(f, 'n'), 1, 1, get(f, 'c')};
    return get(f, 'c') <= 256 && get(f, 'n') <= 1 << 20; /* labels are bytes */
}

static bool set_adam(const fields *f, bench_shape *shape) {
    shape->count = (size_t)get(f, 'k');
    return true;
}

static const struct operation {
    const char *name;
    const char *required, *optional; /* letters of fields */
    bool (*set)(const fields *f, bench_shape *shape);
} operations[BENCH_OPERATION_COUNT] = {
    [BENCH_CONV2D] = {"conv2d", "nchwkr", "sp", set_conv2d},
    [BENCH_CONV2D_MAX_POOL2D] = {"conv2d_max_pool2d", "nchwkrq", "sp", set_conv2d_max_pool2d},
    [BENCH_LINEAR] = {"linear", "nck", "", set_linear},
    [BENCH_MAX_POOL2D] = {"max_pool2d", "nchwr", "s", set_max_pool2d},
    [BENCH_BATCH_NORM] = {"batch_norm", "nchw", "", set_map},
    [BENCH_BATCH_NORM_MAX_POOL2D] = {"batch_norm_max_pool2d", "nchwr", "s", set_max_pool2d},
    [BENCH_RELU] = {"relu", "nchw", "", set_map},
    [BENCH_DROPOUT] = {"dropout", "nchw", "", set_map},
    [BENCH_SOFTMAX_CROSS_ENTROPY] = {"softmax_cross_entropy", "nc", "", set_loss},
    [BENCH_ADAM] = {"adam", "k", "", set_adam},
};

const char *bench_operation_name(bench_operation operation) {
    return operations[operation].name;
}

/* ---- Lines ---- */

static cm_status find_operation(const char *word, bench_operation *operation, cm_error *error) {
    const char *names[BENCH_OPERATION_COUNT];
    for (int i = 0; i < BENCH_OPERATION_COUNT; ++i) {
        names[i] = operations[i].name;
        if (strcmp(word, names[i]) == 0) {
            *operation = (bench_operation)i;
            return CM_OK;
        }
    }
    const char *nearest = cm_suggest_name(word, names, BENCH_OPERATION_COUNT);
    return cm_fail(error, CM_BAD_INPUT, "unknown operation '%s'; %s%s%s", word,
                   nearest != NULL ? "did you mean " : "docs/guide/bench.md lists them",
                   nearest != NULL ? nearest : "", nearest != NULL ? "?" : "");
}

/* "n64": letter and value; *end is after it. */
static cm_status parse_field(const struct operation *operation, const char *text, const char **end,
                             fields *f, cm_error *error) {
    const char letter = *text;
    if (letter == '\0' || (strchr(operation->required, letter) == NULL &&
                           strchr(operation->optional, letter) == NULL)) {
        return cm_fail(error, CM_BAD_INPUT, "%s has no field '%.1s'; its fields are %s%s%s",
                       operation->name, text, operation->required,
                       operation->optional[0] != '\0' ? " and, if wanted, " : "",
                       operation->optional);
    }
    const char *digit = text + 1;
    int value = 0;
    for (; *digit >= '0' && *digit <= '9' && value <= MAX_VALUE; ++digit) {
        value = value * 10 + (*digit - '0'); /* at most 10 * 2^26 + 9 */
    }
    const int least = letter == 'p' ? 0 : 1;
    if (digit == text + 1 || value < least || value > MAX_VALUE) {
        return cm_fail(error, CM_BAD_INPUT,
                       "field '%c' needs a whole number from %d to %d after it", letter, least,
                       (int)MAX_VALUE);
    }
    if (*digit != '\0' && *digit != '_') {
        return cm_fail(error, CM_BAD_INPUT, "'%.1s' after field '%c'; fields are joined by '_'",
                       digit, letter);
    }
    f->of[letter - 'a'] = value;
    *end = digit;
    return CM_OK;
}

static cm_status parse_fields(const struct operation *operation, const char *word, fields *f,
                              cm_error *error) {
    const char *last = field_order;
    for (const char *at = word;;) {
        const char *place = strchr(field_order, *at), *end = at;
        const cm_status status = parse_field(operation, at, &end, f, error);
        if (status != CM_OK) {
            return status;
        }
        if (place < last) {
            return cm_fail(error, CM_BAD_INPUT,
                           "field '%.1s' twice, or not in its place; the order is %s", at,
                           field_order);
        }
        last = place + 1;
        if (*end == '\0') {
            break;
        }
        at = end + 1;
    }
    for (const char *letter = operation->required; *letter != '\0'; ++letter) {
        if (get(f, *letter) < 0) {
            return cm_fail(error, CM_BAD_INPUT, "%s lacks field '%c'; it needs %s", operation->name,
                           *letter, operation->required);
        }
    }
    return CM_OK;
}

static cm_status parse_benchmark_shape(const char *name, const char *word, bench_shape *shape,
                                       cm_error *error) {
    fields f;
    memset(&f, 0xFF, sizeof f); /* -1 everywhere */
    *shape = (bench_shape){.operation = BENCH_OPERATION_COUNT};
    cm_status status = find_operation(name, &shape->operation, error);
    if (status == CM_OK) {
        status = parse_fields(&operations[shape->operation], word, &f, error);
    }
    if (status != CM_OK) {
        return status;
    }
    shape->batch = get_or(&f, 'n', 0);
    snprintf(shape->text, sizeof shape->text, "%s", word);
    if (!operations[shape->operation].set(&f, shape)) {
        return cm_fail(
            error, CM_BAD_INPUT,
            "'%s' is not a shape of %s: its kernel or window is larger than the map, or an "
            "array would be too large; use smaller sizes",
            word, name);
    }
    return CM_OK;
}

static bool shapes_is_blank(char c) {
    return c == ' ' || c == '\t' || c == '\r';
}

/* Words of a line before '#'; their number, or -1 when one is too long. Only two are kept. */
static int split(const char *line, size_t length, char words[2][MAX_WORD + 1]) {
    int count = 0;
    for (size_t i = 0; i < length && line[i] != '#';) {
        size_t end = i;
        while (end < length && !shapes_is_blank(line[end]) && line[end] != '#') {
            ++end;
        }
        if (end - i > MAX_WORD) {
            return -1;
        }
        if (end > i) {
            if (count < 2) {
                memcpy(words[count], line + i, end - i);
                words[count][end - i] = '\0';
            }
            ++count;
        }
        i = end > i ? end : i + 1;
    }
    return count;
}

static bool names_contain(const bench_shapes *shapes, const bench_shape *shape) {
    for (int i = 0; i < shapes->count; ++i) {
        if (shapes->items[i].operation == shape->operation &&
            strcmp(shapes->items[i].text, shape->text) == 0) {
            return true;
        }
    }
    return false;
}

static cm_status parse_shape_line(const char *line, size_t length, bench_shapes *shapes, bool *any,
                                  cm_error *error) {
    char words[2][MAX_WORD + 1];
    if (length > MAX_LINE || memchr(line, '\0', length) != NULL) {
        return cm_fail(
            error, CM_BAD_INPUT,
            "a line of more than %d bytes, or with a zero byte; write one shape per line",
            (int)MAX_LINE);
    }
    const int count = split(line, length, words);
    if (count == 0) {
        return CM_OK;
    }
    if (count != 2) {
        return cm_fail(error, CM_BAD_INPUT,
                       "not two words of at most %d bytes; write OPERATION SHAPE, as in 'conv2d "
                       "n64_c128_h9_w9_k128_r3'",
                       (int)MAX_WORD);
    }
    *any = true;
    bench_shape shape;
    const cm_status status = parse_benchmark_shape(words[0], words[1], &shape, error);
    if (status != CM_OK || names_contain(shapes, &shape)) {
        return status;
    }
    if (shapes->count == BENCH_MAX_SHAPES) {
        return cm_fail(error, CM_BAD_INPUT, "more than %d shapes; use several runs",
                       (int)BENCH_MAX_SHAPES);
    }
    shapes->items[shapes->count++] = shape;
    return CM_OK;
}

cm_status bench_shapes_parse(const char *text, size_t size, const char *file, bench_shapes *shapes,
                             cm_error *error) {
    if (shapes->items == NULL) {
        shapes->items = calloc(BENCH_MAX_SHAPES, sizeof *shapes->items);
        if (shapes->items == NULL) {
            return cm_fail(error, CM_FAILED, "out of memory; close other programs");
        }
    }
    const int before = shapes->count;
    bool any = false;
    int number = 1;
    for (size_t at = 0; at < size; ++number) {
        const char *newline = memchr(text + at, '\n', size - at);
        const size_t end = newline == NULL ? size : (size_t)(newline - text);
        cm_error fault;
        const cm_status status = parse_shape_line(text + at, end - at, shapes, &any, &fault);
        if (status != CM_OK) {
            shapes->count = before;
            return cm_fail(error, status, "%s:%d: %s", file, number, fault.message);
        }
        at = end + 1;
    }
    return any ? CM_OK
               : cm_fail(error, CM_BAD_INPUT,
                         "%s:1: no shape in it; write lines such as 'conv2d "
                         "n64_c128_h9_w9_k128_r3'",
                         file);
}

/* ---- Files ---- */

static cm_status parse_file(const char *path, bench_shapes *shapes, cm_error *error) {
    char *text;
    size_t size;
    cm_status status = cm_file_read(path, MAX_FILE, &text, &size, error);
    if (status == CM_OK) {
        status = bench_shapes_parse(text, size, path, shapes, error);
        free(text);
    }
    return status;
}

/* The names of the lists in the folders, sorted, with commas; as many as fit. */
static void list_names(const char *const *folders, char *text, size_t size) {
    size_t used = 0;
    text[0] = '\0';
    for (; *folders != NULL; ++folders) {
        struct dirent **found = NULL;
        const int count = scandir(*folders, &found, NULL, alphasort);
        for (int i = 0; i < count; ++i) {
            const char *name = found[i]->d_name, *end = strstr(name, ".txt");
            const size_t length = end != NULL && end[4] == '\0' ? (size_t)(end - name) : 0;
            if (length > 0 && used + length + 3 < size) {
                used += (size_t)snprintf(text + used, size - used, "%s%.*s", used > 0 ? ", " : "",
                                         (int)length, name);
            }
            free(found[i]);
        }
        free(found);
    }
}

cm_status bench_shapes_open(const char *name_or_file, const char *const *folders,
                            bench_shapes *shapes, cm_error *error) {
    if (strpbrk(name_or_file, "/.") != NULL) {
        return parse_file(name_or_file, shapes, error);
    }
    for (int i = 0; folders[i] != NULL; ++i) {
        char path[4096];
        const int length = snprintf(path, sizeof path, "%s/%s.txt", folders[i], name_or_file);
        if (length > 0 && (size_t)length < sizeof path && access(path, F_OK) == 0) {
            return parse_file(path, shapes, error);
        }
    }
    char listed[400];
    list_names(folders, listed, sizeof listed);
    return cm_fail(error, CM_BAD_INPUT,
                   "no list of shapes '%s' in %s%s%s; a file of your own needs a '/' or a '.' in "
                   "its path",
                   name_or_file, folders[0] != NULL ? folders[0] : "any folder",
                   listed[0] != '\0' ? ", which has " : "", listed);
}

void bench_shapes_free(bench_shapes *shapes) {
    free(shapes->items);
    *shapes = (bench_shapes){0};
}
