"""Reads what scripts/peers.sh speed measured: the same work by convmark and by other frameworks.
Text of all results files comes through read_json()."""

import json
import math
import pathlib
import statistics

OURS = "convmark"
TITLES = {"convmark": "convmark", "pytorch": "PyTorch", "pytorch-compile": "PyTorch, compiled",
          "tensorflow": "TensorFlow", "onnxruntime": "ONNX Runtime", "openvino": "OpenVINO"}
MODES = {"train": "training", "infer": "inference"}

# For each work (mode, threads, variant), each framework's measurement.
Works = dict[tuple[str, int, str], dict[str, dict]]


def printable(value):
    """The value with every character of its texts that cannot be printed replaced by '?'."""
    if isinstance(value, str):
        return "".join(c if c.isprintable() else "?" for c in value)
    if isinstance(value, list):
        return [printable(item) for item in value]
    if isinstance(value, dict):
        return {printable(key): printable(item) for key, item in value.items()}
    return value


def read_json(text: str):
    """JSON from outside. ValueError: it is none, or has NaN or an infinity."""
    def refuse(name):
        raise ValueError(f"{name} is not JSON")
    try:
        return printable(json.loads(text, parse_constant=refuse))
    except RecursionError:
        raise ValueError("nested too deeply") from None


def read(folder: pathlib.Path) -> list[dict]:
    """The results of a folder, one per framework. ValueError: a file of another kind."""
    found = []
    for path in sorted(folder.glob("*.json")):
        try:
            results = read_json(path.read_text(encoding="utf-8"))
        except ValueError as error:
            raise ValueError(f"{path}: cannot be read: {error}") from None
        found_kind = results.get("kind") if isinstance(results, dict) else None
        if found_kind != "peers" or results.get("schema_version") != 1:
            raise ValueError(f"{path}: not a file of scripts/peers.sh speed")
        found.append(results)
    return found


def first(folders: list[pathlib.Path]) -> dict:
    """convmark's file, or any: it has machine, day and commit."""
    found = [results for folder in folders for results in read(folder)]
    return next((r for r in found if r["framework"] == OURS), found[0])


def load(folders: list[pathlib.Path]) -> Works:
    """Measurements of networks; of several folders the last one that has a work counts.
    ValueError: a file of another kind, or no measurements."""
    works: Works = {}
    for folder in folders:
        for results in read(folder):
            for m in results["measurements"]:
                if m["metric"] == "images_per_second" and m["mode"] in MODES:
                    key = (m["mode"], m["threads"], m["variant"])
                    works.setdefault(key, {})[results["framework"]] = m
    if not works:
        raise ValueError(f"{', '.join(map(str, folders))}: no measurements of networks")
    return works


def in_order(works: Works) -> list[tuple[tuple[str, int, str], dict[str, dict]]]:
    """By mode and number of threads; variants stay as they are."""
    return sorted(works.items(),
                  key=lambda item: (list(MODES).index(item[0][0]), item[0][1]))


def names(rows) -> list[str]:
    """The frameworks that any of the rows has."""
    return [name for name in TITLES if any(name in row for row in rows)]


def ratio(row: dict[str, dict]) -> float | None:
    """How many times faster convmark is than the fastest other framework: the median of all
    quotients of two samples (Hodges-Lehmann on logarithms), as convmark compare computes it."""
    others = [m for name, m in row.items() if name != OURS]
    if OURS not in row or not others:
        return None
    fastest = max(others, key=lambda m: m["median"])
    ours, theirs = (m.get("samples") or [m["median"]] for m in (row[OURS], fastest))
    return math.exp(statistics.median(math.log(a / b) for a in ours for b in theirs))


def table(works: Works) -> tuple[list[str], list[list[str]]]:
    """Heads and rows: medians, one column per framework, and the ratio."""
    columns = names(works.values())
    rows = []
    for (mode, threads, variant), row in in_order(works):
        speedup = ratio(row)
        rows.append([variant, MODES[mode], str(threads),
                     *(f"{row[name]['median']:,.0f}" if name in row else "" for name in columns),
                     f"{speedup:.2f}" if speedup else ""])
    return ["variant", "mode", "threads", *(TITLES[name] for name in columns), "ratio"], rows
