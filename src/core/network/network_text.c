#include <assert.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "convmark/network.h"
#include "core/name_suggestion.h"
#include "core/network/network_builder.h"

/* docs/reference/network-text.md is the user's view of this table. */
const cm_layer_grammar cm_layer_grammars[CM_LAYER_KIND_COUNT] = {
    [CM_LAYER_CONV2D] = {"conv2d", CM_ARGUMENT_COUNT,
                         CM_LAYER_OPTION_KERNEL | CM_LAYER_OPTION_STRIDE | CM_LAYER_OPTION_PADDING,
                         CM_LAYER_OPTION_KERNEL,
                         "conv2d CHANNELS kernel SIZE [stride SIZE] [padding SIZE]"},
    [CM_LAYER_BATCH_NORM] = {"batch_norm", CM_ARGUMENT_NONE, 0, 0, "batch_norm"},
    [CM_LAYER_RELU] = {"relu", CM_ARGUMENT_NONE, 0, 0, "relu"},
    [CM_LAYER_MAX_POOL2D] = {"max_pool2d", CM_ARGUMENT_WINDOW, CM_LAYER_OPTION_STRIDE, 0,
                             "max_pool2d SIZE [stride SIZE]"},
    [CM_LAYER_DROPOUT] = {"dropout", CM_ARGUMENT_PROBABILITY, 0, 0, "dropout PROBABILITY"},
    [CM_LAYER_FLATTEN] = {"flatten", CM_ARGUMENT_NONE, 0, 0, "flatten"},
    [CM_LAYER_LINEAR] = {"linear", CM_ARGUMENT_COUNT, 0, 0, "linear OUTPUTS"},
};

static const char input_usage[] = "input CHANNELS HEIGHT WIDTH";

/* In the order of the CM_LAYER_OPTION_ bits, which is the order in which they are written. */
static const char *const option_words[CM_LAYER_OPTION_COUNT] = {"kernel", "stride", "padding"};

enum {
    MAX_LINE = 1000,       /* bytes, comment included */
    MAX_WORDS = 16,        /* twice what the longest line needs */
    MAX_WORD = 40,         /* bytes; no word or number is near this */
    PROBABILITY_DIGITS = 9 /* after the point: enough for every float that has a short decimal */
};
static const int64_t probability_scale = 1000000000;

/* The words of one line. */
typedef struct line_words {
    char words[MAX_WORDS][MAX_WORD + 1];
    int count;
} line_words;

/* isspace() and isdigit() depend on the locale, strtod() as well. A '\r' is left by CRLF ends. */
static bool text_is_blank(char c) {
    return c == ' ' || c == '\t' || c == '\r';
}

static bool is_digit(char c) {
    return c >= '0' && c <= '9';
}

static cm_status split_words(const char *line, size_t length, line_words *words, cm_error *error) {
    words->count = 0;
    for (size_t i = 0; i < length && line[i] != '#';) {
        size_t end = i;
        while (end < length && !text_is_blank(line[end]) && line[end] != '#') {
            ++end;
        }
        if (end == i) {
            ++i;
            continue;
        }
        if (end - i > MAX_WORD) {
            return cm_fail(error, CM_BAD_INPUT,
                           "the word '%.*s...' is longer than %d bytes; one layer per line, "
                           "its words separated by spaces",
                           MAX_WORD, line + i, MAX_WORD);
        }
        if (words->count == MAX_WORDS) {
            return cm_fail(error, CM_BAD_INPUT, "more than %d words; write one layer per line",
                           MAX_WORDS);
        }
        memcpy(words->words[words->count], line + i, end - i);
        words->words[words->count++][end - i] = '\0';
        i = end;
    }
    return CM_OK;
}

/* Reads digits up to the first other character; false when there are none or the number is larger
 * than every limit. */
static bool read_digits(const char **text, int *value) {
    const char *c = *text;
    int number = 0;
    if (!is_digit(*c)) {
        return false;
    }
    for (; is_digit(*c); ++c) {
        number = number * 10 + (*c - '0');
        if (number > CM_MAX_LAYER_SIZE) {
            return false;
        }
    }
    *text = c;
    *value = number;
    return true;
}

