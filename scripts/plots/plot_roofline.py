#!/usr/bin/env python3
"""Draws the roofline of profiles: the machine's measured ceilings, and what a step does as points
whose area is the share of the step. Equal parts of all layers are one point.

usage: plot_roofline.py PICTURE.svg|png PROFILE.json [PROFILE.json ...]
Each number of threads has a panel with its own ceilings; profiles of the same number of threads
(before and after a change, say) differ by marker. A profile is what `convmark profile --json`
writes. Needs matplotlib (Debian: apt install python3-matplotlib).
"""

import math
import os
import sys

import drawing
import profile_data
from drawing import COLOURS, SOFT

MARKERS = ["o", "s", "D", "^", "v", "P", "X"]
NUMBERED = 6  # parts that take most of the step
NOTE = ("Slanted lines: reading from this level of memory; horizontal lines: multiply-adds in "
        "registers. Each array counts once per step. A point above the line of its level reads "
        "part of its arrays from a closer level.")


def points(profile: dict) -> list[dict]:
    """Parts whose operations and bytes are known, the largest first."""
    return sorted((p for p in profile_data.joined(profile)
                   if p["flops"] > 0 and p["bytes"] > 0 and p["seconds"] > 0),
                  key=lambda p: -p["share"])


def place(part: dict) -> tuple[float, float]:
    """Operations per byte, and GFLOP/s."""
    return part["flops"] / part["bytes"], part["flops"] / part["seconds"] / 1e9


def draw_ceilings(axes, profile: dict, limits: tuple[float, float, float, float]) -> None:
    low, high, bottom, top = limits
    capability = profile["capability"]
    peaks = {isa: peak / 1e9 for isa, peak in capability["flops_per_second"].items()
             if isa != "scalar" or len(capability["flops_per_second"]) == 1}
    best = max(peaks.values())
    above = math.inf
    for level in capability["levels"]:
        bandwidth = level["bytes_per_second"] / 1e9
        axes.plot([low, best / bandwidth], [low * bandwidth, best], color=SOFT, linewidth=0.9,
                  zorder=1)
        # The name stands where the line leaves the panel at its lower left: above the line, or
        # below it where another one is close above.
        x = max(low, bottom / bandwidth) * 1.12
        under = above / bandwidth < 1.8
        x *= 2.2 if above / bandwidth < 1.4 else 1.35 if under else 1
        axes.text(x, x * bandwidth * (0.93 if under else 1.04),
                  f"{level['name']} {bandwidth:.3g} GB/s", fontsize=7, color=SOFT,
                  va="top" if under else "bottom", rotation_mode="anchor",
                  rotation=math.degrees(math.atan(bandwidth)), transform_rotates_text=True)
        above = bandwidth
    # Names of the peaks stand where few points are: right of the line of the second level.
    levels = [level["bytes_per_second"] / 1e9 for level in capability["levels"]]
    lines: list[tuple[float, str]] = []  # instruction sets of nearly equal peaks share a name
    for isa, peak in sorted(peaks.items(), key=lambda item: -item[1]):
        axes.plot([low, high], [peak] * 2, color=SOFT, linewidth=0.9, zorder=1)
        if lines and lines[-1][0] / peak < 1.25:
            lines[-1] = (lines[-1][0], f"{lines[-1][1]}, {isa}")
        else:
            lines.append((peak, isa))
    x = min(max(low, best / sorted(levels)[-2:][0] * 1.1), high / 10)
    for peak, names in lines:
        axes.annotate(f"{names}: {peak:.0f} GFLOP/s", (x, peak), fontsize=7, color=SOFT,
                      textcoords="offset points", xytext=(0, 2))
    axes.set_xlim(low, high)
    axes.set_ylim(bottom, top)


