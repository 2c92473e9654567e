/**
 * Model files: safetensors (https://huggingface.co/docs/safetensors) with PyTorch's names, shapes
 * and types, so that load_state_dict(strict=True) takes them and theirs load here.
 */
#ifndef CM_MODEL_FILE_H
#define CM_MODEL_FILE_H

#include "convmark/model.h"
#include "convmark/status.h"

#ifdef __cplusplus
extern "C" {
#endif

/** Writes all tensors (F32; num_batches_tracked I64) whole or not at all. The header's __metadata__
 * holds {"format": "pt", "convmark.network": NAME, "convmark.network_text": TEXT}. */
cm_status cm_model_save(const cm_model *model, const char *path, cm_error *error);

/** Loads all tensors and forgets the optimizer's state. Anything missing, unexpected, of another
 * shape or type, out of bounds, overlapping or not finite is CM_BAD_INPUT; the model is then
 * unchanged. */
cm_status cm_model_load(cm_model *model, const char *path, cm_error *error);

/** The network a file was saved from, read from its metadata; for files of other programs, pass the
 * network by name instead. CM_BAD_INPUT when there is no metadata. */
cm_status cm_model_file_network(const char *path, cm_network **network, cm_error *error);

#ifdef __cplusplus
}
#endif

#endif
