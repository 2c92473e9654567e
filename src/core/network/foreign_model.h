/**
 * Model files of other programs: what to do with those that cannot be read.
 */
#ifndef CM_CORE_NETWORK_FOREIGN_MODEL_H
#define CM_CORE_NETWORK_FOREIGN_MODEL_H

#include "core/files/file_kind.h"

#ifdef __cplusplus
extern "C" {
#endif

/** What to do with a file of this kind where a safetensors model was expected: the end of a
 * message. */
const char *cm_foreign_model_advice(cm_file_kind kind);

#ifdef __cplusplus
}
#endif

#endif
