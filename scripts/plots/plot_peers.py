#!/usr/bin/env python3
"""Draws what scripts/peers.sh speed measured: images/s of convmark and of other frameworks, for
each mode and number of threads.

usage: plot_peers.py PICTURE.svg|png FOLDER [FOLDER ...]
A FOLDER holds a file a framework; of several folders a later one's measurements replace those of
the same work. Needs matplotlib (Debian: apt install python3-matplotlib).
"""

import json
import pathlib
import sys

import plot_sweep
from drawing import pyplot

OURS = "convmark"
TITLES = {"convmark": "convmark", "pytorch": "PyTorch", "pytorch-compile": "PyTorch, compiled",
          "tensorflow": "TensorFlow", "onnxruntime": "ONNX Runtime", "openvino": "OpenVINO"}
COLOURS = dict(zip(TITLES, ("#1b6ca8", "#e07b39", "#c8102e", "#c9a227", "#8a5a9e", "#2e8b57")))

# Of each work (mode, threads, variant) each framework's measurement.
Works = dict[tuple[str, int, str], dict[str, dict]]


def load(folders: list[pathlib.Path]) -> Works:
    works: Works = {}
    for folder in folders:
        for path in sorted(folder.glob("*.json")):
            with open(path, encoding="utf-8") as file:
                results = json.load(file)
            if results.get("kind") != "peers" or results.get("schema_version") != 1:
                sys.exit(f"plot_peers.py: {path}: not a file of scripts/peers.sh speed")
            for m in results["measurements"]:
                if m["metric"] == "images_per_second" and m["mode"] in plot_sweep.MODES:
                    key = (m["mode"], m["threads"], m["variant"])
                    works.setdefault(key, {})[results["framework"]] = m
    if not works:
        sys.exit(f"plot_peers.py: {', '.join(map(str, folders))}: no measurements of networks")
    return works


def ratio(row: dict[str, dict]) -> float | None:
    """convmark over the fastest of the others."""
    others = [m["median"] for name, m in row.items() if name != OURS]
    return row[OURS]["median"] / max(others) if OURS in row and others else None


def table(works: Works) -> tuple[list[str], list[list[str]]]:
    """Heads and rows: medians, a column a framework, and the ratio."""
    names = [name for name in TITLES if any(name in row for row in works.values())]
    rows = []
    for (mode, threads, variant), row in sorted(works.items(), key=lambda item: (
            list(plot_sweep.MODES).index(item[0][0]), item[0][1])):
        speedup = ratio(row)
        rows.append([variant, plot_sweep.MODES[mode], str(threads),
                     *(f"{row[name]['median']:,.0f}" if name in row else "" for name in names),
                     f"{speedup:.2f}" if speedup else ""])
    return (["variant", "mode", "threads", *(TITLES[name] for name in names),
             "ratio"], rows)


def top(measurement: dict) -> float:
    """The upper end of a bar with its interval."""
    return (measurement["confidence_interval"] or [0, measurement["median"]])[1]


def draw_panel(axes, works: Works, mode: str, threads: int) -> None:
    rows = {key[2]: row for key, row in works.items() if key[:2] == (mode, threads)}
    names = [name for name in TITLES if any(name in row for row in rows.values())]
    width = 0.84 / len(names)
    for place, name in enumerate(names):
        found = [(x, row[name]) for x, row in enumerate(rows.values()) if name in row]
        measurements = [m for _, m in found]
        axes.bar([x + (place - (len(names) - 1) / 2) * width for x, _ in found],
                 [m["median"] for m in measurements], width, color=COLOURS[name],
                 yerr=plot_sweep.errors(measurements), ecolor="#333333", label=TITLES[name],
                 error_kw={"linewidth": 0.7})
    for x, row in enumerate(rows.values()):
        speedup = ratio(row)
        if speedup:
            axes.annotate(f"{speedup:.2f}x", (x - (len(names) - 1) / 2 * width, top(row[OURS])),
                          ha="center", fontsize=7, textcoords="offset points", xytext=(0, 3))
    axes.set_xticks(range(len(rows)), list(rows), fontsize=8)
    axes.set_title(f"{plot_sweep.MODES[mode]}, {threads} thread{'s' if threads > 1 else ''}",
                   fontsize=10)
    axes.set_ylabel("images/s")
    axes.margins(y=0.12)
    plot_sweep.clean(axes)


def draw(works: Works, picture: str) -> None:
    modes = [mode for mode in plot_sweep.MODES if any(key[0] == mode for key in works)]
    teams = sorted({key[1] for key in works})
    figure, axes = pyplot.subplots(len(modes), len(teams), figsize=(4.6 * len(teams),
                                                                    3.4 * len(modes)),
                                   squeeze=False, constrained_layout=True)
    figure.get_layout_engine().set(h_pad=0.1)
    labels: dict[str, object] = {}
    for row, mode in zip(axes, modes):
        for panel, threads in zip(row, teams):
            if any(key[:2] == (mode, threads) for key in works):
                draw_panel(panel, works, mode, threads)
                labels |= dict(zip(*reversed(panel.get_legend_handles_labels())))
            else:
                panel.set_axis_off()
    figure.legend(labels.values(), labels.keys(), loc="upper center", bbox_to_anchor=(0.5, 0),
                  ncol=3, frameon=False, fontsize=8)
    figure.savefig(picture, dpi=150, bbox_inches="tight")
    pyplot.close(figure)


def main() -> int:
    folders = [pathlib.Path(path) for path in sys.argv[2:]]
    if not folders or not all(folder.is_dir() for folder in folders):
        print(__doc__, file=sys.stderr)
        return 2
    draw(load(folders), sys.argv[1])
    return 0


if __name__ == "__main__":
    sys.exit(main())
