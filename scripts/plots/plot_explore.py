#!/usr/bin/env python3
"""Draws explore.json: accuracy against training throughput, one point per network and schedule,
with the frontier.

usage: plot_explore.py PICTURE.svg|png EXPLORE.json
Needs matplotlib (Debian: apt install python3-matplotlib).
"""

import sys

import drawing
from drawing import matplotlib

MARKERS = ["o", "s", "^", "D", "v", "P", "X"]


def known(explore: dict) -> list[dict]:
    """Points that have both an accuracy and a speed."""
    return [p for p in explore["points"]
            if p["accuracy"] is not None and p["images_per_second"] is not None]


def family(point: dict) -> tuple:
    return point["depth"], point["pool"], point["batch_norm"]


def family_name(key: tuple) -> str:
    depth, pool, norm = key
    return f"{depth} conv, a pool every {pool}{', batch norm' if norm else ''}"


def name(explore: dict, point: dict) -> str:
    """What tells a point from the others of its family, in words."""
    words = [f"{point['width']} channels"]
    if len(explore["options"]["dropouts"]) > 1:
        words.append(f"dropout {point['dropout']:g}")
    return ", ".join(words)


def full_name(explore: dict, point: dict) -> str:
    return f"{family_name(family(point))}, {name(explore, point)}, {point['schedule']}"


def families(explore: dict) -> dict:
    """A colour for each combination of depth, pooling and batch norm."""
    keys = sorted({family(p) for p in explore["points"]})
    return dict(zip(keys, drawing.COLOURS * len(keys)))


def speed_interval(explore: dict, point: dict) -> list[float]:
    """Ends of the 95 % interval of the network's images/s."""
    for m in explore["measurements"]:
        if m["variant"] == point["network"] and m.get("confidence_interval"):
            return m["confidence_interval"]
    return [point["images_per_second"]] * 2


def draw_points(axes, explore: dict, colours: dict) -> None:
    """Points with bars from the lowest to the highest seed, and the interval of images/s."""
    markers = dict(zip(explore["options"]["schedules"], MARKERS * len(explore["points"])))
    for point in known(explore):
        x, y = point["images_per_second"], 100 * point["accuracy"]
        low, high = speed_interval(explore, point)
        seeds = [100 * run["accuracy"] for run in point["runs"] if run["failure"] is None]
        axes.errorbar([x], [y], color=colours[family(point)], alpha=0.85,
                      xerr=[[max(x - low, 0)], [max(high - x, 0)]],
                      yerr=[[max(y - min(seeds, default=y), 0)],
                            [max(max(seeds, default=y) - y, 0)]],
                      marker=markers.get(point["schedule"], "o"), markersize=5.5, linewidth=0.8)


def draw_frontier(axes, explore: dict) -> None:
    frontier = sorted((p for p in known(explore) if p["frontier"]),
                      key=lambda p: p["images_per_second"])
    axes.plot([p["images_per_second"] for p in frontier], [100 * p["accuracy"] for p in frontier],
              color=drawing.INK, linewidth=1.2, zorder=1)
    for point in frontier:
        # Above and to the right: the frontier falls from there.
        axes.annotate(name(explore, point),
                      (point["images_per_second"], 100 * point["accuracy"]), fontsize=7.5,
                      color=drawing.INK, textcoords="offset points", xytext=(6, 6))


def legend(figure, explore: dict, colours: dict, narrow: bool) -> None:
    line = matplotlib.lines.Line2D
    handles = [line([], [], color=colour, marker="o", linestyle="none", label=family_name(key))
               for key, colour in colours.items()]
    schedules = explore["options"]["schedules"]
    handles += [line([], [], color=drawing.SOFT, marker=marker, linestyle="none",
                     label=f"schedule: {schedule}")
                for schedule, marker in zip(schedules, MARKERS * len(schedules))]
    handles.append(line([], [], color=drawing.INK, label="frontier: none is better in both"))
    drawing.legend_below(figure, handles, columns=1 if narrow else 3)


def draw(explore: dict, picture: str, narrow: bool = False) -> None:
    options, points, colours = explore["options"], known(explore), families(explore)
    figure, panels = drawing.figure(1, 1, 4.4 if narrow else 5, narrow)
    axes = panels[0][0]
    draw_points(axes, explore, colours)
    draw_frontier(axes, explore)
    axes.set_xscale("log")
    axes.margins(x=0.08, y=0.12)
    left, right = axes.get_xlim()
    axes.set_xlim(left, right * (right / left) ** 0.2)  # room for the label of the fastest
    drawing.log_axis(axes.xaxis, left, right)
    axes.set_xlabel(f"training, images/s on {drawing.plural(options['threads'], 'thread')}, batch "
                    f"{options['training']['batch']}")
    axes.set_ylabel("accuracy, %")
    drawing.clean(axes)
    legend(figure, explore, colours, narrow)
    missing = len(explore["points"]) - len(points)
    drawing.finish(figure, "Accuracy against training speed: mean of "
                   f"{drawing.plural(options['seeds'], 'seed')} with bars from the lowest to the "
                   "highest seed; frontier labelled", explore, picture, narrow,
                   f"{drawing.plural(missing, 'point')} without accuracy or speed not shown."
                   if missing else "")


def work(words: list[str]) -> None:
    draw(drawing.read_results(words[1], "explore"), words[0])


if __name__ == "__main__":
    sys.exit(drawing.main(__doc__, work))
