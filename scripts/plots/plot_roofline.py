#!/usr/bin/env python3
"""Draws the roofline of profiles: the machine's measured ceilings, and each part of a step as a
point whose area is the part's share of the step.

usage: plot_roofline.py PICTURE.svg|png PROFILE.json [PROFILE.json ...]
Each profile (before and after a change, say) has its own colour. A profile is what
`convmark profile --json` writes. Needs matplotlib (Debian: apt install python3-matplotlib).
"""

import sys

import drawing
from drawing import COLOURS, pyplot

CEILING = "#555555"
STYLES = ["-", "--", ":", "-."]


def points(profile: dict) -> list[dict]:
    """Parts whose operations and bytes are known."""
    return [part for part in profile["measurements"]
            if part.get("flops", 0) > 0 and part["bytes"] > 0 and part["median"] > 0]


def by_threads(profiles: list[dict]) -> dict[int, dict]:
    """One profile for each number of threads, which has its own ceilings."""
    return {profile["threads"]: profile for profile in reversed(profiles)}


def draw_ceilings(axes, profile: dict, low: float, high: float, row: int) -> None:
    capability = profile["capability"]
    style = STYLES[row % len(STYLES)]
    start = low * 2.1 ** row  # each row's names begin further right
    threads = drawing.plural(profile["threads"], "thread")
    peaks = {isa: peak for isa, peak in capability["flops_per_second"].items() if isa != "scalar"}
    best = max(peaks.values(), default=max(capability["flops_per_second"].values()))
    for level in capability["levels"]:
        bandwidth = level["bytes_per_second"]
        knee = best / bandwidth
        axes.plot([low, knee], [low * bandwidth / 1e9, best / 1e9], color=CEILING, linewidth=1,
                  linestyle=style)
        axes.annotate(f"{level['name']} {bandwidth / 1e9:.0f} GB/s",
                      (start, start * bandwidth / 1e9), textcoords="offset points", xytext=(4, 3),
                      fontsize=7, color=CEILING, rotation=34, rotation_mode="anchor")
    for peak in peaks.values():
        axes.plot([low, high], [peak / 1e9] * 2, color=CEILING, linewidth=1, linestyle=style)
    label = " = ".join(sorted(peaks)) if len({round(p / 1e10) for p in peaks.values()}) == 1 \
        else ", ".join(f"{isa} {peak / 1e9:.0f}" for isa, peak in sorted(peaks.items()))
    axes.annotate(f"{best / 1e9:.0f} GFLOP/s\nfma, {threads}\n{label}", (high, best / 1e9),
                  va="center", textcoords="offset points", xytext=(4, 0), fontsize=7,
                  color=CEILING)


def name_largest(axes, parts: list[dict], colour: str, column: int) -> None:
    """Names the parts that take most of the step, in a column below the compute ceiling."""
    largest = {}
    for part in sorted(parts, key=lambda p: -p["share"]):
        largest.setdefault((part["pass"], part["part"]), part)
    for row, part in enumerate(list(largest.values())[:3]):
        axes.annotate(f"{part['layer'].split()[0]} {part['pass']} {part['part']}",
                      (part["flops"] / part["bytes"], part["flops"] / part["median"] / 1e9),
                      textcoords="axes fraction", xytext=(0.985, 0.62 - 0.045 * (row + 4 * column)),
                      fontsize=7, ha="right", color=colour,
                      arrowprops={"arrowstyle": "-", "relpos": (0, 0.5), "color": colour,
                                  "lw": 0.4, "alpha": 0.6})


def name(profile: dict) -> str:
    return (f"{profile['variant']}, {profile['mode']}, batch {profile['batch']}, "
            f"{drawing.plural(profile['threads'], 'thread')}, {profile['isa']}")


def draw(profiles: list[dict], picture: str) -> None:
    figure, axes = pyplot.subplots(figsize=(8, 5), constrained_layout=True)
    intensities = [part["flops"] / part["bytes"] for p in profiles for part in points(p)]
    low, high = min(intensities, default=0.1) / 3, max(intensities, default=10) * 3
    for row, profile in enumerate(by_threads(profiles).values()):
        draw_ceilings(axes, profile, low, high, row)
    for column, (profile, colour) in enumerate(zip(profiles, COLOURS * len(profiles))):
        parts = points(profile)
        axes.scatter([p["flops"] / p["bytes"] for p in parts],
                     [p["flops"] / p["median"] / 1e9 for p in parts],
                     s=[20 + 4000 * p["share"] for p in parts], color=colour, alpha=0.35,
                     edgecolors=colour, label=name(profile), zorder=3)
        if column < 2:
            name_largest(axes, parts, colour, column)
    axes.set_xscale("log")
    axes.set_yscale("log")
    axes.set_xlim(low, high)
    axes.set_xlabel("operations per byte (each array once)")
    axes.set_ylabel("GFLOP/s of the algorithm")
    drawing.clean(axes)
    legend = axes.legend(loc="lower right", frameon=False, fontsize=8)
    for handle in getattr(legend, "legend_handles", None) or legend.legendHandles:
        handle.set_sizes([40])  # the attribute's old name: matplotlib before 3.7
    drawing.save(figure, picture)


def main() -> int:
    if len(sys.argv) < 3:
        print(__doc__, file=sys.stderr)
        return 2
    draw([drawing.read_results(path, "profile") for path in sys.argv[2:]], sys.argv[1])
    return 0


if __name__ == "__main__":
    sys.exit(main())
