#include "convmark/convmark.h"

const char *cm_version(void) {
    return CM_VERSION;
}
