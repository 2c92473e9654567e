"""What the scripts of this folder share: matplotlib, colours, reading of results, saving.

Text from a file reaches a picture through read_json() alone, which replaces what cannot be printed;
matplotlib parses no text as mathematics. Pictures and pages reach the disk through replace() alone.
"""

import io
import itertools
import os
import pathlib
import re
import signal
import sys
import textwrap

from peers_data import MODES, read_json

try:
    import matplotlib
    matplotlib.use("Agg")  # draws to files only
    from matplotlib import pyplot
except ImportError as problem:
    sys.exit(f"{os.path.basename(sys.argv[0])}: cannot draw: {problem}; install matplotlib "
             "(Debian: apt install python3-matplotlib, elsewhere: pip install matplotlib)")

__all__ = ["COLOURS", "MODES", "INK", "SOFT", "PAPER", "clean", "errors", "figure", "finish",
           "legend_below", "main", "matplotlib", "origin", "plural", "pyplot", "read_json",
           "read_results", "replace", "save", "script", "thousands"]

# Each colour on white, and on a dark page: an SVG has both (dark_style).
INK, SOFT, GRID, PAPER = "#1c1e21", "#5f6368", "#e5e6e8", "#ffffff"
COLOURS = ["#1b6ca8", "#c8102e", "#2e8b57", "#8a5a9e", "#c77800", "#00838f", "#6d4c41", "#546e7a"]
DARK = {INK: "#e4e6e9", SOFT: "#a0a6ad", GRID: "#33373c", PAPER: "#15171a",
        "#1b6ca8": "#5aa9e6", "#c8102e": "#ff6b81", "#2e8b57": "#5fc98b", "#8a5a9e": "#c39bd8",
        "#c77800": "#f0a63a", "#00838f": "#4dc4d0", "#6d4c41": "#c49a8c", "#546e7a": "#9fb6c1",
        "#e07b39": "#f29b62", "#c9a227": "#e3c65b", "#b5b5b5": "#777c82"}

# The page around the pictures, light and dark.
PAGE_COLOURS = {"text": (INK, DARK[INK]), "page": (PAPER, DARK[PAPER]), "soft": (SOFT, DARK[SOFT]),
                "line": ("#d9dce0", "#3a3f45"), "card": ("#f3f4f6", "#1f2226"),
                "link": (COLOURS[0], DARK[COLOURS[0]])}

PICTURES = (".svg", ".png")
WIDE, NARROW = 9.0, 4.7  # inches; the narrow ones are for pages on a telephone

matplotlib.rcParams.update({
    "svg.hashsalt": "convmark",  # the same results give the same file
    "text.parse_math": False,    # a name with '$' is a name
    "text.color": INK, "axes.labelcolor": INK, "axes.edgecolor": SOFT, "xtick.color": INK,
    "ytick.color": INK, "axes.titlecolor": INK, "font.size": 9, "axes.titlesize": 9.5,
    "axes.labelsize": 8.5, "xtick.labelsize": 8, "ytick.labelsize": 8, "legend.fontsize": 8,
    "axes.unicode_minus": False})
os.environ.setdefault("SOURCE_DATE_EPOCH", "0")


def script() -> str:
    return os.path.basename(sys.argv[0])


def plural(count: int, noun: str) -> str:
    return f"{count} {noun}{'' if count == 1 else 's'}"


def thousands(value: float) -> str:
    return f"{value:,.0f}"


# ---------------------------------------------------------------- reading

