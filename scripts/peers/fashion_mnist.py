"""Fashion-MNIST's IDX files, looked for where convmark looks. Standard library only."""

import gzip
import os
import struct
from pathlib import Path

NAMES = {"train": "train", "test": "t10k"}


def folders() -> list[Path]:
    if os.environ.get("CONVMARK_DATA"):
        return [Path(os.environ["CONVMARK_DATA"])]
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return [cache / "convmark/fashion-mnist", Path("/usr/share/datasets/fashion-mnist")]


def find() -> Path | None:
    """The first folder that holds the data set; None: there is none."""
    for folder in folders():
        if any((folder / f"train-images-idx3-ubyte{end}").is_file() for end in ("", ".gz")):
            return folder
    return None


def _read(folder: Path, name: str, dimensions: int) -> tuple[tuple[int, ...], bytes]:
    plain, packed = folder / name, folder / f"{name}.gz"
    data = plain.read_bytes() if plain.is_file() else gzip.decompress(packed.read_bytes())
    magic, *shape = struct.unpack_from(f">I{dimensions}I", data)
    if magic != 0x800 + dimensions:
        raise ValueError(f"{folder / name}: not an IDX file of bytes in {dimensions} dimensions")
    return tuple(shape), data[4 + 4 * dimensions:]


def load(folder: Path, part: str) -> tuple[tuple[int, ...], bytes, bytes]:
    """((count, height, width), pixels, labels) of part "train" or "test"."""
    shape, pixels = _read(folder, f"{NAMES[part]}-images-idx3-ubyte", 3)
    (count,), labels = _read(folder, f"{NAMES[part]}-labels-idx1-ubyte", 1)
    if len(pixels) != shape[0] * shape[1] * shape[2] or not (len(labels) == count == shape[0]):
        raise ValueError(f"{folder}: sizes of the {part} images and labels do not agree")
    return shape, pixels, labels
