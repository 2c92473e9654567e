"""Measurements and the files that hold them (docs/reference/results-schema.md, kind "peers").
Standard library only."""

import json
import os
import statistics
from math import comb
from pathlib import Path


def median_interval(samples: list[float], level: float = 0.95) -> list[float] | None:
    """Interval of the median with at least that confidence, from order statistics (David &
    Nagaraja, Order Statistics, 7.1): [k-th smallest, k-th largest] with the largest k that does.
    None when there are too few samples."""
    ordered, count = sorted(samples), len(samples)
    best, below = None, 0  # below: 2^count * P(fewer than k of count samples are below the median)
    for k in range(1, count // 2 + 1):
        below += comb(count, k - 1)
        if 1 - 2 * below / 2 ** count >= level:
            best = [ordered[k - 1], ordered[-k]]
    return best


def measurement(name: str, metric: str, unit: str, higher_is_better: bool, samples: list[float],
                **parts) -> dict:
    return {"name": name, "metric": metric, "unit": unit, "higher_is_better": higher_is_better,
            "samples": samples, "n": len(samples), "median": statistics.median(samples),
            "confidence_interval": median_interval(samples), **parts}


def write_json(path: Path, document: dict) -> None:
    """Whole or not at all."""
    temporary = path.with_name(f"{path.name}.{os.getpid()}.tmp")
    try:
        with open(temporary, "w", encoding="utf-8") as file:
            json.dump(document, file, indent=1, allow_nan=False)
            file.write("\n")
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)
