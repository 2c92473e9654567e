#!/usr/bin/env python3
"""Draws report.json: each variant's accuracies over seeds beside the published value and, where it
is given, PyTorch's seeds.

usage: plot_report.py REPORT.json PICTURE.svg|png [PYTORCH.jsonl]
Needs matplotlib (Debian: apt install python3-matplotlib).
"""

import json
import sys

from drawing import pyplot

OURS, THEIRS, PUBLISHED = "#1b6ca8", "#b5b5b5", "#c8102e"


def pytorch_accuracies(path: str) -> dict[str, list[float]]:
    seeds: dict[str, list[float]] = {}
    with open(path, encoding="utf-8") as lines:
        for line in lines:
            row = json.loads(line)
            seeds.setdefault(row["variant"], []).append(row["accuracy"])
    return seeds


def draw(report: dict, theirs: dict[str, list[float]], picture: str) -> None:
    variants = report["variants"]
    figure, axes = pyplot.subplots(figsize=(8, 4.2), constrained_layout=True)
    for row, variant in enumerate(variants):
        y = len(variants) - 1 - row
        ours = [100 * seed["accuracy"] for seed in variant["seeds"]]
        peer = [100 * accuracy for accuracy in theirs.get(variant["id"], [])]
        if peer:
            axes.plot(peer, [y - 0.18] * len(peer), "o", color=THEIRS, markersize=5, zorder=2,
                      label="PyTorch, a seed each" if row == 0 else None)
        axes.plot(ours, [y + 0.1] * len(ours), "o", color=OURS, markersize=5, alpha=0.8, zorder=3,
                  label="convmark, a seed each" if row == 0 else None)
        if variant["published"]:
            axes.plot([100 * variant["published"]["accuracy"]], [y + 0.1], "|", color=PUBLISHED,
                      markersize=18, markeredgewidth=2, zorder=4,
                      label="published" if row == 0 else None)
    axes.set_yticks(range(len(variants)), [v["id"] for v in reversed(variants)])
    axes.set_xlabel("accuracy after 300 steps, % of 6,400 test images")
    axes.grid(axis="x", color="#e6e6e6")
    axes.set_axisbelow(True)
    for side in ("top", "right", "left"):
        axes.spines[side].set_visible(False)
    axes.tick_params(axis="y", length=0)
    axes.legend(loc="lower center", bbox_to_anchor=(0.5, 1), ncol=3, frameon=False)
    figure.savefig(picture, dpi=150)
    pyplot.close(figure)


def main() -> int:
    if len(sys.argv) not in (3, 4):
        print(__doc__, file=sys.stderr)
        return 2
    with open(sys.argv[1], encoding="utf-8") as file:
        report = json.load(file)
    theirs = pytorch_accuracies(sys.argv[3]) if len(sys.argv) == 4 else {}
    draw(report, theirs, sys.argv[2])
    return 0


if __name__ == "__main__":
    sys.exit(main())
