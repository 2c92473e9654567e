/**
 * The report's variants as a table for people: what `convmark variants` prints.
 */
#ifndef CM_HARNESS_STUDIES_REPORT_VARIANTS_TABLE_H
#define CM_HARNESS_STUDIES_REPORT_VARIANTS_TABLE_H

#include <stdio.h>

#include "convmark/status.h"

#ifdef __cplusplus
extern "C" {
#endif

/** Writes id, title, parameters (counted, not as published), multiply-accumulates of one image and
 * published accuracy; a footnote where the report misprints the count. CM_FAILED: no memory.
 * Check ferror(out) for failed writes. */
cm_status cm_variants_table_print(FILE *out, cm_error *error);

#ifdef __cplusplus
}
#endif

#endif
