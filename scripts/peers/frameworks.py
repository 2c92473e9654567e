"""The frameworks that are measured: a row each. Standard library only."""

import os
import sys
from pathlib import Path
from typing import NamedTuple

HERE = Path(__file__).parent
MODES = ("train", "infer", "conv")


class PeerError(Exception):
    """What the user is told in one line."""


class Framework(NamedTuple):
    title: str
    environment: str  # the Python environment's name; "" is the Python that runs this
    workers: dict[str, tuple[str, ...]]  # by mode: the worker's file and its last arguments
    limited: bool = True  # whether the instruction set can be limited


def _networks(*worker: str) -> dict[str, tuple[str, ...]]:
    return {"train": worker, "infer": worker}


FRAMEWORKS = {
    "convmark": Framework("convmark", "", {**_networks("worker_convmark.py"),
                                           "conv": ("worker_conv.py", "convmark")}),
    "pytorch": Framework("PyTorch", "pytorch", _networks("worker_torch.py", "eager")),
    "pytorch-compile": Framework("compiled", "pytorch", _networks("worker_torch.py", "compile")),
    "tensorflow": Framework("TensorFlow", "tensorflow", _networks("worker_tensorflow.py")),
    "onnxruntime": Framework("ONNX RT", "inference", {"infer": ("worker_onnxruntime.py",)},
                             limited=False),
    "openvino": Framework("OpenVINO", "inference", {"infer": ("worker_openvino.py",)}),
    "onednn": Framework("oneDNN", "onednn", {"conv": ("worker_conv.py", "onednn")}),
}

# Environments: the folder's name after "peers" and the file of pinned versions.
ENVIRONMENTS = {
    "pytorch": ("peers", "requirements.txt"),
    "tensorflow": ("peers-tensorflow", "requirements-tensorflow.txt"),
    "inference": ("peers-inference", "requirements-inference.txt"),
    "onednn": ("peers-onednn", "requirements-onednn.txt"),
}

# What limits all frameworks to an instruction set, as environment variables. (oneDNN has had both
# of its names; torch.compile reads ATen's; MKL is in PyTorch.)
LIMITS = {
    "": {},
    "avx2": {"CONVMARK_ISA": "avx2", "ONEDNN_MAX_CPU_ISA": "AVX2", "DNNL_MAX_CPU_ISA": "AVX2",
             "ATEN_CPU_CAPABILITY": "avx2", "MKL_ENABLE_INSTRUCTIONS": "AVX2",
             "XLA_FLAGS": "--xla_cpu_max_isa=AVX2"},
}


def cache() -> Path:
    """Where scripts/peers.sh setup makes the environments."""
    folder = os.environ.get("XDG_CACHE_HOME", "")
    return (Path(folder) if folder.startswith("/") else Path.home() / ".cache") / "convmark"


def folder(environment: str) -> Path:
    return cache() / ENVIRONMENTS[environment][0]


def installed(environment: str) -> bool:
    """Whether the environment is there with the versions that are pinned."""
    name, requirements = ENVIRONMENTS[environment]
    stamp = cache() / name / "installed.txt"
    return stamp.is_file() and stamp.read_bytes() == (HERE / requirements).read_bytes()


def python(environment: str) -> str:
    return str(folder(environment) / "bin/python") if environment else sys.executable


def require(environments: set[str]) -> None:
    """PeerError when one of these is missing."""
    missing = sorted(name for name in environments if name and not installed(name))
    if missing:
        raise PeerError(f"not installed, or other versions: {', '.join(missing)}; run: "
                        f"scripts/peers.sh setup {' '.join(missing)}")