static cm_status parse_count(const char *word, const char *what, int *value, cm_error *error) {
    const char *end = word;
    if (!read_digits(&end, value) || *end != '\0' || *value < 1) {
        return cm_fail(error, CM_BAD_INPUT, "%s is '%s'; give a whole number from 1 to %d", what,
                       word, CM_MAX_LAYER_SIZE);
    }
    return CM_OK;
}

/* SIZE: "3" for a square, "3x5" for height 3 and width 5. */
static cm_status parse_window(const char *word, const char *what, int smallest, int *height,
                              int *width, cm_error *error) {
    const char *end = word;
    bool good = read_digits(&end, height);
    if (good && *end == 'x') {
        ++end;
        good = read_digits(&end, width);
    } else {
        *width = *height;
    }
    if (!good || *end != '\0' || *height < smallest || *width < smallest) {
        return cm_fail(error, CM_BAD_INPUT,
                       "%s is '%s'; give a whole number from %d to %d, or two as HEIGHTxWIDTH",
                       what, word, smallest, CM_MAX_LAYER_SIZE);
    }
    return CM_OK;
}

/* The decimal as an exact fraction, divided once and rounded to float: the same value on every
 * machine, and that of the literal in the table of variants. */
static cm_status parse_probability(const char *word, float *p, cm_error *error) {
    const char *c = word;
    int whole = 0;
    const bool has_whole = read_digits(&c, &whole);
    int64_t fraction = 0;
    int digits = 0;
    if (*c == '.') {
        for (++c; is_digit(*c) && digits < PROBABILITY_DIGITS; ++c, ++digits) {
            fraction = fraction * 10 + (*c - '0');
        }
    }
    const bool number = *c == '\0' && (has_whole || digits > 0);
    for (; digits < PROBABILITY_DIGITS; ++digits) {
        fraction *= 10;
    }
    *p = (float)((double)fraction / (double)probability_scale);
    /* 0.99999999 is below 1, but not as a float. */
    if (!number || whole != 0 || !(*p < 1.0F)) {
        return cm_fail(
            error, CM_BAD_INPUT,
            "the probability is '%s'; give a decimal from 0 to below 1 such as 0.5, with "
            "at most %d digits after the point",
            word, PROBABILITY_DIGITS);
    }
    return CM_OK;
}

static cm_status parse_option(const cm_layer_grammar *grammar, int option, const char *word,
                              cm_layer *layer, cm_error *error) {
    int *const values[CM_LAYER_OPTION_COUNT][2] = {
        {&layer->kernel_h, &layer->kernel_w},
        {&layer->stride_h, &layer->stride_w},
        {&layer->padding_h, &layer->padding_w},
    };
    char what[MAX_WORD];
    snprintf(what, sizeof what, "%s: %s", grammar->word, option_words[option]);
    return parse_window(word, what, 1U << option == CM_LAYER_OPTION_PADDING ? 0 : 1,
                        values[option][0], values[option][1], error);
}

static cm_status fail_unknown_option(const cm_layer_grammar *grammar, const char *word,
                                     cm_error *error) {
    const char *candidates[CM_LAYER_OPTION_COUNT];
    int count = 0;
    for (int i = 0; i < CM_LAYER_OPTION_COUNT; ++i) {
        if (grammar->options & 1U << i) {
            candidates[count++] = option_words[i];
        }
    }
    const char *nearest = cm_suggest_name(word, candidates, count);
    if (nearest != NULL) {
        return cm_fail(error, CM_BAD_INPUT, "%s: unknown option '%s'; did you mean '%s'?",
                       grammar->word, word, nearest);
    }
    return cm_fail(error, CM_BAD_INPUT, "%s: unexpected '%s'; write '%s'", grammar->word, word,
                   grammar->usage);
}

static int find_word(const char *word, const char *const *words, int count) {
    for (int i = 0; i < count; ++i) {
        if (strcmp(word, words[i]) == 0) {
            return i;
        }
    }
    return -1;
}

