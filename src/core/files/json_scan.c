#include "core/files/json_scan.h"

#include <stdbool.h>

/* What Jansson 2.14 takes for a value on a 64-bit system, with its place in a table and what the
 * system adds. A string's own bytes come on top. */
enum { OBJECT = 240, ARRAY = 144, STRING = 88, OTHER = 48 };

/* Whether a byte can be inside a number, true, false or null. */
static bool is_word(char byte) {
    return (byte >= '0' && byte <= '9') || (byte >= 'a' && byte <= 'z') ||
           (byte >= 'A' && byte <= 'Z') || byte == '+' || byte == '-' || byte == '.';
}

/* The end of the token at `from`, which is not beyond `size`. */
static size_t end_of_token(const char *text, size_t size, size_t from) {
    size_t at = from + 1;
    if (text[from] == '"') {
        while (at < size && text[at] != '"') {
            at += text[at] == '\\' ? 2 : 1;
        }
        return at < size ? at + 1 : size;
    }
    while (is_word(text[from]) && at < size && is_word(text[at])) {
        ++at;
    }
    return at;
}

cm_json_cost cm_json_scan(const char *text, size_t size) {
    cm_json_cost cost = {0, 0};
    for (size_t at = 0, end; at < size; at = end) {
        end = end_of_token(text, size, at);
        const size_t length = end - at;
        cost.longest = length > cost.longest ? length : cost.longest;
        if (text[at] == '{') {
            cost.memory += OBJECT;
        } else if (text[at] == '[') {
            cost.memory += ARRAY;
        } else if (text[at] == '"') {
            cost.memory += STRING + length;
        } else if (is_word(text[at])) {
            cost.memory += OTHER;
        }
    }
    return cost;
}
