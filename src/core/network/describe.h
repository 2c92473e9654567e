/**
 * Networks and variants as tables for people: what `convmark describe` and `convmark variants`
 * print. Plain ASCII text, about 100 columns for the report's variants.
 */
#ifndef CM_NETWORK_DESCRIBE_H
#define CM_NETWORK_DESCRIBE_H

#include <stdio.h>

#include "convmark/network.h"
#include "convmark/status.h"

#ifdef __cplusplus
extern "C" {
#endif

/** Writes the layer listing: a row a layer with PyTorch's name, the layer as in network text,
 * output shape (channels x height x width of one image), learned parameters and MACs
 * (cm_layer_macs), then the totals. Look at ferror(out) for failed writes. */
void cm_describe_network(FILE *out, const cm_network *network);

/** Writes the table of the report's variants: id, title, parameters (counted, not as published),
 * MACs of one image and published accuracy; where the report misprints the count, a footnote.
 * CM_FAILED when memory is short; look at ferror(out) for failed writes. */
cm_status cm_describe_variants(FILE *out, cm_error *error);

#ifdef __cplusplus
}
#endif

#endif