/* The pairs of option and value from words[first] on. */
static cm_status parse_layer_options(const line_words *words, int first,
                                     const cm_layer_grammar *grammar, cm_layer *layer,
                                     cm_error *error) {
    unsigned seen = 0;
    for (int i = first; i < words->count; i += 2) {
        const char *word = words->words[i];
        const int option = find_word(word, option_words, CM_LAYER_OPTION_COUNT);
        if (option < 0 || (grammar->options & 1U << option) == 0) {
            return fail_unknown_option(grammar, word, error);
        }
        if (seen & 1U << option) {
            return cm_fail(error, CM_BAD_INPUT, "%s: '%s' given twice; write it once",
                           grammar->word, word);
        }
        if (i + 1 == words->count) {
            return cm_fail(error, CM_BAD_INPUT, "%s: '%s' without a value; write '%s'",
                           grammar->word, word, grammar->usage);
        }
        const cm_status status = parse_option(grammar, option, words->words[i + 1], layer, error);
        if (status != CM_OK) {
            return status;
        }
        seen |= 1U << option;
    }
    if ((seen & grammar->required_options) != grammar->required_options) {
        return cm_fail(error, CM_BAD_INPUT, "%s without a kernel; write '%s'", grammar->word,
                       grammar->usage);
    }
    if (grammar->argument == CM_ARGUMENT_WINDOW && (seen & CM_LAYER_OPTION_STRIDE) == 0) {
        layer->stride_h = layer->kernel_h; /* PyTorch's default for pools */
        layer->stride_w = layer->kernel_w;
    }
    return CM_OK;
}

static cm_status parse_argument(const char *word, const cm_layer_grammar *grammar, cm_layer *layer,
                                cm_error *error) {
    char what[MAX_WORD];
    snprintf(what, sizeof what, "%s: its size", grammar->word);
    switch (grammar->argument) {
    case CM_ARGUMENT_COUNT:
        return parse_count(word, what, &layer->out.channels, error);
    case CM_ARGUMENT_WINDOW:
        return parse_window(word, what, 1, &layer->kernel_h, &layer->kernel_w, error);
    case CM_ARGUMENT_PROBABILITY:
        return parse_probability(word, &layer->p, error);
    case CM_ARGUMENT_NONE:
        break;
    }
    return CM_OK;
}

static cm_status fail_unknown_layer(const char *word, cm_error *error) {
    const char *candidates[CM_LAYER_KIND_COUNT + 1] = {"input"};
    for (int i = 0; i < CM_LAYER_KIND_COUNT; ++i) {
        candidates[i + 1] = cm_layer_grammars[i].word;
    }
    const char *nearest = cm_suggest_name(word, candidates, CM_LAYER_KIND_COUNT + 1);
    if (nearest != NULL) {
        return cm_fail(error, CM_BAD_INPUT, "unknown layer '%s'; did you mean '%s'?", word,
                       nearest);
    }
    char names[256] = "";
    for (int i = 0, used = 0; i < CM_LAYER_KIND_COUNT; ++i) {
        const char *before = i == 0 ? "" : i == CM_LAYER_KIND_COUNT - 1 ? " and " : ", ";
        used += snprintf(names + used, sizeof names - (size_t)used, "%s%s", before,
                         cm_layer_grammars[i].word);
        assert(used < (int)sizeof names);
    }
    return cm_fail(error, CM_BAD_INPUT, "unknown layer '%s'; the layers are %s", word, names);
}

static cm_status parse_layer(const line_words *words, cm_layer *layer, cm_error *error) {
    int kind = 0;
    while (kind < CM_LAYER_KIND_COUNT &&
           strcmp(words->words[0], cm_layer_grammars[kind].word) != 0) {
        ++kind;
    }
    if (kind == CM_LAYER_KIND_COUNT) {
        return fail_unknown_layer(words->words[0], error);
    }
    const cm_layer_grammar *grammar = &cm_layer_grammars[kind];
    const int arguments = grammar->argument == CM_ARGUMENT_NONE ? 0 : 1;
    *layer = (cm_layer){.kind = (cm_layer_kind)kind};
    if ((grammar->options & CM_LAYER_OPTION_STRIDE) != 0) {
        layer->stride_h = 1;
        layer->stride_w = 1;
    }
    if (words->count < 1 + arguments) {
        return cm_fail(error, CM_BAD_INPUT, "%s without its size; write '%s'", grammar->word,
                       grammar->usage);
    }
    if (arguments == 1) {
        const cm_status status = parse_argument(words->words[1], grammar, layer, error);
        if (status != CM_OK) {
            return status;
        }
    }
    return parse_layer_options(words, 1 + arguments, grammar, layer, error);
}