def draw_points(axes, profile: dict, marker: str, colours: dict[str, str], numbered: bool) -> None:
    labels: list[tuple[float, float, str]] = []  # points that lie on each other share a label
    for number, part in enumerate(points(profile), 1):
        x, y = place(part)
        area = 14 + 1500 * part["share"]
        if numbered and number <= NUMBERED:
            area = max(area, 90)
            near = next((i for i, (a, b, _) in enumerate(labels)
                         if abs(math.log(a / x)) < 0.35 and abs(math.log(b / y)) < 0.3), None)
            if near is None:
                labels.append((x, y, str(number)))
            else:
                labels[near] = (*labels[near][:2], f"{labels[near][2]},{number}")
        axes.scatter([x], [y], s=area, marker=marker, color=colours[part["family"]], alpha=0.8,
                     linewidths=0, zorder=3)
    for x, y, label in labels:  # in the point, or beside several
        one = label.isdigit()
        axes.annotate(label, (x, y), textcoords="offset points", xytext=(0 if one else 15, 0),
                      ha="center" if one else "left", va="center_baseline", fontsize=7.5,
                      color=drawing.PAPER if one else drawing.INK, zorder=4)


def largest(profile: dict) -> list[str]:
    """What the numbers of the points mean."""
    lines = []
    for number, part in enumerate(points(profile)[:NUMBERED], 1):
        layers = f", {part['layers']} layers" if part["layers"] > 1 else ""
        share = place(part)[1] * 1e9 / profile_data.peak(profile)
        lines.append(f"{number}  {part['name']}{layers}: {100 * part['share']:.0f} % of step, "
                     f"{100 * share:.0f} % of peak")
    return lines


def draw_panel(axes, profiles: list[dict], colours: dict[str, str], paths: list[str]) -> None:
    places = [place(part) for p in profiles for part in points(p)] or [(1.0, 1.0)]
    peak = max(profile_data.peak(p) for p in profiles) / 1e9
    limits = (min(x for x, _ in places) / 3, max(x for x, _ in places) * 4,
              min(y for _, y in places) / 2, peak * 2)
    for axis in (axes.set_xscale, axes.set_yscale):
        axis("log")
    draw_ceilings(axes, profiles[0], limits)
    for profile, marker in zip(profiles, MARKERS * len(profiles)):
        draw_points(axes, profile, marker, colours, profile is profiles[0])
    drawing.log_axis(axes.xaxis, *limits[:2])
    drawing.log_axis(axes.yaxis, *limits[2:])
    axes.set_title(profile_data.name(profiles[0]), loc="left")
    axes.set_xlabel("operations per byte\n" + "\n".join(largest(profiles[0])), loc="left",
                    fontsize=7.5)
    axes.set_ylabel("GFLOP/s")
    drawing.clean(axes)
    if len(profiles) > 1:
        line = drawing.matplotlib.lines.Line2D
        axes.legend(handles=[line([], [], color=SOFT, marker=marker, linestyle="none",
                                  label=os.path.basename(path))
                             for path, marker in zip(paths, MARKERS * len(paths))],
                    frameon=False, fontsize=7.5, loc="lower right")


def draw(profiles: list[dict], picture: str, narrow: bool = False,
         paths: list[str] | None = None) -> None:
    teams: dict[int, list[int]] = {}
    for index, profile in enumerate(profiles):
        teams.setdefault(profile["threads"], []).append(index)
    present = {part["family"] for p in profiles for part in points(p)}
    colours = dict(zip((name for _, name in profile_data.FAMILIES if name in present),
                       COLOURS * 2))
    columns = 1 if narrow else min(2, len(teams))
    rows = -(-len(teams) // columns)
    figure, panels = drawing.figure(rows, columns, 0.9 + 5 * rows, narrow)
    flat = [panel for row in panels for panel in row]
    paths = paths or [profile_data.name(p) for p in profiles]
    for axes, indices in zip(flat, teams.values()):
        draw_panel(axes, [profiles[i] for i in indices], colours, [paths[i] for i in indices])
    for axes in flat[len(teams):]:
        axes.remove()
    dot = drawing.matplotlib.lines.Line2D
    drawing.legend_below(figure, [dot([], [], color=colour, marker="o", linestyle="none",
                                      label=name) for name, colour in colours.items()],
                         columns=1 if narrow else 2)
    drawing.finish(figure, "Roofline: parts of a step below the measured limits of the machine; "
                   "area: share of the step", profiles[0], picture, narrow, NOTE)


def work(words: list[str]) -> None:
    draw([drawing.read_results(path, "profile") for path in words[1:]], words[0], False, words[1:])


if __name__ == "__main__":
    sys.exit(drawing.main(__doc__, work, most=1000))
