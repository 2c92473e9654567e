#include "core/escape.h"

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

/* Code points that act on a terminal or a line: C0, DEL and C1; marks, embeddings, overrides and
 * isolates of direction; separators of lines and paragraphs. */
static const struct {
    uint32_t first, last;
} acting[] = {{0x00, 0x1F},     {0x7F, 0x9F},     {0x61C, 0x61C},  {0x200E, 0x200F},
              {0x2028, 0x202E}, {0x2066, 0x2069}, {0xFEFF, 0xFEFF}};

/* Bytes of the UTF-8 character that begins here; 0: it is none. */
static size_t character(const unsigned char *text, uint32_t *code) {
    static const uint32_t smallest[] = {0, 0, 0x80, 0x800, 0x10000};
    const size_t length = text[0] < 0x80             ? 1
                          : (text[0] & 0xE0) == 0xC0 ? 2
                          : (text[0] & 0xF0) == 0xE0 ? 3
                          : (text[0] & 0xF8) == 0xF0 ? 4
                                                     : 0;
    *code = length == 1 ? text[0] : text[0] & (0x7FU >> length);
    for (size_t i = 1; i < length; ++i) {
        if ((text[i] & 0xC0) != 0x80) {
            return 0; /* at the latest at the NUL at the end */
        }
        *code = *code << 6 | (text[i] & 0x3FU);
    }
    const bool valid = length > 0 && *code >= smallest[length] && *code <= 0x10FFFF &&
                       !(*code >= 0xD800 && *code <= 0xDFFF);
    return valid ? length : 0;
}

static bool acts(uint32_t code) {
    for (size_t i = 0; i < sizeof acting / sizeof *acting; ++i) {
        if (code >= acting[i].first && code <= acting[i].last) {
            return true;
        }
    }
    return false;
}

/* Whether the text is a number and nothing else: "-", "+1.5", "1e-3". */
static bool is_plain_number(const char *text) {
    static const char digits[] = "0123456789";
    text += *text == '-' || *text == '+';
    text += strspn(text, digits);
    text += *text == '.';
    text += strspn(text, digits);
    if (*text == 'e') {
        ++text;
        text += *text == '-' || *text == '+';
        text += strspn(text, digits);
    }
    return *text == '\0';
}

static bool is_letter_or_digit(char c) {
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

/* Whether Markdown could take text[at] for syntax. */
static bool is_markdown(const char *text, size_t at) {
    const char c = text[at];
    if (c == '_') { /* inside a word it is none */
        return at == 0 || !is_letter_or_digit(text[at - 1]) || !is_letter_or_digit(text[at + 1]);
    }
    if (c == '*' && strcmp(text, "*") == 0) { /* a mark of the program's own tables */
        return false;
    }
    if (c == '-' || c == '+' || c == '=') { /* a list or a line, where it is the first */
        return at == 0 && !is_plain_number(text);
    }
    return c != '\0' && strchr("\\`*[]<>|#&~$", c) != NULL;
}

enum { PIECE = 8 };

/* What text[*at] becomes, a few bytes and a NUL; *at moves on. */
static void next_piece(cm_sink sink, const char *text, size_t *at, char piece[PIECE]) {
    uint32_t code = 0;
    const size_t size = character((const unsigned char *)text + *at, &code);
    const size_t first = *at;
    size_t to = 0;
    *at += size > 0 ? size : 1;
    if (sink == CM_SINK_CSV && (code == '\n' || code == '\r' || code == '\t')) {
        piece[to++] = text[first];
    } else if (size == 0 || acts(code)) {
        piece[to++] = '?';
    } else {
        if (sink == CM_SINK_MARKDOWN && is_markdown(text, first)) {
            piece[to++] = '\\';
        } else if (sink == CM_SINK_CSV && code == '"') {
            piece[to++] = '"';
        } else if (sink == CM_SINK_SHELL && code == '\'') {
            memcpy(piece, "'\\'", 3);
            to = 3;
        }
        memcpy(piece + to, text + first, size);
        to += size;
    }
    piece[to] = '\0';
}

static bool is_formula(const char *text) {
    return text[0] != '\0' && strchr("=+-@\t\r", text[0]) != NULL && !is_plain_number(text);
}

static bool is_plain_word(const char *text) {
    static const char plain[] =
        "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_=+:,./@%";
    return text[0] != '\0' && text[strspn(text, plain)] == '\0';
}

void cm_print_escaped(FILE *out, cm_sink sink, const char *text) {
    const bool formula = sink == CM_SINK_CSV && is_formula(text);
    const char *quote = "";
    if (formula || (sink == CM_SINK_CSV && strpbrk(text, ",\"\r\n\t") != NULL)) {
        quote = "\"";
    } else if (sink == CM_SINK_SHELL && !is_plain_word(text)) {
        quote = "'";
    }
    fputs(quote, out);
    fputs(formula ? "'" : "", out);
    for (size_t at = 0; text[at] != '\0';) {
        char piece[PIECE];
        next_piece(sink, text, &at, piece);
        fputs(piece, out);
    }
    fputs(quote, out);
}

void cm_escape_for_terminal(char *text) {
    size_t to = 0;
    for (size_t at = 0; text[at] != '\0';) {
        char piece[PIECE];
        next_piece(CM_SINK_TERMINAL, text, &at, piece);
        memmove(text + to, piece, strlen(piece));
        to += strlen(piece);
    }
    text[to] = '\0';
}

cm_shown cm_show(cm_sink sink, const char *text) {
    static const char more[] = "...";
    cm_shown shown;
    size_t to = 0;
    for (size_t at = 0; text[at] != '\0';) {
        char piece[PIECE];
        next_piece(sink, text, &at, piece);
        if (to + strlen(piece) + sizeof more > sizeof shown.text) {
            memcpy(shown.text + to, more, sizeof more - 1);
            to += sizeof more - 1;
            break;
        }
        memcpy(shown.text + to, piece, strlen(piece));
        to += strlen(piece);
    }
    shown.text[to] = '\0';
    return shown;
}