static cm_status parse_input(const line_words *words, const char *name, cm_network **network,
                             cm_error *error) {
    cm_layer_shape shape = {0, 0, 0};
    int *const sizes[] = {&shape.channels, &shape.height, &shape.width};
    static const char *const names[] = {"input: channels", "input: height", "input: width"};
    if (words->count != 4) {
        return cm_fail(error, CM_BAD_INPUT, "input has three sizes; write '%s'", input_usage);
    }
    for (int i = 0; i < 3; ++i) {
        const cm_status status = parse_count(words->words[i + 1], names[i], sizes[i], error);
        if (status != CM_OK) {
            return status;
        }
    }
    return cm_network_create(name, shape, network, error);
}

/* *network is NULL until its input is known. */
static cm_status parse_words(const line_words *words, const char *name, cm_network **network,
                             cm_error *error) {
    const bool input = strcmp(words->words[0], "input") == 0;
    if (input && *network != NULL) {
        return cm_fail(error, CM_BAD_INPUT, "input given twice; write it once, on the first line");
    }
    if (input) {
        return parse_input(words, name, network, error);
    }
    cm_layer layer;
    const cm_status status = parse_layer(words, &layer, error);
    if (status != CM_OK) {
        return status;
    }
    if (*network == NULL) {
        return cm_fail(error, CM_BAD_INPUT, "%s before the input; start with '%s'", words->words[0],
                       input_usage);
    }
    return cm_network_append(*network, &layer, error);
}

static cm_status parse_layer_line(const char *line, size_t length, const char *name,
                                  cm_network **network, bool *empty, cm_error *error) {
    line_words words;
    if (length > MAX_LINE) {
        return cm_fail(error, CM_BAD_INPUT,
                       "a line of more than %d bytes; write one layer per line", MAX_LINE);
    }
    if (memchr(line, '\0', length) != NULL) {
        return cm_fail(error, CM_BAD_INPUT,
                       "a NUL byte, so this is not a text; give a file of network text");
    }
    const cm_status status = split_words(line, length, &words, error);
    *empty = words.count == 0;
    if (status != CM_OK || *empty) {
        return status;
    }
    return parse_words(&words, name, network, error);
}

/* Base name without extension; it goes into results and model files, so only printable ASCII. */
static void name_of_file(const char *file, char name[CM_NETWORK_NAME_SIZE]) {
    const char *slash = strrchr(file, '/');
    const char *base = slash == NULL ? file : slash + 1;
    const char *dot = strrchr(base, '.');
    const size_t length = dot == NULL || dot == base ? strlen(base) : (size_t)(dot - base);
    size_t i = 0;
    for (; i < length && i < CM_NETWORK_NAME_SIZE - 1; ++i) {
        name[i] = base[i] > ' ' && base[i] <= '~' ? base[i] : '_';
    }
    name[i] = '\0';
}

/* All lines; *line_number is that of the fault, or of the last layer. */
static cm_status parse_lines(const char *text, size_t size, const char *name, cm_network **network,
                             int *line_number, cm_error *error) {
    static const char byte_order_mark[] = "\xEF\xBB\xBF";
    size_t at = size >= 3 && memcmp(text, byte_order_mark, 3) == 0 ? 3 : 0;
    int last = 1;
    for (int number = 1; at < size; ++number) {
        const char *newline = memchr(text + at, '\n', size - at);
        const size_t end = newline == NULL ? size : (size_t)(newline - text);
        bool empty = true;
        const cm_status status =
            parse_layer_line(text + at, end - at, name, network, &empty, error);
        if (status != CM_OK) {
            *line_number = number;
            return status;
        }
        last = empty ? last : number;
        at = end + 1;
    }
    *line_number = last;
    if (*network == NULL) {
        return cm_fail(error, CM_BAD_INPUT, "no layers; start with '%s'", input_usage);
    }
    return cm_network_finish(*network, error);
}

