"""libconvmark through ctypes: the calls that the peers and their tests need. Standard library only.

The structures mirror model.h, network.h and status.h of include/convmark/. test_parity.py compiles
those headers and compares every size and offset; Model() checks that the library has read its
options as they were meant, because a library can be another one than the headers' here.
"""

import ctypes
import json
import os
import subprocess
from array import array
from ctypes import (POINTER, Structure, byref, c_bool, c_char, c_char_p, c_double, c_float, c_int,
                    c_int64, c_size_t, c_uint64, c_void_p)


class Error(Structure):
    _fields_ = [("message", c_char * 1024)]


class ModelOptions(Structure):
    _fields_ = [("batch", c_int), ("threads", c_int), ("isa", c_int), ("training", c_bool),
                ("conv_algorithm", c_int), ("block", c_int)]


class Optimizer(Structure):
    _fields_ = [(name, c_double) for name in
                ("learning_rate", "beta1", "beta2", "epsilon", "weight_decay")]


class BatchResult(Structure):
    _fields_ = [("loss", c_double), ("correct", c_int)]


class TensorSpec(Structure):
    _fields_ = [("name", c_char * 48), ("kind", c_int), ("layer", c_int), ("rank", c_int),
                ("dims", c_int64 * 4), ("count", c_size_t), ("learned", c_bool)]


FLOATS = POINTER(c_float)
SIGNATURES = {
    "cm_isa_from_name": (c_int, [c_char_p]),
    "cm_isa_name": (c_char_p, [c_int]),
    "cm_pixels_to_float": (None, [c_char_p, c_size_t, FLOATS]),
    "cm_network_open": (c_int, [c_char_p, POINTER(c_void_p), POINTER(Error)]),
    "cm_network_free": (None, [c_void_p]),
    "cm_model_create": (c_int, [c_void_p, POINTER(ModelOptions), POINTER(c_void_p),
                                POINTER(Error)]),
    "cm_model_free": (None, [c_void_p]),
    "cm_model_batch": (c_int, [c_void_p]),
    "cm_model_threads": (c_int, [c_void_p]),
    "cm_model_isa": (c_int, [c_void_p]),
    "cm_model_conv_algorithm": (c_int, [c_void_p]),
    "cm_model_initialize": (None, [c_void_p, c_uint64]),
    "cm_model_load": (c_int, [c_void_p, c_char_p, POINTER(Error)]),
    "cm_model_save": (c_int, [c_void_p, c_char_p, POINTER(Error)]),
    "cm_model_train_step": (BatchResult, [c_void_p, c_int, FLOATS, c_char_p, POINTER(Optimizer),
                                          c_uint64]),
    "cm_model_predict": (None, [c_void_p, c_int, FLOATS, FLOATS]),
    "cm_model_tensor_count": (c_int, [c_void_p]),
    "cm_model_tensor": (POINTER(TensorSpec), [c_void_p, c_int]),
    "cm_model_get_tensor": (None, [c_void_p, c_int, c_void_p]),
    "cm_model_get_gradient": (None, [c_void_p, c_int, c_void_p]),
    "cm_model_sha256": (None, [c_void_p, c_char * 65]),
}
CONV_ALGORITHM_AUTO = 0
OPTIMIZER = Optimizer(1e-3, 0.9, 0.999, 1e-8, 1e-5)  # the report's protocol


class Library:
    def __init__(self, path: str):
        self.c = ctypes.CDLL(path)
        for name, (result, arguments) in SIGNATURES.items():
            function = getattr(self.c, name)
            function.restype, function.argtypes = result, arguments

    def floats(self, pixels: bytes):
        """pixel / 255, as the trainer has it."""
        values = (c_float * len(pixels))()
        self.c.cm_pixels_to_float(pixels, len(pixels), values)
        return values

    def machine(self) -> dict:
        """The object "machine" of the results schema."""
        program = os.environ.get("CONVMARK", "convmark")
        done = subprocess.run([program, "info", "--no-measure", "--json", "-"], check=True,
                              capture_output=True, text=True)
        return json.loads(done.stdout)["machine"]


class Model:
    """A model of a variant or a network text file, on the instruction set called `isa` or on the
    best of this machine; close() frees it."""

    def __init__(self, library: Library, network: str, batch: int, threads: int, training: bool,
                 isa: str = ""):
        self.c, self.batch = library.c, batch
        self.network, self.model, error = c_void_p(), c_void_p(), Error()
        self.check(self.c.cm_network_open(network.encode(), byref(self.network), byref(error)),
                   error)
        # A name that is no instruction set's gives CM_ISA_BEST: the best of this machine.
        options = ModelOptions(batch, threads, self.c.cm_isa_from_name(isa.encode()), training,
                               CONV_ALGORITHM_AUTO)
        self.check(self.c.cm_model_create(self.network, byref(options), byref(self.model),
                                          byref(error)), error)
        self._check_options(batch, threads, isa or self.isa())

    def _check_options(self, *asked) -> None:
        read = (self.c.cm_model_batch(self.model), self.c.cm_model_threads(self.model), self.isa(),
                self.c.cm_model_conv_algorithm(self.model))
        if read != (*asked, CONV_ALGORITHM_AUTO):
            raise RuntimeError(f"asked for batch, threads, instruction set {asked} and algorithm "
                               f"{CONV_ALGORITHM_AUTO}; the library has {read}: is it another "
                               "version's?")

    @staticmethod
    def check(status: int, error: Error) -> None:
        if status != 0:
            raise RuntimeError(error.message.decode())

    def close(self) -> None:
        self.c.cm_model_free(self.model)
        self.c.cm_network_free(self.network)
        self.model, self.network = c_void_p(), c_void_p()

    def isa(self) -> str:
        return self.c.cm_isa_name(self.c.cm_model_isa(self.model)).decode()

    def initialize(self, seed: int) -> None:
        self.c.cm_model_initialize(self.model, seed)

    def load(self, path: str) -> None:
        error = Error()
        self.check(self.c.cm_model_load(self.model, path.encode(), byref(error)), error)

    def save(self, path: str) -> None:
        error = Error()
        self.check(self.c.cm_model_save(self.model, path.encode(), byref(error)), error)

    def train_step(self, images, labels: bytes) -> float:
        return self.c.cm_model_train_step(self.model, self.batch, images, labels,
                                          byref(OPTIMIZER), 0).loss

    def predict(self, images, logits) -> None:
        self.c.cm_model_predict(self.model, self.batch, images, logits)

    def sha256(self) -> str:
        text = (c_char * 65)()
        self.c.cm_model_sha256(self.model, text)
        return text.value.decode()

    def _tensors(self):
        for i in range(self.c.cm_model_tensor_count(self.model)):
            yield i, self.c.cm_model_tensor(self.model, i).contents

    def tensors(self) -> dict[str, array]:
        """All float tensors by name, in PyTorch's element order."""
        return {spec.name.decode(): self._copy(self.c.cm_model_get_tensor, i, spec.count)
                for i, spec in self._tensors() if spec.rank > 0}

    def gradients(self) -> dict[str, array]:
        """Gradients of the last step by name."""
        return {spec.name.decode(): self._copy(self.c.cm_model_get_gradient, i, spec.count)
                for i, spec in self._tensors() if spec.learned}

    def _copy(self, get, index: int, count: int) -> array:
        values = array("f", bytes(4 * count))
        get(self.model, index, values.buffer_info()[0])
        return values
