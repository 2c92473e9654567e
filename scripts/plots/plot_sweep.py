#!/usr/bin/env python3
"""Draws sweep.json: throughput against cores with the ideal line, parallel efficiency, and accuracy
against throughput.

usage: plot_sweep.py PICTURE.svg|png SWEEP.json
Needs matplotlib (Debian: apt install python3-matplotlib).
"""

import math
import sys

import drawing
from drawing import COLOURS, MODES, clean, errors, pyplot


def of(sweep: dict, mode: str, variant: str) -> list[dict]:
    """The measurements of a variant at the first batch size, by number of cores."""
    batch = sweep["options"]["batches"][0]
    rows = [m for m in sweep["measurements"] if m["mode"] == mode and m["variant"] == variant and
            m["batch"] == batch and m["median"] is not None]
    return sorted(rows, key=lambda m: m["threads"])


def draw_throughput(axes, sweep: dict, mode: str) -> None:
    cores = sorted(sweep["options"]["cores"])
    for variant, colour in zip(sweep["options"]["variants"], COLOURS * 8):
        rows = of(sweep, mode, variant)
        if not rows:
            continue
        x = [m["threads"] for m in rows]
        axes.errorbar(x, [m["median"] for m in rows], yerr=errors(rows), color=colour, marker="o",
                      markersize=4, capsize=3, linewidth=1.4, label=variant)
        ideal = rows[0]["median"] / rows[0]["threads"]
        axes.plot(x, [ideal * threads for threads in x], color=colour, linewidth=0.8,
                  linestyle=":")
    axes.set_xticks(cores)
    axes.set_ylim(bottom=0)
    axes.set_xlabel("cores (dotted: ideal scaling)")
    axes.set_ylabel("images/s")
    axes.set_title(f"{MODES[mode]}, batch {sweep['options']['batches'][0]}", fontsize=10)
    clean(axes)


def draw_efficiency(axes, sweep: dict) -> None:
    cores = max(sweep["options"]["cores"])
    variants = sweep["options"]["variants"]
    for offset, (mode, colour) in zip((-0.2, 0.2), (("train", COLOURS[0]), ("infer", COLOURS[2]))):
        values = [next((100 * m["parallel_efficiency"] for m in of(sweep, mode, variant)
                        if m["threads"] == cores and m["parallel_efficiency"]), 0)
                  for variant in variants]
        axes.bar([i + offset for i in range(len(variants))], values, 0.38, color=colour,
                 label=MODES[mode])
    axes.axhline(100, color="#555555", linewidth=0.8, linestyle=":")
    axes.set_xticks(range(len(variants)), variants, rotation=30, ha="right", fontsize=8)
    axes.set_ylabel(f"efficiency on {cores} cores, %")
    axes.set_ylim(top=125)
    axes.legend(frameon=False, fontsize=8, loc="upper right", ncol=2)
    clean(axes)


def name_points(axes, points: list[tuple[float, float, str, str]]) -> None:
    """Names to the right of their points, moved up where they would overlap; to the left of a point
    that has others on its right."""
    width = axes.get_xlim()[1]
    line = 0.055 * (axes.get_ylim()[1] - axes.get_ylim()[0])
    below = -math.inf
    for y, x, name, colour in sorted(points):
        left = any(0.05 < (other[1] - x) / width < 0.35 and abs(other[0] - y) < 3 * line
                   for other in points)
        if not left:
            below = max(y, below + line)
        axes.annotate(name, (x, y if left else below), fontsize=8, textcoords="offset points",
                      xytext=(-6 if left else 6, 0), ha="right" if left else "left", va="center",
                      color=colour)


def draw_accuracy(axes, sweep: dict) -> None:
    cores = max(sweep["options"]["cores"])
    points = []
    for variant, colour in zip(sweep["options"]["variants"], COLOURS * 8):
        speed = [m["median"] for m in of(sweep, "train", variant) if m["threads"] == cores]
        runs = [r for r in sweep["accuracy"] if r["variant"] == variant and r["threads"] == cores]
        if speed and runs:
            points.append((100 * runs[0]["accuracy"], speed[0], variant, colour))
            axes.plot(speed, [points[-1][0]], "o", color=colour)
    axes.set_xlim(0, 1.55 * max((point[1] for point in points), default=1))
    axes.margins(y=0.15)
    name_points(axes, points)
    axes.set_xlabel(f"training, images/s on {cores} cores")
    axes.set_ylabel("accuracy under the protocol, seed 0, %")
    clean(axes)


def draw(sweep: dict, picture: str) -> None:
    accuracy = bool(sweep["accuracy"])
    figure, axes = pyplot.subplots(2, 2, figsize=(9, 7), constrained_layout=True)
    figure.get_layout_engine().set(h_pad=0.12)
    draw_throughput(axes[0][0], sweep, "train")
    draw_throughput(axes[0][1], sweep, "infer")
    draw_efficiency(axes[1][0], sweep)
    if accuracy:
        draw_accuracy(axes[1][1], sweep)
    else:
        axes[1][1].set_axis_off()
    handles, labels = axes[0][0].get_legend_handles_labels()
    drawing.legend_below(figure, handles, labels)
    drawing.save(figure, picture)


if __name__ == "__main__":
    sys.exit(drawing.run(__doc__, "sweep", draw))
