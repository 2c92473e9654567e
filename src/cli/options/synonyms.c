/* "did you mean ...?": names that other programs use for the same thing, then spelling mistakes. */
#include <string.h>

#include "cli/options/options.h"
#include "core/name_suggestion.h"

/* The first row of a word whose name is among those offered counts. */
static const struct {
    const char *word, *name;
} synonyms[] = {
    {"batch-size", "batch"},
    {"batch_size", "batch"},
    {"bs", "batch"},
    {"learning-rate", "lr"},
    {"learning_rate", "lr"},
    {"threads", "cores"},
    {"cores", "threads"},
    {"num-threads", "threads"},
    {"num-threads", "cores"},
    {"jobs", "threads"},
    {"t", "threads"},
    {"t", "cores"},
    {"j", "threads"},
    {"j", "cores"},
    {"algorithm", "conv-algorithm"},
    {"dataset", "data"},
    {"out", "output"},
    {"o", "output"},
    {"o", "save"},
    {"output", "save"},
    {"output", "json"},
    {"checkpoint-every", "every"},
    {"weights", "load"},
    {"inference", "infer"},
    {"validation-steps", "valid-steps"},
    {"repetitions", "rounds"},
    {"q", "quiet"},
    {"eval", "evaluate"},
    {"test", "evaluate"},
    {"help", "--help"},
    {"version", "--version"},
    {"-V", "--version"},
    {"-v", "--version"},
};

const char *cm_suggest_word(const char *word, const char *const *names, int count) {
    for (size_t i = 0; i < sizeof synonyms / sizeof *synonyms; ++i) {
        for (int k = 0; strcmp(word, synonyms[i].word) == 0 && k < count; ++k) {
            if (strcmp(names[k], synonyms[i].name) == 0) {
                return names[k];
            }
        }
    }
    return cm_suggest_name(word, names, count);
}
