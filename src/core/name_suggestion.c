#include "core/name_suggestion.h"

#include <string.h>

enum { MAX_LENGTH = 64 };

/* tolower() depends on the locale. */
static char lower(char c) {
    return c >= 'A' && c <= 'Z' ? (char)(c - 'A' + 'a') : c;
}

static size_t smaller_distance(size_t a, size_t b) {
    return a < b ? a : b;
}

/* Three rows of the table of distances between the prefixes of `a` and `b` are enough: a swap looks
 * back two. */
static size_t edit_distance(const char *a, size_t a_length, const char *b, size_t b_length) {
    size_t rows[3][MAX_LENGTH + 1];
    for (size_t j = 0; j <= b_length; ++j) {
        rows[0][j] = j;
    }
    for (size_t i = 1; i <= a_length; ++i) {
        size_t *row = rows[i % 3];
        const size_t *previous = rows[(i + 2) % 3];
        const size_t *before_previous = rows[(i + 1) % 3];
        row[0] = i;
        for (size_t j = 1; j <= b_length; ++j) {
            const char p = lower(a[i - 1]);
            const char q = lower(b[j - 1]);
            row[j] = smaller_distance(previous[j - 1] + (p != q),
                                      1 + smaller_distance(previous[j], row[j - 1]));
            if (i > 1 && j > 1 && p == lower(b[j - 2]) && q == lower(a[i - 2])) {
                row[j] = smaller_distance(row[j], before_previous[j - 2] + 1);
            }
        }
    }
    return rows[a_length % 3][b_length];
}

const char *cm_suggest_name(const char *word, const char *const *candidates, int count) {
    const char *nearest = NULL;
    size_t fewest = 0;
    const size_t word_length = strlen(word);
    if (word_length > MAX_LENGTH) {
        return NULL;
    }
    for (int i = 0; i < count; ++i) {
        const size_t length = strlen(candidates[i]);
        if (length > MAX_LENGTH) {
            continue;
        }
        const size_t distance = edit_distance(word, word_length, candidates[i], length);
        const size_t longer = length > word_length ? length : word_length;
        if (distance <= (longer + 1) / 3 && (nearest == NULL || distance < fewest)) {
            nearest = candidates[i];
            fewest = distance;
        }
    }
    return nearest;
}
