#!/usr/bin/env python3
"""Draws report.json: the accuracies of each variant's seeds, the published value, and PyTorch's
seeds if a file of them is given.

usage: plot_report.py PICTURE.svg|png REPORT.json [PYTORCH.jsonl]
Needs matplotlib (Debian: apt install python3-matplotlib).
"""

import json
import sys

import drawing
from drawing import pyplot

OURS, THEIRS, PUBLISHED = "#1b6ca8", "#b5b5b5", "#c8102e"


def pytorch_accuracies(path: str) -> dict[str, list[float]]:
    seeds: dict[str, list[float]] = {}
    with open(path, encoding="utf-8") as lines:
        for line in lines:
            row = json.loads(line)
            seeds.setdefault(row["variant"], []).append(row["accuracy"])
    return seeds


def draw_curves(report: dict, picture: str) -> None:
    """Mean losses and accuracy of the seeds after each epoch."""
    figure, axes = pyplot.subplots(1, 3, figsize=(9, 3.2), constrained_layout=True)
    for variant, colour in zip(report["variants"], drawing.COLOURS * 8):
        runs = [seed["epochs"] for seed in variant["seeds"] if seed.get("epochs")]
        if not runs:
            continue
        for axis, key, scale in zip(axes, ("train_loss", "test_loss", "accuracy"), (1, 1, 100)):
            means = [scale * sum(run[e][key] for run in runs) / len(runs)
                     for e in range(min(map(len, runs)))]
            axis.plot(range(1, len(means) + 1), means, marker="o", markersize=3, color=colour,
                      label=variant["id"])
    for axis, title in zip(axes, ("training loss", "test loss", "accuracy, %")):
        axis.set_title(title, fontsize=10)
        axis.set_xlabel("epoch")
        axis.set_xticks(range(1, 1 + max((len(line.get_xdata()) for line in axis.lines),
                                         default=1)))
        drawing.clean(axis)
    drawing.legend_below(figure, *axes[0].get_legend_handles_labels())
    drawing.save(figure, picture)


def draw(report: dict, theirs: dict[str, list[float]], picture: str) -> None:
    variants = report["variants"]
    figure, axes = pyplot.subplots(figsize=(8, 4.2), constrained_layout=True)
    for row, variant in enumerate(variants):
        y = len(variants) - 1 - row
        ours = [100 * seed["accuracy"] for seed in variant["seeds"]]
        peer = [100 * accuracy for accuracy in theirs.get(variant["id"], [])]
        if peer:
            axes.plot(peer, [y - 0.18] * len(peer), "o", color=THEIRS, markersize=5, zorder=2,
                      label="PyTorch, one dot per seed" if row == 0 else None)
        axes.plot(ours, [y + 0.1] * len(ours), "o", color=OURS, markersize=5, alpha=0.8, zorder=3,
                  label="convmark, one dot per seed" if row == 0 else None)
        if variant["published"]:
            axes.plot([100 * variant["published"]["accuracy"]], [y + 0.1], "|", color=PUBLISHED,
                      markersize=18, markeredgewidth=2, zorder=4,
                      label="published" if row == 0 else None)
    axes.set_yticks(range(len(variants)), [v["id"] for v in reversed(variants)])
    axes.set_xlabel("accuracy after 300 steps, % of 6,400 test images")
    drawing.clean(axes, "x", ("top", "right", "left"))
    axes.tick_params(axis="y", length=0)
    axes.legend(loc="lower center", bbox_to_anchor=(0.5, 1), ncol=3, frameon=False)
    drawing.save(figure, picture)


def main() -> int:
    if len(sys.argv) not in (3, 4):
        print(__doc__, file=sys.stderr)
        return 2
    theirs = pytorch_accuracies(sys.argv[3]) if len(sys.argv) == 4 else {}
    draw(drawing.read_results(sys.argv[2], "report"), theirs, sys.argv[1])
    return 0


if __name__ == "__main__":
    sys.exit(main())
