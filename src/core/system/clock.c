#include "core/system/clock.h"

#include <string.h>
#include <time.h>

int64_t cm_clock_ns(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

void cm_clock_utc(char text[24]) {
    struct tm parts;
    const time_t now = time(NULL);
    if (gmtime_r(&now, &parts) == NULL || strftime(text, 24, "%Y-%m-%dT%H:%M:%SZ", &parts) == 0) {
        strcpy(text, "1970-01-01T00:00:00Z");
    }
}
