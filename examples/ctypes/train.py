"""Trains a variant from Python through ctypes: the standard library and libconvmark.so.

    python3 train.py LIBCONVMARK.so [DATA]

DATA is a folder with Fashion-MNIST or the word "synthetic". The structures below mirror those of
include/convmark/: same fields, same order. Pointers to what the library owns (network, data set,
model, stream) are opaque: c_void_p.
"""

import ctypes
import sys
from ctypes import (POINTER, Structure, byref, c_bool, c_char, c_char_p, c_double, c_float, c_int,
                    c_int64, c_size_t, c_uint8, c_uint64, c_void_p)

BATCH, STEPS, SEED = 32, 20, 1
TRAIN_ORDER = 3  # CM_RANDOM_TRAIN_ORDER, philox.h


class Error(Structure):  # status.h
    _fields_ = [("message", c_char * 1024)]


class Images(Structure):  # dataset.h
    _fields_ = [("count", c_int), ("height", c_int), ("width", c_int),
                ("pixels", POINTER(c_uint8)), ("labels", POINTER(c_uint8)), ("channels", c_int)]


class Dataset(Structure):
    _fields_ = [("name", c_char * 64), ("source", c_char * 4096), ("classes", c_int),
                ("real", c_bool), ("verified", c_bool), ("train", Images),
                ("validation", Images)]


class ModelOptions(Structure):  # model.h
    _fields_ = [("batch", c_int), ("threads", c_int), ("isa", c_int), ("training", c_bool),
                ("conv_algorithm", c_int), ("block", c_int)]


class Optimizer(Structure):
    _fields_ = [("learning_rate", c_double), ("beta1", c_double), ("beta2", c_double),
                ("epsilon", c_double), ("weight_decay", c_double)]


class BatchResult(Structure):
    _fields_ = [("loss", c_double), ("correct", c_int)]


class TensorSpec(Structure):  # network.h
    _fields_ = [("name", c_char * 48), ("kind", c_int), ("layer", c_int), ("rank", c_int),
                ("dims", c_int64 * 4), ("count", c_size_t), ("learned", c_bool)]


def declare(library, name, result, *arguments):
    """ctypes guesses int for what it is not told; a pointer would lose its upper half."""
    function = getattr(library, name)
    function.restype, function.argtypes = result, arguments


def load(path):
    lib = ctypes.CDLL(path)
    handle, error = POINTER(c_void_p), POINTER(Error)
    declare(lib, "cm_network_open", c_int, c_char_p, handle, error)
    declare(lib, "cm_dataset_open", c_int, c_char_p, POINTER(POINTER(Dataset)), error)
    declare(lib, "cm_model_create", c_int, c_void_p, POINTER(ModelOptions), handle, error)
    declare(lib, "cm_stream_create", c_int, POINTER(Images), c_int, c_bool, c_uint64, c_int,
            handle, error)
    declare(lib, "cm_isa_from_name", c_int, c_char_p)
    declare(lib, "cm_model_initialize", None, c_void_p, c_uint64)
    declare(lib, "cm_stream_next", None, c_void_p, POINTER(c_float), POINTER(c_uint8))
    declare(lib, "cm_model_train_step", BatchResult, c_void_p, c_int, POINTER(c_float),
            POINTER(c_uint8), POINTER(Optimizer), c_uint64)
    declare(lib, "cm_model_tensor", POINTER(TensorSpec), c_void_p, c_int)
    declare(lib, "cm_model_get_tensor", None, c_void_p, c_int, c_void_p)
    declare(lib, "cm_model_sha256", None, c_void_p, c_char * 65)
    for name in ("cm_stream_free", "cm_model_free", "cm_dataset_close", "cm_network_free"):
        declare(lib, name, None, c_void_p)
    return lib


def check(status, error):
    """The library's statuses are exit codes; its messages are one line."""
    if status != 0:
        print(f"train.py: {error.message.decode()}", file=sys.stderr)
        sys.exit(status)


def tensor(lib, model, index):
    """Name, shape and values of a tensor: a numpy array where numpy is installed, else a list."""
    spec = lib.cm_model_tensor(model, index).contents
    values = (c_float * spec.count)()
    lib.cm_model_get_tensor(model, index, values)
    shape = tuple(spec.dims[:spec.rank])
    try:
        import numpy
        return spec.name.decode(), shape, numpy.array(values).reshape(shape)
    except ImportError:
        return spec.name.decode(), shape, list(values)


def main(path, data=None):
    lib, error = load(path), Error()
    network, model, stream = c_void_p(), c_void_p(), c_void_p()
    dataset = POINTER(Dataset)()
    check(lib.cm_network_open(b"bn-3", byref(network), byref(error)), error)
    check(lib.cm_dataset_open(data and data.encode(), byref(dataset), byref(error)), error)
    # The empty name is no instruction set: the answer stands for the best one of this machine.
    options = ModelOptions(batch=BATCH, threads=2, isa=lib.cm_isa_from_name(b""), training=True)
    check(lib.cm_model_create(network, byref(options), byref(model), byref(error)), error)
    train = dataset.contents.train
    check(lib.cm_stream_create(byref(train), BATCH, True, SEED, TRAIN_ORDER, byref(stream),
                               byref(error)), error)

    pixels = (c_float * (BATCH * train.height * train.width))()
    labels = (c_uint8 * BATCH)()
    adam = Optimizer(1e-3, 0.9, 0.999, 1e-8, 1e-5)  # the report's protocol
    lib.cm_model_initialize(model, SEED)
    for step in range(1, STEPS + 1):
        lib.cm_stream_next(stream, pixels, labels)
        result = lib.cm_model_train_step(model, BATCH, pixels, labels, byref(adam), SEED)
        if step in (1, 10, 20):
            print(f"step {step}: loss {result.loss:.4f}, {result.correct} of {BATCH} correct")

    name, shape, values = tensor(lib, model, 0)
    first = values if isinstance(values, list) else values.ravel().tolist()
    print(f"{name} {shape}: first value {first[0]:.6f}")
    sha256 = (c_char * 65)()
    lib.cm_model_sha256(model, sha256)
    print(f"sha256 {sha256.value.decode()}")
    lib.cm_stream_free(stream)
    lib.cm_model_free(model)
    lib.cm_dataset_close(dataset)
    lib.cm_network_free(network)


if __name__ == "__main__":
    if not 2 <= len(sys.argv) <= 3:
        sys.exit("usage: train.py LIBCONVMARK.so [DATA]")
    main(*sys.argv[1:])
