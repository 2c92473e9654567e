/**
 * libconvmark: bit-exact convolutional-network training on CPUs. This header includes every public
 * one; docs/library.md shows a program.
 */
#ifndef CONVMARK_H
#define CONVMARK_H

#include "data/dataset.h"
#include "kernels/kernels.h"
#include "network/model.h"
#include "network/model_file.h"
#include "network/network.h"
#include "status.h"
#include "train/stream.h"
#include "train/trainer.h"

#define CM_VERSION "0.1.0"

/** Number of the numeric contract (docs/numerics.md): goes up with any change after which a run
 * ends with other bits. Results of different numbers are not comparable bit by bit. */
#define CM_NUMERIC_CONTRACT 1

#endif
