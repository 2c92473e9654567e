#!/usr/bin/env python3
"""Makes the page of a folder of results, with its pictures.

usage: report_page.py FOLDER [PYTORCH.jsonl]
Reads FOLDER/report.json (convmark report) and, if they exist, sweep.json, explore.json,
profile*.json and the folders peers*. Writes FOLDER/report.html, and accuracy, curves, sweep,
explore, peers and roofline as .svg and .png. PYTORCH.jsonl has the accuracies of PyTorch's seeds,
one per line, to draw beside convmark's.
Needs matplotlib and jinja2 (Debian: apt install python3-matplotlib python3-jinja2).
"""

import pathlib
import signal
import sys

import drawing
import page_parts
import plot_report

try:
    import jinja2
except ImportError as problem:
    sys.exit(f"{drawing.script()}: cannot make the page: {problem}; install jinja2 "
             "(Debian: apt install python3-jinja2, elsewhere: pip install jinja2)")

TEMPLATE = "report_page.html"


def read(path: pathlib.Path, kind: str) -> dict | None:
    return drawing.read_results(path, kind) if path.exists() else None


def results(folder: pathlib.Path, theirs: dict[str, list[float]]) -> page_parts.Results:
    report, sweep, explore = (read(folder / f"{kind}.json", kind)
                              for kind in ("report", "sweep", "explore"))
    if report is None and sweep is None and explore is None:
        raise ValueError(f"{folder}: no report.json, sweep.json or explore.json; run "
                         "scripts/run.sh, or convmark report --output FOLDER")
    return page_parts.Results(
        folder, report, sweep, explore,
        [drawing.read_results(path, "profile") for path in sorted(folder.glob("profile*.json"))],
        sorted(path for path in folder.glob("peers*") if path.is_dir()), theirs)


def page(found: page_parts.Results) -> str:
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(pathlib.Path(__file__).resolve().parent), autoescape=True,
        undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    return environment.get_template(TEMPLATE).render(
        title=f"convmark on {drawing.cpu_name(found.first()['machine'])}",
        origin=page_parts.origin(found.first()), answers=page_parts.answers(found),
        parts=page_parts.parts(found), style=drawing.PAGE_COLOURS).lstrip()


def make(folder: pathlib.Path, words: list[str]) -> None:
    theirs = plot_report.pytorch_accuracies(words[1]) if len(words) == 2 else {}
    text = page(results(folder, theirs))
    drawing.replace(folder / "report.html", (text + "\n").encode())
    print(f"written: {folder}/report.html")


def main() -> int:
    words = sys.argv[1:]
    if words in (["--help"], ["-h"]):
        print(__doc__.strip())
        return 0
    if len(words) not in (1, 2) or not pathlib.Path(words[0]).is_dir():
        print(f"{drawing.script()}: {words[0]}: not a folder\n" if words else "", __doc__,
              sep="", file=sys.stderr)
        return 2
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, drawing.end_by_signal)
    return drawing.guarded(lambda: make(pathlib.Path(words[0]), words), words[0])


if __name__ == "__main__":
    sys.exit(main())
