/**
 * Clocks: one that only moves forward for measuring, and the date for results.
 */
#ifndef CM_CORE_SYSTEM_CLOCK_H
#define CM_CORE_SYSTEM_CLOCK_H

#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/** Nanoseconds since some fixed moment; never goes back (CLOCK_MONOTONIC). */
int64_t cm_clock_ns(void);

/** The date and time in UTC, ISO 8601: "2025-10-31T09:05:00Z". */
void cm_clock_utc(char text[24]);

#ifdef __cplusplus
}
#endif

#endif
