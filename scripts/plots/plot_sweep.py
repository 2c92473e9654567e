#!/usr/bin/env python3
"""Draws sweep.json: throughput of training and inference by cores beside ideal scaling, and
accuracy against throughput if the sweep measured accuracy.

usage: plot_sweep.py PICTURE.svg|png SWEEP.json
Needs matplotlib (Debian: apt install python3-matplotlib).
"""

import sys

import drawing
from drawing import COLOURS, INK, MODES, SOFT, clean, errors

BARS = 4  # core counts that are bars; more are lines


def of(sweep: dict, mode: str, variant: str) -> list[dict]:
    """The measurements of a variant at the first batch size, by number of cores."""
    batch = sweep["options"]["batches"][0]
    rows = [m for m in sweep["measurements"] if m["mode"] == mode and m["variant"] == variant and
            m["batch"] == batch and m["median"] is not None]
    return sorted(rows, key=lambda m: m["threads"])


def draw_bars(axes, sweep: dict, mode: str) -> None:
    """A group of bars per variant, one per number of cores, with efficiencies at their ends."""
    cores, variants = sorted(sweep["options"]["cores"]), sweep["options"]["variants"]
    height = 0.8 / len(cores)
    for place, threads in enumerate(cores):
        rows = [(i, m) for i, variant in enumerate(variants) for m in of(sweep, mode, variant)
                if m["threads"] == threads]
        y = [i + (place - (len(cores) - 1) / 2) * height for i, _ in rows]
        found = [m for _, m in rows]
        axes.barh(y, [m["median"] for m in found], height * 0.9, color=COLOURS[place],
                  alpha=0.85, xerr=errors(found), ecolor=INK, error_kw={"linewidth": 0.8},
                  label=drawing.plural(threads, "core"))
        for at, m in zip(y, found):
            share = m["parallel_efficiency"]
            if share and threads > cores[0]:
                end = (m["confidence_interval"] or [0, m["median"]])[1]
                axes.annotate(f"{100 * share:.0f} %", (end, at), xytext=(4, 0), va="center",
                              textcoords="offset points", fontsize=7, color=INK)
    axes.set_yticks(range(len(variants)), variants)
    axes.invert_yaxis()
    axes.margins(x=0.14)
    axes.set_xlim(left=0)
    axes.set_xlabel("images/s")
    axes.xaxis.set_major_formatter(lambda x, _: drawing.thousands(x))
    axes.xaxis.set_major_locator(drawing.matplotlib.ticker.MaxNLocator(5))
    clean(axes, "x", ("top", "right", "left"))
    axes.tick_params(axis="y", length=0)


def draw_lines(axes, sweep: dict, mode: str) -> None:
    """Throughput in multiples of the smallest number of cores: what lies on the dotted line scales
    ideally."""
    cores = sorted(sweep["options"]["cores"])
    for variant, colour in zip(sweep["options"]["variants"], COLOURS * 8):
        rows = of(sweep, mode, variant)
        if rows:
            unit = rows[0]["median"] / rows[0]["threads"]
            axes.errorbar([m["threads"] for m in rows], [m["median"] / unit for m in rows],
                          yerr=[[e / unit for e in side] for side in errors(rows)], color=colour,
                          marker="o", markersize=3.5, capsize=2, linewidth=1.2, label=variant)
    axes.plot([cores[0], cores[-1]], [cores[0], cores[-1]], color=SOFT, linewidth=1,
              linestyle=":", label="ideal scaling")
    axes.set_xscale("log", base=2)
    axes.set_yscale("log", base=2)
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_formatter(lambda x, _: f"{x:g}")
    axes.set_xticks(cores)
    axes.set_xlabel("cores")
    axes.set_ylabel("times the speed of one core")
    clean(axes)


def draw_accuracy(axes, sweep: dict) -> None:
    """One point per variant; a number in it and a list beside it name it, so that names of close
    points do not overlap."""
    cores = max(sweep["options"]["cores"])
    for number, (variant, colour) in enumerate(zip(sweep["options"]["variants"], COLOURS * 8), 1):
        speed = [m["median"] for m in of(sweep, "train", variant) if m["threads"] == cores]
        runs = [r for r in sweep["accuracy"] if r["variant"] == variant and r["threads"] == cores]
        if speed and runs:
            axes.plot(speed, [100 * runs[0]["accuracy"]], "o", markersize=11, color=colour,
                      alpha=0.85, label=f"{number} {variant}")
            axes.annotate(str(number), (speed[0], 100 * runs[0]["accuracy"]), ha="center",
                          va="center_baseline", fontsize=7, color=drawing.PAPER)
    axes.set_xlim(left=0)
    axes.margins(x=0.1, y=0.15)
    axes.xaxis.set_major_formatter(lambda x, _: drawing.thousands(x))
    axes.set_title("Accuracy against training speed", loc="left")
    axes.set_xlabel(f"training, images/s on {drawing.plural(cores, 'core')}")
    axes.set_ylabel("accuracy, seed 0, %")
    axes.legend(frameon=False, loc="center left", bbox_to_anchor=(1, 0.5), fontsize=7.5)
    clean(axes)


def draw(sweep: dict, picture: str, narrow: bool = False) -> None:
    bars = len(sweep["options"]["cores"]) <= BARS
    accuracy, count = bool(sweep["accuracy"]), len(sweep["options"]["variants"])
    height = max(2.2, 0.4 + count * (0.13 + 0.15 * len(sweep["options"]["cores"]))) if bars else 3
    columns = 1 if narrow else 2
    rows = 2 // columns + accuracy
    heights = [height] * (2 // columns) + [2.6] * accuracy
    figure, panels = drawing.figure(rows, columns, 1 + sum(heights), narrow,
                                    gridspec_kw={"height_ratios": heights})
    flat = [panel for row in panels for panel in row]
    for axes, mode in zip(flat, MODES):
        (draw_bars if bars else draw_lines)(axes, sweep, mode)
        axes.set_title(MODES[mode].capitalize(), loc="left")
    if accuracy:
        grid = flat[2].get_gridspec()
        for axes in flat[2:]:
            axes.remove()
        draw_accuracy(figure.add_subplot(grid[rows - 1, :]), sweep)
    drawing.legend_below(figure, *flat[0].get_legend_handles_labels(),
                         columns=2 if narrow else (4 if bars else 5))
    percent = "; percentages: parallel efficiency" if bars and count else ""
    drawing.finish(figure, f"Throughput at batch {sweep['options']['batches'][0]}: medians with "
                   f"95 % intervals{percent}", sweep, picture, narrow)


def work(words: list[str]) -> None:
    draw(drawing.read_results(words[1], "sweep"), words[0])


if __name__ == "__main__":
    sys.exit(drawing.main(__doc__, work))
