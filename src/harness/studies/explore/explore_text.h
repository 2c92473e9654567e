/**
 * The table of an exploration's points, and the frontier.
 */
#ifndef CM_HARNESS_STUDIES_EXPLORE_EXPLORE_TEXT_H
#define CM_HARNESS_STUDIES_EXPLORE_EXPLORE_TEXT_H

#include "harness/studies/explore/explore.h"

#ifdef __cplusplus
extern "C" {
#endif

/** As text, as Markdown; free() it. NULL: no memory. */
char *cm_explore_text(const cm_explore *explore);
char *cm_explore_markdown(const cm_explore *explore);

#ifdef __cplusplus
}
#endif

#endif
