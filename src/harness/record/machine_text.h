/**
 * The machine of a measurement as Markdown for people, from the object "machine" of the results
 * schema. What the object does not have is left out.
 */
#ifndef CM_HARNESS_RECORD_MACHINE_TEXT_H
#define CM_HARNESS_RECORD_MACHINE_TEXT_H

#include <jansson.h>
#include <stdio.h>

#ifdef __cplusplus
extern "C" {
#endif

/** A table of names and values: CPU, cores, instruction sets, caches, memory, system, build. */
void cm_machine_print_table(FILE *out, const json_t *machine);

/** A title and, below it, machine, day and commit in one line: what tells one file of results from
 * another. `started`: the string of the schema, or NULL. */
void cm_machine_print_title(FILE *out, const char *title, const json_t *machine,
                            const json_t *started);

#ifdef __cplusplus
}
#endif

#endif
