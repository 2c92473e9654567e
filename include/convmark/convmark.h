/**
 * libconvmark: bit-exact convolutional-network training on CPUs. This header includes every public
 * one; docs/guide/library.md shows a program.
 */
#ifndef CM_CONVMARK_H
#define CM_CONVMARK_H

#include "convmark/dataset.h"
#include "convmark/kernels.h"
#include "convmark/model.h"
#include "convmark/model_file.h"
#include "convmark/network.h"
#include "convmark/status.h"
#include "convmark/stream.h"
#include "convmark/trainer.h"

/** Version of these headers. */
#define CM_VERSION "0.1.0"

#ifdef __cplusplus
extern "C" {
#endif

/** Version of the library that the program runs with: CM_VERSION of the headers that it was built
 * from. Static; do not free. */
const char *cm_version(void);

#ifdef __cplusplus
}
#endif

#endif
