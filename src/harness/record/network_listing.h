/**
 * A network as a table for people: what `convmark describe` prints. ASCII text, about 100 columns
 * for the report's variants.
 */
#ifndef CM_HARNESS_RECORD_NETWORK_LISTING_H
#define CM_HARNESS_RECORD_NETWORK_LISTING_H

#include <stdio.h>

#include "convmark/network.h"

#ifdef __cplusplus
extern "C" {
#endif

/** Writes one row per layer with PyTorch's name, the layer as in network text, output shape
 * (channels x height x width of one image), learned parameters and multiply-accumulates
 * (cm_layer_macs), then the totals. Check ferror(out) for failed writes. */
void cm_network_listing_print(FILE *out, const cm_network *network);

#ifdef __cplusplus
}
#endif

#endif
