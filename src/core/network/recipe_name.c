/* The names of a grid's networks: "d3-p1-bn-w64-do0.1" is 3 convolutions of 64 channels, a pool
 * after every one, batch norm, and dropout of 0.1 before the output layer. */
#include <stdint.h>
#include <string.h>

#include "core/network/network_builder.h"

/* A whole number from 1 up, after `word`. */
static bool take_recipe_number(const char **text, const char *word, int *number) {
    const size_t length = strlen(word);
    const char *digits = *text + length;
    int64_t value = 0;
    int count = 0;
    if (strncmp(*text, word, length) != 0 || *digits == '0') {
        return false;
    }
    for (; digits[count] >= '0' && digits[count] <= '9' && count < 8; ++count) {
        value = 10 * value + (digits[count] - '0');
    }
    *number = (int)value;
    *text = digits + count;
    return count > 0;
}

static bool take_word(const char **text, const char *word) {
    const size_t length = strlen(word);
    const bool found = strncmp(*text, word, length) == 0;
    *text += found ? length : 0;
    return found;
}

/* "0." and up to nine digits. One division of whole numbers: as near as a decimal can be read. */
static bool take_recipe_share(const char **text, float *share) {
    int64_t value = 0, scale = 1;
    if (!take_word(text, "0.")) {
        return false;
    }
    int count = 0;
    for (; **text >= '0' && **text <= '9' && count < 9; ++*text, ++count) {
        value = 10 * value + (**text - '0');
        scale *= 10;
    }
    *share = (float)((double)value / (double)scale);
    return count > 0 && *share > 0.0F && *share < 1.0F;
}

bool cm_recipe_parse_name(const char *name, cm_recipe *recipe) {
    const char *text = name;
    *recipe = (cm_recipe){.name = name};
    if (!take_recipe_number(&text, "d", &recipe->conv_layers) ||
        !take_recipe_number(&text, "-p", &recipe->pool_period)) {
        return false;
    }
    recipe->batch_norm = take_word(&text, "-bn");
    if (!take_recipe_number(&text, "-w", &recipe->channels)) {
        return false;
    }
    const bool drops = take_word(&text, "-do");
    return (!drops || take_recipe_share(&text, &recipe->dropout_output)) && *text == '\0' &&
           strlen(name) < CM_NETWORK_NAME_SIZE;
}