def read_results(path: str | os.PathLike, kind: str) -> dict:
    """A results file of this kind; one line on standard error and exit code 1 if it is none."""
    try:
        results = read_json(pathlib.Path(path).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        sys.exit(f"{script()}: {path}: cannot be read: {error}")
    found = results if isinstance(results, dict) else {}
    if found.get("kind") != kind or found.get("schema_version") != 1:
        sys.exit(f"{script()}: {path}: not a results file of kind '{kind}'")
    return results


# ---------------------------------------------------------------- where results come from

def cpu_name(machine: dict) -> str:
    """The processor without the marks of its vendor, its cores, and what separates virtual machines
    with hidden names: the best instruction set and the caches."""
    cpu = machine["cpu"]
    name = re.sub(r"\((R|TM|tm)\)|\b(CPU|Processor)\b|@.*", " ", cpu["model"])
    sizes = {c["level"]: c["bytes"] for c in cpu["caches"] if c["kind"] != "instruction"}
    caches = [f"L{level} {sizes[level] / 2 ** 20:.3g} MiB" for level in sorted(sizes) if level > 1]
    words = [" ".join(name.split()), plural(cpu["usable_cores"], "core"), *cpu["isas"][-1:],
             *caches]
    return ", ".join(word for word in words if word)


def commit(machine: dict) -> str:
    found = machine["build"]["commit"]
    return "commit " + found[:7] + ("-dirty" if found.endswith("-dirty") else "")


def date(results: dict) -> str:
    """The day of the measurement; files of convmark 0.1.0 before December 2026 do not say."""
    return (results.get("started") or "date not recorded")[:10 if results.get("started") else None]


def origin(results: dict) -> str:
    """Machine, day and commit of a measurement: the second line of each title."""
    machine = results["machine"]
    return f"{cpu_name(machine)}; {date(results)}, {commit(machine)}"


# ---------------------------------------------------------------- figures

def figure(rows: int, columns: int, height: float, narrow: bool, **options):
    """A figure with a grid of axes; a narrow one is as wide as a telephone. `height` in inches."""
    made, axes = pyplot.subplots(rows, columns, squeeze=False, constrained_layout=True,
                                 figsize=(NARROW if narrow else WIDE, height), **options)
    made.get_layout_engine().set(h_pad=0.06, w_pad=0.05)
    return made, axes


def finish(made, title: str, results: dict, picture: str, narrow: bool = False,
           note: str = "") -> None:
    """Puts the title and the origin above, a note below, and writes the picture."""
    width = 62 if narrow else 125
    lines = [*textwrap.wrap(title, width - 4), *textwrap.wrap(origin(results), width)]
    made.suptitle("\n".join(lines), fontsize=8.5 if narrow else 9.5, x=0.01, ha="left",
                  color=INK, linespacing=1.35)
    if note:
        made.supxlabel("\n".join(textwrap.wrap(note, width + (4 if narrow else 8))), fontsize=7.5,
                       x=0.01, ha="left", color=SOFT)
    save(made, picture)


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


def log_axis(axis, low: float, high: float) -> None:
    """Plain numbers on a logarithmic axis: 1, 2, 5, 10 ... where they fit, otherwise decades."""
    subs = (1, 2, 5) if high / low < 300 else (1,)
    axis.set_major_locator(matplotlib.ticker.LogLocator(subs=subs))
    axis.set_major_formatter(matplotlib.ticker.FuncFormatter(lambda x, _: f"{x:,.10g}"))
    axis.set_minor_formatter(matplotlib.ticker.NullFormatter())


def legend_below(made, handles, labels=None, columns: int = 4) -> None:
    """A legend under the axes, inside of what is saved."""
    names = {} if labels is None else {"labels": list(labels)}
    made.legend(handles=list(handles), **names, loc="upper left", bbox_to_anchor=(0.0, 0),
                ncol=columns, frameon=False)


# ---------------------------------------------------------------- writing

def umask() -> int:
    mask = os.umask(0o077)
    os.umask(mask)
    return mask


def replace(path: pathlib.Path, data: bytes) -> None:
    """Writes a file whole or not at all, with the rights that the umask leaves. The temporary file
    is removed whatever happens; SIGTERM and SIGHUP end the program as exceptions (main)."""
    for number in itertools.count():
        name = path.parent / f".convmark-{os.getpid()}-{number}.tmp"
        try:
            handle = os.open(name, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            break
        except FileExistsError:
            continue
    try:
        with open(handle, "wb") as file:
            file.write(data)
            file.flush()
            os.fchmod(file.fileno(), 0o666 & ~umask())
            os.fsync(file.fileno())
        os.replace(name, path)
    except BaseException:
        os.unlink(name)
        raise


def dark_style() -> str:
    """Rules that give each colour of DARK its dark counterpart where the reader's page is dark."""
    rules = "".join(f'[style*="{kind}: {light}"]{{{kind}:{dark}!important}}'
                    for light, dark in DARK.items() for kind in ("fill", "stroke"))
    return f"<style>@media (prefers-color-scheme:dark){{{rules}}}</style>"


def encode(made, suffix: str) -> bytes:
    """The figure as the bytes of a file, with what lies outside of it (a legend below)."""
    data = io.BytesIO()
    made.savefig(data, format=suffix[1:], dpi=150, bbox_inches="tight", facecolor=PAPER)
    pyplot.close(made)
    if suffix != ".svg":
        return data.getvalue()
    return data.getvalue().replace(b"</metadata>", b"</metadata>" + dark_style().encode(), 1)


def save(made, picture: str | os.PathLike) -> None:
    path = pathlib.Path(picture)
    replace(path, encode(made, path.suffix))


# ---------------------------------------------------------------- main() of the scripts

def end_by_signal(number, _frame):
    sys.exit(128 + number)


def main(usage: str, work, most: int = 2) -> int:
    """work(arguments) of a script, at most so many, the first one the picture; it raises ValueError
    or OSError with a message. A file that is not as convmark writes it, and a
    picture that is no picture, end with one line."""
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, end_by_signal)
    words = sys.argv[1:]
    if words in (["--help"], ["-h"]):
        print(usage.strip())
        return 0
    if not 2 <= len(words) <= most:
        print(usage, file=sys.stderr)
        return 2
    if pathlib.Path(words[0]).suffix not in PICTURES:
        line = next(text for text in usage.split("\n") if text.startswith("usage:"))
        print(f"{script()}: {words[0]}: the picture to write comes first, and ends in .svg or "
              f".png; {line}", file=sys.stderr)
        return 2
    return guarded(lambda: work(words), words[1])


def guarded(work, what: str) -> int:
    """0, or one line on standard error and 1."""
    try:
        work()
    except (KeyError, TypeError, AttributeError, IndexError, ZeroDivisionError) as error:
        sys.exit(f"{script()}: {what}: not as convmark writes it: {type(error).__name__}: {error}")
    except (OSError, ValueError) as error:
        sys.exit(f"{script()}: {error}")
    return 0
