"""One convolution library's side: worker_conv.py THREADS BATCH NAME (see worker.py).
CONVMARK_CONV_FOLDER has libconv_NAME.so, which is conv_NAME.c."""

import os
from array import array
from ctypes import (CDLL, POINTER, Structure, byref, c_char_p, c_float, c_int, c_size_t, c_void_p,
                    create_string_buffer)

import conv_shapes
import worker


class Shape(Structure):
    _fields_ = [(name, c_int) for name in
                ("batch", "in_channels", "size", "out_channels", "kernel", "stride", "padding")]


SIGNATURES = {
    "conv_peer_create": (c_void_p, [POINTER(Shape), c_int, c_int, c_char_p]),
    "conv_peer_destroy": (None, [c_void_p]),
    "conv_peer_implementation": (c_char_p, [c_void_p]),
    "conv_peer_version": (c_char_p, []),
    "conv_peer_run": (None, [c_void_p, c_int]),
    "conv_peer_output_count": (c_size_t, [c_void_p]),
    "conv_peer_output": (None, [c_void_p, POINTER(c_float)]),
}


class ConvSide(worker.Side):
    def __init__(self, threads: int, batch: int, name: str):
        self.library = CDLL(os.path.join(os.environ["CONVMARK_CONV_FOLDER"], f"libconv_{name}.so"))
        for function, (result, arguments) in SIGNATURES.items():
            getattr(self.library, function).restype = result
            getattr(self.library, function).argtypes = arguments
        self.threads, self.peer = threads, None

    def describe(self) -> dict:
        return {"version": self.library.conv_peer_version().decode(), "threads": self.threads}

    def setups(self, mode: str) -> list[str]:
        return ["default"]

    def prepare(self, work: dict, setup: str) -> str:
        """The implementation's name."""
        if self.peer is not None:
            self.library.conv_peer_destroy(self.peer)
            self.peer = None
        row = conv_shapes.Shape(*work["shape"])
        shape = Shape(work["images"], *row[:5], row.padding)
        message = create_string_buffer(256)
        self.peer = self.library.conv_peer_create(
            byref(shape), conv_shapes.PASSES.index(work["pass"]), self.threads, message)
        if self.peer is None:
            raise RuntimeError(f"{work}: {message.value.decode()}")
        return self.library.conv_peer_implementation(self.peer).decode()

    def run(self, batches: int) -> None:
        self.library.conv_peer_run(self.peer, batches)

    def output(self) -> list[float]:
        self.library.conv_peer_run(self.peer, 1)
        values = array("f", bytes(4 * self.library.conv_peer_output_count(self.peer)))
        pointer = (c_float * len(values)).from_buffer(values)
        self.library.conv_peer_output(self.peer, pointer)
        return values.tolist()


if __name__ == "__main__":
    worker.serve(ConvSide)
