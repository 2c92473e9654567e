/**
 * Which tensor of a file is which of a network, and their values as the network has them.
 */
#ifndef CM_CORE_NETWORK_MODEL_TENSORS_H
#define CM_CORE_NETWORK_MODEL_TENSORS_H

#include "convmark/model_file.h"
#include "convmark/network.h"
#include "core/network/safetensors.h"

#ifdef __cplusplus
extern "C" {
#endif

/** What is matched, and the names for messages. */
typedef struct cm_tensor_match {
    const char *path, *network;
    const cm_tensor_spec *specs;
    int count;
    const cm_safetensors *file;
} cm_tensor_match;

/**
 * Finds the file's tensor of each of the network's, found[count]; NULL for a num_batches_tracked
 * that is not there. Wrappers' parts of names ("module.", "_orig_mod.") and one beginning that all
 * names share ("model.") are left out; tensors outside conv and dense are passed over. *note says
 * so in one line, and which are converted; "" where nothing is to be said. CM_BAD_INPUT: one is
 * missing, of another shape or kind, or conv or dense hold one that the network does not have.
 */
cm_status cm_match_tensors(const cm_tensor_match *match, const cm_safetensor **found,
                           cm_model_note *note, cm_error *error);

/** Bytes of a tensor in the network's type: F32, or one I64. */
size_t cm_tensor_spec_bytes(const cm_tensor_spec *spec);

/** Writes a found tensor's values in the network's type, aligned; NULL: 0. CM_BAD_INPUT: a value
 * that no training can give. */
cm_status cm_tensor_values(const cm_tensor_spec *spec, const cm_safetensor *tensor,
                           const char *path, void *values, cm_error *error);

#ifdef __cplusplus
}
#endif

#endif
