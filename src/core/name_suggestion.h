/**
 * The nearest of a list of names to a word that is none of them, for "did you mean ...?".
 */
#ifndef CM_CORE_NAME_SUGGESTION_H
#define CM_CORE_NAME_SUGGESTION_H

#ifdef __cplusplus
extern "C" {
#endif

/**
 * The candidate with the fewest edits from `word`: insertions, deletions, substitutions and swaps
 * of neighbours (Damerau-Levenshtein distance, in its optimal string alignment form); letters of
 * either case are equal, the first of equals wins. NULL when all are too far to be what was meant:
 * more edits than a third of the longer name (rounded up from a remainder of 2), or names over 64
 * bytes. The result is one of `candidates`, not a copy.
 */
const char *cm_suggest_name(const char *word, const char *const *candidates, int count);

#ifdef __cplusplus
}
#endif

#endif
