#!/usr/bin/env python3
"""Draws report.json: the accuracies of each variant's seeds with mean and 95 % prediction interval,
the published value, and PyTorch's seeds if a file of them is given.

usage: plot_report.py PICTURE.svg|png REPORT.json [PYTORCH.jsonl]
Needs matplotlib (Debian: apt install python3-matplotlib).
"""

import pathlib
import sys

import drawing
from drawing import COLOURS

OURS, THEIRS, PUBLISHED = COLOURS[0], "#b5b5b5", COLOURS[1]
CURVES = (("train_loss", "training loss", COLOURS[0]), ("test_loss", "test loss", COLOURS[4]),
          ("accuracy", "accuracy (1 = all right)", COLOURS[2]))


def pytorch_accuracies(path: str) -> dict[str, list[float]]:
    """PyTorch's accuracies by variant; ValueError names the line that is none."""
    seeds: dict[str, list[float]] = {}
    lines = pathlib.Path(path).read_text(encoding="utf-8").split("\n")
    for number, line in enumerate(lines, 1):
        if line.strip():
            try:
                row = drawing.read_json(line)
                seeds.setdefault(row["variant"], []).append(float(row["accuracy"]))
            except (ValueError, KeyError, TypeError) as error:
                raise ValueError(f"{path}:{number}: not a line with variant and accuracy: "
                                 f"{error}") from None
    return seeds


def seeds_of(report: dict) -> str:
    counts = sorted({len(variant["seeds"]) for variant in report["variants"]})
    return drawing.plural(counts[-1], "seed") if len(counts) == 1 else (
        f"{counts[0]} to {counts[-1]} seeds")


def epoch_images(report: dict) -> str:
    training = report["options"]
    return f"{training['steps'] * training['batch']:,} images"


def draw_panel(axes, variant: dict) -> None:
    """Means over the seeds after each epoch, and the band from the lowest to the highest."""
    runs = [seed["epochs"] for seed in variant["seeds"] if seed.get("epochs")]
    count = min(map(len, runs), default=0)
    for key, label, colour in CURVES:
        columns = [[run[e][key] for run in runs] for e in range(count)]
        x = range(1, count + 1)
        axes.plot(x, [sum(c) / len(c) for c in columns], color=colour, marker="o", markersize=3,
                  linewidth=1.3, label=label)
        axes.fill_between(x, [min(c) for c in columns], [max(c) for c in columns], color=colour,
                          alpha=0.22, linewidth=0)
    axes.set_title(variant["id"], loc="left")
    axes.set_xticks(range(1, max(2, count + 1)))
    drawing.clean(axes)


def draw_curves(report: dict, picture: str, narrow: bool = False) -> None:
    variants = report["variants"]
    columns = min(len(variants), 2 if narrow else 4)
    rows = -(-len(variants) // columns)
    figure, axes = drawing.figure(rows, columns, 0.9 + 1.75 * rows, narrow, sharey=True)
    panels = [panel for row in axes for panel in row]
    for panel, variant in zip(panels, variants):
        draw_panel(panel, variant)
    panels[0].set_ylim(bottom=0)  # of all: they share it
    for panel in panels[len(variants):]:
        panel.remove()
    panels[(rows - 1) * columns].set_xlabel(f"epochs of {epoch_images(report)}")
    drawing.legend_below(figure, *panels[0].get_legend_handles_labels(), columns=3)
    drawing.finish(figure, f"Learning curves: mean of {seeds_of(report)}, band from the lowest to "
                   "the highest seed", report, picture, narrow)


def draw_variant(axes, y: float, variant: dict, theirs: list[float]) -> None:
    ours = [100 * seed["accuracy"] for seed in variant["seeds"]]
    found = variant["summary"]["accuracy"] or {}
    interval = found.get("prediction_interval")
    if interval:
        axes.plot([100 * end for end in interval], [y + 0.12] * 2, color=OURS, alpha=0.3,
                  linewidth=7, solid_capstyle="butt", zorder=1,
                  label="95 % prediction interval of one run")
    if theirs:
        axes.plot([100 * accuracy for accuracy in theirs], [y - 0.24] * len(theirs), "o",
                  color=THEIRS, markersize=4, zorder=2, label="PyTorch, one dot per seed")
    axes.plot(ours, [y + 0.12] * len(ours), "o", color=OURS, markersize=4, alpha=0.75, zorder=3,
              label="convmark, one dot per seed")
    if ours:
        axes.plot([sum(ours) / len(ours)], [y + 0.12], "D", color=drawing.PAPER, markersize=6,
                  markeredgecolor=OURS, markeredgewidth=1.5, zorder=4, label="mean")
    if variant["published"]:
        axes.plot([100 * variant["published"]["accuracy"]], [y + 0.12], "|", color=PUBLISHED,
                  markersize=17, markeredgewidth=2, zorder=5, label="published, one run")


def draw(report: dict, theirs: dict[str, list[float]], picture: str, narrow: bool = False) -> None:
    variants = report["variants"]
    figure, panels = drawing.figure(1, 1, 1.3 + 0.42 * len(variants), narrow)
    axes = panels[0][0]
    for row, variant in enumerate(variants):
        draw_variant(axes, len(variants) - 1 - row, variant, theirs.get(variant["id"], []))
    axes.set_yticks(range(len(variants)), [v["id"] for v in reversed(variants)])
    axes.set_ylim(-0.6, len(variants) - 0.4)
    options = report["options"]
    axes.set_xlabel(f"accuracy after {options['epochs'] * options['steps']} steps, % of "
                    f"{options['valid_steps'] * options['batch']:,} test images")
    drawing.clean(axes, "x", ("top", "right", "left"))
    axes.tick_params(axis="y", length=0)
    handles, labels = axes.get_legend_handles_labels()
    unique = dict(zip(reversed(labels), reversed(handles)))
    drawing.legend_below(figure, list(unique.values()), list(unique), 2 if narrow else 5)
    drawing.finish(figure, f"Accuracy of {seeds_of(report)} per variant beside the published value",
                   report, picture, narrow)


def work(words: list[str]) -> None:
    theirs = pytorch_accuracies(words[2]) if len(words) == 3 else {}
    draw(drawing.read_results(words[1], "report"), theirs, words[0])


if __name__ == "__main__":
    sys.exit(drawing.main(__doc__, work, most=3))
