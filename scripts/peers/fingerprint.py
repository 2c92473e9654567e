"""Tensors as a few numbers: a stored gradient can be compared within a fraction of its norm.

A fingerprint is the L2 norm, COUNT projections and COUNT sampled elements. A projection is the sum
of the elements with signs that look random. For a difference d of two tensors and such signs r, the
mean of (r.d)^2 is |d|^2 exactly, so the root mean square over COUNT projections estimates |d|
(within a factor of two, nearly always). Standard library only.
"""

import hashlib
import math
from itertools import compress
from typing import Sequence

COUNT = 8
_BITS = [bytes(byte >> bit & 1 for byte in range(256)) for bit in range(COUNT)]


def _sample_indices(count: int) -> list[int]:
    return [(2 * i + 1) * count // (2 * COUNT) for i in range(COUNT)]


def fingerprint(name: str, values: Sequence[float]) -> dict:
    signs = hashlib.shake_128(name.encode()).digest(len(values))
    total = math.fsum(values)
    return {
        "norm": math.sqrt(math.fsum(value * value for value in values)),
        "projections": [2 * math.fsum(compress(values, signs.translate(bits))) - total
                        for bits in _BITS],
        "samples": [values[i] for i in _sample_indices(len(values))],
    }


def distance(a: dict, b: dict) -> float:
    """Estimated |a - b|, not below what the norms and single samples alone show."""
    return max(math.dist(a["projections"], b["projections"]) / math.sqrt(COUNT),
               abs(a["norm"] - b["norm"]),
               max(abs(x - y) for x, y in zip(a["samples"], b["samples"], strict=True)))