cm_status cm_network_parse(const char *text, size_t size, const char *file, cm_network **network,
                           cm_error *error) {
    char name[CM_NETWORK_NAME_SIZE];
    cm_network *made = NULL;
    cm_error fault = {""};
    int line = 0;
    if (size > CM_MAX_NETWORK_TEXT) {
        return cm_fail(error, CM_BAD_INPUT,
                       "%s: %zu bytes are too many for network text; the limit is %d", file, size,
                       CM_MAX_NETWORK_TEXT);
    }
    static const char byte_order_mark[] = "\xEF\xBB\xBF"; /* editors of Windows write it */
    const size_t mark = sizeof byte_order_mark - 1;
    if (size >= mark && memcmp(text, byte_order_mark, mark) == 0) {
        text += mark;
        size -= mark;
    }
    name_of_file(file, name);
    const cm_status status = parse_lines(text, size, name, &made, &line, &fault);
    if (status != CM_OK) {
        cm_network_free(made);
        return cm_fail(error, status, "%s:%d: %s", file, line, fault.message);
    }
    *network = made;
    return CM_OK;
}

/* Lines never reach CM_LAYER_TEXT_SIZE: seven numbers of seven digits and the words. */
CM_PRINTF(2, 3) static void append_text(char text[CM_LAYER_TEXT_SIZE], const char *format, ...) {
    const size_t length = strlen(text);
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text + length, CM_LAYER_TEXT_SIZE - length, format, arguments);
    va_end(arguments);
}

static void append_window(char text[CM_LAYER_TEXT_SIZE], int height, int width) {
    append_text(text, " %d", height);
    if (width != height) {
        append_text(text, "x%d", width);
    }
}

/* The shortest decimal that parse_probability() reads back as p; printf's point is the locale's. */
static void append_probability(char text[CM_LAYER_TEXT_SIZE], float p) {
    int digits = 0;
    int64_t scale = 1;
    int64_t fraction = 0;
    while (digits < PROBABILITY_DIGITS && (float)((double)fraction / (double)scale) != p) {
        ++digits;
        scale *= 10;
        fraction = (int64_t)((double)p * (double)scale + 0.5);
    }
    if (digits == 0) {
        append_text(text, " 0");
    } else {
        append_text(text, " 0.%0*lld", digits, (long long)fraction);
    }
}

void cm_layer_text(const cm_layer *layer, char text[CM_LAYER_TEXT_SIZE]) {
    const cm_layer_grammar *grammar = &cm_layer_grammars[layer->kind];
    const int options[CM_LAYER_OPTION_COUNT][2] = {
        {layer->kernel_h, layer->kernel_w},
        {layer->stride_h, layer->stride_w},
        {layer->padding_h, layer->padding_w},
    };
    snprintf(text, CM_LAYER_TEXT_SIZE, "%s", grammar->word);
    switch (grammar->argument) {
    case CM_ARGUMENT_COUNT:
        append_text(text, " %d", layer->out.channels);
        break;
    case CM_ARGUMENT_WINDOW:
        append_window(text, layer->kernel_h, layer->kernel_w);
        break;
    case CM_ARGUMENT_PROBABILITY:
        append_probability(text, layer->p);
        break;
    case CM_ARGUMENT_NONE:
        break;
    }
    for (int i = 0; i < CM_LAYER_OPTION_COUNT; ++i) {
        if (grammar->options & 1U << i) {
            append_text(text, " %s", option_words[i]);
            append_window(text, options[i][0], options[i][1]);
        }
    }
}

cm_status cm_network_to_text(const cm_network *network, char **text, cm_error *error) {
    const size_t capacity = ((size_t)network->layer_count + 1) * (CM_LAYER_TEXT_SIZE + 1);
    char *made = malloc(capacity);
    if (made == NULL) {
        return cm_fail(error, CM_FAILED, "out of memory for the text of network '%s'",
                       network->name);
    }
    char line[CM_LAYER_TEXT_SIZE];
    size_t length = (size_t)snprintf(made, capacity, "input %d %d %d\n", network->input.channels,
                                     network->input.height, network->input.width);
    for (int i = 0; i < network->layer_count; ++i) {
        cm_layer_text(&network->layers[i], line);
        length += (size_t)snprintf(made + length, capacity - length, "%s\n", line);
    }
    *text = made;
    return CM_OK;
}
