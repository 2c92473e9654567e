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
from drawing import COLOURS, INK, matplotlib
from peers_data import MODES, OURS, TITLES, Works, ratio

BARS = dict(zip(TITLES, (COLOURS[0], "#e07b39", COLOURS[1], "#c9a227", COLOURS[3], COLOURS[2])))


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
                 [m["median"] for m in measurements], width, color=BARS[name],
                 yerr=drawing.errors(measurements), ecolor=INK, label=TITLES[name],
                 error_kw={"linewidth": 0.7})
    for x, row in enumerate(rows.values()):
        speedup = ratio(row)
        if speedup:
            axes.annotate(f"{speedup:.2f}x", (x - (len(names) - 1) / 2 * width, top(row[OURS])),
                          ha="center", fontsize=7, textcoords="offset points", xytext=(0, 3))
    axes.set_xticks(range(len(rows)), list(rows))
    axes.set_title(f"{MODES[mode].capitalize()}, {drawing.plural(threads, 'thread')}", loc="left")
    axes.set_ylabel("images/s")
    axes.yaxis.set_major_formatter(matplotlib.ticker.FuncFormatter(
        lambda y, _: drawing.thousands(y)))
    axes.margins(y=0.12)
    drawing.clean(axes)


def draw(works: Works, results: dict, picture: str, narrow: bool = False) -> None:
    """`results`: one of the files, for machine, day and commit."""
    pairs = [(mode, threads) for mode in MODES
             for threads in sorted({key[1] for key in works if key[0] == mode})]
    columns = 1 if narrow else min(2, len(pairs))
    rows = -(-len(pairs) // columns)
    figure, axes = drawing.figure(rows, columns, 0.9 + 2.7 * rows, narrow)
    panels = [panel for row in axes for panel in row]
    labels: dict[str, object] = {}
    for panel, (mode, threads) in zip(panels, pairs):
        draw_panel(panel, works, mode, threads)
        labels |= dict(zip(*reversed(panel.get_legend_handles_labels())))
    for panel in panels[len(pairs):]:
        panel.remove()
    drawing.legend_below(figure, labels.values(), labels.keys(), columns=2 if narrow else 6)
    drawing.finish(figure, "convmark beside other frameworks; above its bars, the ratio to the "
                   "fastest of the others", results, picture, narrow)


def work(words: list[str]) -> None:
    folders = [pathlib.Path(path) for path in words[1:]]
    for folder in folders:
        if not folder.is_dir():
            raise ValueError(f"{folder}: not a folder of scripts/peers.sh speed")
    draw(peers_data.load(folders), peers_data.first(folders), words[0])


if __name__ == "__main__":
    sys.exit(drawing.main(__doc__, work, most=1000))
