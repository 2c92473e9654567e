/**
 * The sweep's tables.
 */
#ifndef CM_HARNESS_STUDIES_SWEEP_SWEEP_TEXT_H
#define CM_HARNESS_STUDIES_SWEEP_SWEEP_TEXT_H

#include "harness/studies/sweep/sweep.h"

#ifdef __cplusplus
extern "C" {
#endif

/** As text of at most 100 columns, as Markdown; free() it. NULL: no memory. */
char *cm_sweep_text(const cm_sweep *sweep);
char *cm_sweep_markdown(const cm_sweep *sweep);

#ifdef __cplusplus
}
#endif

#endif
