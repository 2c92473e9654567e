"""What the scripts of this folder share: matplotlib, colours, reading of results, saving."""

import json
import os
import sys

from peers_data import MODES

try:
    import matplotlib
    matplotlib.use("Agg")  # draws to files only
    from matplotlib import pyplot
except ImportError as problem:
    sys.exit(f"{os.path.basename(sys.argv[0])}: cannot draw: {problem}; install matplotlib "
             "(Debian: apt install python3-matplotlib, elsewhere: pip install matplotlib)")

__all__ = ["COLOURS", "MODES", "clean", "errors", "legend_below", "matplotlib", "plural", "pyplot",
           "read_results", "run", "save", "script"]

COLOURS = ["#1b6ca8", "#c8102e", "#2e8b57", "#8a5a9e", "#c77800", "#00838f", "#6d4c41", "#546e7a"]
GRID = "#e6e6e6"

# The same results give the same file, whenever they are drawn.
matplotlib.rcParams["svg.hashsalt"] = "convmark"
os.environ.setdefault("SOURCE_DATE_EPOCH", "0")


def script() -> str:
    return os.path.basename(sys.argv[0])


def plural(count: int, noun: str) -> str:
    return f"{count} {noun}{'' if count == 1 else 's'}"


def read_results(path: str | os.PathLike, kind: str) -> dict:
    """A results file of this kind; one line on standard error and exit code 1 if it is none."""
    try:
        with open(path, encoding="utf-8") as file:
            results = json.load(file)
    except (OSError, ValueError) as error:
        sys.exit(f"{script()}: {path}: cannot be read: {error}")
    found = results if isinstance(results, dict) else {}
    if found.get("kind") != kind or found.get("schema_version") != 1:
        sys.exit(f"{script()}: {path}: not a results file of kind '{kind}'")
    return results


def errors(rows: list[dict]) -> list[list[float]]:
    """Distances from the medians to the ends of their intervals; 0 without an interval."""
    ends = [m["confidence_interval"] or [m["median"]] * 2 for m in rows]
    return [[m["median"] - end[0] for m, end in zip(rows, ends)],
            [end[1] - m["median"] for m, end in zip(rows, ends)]]


def clean(axes, grid: str = "both", sides: tuple[str, ...] = ("top", "right")) -> None:
    """A light grid below the data, and no frame on these sides."""
    axes.grid(axis=grid, color=GRID)
    axes.set_axisbelow(True)
    for side in sides:
        axes.spines[side].set_visible(False)


def legend_below(figure, handles, labels=None, columns: int = 4) -> None:
    names = {} if labels is None else {"labels": list(labels)}
    figure.legend(handles=list(handles), **names, loc="upper center", bbox_to_anchor=(0.5, 0),
                  ncol=columns, frameon=False, fontsize=8)


def save(figure, picture: str) -> None:
    """Writes the picture, with what lies outside of the figure (a legend below it)."""
    figure.savefig(picture, dpi=150, bbox_inches="tight")
    pyplot.close(figure)


def run(usage: str, kind: str, draw) -> int:
    """main() of a script with the arguments PICTURE and one results file of this kind."""
    if len(sys.argv) != 3:
        print(usage, file=sys.stderr)
        return 2
    draw(read_results(sys.argv[2], kind), sys.argv[1])
    return 0
