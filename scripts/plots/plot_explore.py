#!/usr/bin/env python3
"""Draws explore.json: accuracy against training throughput, one point per network and schedule,
with the frontier.

usage: plot_explore.py PICTURE.svg|png EXPLORE.json
Needs matplotlib (Debian: apt install python3-matplotlib).
"""

import sys

import drawing
from drawing import matplotlib, pyplot

MARKERS = ["o", "s", "^", "D", "v", "P", "X"]
FRONTIER = "#333333"


def known(explore: dict) -> list[dict]:
    """Points that have both an accuracy and a speed."""
    return [p for p in explore["points"]
            if p["accuracy"] is not None and p["images_per_second"] is not None]


def depth_names(explore: dict) -> dict:
    """A colour for each combination of depth, pooling and batch norm."""
    keys = sorted({(p["depth"], p["pool"], p["batch_norm"]) for p in explore["points"]})
    return dict(zip(keys, drawing.COLOURS * len(keys)))


def draw_points(axes, points: list[dict], colours: dict, schedules: list[str]) -> None:
    for (depth, pool, norm), colour in colours.items():
        for schedule, marker in zip(schedules, MARKERS * len(schedules)):
            chosen = [p for p in points if p["schedule"] == schedule and
                      (p["depth"], p["pool"], p["batch_norm"]) == (depth, pool, norm)]
            axes.plot([p["images_per_second"] for p in chosen],
                      [100 * p["accuracy"] for p in chosen], linestyle="none", marker=marker,
                      markersize=6, color=colour, alpha=0.85)


def draw_frontier(axes, points: list[dict]) -> None:
    frontier = sorted((p for p in points if p["frontier"]), key=lambda p: p["images_per_second"])
    axes.plot([p["images_per_second"] for p in frontier], [100 * p["accuracy"] for p in frontier],
              color=FRONTIER, linewidth=1.2, zorder=1)
    for point in frontier:
        # Above and to the right: the frontier falls from there.
        axes.annotate(f"{point['network']}, {point['schedule']}",
                      (point["images_per_second"], 100 * point["accuracy"]), fontsize=7.5,
                      color=FRONTIER, textcoords="offset points", xytext=(5, 5))


def legend(figure, colours: dict, schedules: list[str]) -> None:
    line = matplotlib.lines.Line2D
    handles = [line([], [], color=colour, marker="o", linestyle="none", label=(
        f"{depth} conv, pool {pool}{', batch norm' if norm else ''}"))
        for (depth, pool, norm), colour in colours.items()]
    handles += [line([], [], color="#888888", marker=marker, linestyle="none", label=schedule)
                for schedule, marker in zip(schedules, MARKERS * len(schedules))]
    handles.append(line([], [], color=FRONTIER, label="frontier"))
    drawing.legend_below(figure, handles)


def draw(explore: dict, picture: str) -> None:
    options, points, colours = explore["options"], known(explore), depth_names(explore)
    figure, axes = pyplot.subplots(figsize=(9, 5.2), constrained_layout=True)
    draw_points(axes, points, colours, options["schedules"])
    draw_frontier(axes, points)
    axes.set_xscale("log")
    axes.margins(x=0.08, y=0.12)
    left, right = axes.get_xlim()
    axes.set_xlim(left, right * (right / left) ** 0.22)  # room for the label of the fastest
    axes.xaxis.set_major_formatter(matplotlib.ticker.FuncFormatter(lambda x, _: f"{x:,.0f}"))
    axes.xaxis.set_minor_formatter(matplotlib.ticker.NullFormatter())
    axes.xaxis.set_major_locator(matplotlib.ticker.LogLocator(subs=(1, 2, 5)))
    axes.set_xlabel(f"training, images/s on {drawing.plural(options['threads'], 'thread')}, batch "
                    f"{options['training']['batch']}")
    axes.set_ylabel(f"accuracy, mean of {drawing.plural(options['seeds'], 'seed')}, %")
    drawing.clean(axes)
    legend(figure, colours, options["schedules"])
    drawing.save(figure, picture)


if __name__ == "__main__":
    sys.exit(drawing.run(__doc__, "explore", draw))
