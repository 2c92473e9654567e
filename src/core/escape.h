/**
 * Text that comes from files, arguments or the system, on its way to people and other programs: one
 * function per sink, which every writer uses, so that such text stays text. HTML and the plots'
 * mathtext have theirs in scripts/plots/.
 */
#ifndef CM_CORE_ESCAPE_H
#define CM_CORE_ESCAPE_H

#include <stddef.h>
#include <stdio.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef enum cm_sink {
    /* Control characters, characters that change the direction of writing, and bytes that are not
     * UTF-8 become '?'. So they do in all of them. */
    CM_SINK_TERMINAL,
    /* Also, a backslash stands before what is syntax in a line or a cell of a table. */
    CM_SINK_MARKDOWN,
    /* A field of RFC 4180: quoted where it must be. What a spreadsheet would take for a formula has
     * an apostrophe before it. Ends of lines stay. */
    CM_SINK_CSV,
    /* A word as it is typed into a shell: in single quotes where it must be. */
    CM_SINK_SHELL
} cm_sink;

/** Prints all of `text`. */
void cm_print_escaped(FILE *out, cm_sink sink, const char *text);

/** The same in place, for the terminal: it never grows. */
void cm_escape_for_terminal(char *text);

enum { CM_SHOWN_SIZE = 512 };

typedef struct cm_shown {
    char text[CM_SHOWN_SIZE];
} cm_shown;

/** The same by value, for CM_SINK_TERMINAL and CM_SINK_MARKDOWN; longer text ends with "...". */
cm_shown cm_show(cm_sink sink, const char *text);

/** As an argument of printf(). */
#define CM_SHOW(text_) (cm_show(CM_SINK_TERMINAL, (text_)).text)
#define CM_SHOW_IN(markdown_, text_) \
    (cm_show((markdown_) ? CM_SINK_MARKDOWN : CM_SINK_TERMINAL, (text_)).text)

#ifdef __cplusplus
}
#endif

#endif
