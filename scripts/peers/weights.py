"""Reads the model files that convmark writes (safetensors). Standard library only."""

import json
import struct
from pathlib import Path
from typing import NamedTuple


class Tensor(NamedTuple):
    dtype: str  # "F32", "I64"
    shape: tuple[int, ...]
    data: bytes


def read(path: str) -> dict[str, Tensor]:
    """All tensors by their names in PyTorch's state_dict."""
    content = Path(path).read_bytes()
    length, = struct.unpack_from("<Q", content)
    header = json.loads(content[8:8 + length])
    header.pop("__metadata__", None)
    body = memoryview(content)[8 + length:]
    return {name: Tensor(entry["dtype"], tuple(entry["shape"]),
                         bytes(body[slice(*entry["data_offsets"])]))
            for name, entry in header.items()}
