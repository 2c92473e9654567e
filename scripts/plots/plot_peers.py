#!/usr/bin/env python3
"""Draws what scripts/peers.sh speed measured: images/s of convmark and of other frameworks, for
each mode and number of threads.

usage: plot_peers.py PICTURE.svg|png FOLDER [FOLDER ...]
A FOLDER holds one file per framework. If several folders have the same work, the last one counts.
Needs matplotlib (Debian: apt install python3-matplotlib).
"""

import pathlib
import sys

import drawing
import peers_data
from drawing import pyplot
from peers_data import MODES, OURS, TITLES, Works, ratio

COLOURS = dict(zip(TITLES, ("#1b6ca8", "#e07b39", "#c8102e", "#c9a227", "#8a5a9e", "#2e8b57")))


def top(measurement: dict) -> float:
    """The upper end of a bar and its interval."""
    return (measurement["confidence_interval"] or [0, measurement["median"]])[1]


def draw_panel(axes, works: Works, mode: str, threads: int) -> None:
    rows = {key[2]: row for key, row in works.items() if key[:2] == (mode, threads)}
    names = peers_data.names(rows.values())
    width = 0.84 / len(names)
    for place, name in enumerate(names):
        found = [(x, row[name]) for x, row in enumerate(rows.values()) if name in row]
        measurements = [m for _, m in found]
        axes.bar([x + (place - (len(names) - 1) / 2) * width for x, _ in found],
                 [m["median"] for m in measurements], width, color=COLOURS[name],
                 yerr=drawing.errors(measurements), ecolor="#333333", label=TITLES[name],
                 error_kw={"linewidth": 0.7})
    for x, row in enumerate(rows.values()):
        speedup = ratio(row)
        if speedup:
            axes.annotate(f"{speedup:.2f}x", (x - (len(names) - 1) / 2 * width, top(row[OURS])),
                          ha="center", fontsize=7, textcoords="offset points", xytext=(0, 3))
    axes.set_xticks(range(len(rows)), list(rows), fontsize=8)
    axes.set_title(f"{MODES[mode]}, {drawing.plural(threads, 'thread')}",
                   fontsize=10)
    axes.set_ylabel("images/s")
    axes.margins(y=0.12)
    drawing.clean(axes)


def draw(works: Works, picture: str) -> None:
    modes = [mode for mode in MODES if any(key[0] == mode for key in works)]
    teams = sorted({key[1] for key in works})
    figure, axes = pyplot.subplots(len(modes), len(teams), figsize=(4.6 * len(teams),
                                                                    3.4 * len(modes)),
                                   squeeze=False, constrained_layout=True)
    figure.get_layout_engine().set(h_pad=0.1)
    labels: dict[str, object] = {}
    for row, mode in zip(axes, modes):
        for panel, threads in zip(row, teams):
            if any(key[:2] == (mode, threads) for key in works):
                draw_panel(panel, works, mode, threads)
                labels |= dict(zip(*reversed(panel.get_legend_handles_labels())))
            else:
                panel.set_axis_off()
    drawing.legend_below(figure, labels.values(), labels.keys(), columns=3)
    drawing.save(figure, picture)


def main() -> int:
    folders = [pathlib.Path(path) for path in sys.argv[2:]]
    if not folders or not all(folder.is_dir() for folder in folders):
        print(__doc__, file=sys.stderr)
        return 2
    try:
        works = peers_data.load(folders)
    except (OSError, ValueError) as error:
        sys.exit(f"{drawing.script()}: {error}")
    draw(works, sys.argv[1])
    return 0


if __name__ == "__main__":
    sys.exit(main())
