#include "core/network/foreign_model.h"

#include <stddef.h>

static const char *const advice[CM_FILE_KIND_COUNT] = {
    [CM_FILE_ZEROS] = "the download failed: download it again",
    [CM_FILE_PNG] = "give the model first, then the picture",
    [CM_FILE_APPLE_PNG] = "give the model first, then the picture",
    [CM_FILE_JPEG] = "give the model first, then the picture",
    [CM_FILE_PICTURE] = "give the model first, then the picture",
    [CM_FILE_PYTORCH] = "convert its state_dict in Python: safetensors.torch.save_file(torch.load("
                        "FILE, weights_only=True), \"model.safetensors\"); docs/guide/pytorch.md "
                        "has more",
    [CM_FILE_PICKLE] = "if it is of PyTorch, convert its state_dict in Python: "
                       "safetensors.torch.save_file(torch.load(FILE, weights_only=True), "
                       "\"model.safetensors\"); docs/guide/pytorch.md has more",
    [CM_FILE_NUMPY] = "convert it in Python: safetensors.numpy.save_file(dict(numpy.load(FILE)), "
                      "\"model.safetensors\"), with PyTorch's names and shapes",
    [CM_FILE_ONNX] = "load it into a PyTorch model and save its state_dict as safetensors: "
                     "docs/guide/pytorch.md shows how",
    [CM_FILE_TFLITE] = "save the weights of the model that it was made from as safetensors: "
                       "docs/guide/pytorch.md shows the names",
    [CM_FILE_HDF5] = "read the weights with h5py or Keras and save them with "
                     "safetensors.numpy.save_file: docs/guide/pytorch.md shows the names",
    [CM_FILE_KERAS] = "load it in Keras and save the weights with safetensors.numpy.save_file: "
                      "docs/guide/pytorch.md shows the names",
    [CM_FILE_GGUF] = "convmark runs its own convolution networks, not language models",
    [CM_FILE_SAFETENSORS_INDEX] = "give the .safetensors file that it names; several of them must "
                                  "be joined in Python first",
    [CM_FILE_CHECKPOINT] = "resume the training run from it, and save the model there",
    [CM_FILE_IDX] = "it belongs to a data set; give the model that was saved after training",
    [CM_FILE_IDX_OTHER] = "it belongs to a data set; give the model that was saved after training",
    [CM_FILE_GZIP] = "unpack it first",
    [CM_FILE_ZIP] = "unpack it first",
    [CM_FILE_ARCHIVE] = "unpack it first",
    [CM_FILE_LFS_POINTER] = "fetch the file itself: git lfs pull",
    [CM_FILE_HTML] = "the download failed: download the file itself, not the page about it",
    [CM_FILE_XML] = "the download failed: download the file itself, not the page about it",
    [CM_FILE_RESULTS] = "these are the results of a run; give the model that was saved with them",
    [CM_FILE_NETWORK_TEXT] = "it has no weights; give a saved model, and this as its network",
};

const char *cm_foreign_model_advice(cm_file_kind kind) {
    return advice[kind] != NULL ? advice[kind] : "give a model that was saved as safetensors";
}
