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

/** The same, and "convmark.data": the name of the data set that it was trained on. */
cm_status cm_model_save_as(const cm_model *model, const char *data, const char *path,
                           cm_error *error);

enum { CM_DATA_NAME_SIZE = 64 };

/** That name; "" in a file that does not have it. Errors as of cm_model_file_network(). */
cm_status cm_model_file_data(const char *path, char data[CM_DATA_NAME_SIZE], cm_error *error);

/**
 * Loads all tensors and forgets the optimizer's state. Read as well: names with a beginning of
 * their own or with parts that wrappers add ("model.", "module.", "_orig_mod."); F64, F16 and BF16,
 * converted; files without num_batches_tracked, or with it in another whole type; tensors besides
 * conv and dense, passed over. Anything missing, unexpected in conv or dense, of another shape, out
 * of bounds, overlapping or not finite is CM_BAD_INPUT; the model is then unchanged. A file of
 * another kind (PyTorch's .pt, ONNX, HDF5 ...) is named, with what to do.
 */
cm_status cm_model_load(cm_model *model, const char *path, cm_error *error);

/** What was not as cm_model_save() writes it, for people: one line; "" where all was. */
typedef struct cm_model_note {
    char text[800];
} cm_model_note;

/** cm_model_load() that says what it converted and left out. */
cm_status cm_model_load_noting(cm_model *model, const char *path, cm_model_note *note,
                               cm_error *error);

/** Whether the file has the network's tensors, from its header alone: before a model is made, so
 * that a small file cannot ask for much memory. Errors as of cm_model_load(). */
cm_status cm_model_file_check(const char *path, const cm_network *network, cm_error *error);

/** The network a file was saved from, read from its metadata; for files of other programs, pass the
 * network by name instead. CM_BAD_INPUT when there is no metadata. */
cm_status cm_model_file_network(const char *path, cm_network **network, cm_error *error);

#ifdef __cplusplus
}
#endif

#endif
