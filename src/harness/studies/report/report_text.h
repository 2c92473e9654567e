/**
 * The report for people.
 */
#ifndef CM_HARNESS_STUDIES_REPORT_REPORT_TEXT_H
#define CM_HARNESS_STUDIES_REPORT_REPORT_TEXT_H

#include "harness/studies/report/report.h"

#ifdef __cplusplus
extern "C" {
#endif

/** The tables as ASCII text of at most 100 columns; free() it. NULL: no memory. */
char *cm_report_text(const cm_report *report);

/** The tables, the machine and the hash of every run as Markdown; free() it. NULL: no memory. */
char *cm_report_markdown(const cm_report *report);

#ifdef __cplusplus
}
#endif

#endif
