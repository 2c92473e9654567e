#!/usr/bin/env python3
"""Draws explore.json: accuracy against training throughput, one point a network and schedule, with
the frontier.

usage: plot_explore.py PICTURE.svg|png EXPLORE.json
Needs matplotlib (Debian: apt install python3-matplotlib).
"""

import sys

import plot_sweep
from drawing import matplotlib, pyplot

MARKERS = ["o", "s", "^", "D", "v", "P", "X"]
FRONTIER = "#333333"


def known(explore: dict) -> list[dict]:
    """Points whose accuracy and speed are there."""
    return [p for p in explore["points"]
            if p["accuracy"] is not None and p["images_per_second"] is not None]


def depth_names(explore: dict) -> dict:
    """A colour for each combination of depth, pooling and batch norm that there is."""
    keys = sorted({(p["depth"], p["pool"], p["batch_norm"]) for p in explore["points"]})
    return dict(zip(keys, plot_sweep.COLOURS * len(keys)))


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
        # Right above: the frontier falls from there.
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
    figure.legend(handles=handles, loc="upper center", bbox_to_anchor=(0.5, 0), ncol=4,
                  frameon=False, fontsize=8)


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
    axes.set_xlabel(f"training, images/s on {options['threads']} "
                    f"thread{'' if options['threads'] == 1 else 's'}, batch "
                    f"{options['training']['batch']}")
    axes.set_ylabel(f"accuracy, mean of {options['seeds']} seed"
                    f"{'' if options['seeds'] == 1 else 's'}, %")
    plot_sweep.clean(axes)
    legend(figure, colours, options["schedules"])
    figure.savefig(picture, dpi=150, bbox_inches="tight")
    pyplot.close(figure)


if __name__ == "__main__":
    sys.exit(plot_sweep.run(__doc__, "explore", draw))
