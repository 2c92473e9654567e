#!/usr/bin/env python3
"""Makes one HTML page of a folder of results: machine, tables and pictures, in one file that loads
nothing from elsewhere.

usage: report_page.py FOLDER [PYTORCH.jsonl]
Reads FOLDER/report.json (convmark report) and, if they exist, sweep.json, explore.json,
profile*.json and the folders peers*. Writes FOLDER/report.html, and accuracy, curves, sweep,
explore, peers and roofline as .svg and .png. PYTORCH.jsonl has the accuracies of PyTorch's seeds,
one per line, to draw beside convmark's.
Needs matplotlib and jinja2 (Debian: apt install python3-matplotlib python3-jinja2).
"""

import base64
import dataclasses
import os
import pathlib
import sys
import tempfile

import drawing
import peers_data
import plot_explore
import plot_peers
import plot_report
import plot_roofline
import plot_sweep

try:
    import jinja2
except ImportError as problem:
    sys.exit(f"{drawing.script()}: cannot make the page: {problem}; install jinja2 "
             "(Debian: apt install python3-jinja2, elsewhere: pip install jinja2)")

TEMPLATE = "report_page.html"


@dataclasses.dataclass
class Picture:
    """A picture that the page holds as data, so that the identifiers of one SVG stay apart from
    those of the others."""
    name: str
    caption: str
    address: str


@dataclasses.dataclass
class Part:
    """A section of the page."""
    title: str
    heads: list[str] = dataclasses.field(default_factory=list)
    rows: list[list[str]] = dataclasses.field(default_factory=list)
    pictures: list[Picture] = dataclasses.field(default_factory=list)
    note: str = ""
    conditions: list[str] = dataclasses.field(default_factory=list)
    facts: bool = False  # a table of names and values, not of numbers
    pictures_first: bool = False


def read(path: pathlib.Path, kind: str) -> dict | None:
    return drawing.read_results(path, kind) if path.exists() else None


def replace(path: pathlib.Path, write) -> None:
    """Writes a file whole or not at all: write(name) fills a temporary file, which is renamed."""
    handle, name = tempfile.mkstemp(suffix=path.suffix, dir=path.parent)
    os.close(handle)
    try:
        write(name)
        os.chmod(name, 0o644)
        os.replace(name, path)
    except BaseException:
        os.unlink(name)
        raise


def picture(folder: pathlib.Path, name: str, caption: str, draw) -> Picture:
    """Draws name.svg and name.png; the page has the SVG."""
    for suffix in (".svg", ".png"):
        replace(folder / (name + suffix), draw)
    data = base64.b64encode((folder / f"{name}.svg").read_bytes()).decode()
    return Picture(name, caption, f"data:image/svg+xml;base64,{data}")


def machine_part(machine: dict, conditions: list[dict]) -> Part:
    cpu, build = machine["cpu"], machine["build"]
    caches = ", ".join(f"L{c['level']} {c['kind']} {c['count']} x {c['bytes'] // 1024} KiB"
                       for c in cpu["caches"])
    rows = [["CPU", cpu["model"]], ["cores", f"{cpu['usable_cores']} of {cpu['cores']} usable"],
            ["instruction sets", ", ".join(cpu["isas"])], ["caches", caches],
            ["system", f"{machine.get('os')}, {machine.get('kernel')}"],
            ["build", f"convmark {build['version']}, {build['compiler']}, {build['type']}"]]
    return Part("Machine", rows=rows, conditions=[c["message"] for c in conditions], facts=True)


def number(value: float | None, form: str) -> str:
    return "-" if value is None else format(value, form)


def percent(value: float | None) -> str:
    return "-" if value is None else f"{100 * value:.2f} %"


def interval(ends: list[float] | None) -> str:
    return f"{ends[0]:,.0f} .. {ends[1]:,.0f}" if ends else "-"


def accuracy_part(folder: pathlib.Path, report: dict, theirs: dict[str, list[float]]) -> Part:
    rows = []
    for variant in report["variants"]:
        values = [seed["accuracy"] for seed in variant["seeds"]]
        published = variant.get("published")
        rows.append([variant["id"], f"{variant['params']:,}",
                     percent(published["accuracy"] if published else None),
                     percent(sum(values) / len(values) if values else None),
                     f"{percent(min(values))} to {percent(max(values))}" if values else "-",
                     str(len(values))])
    return Part("Accuracy under the published protocol",
                ["variant", "parameters", "published", "mean", "range", "seeds"], rows,
                [picture(folder, "accuracy", "Accuracy of each seed beside the published value",
                         lambda path: plot_report.draw(report, theirs, path)),
                 picture(folder, "curves", "Learning curves, means of the seeds",
                         lambda path: plot_report.draw_curves(report, path))])


def sweep_part(folder: pathlib.Path, sweep: dict) -> Part:
    rows = [[m["variant"], m["mode"], str(m["batch"]), str(m["threads"]), f"{m['median']:,.0f}",
             interval(m["confidence_interval"]),
             number(m["parallel_efficiency"], ".1%").replace("%", " %")]
            for m in sweep["measurements"] if m["median"] is not None]
    return Part("Throughput", ["variant", "mode", "batch", "cores", "images/s", "95 % interval",
                               "efficiency"], rows,
                [picture(folder, "sweep", "Throughput against cores, efficiency, accuracy",
                         lambda path: plot_sweep.draw(sweep, path))])


def explore_part(folder: pathlib.Path, explore: dict) -> Part:
    rows = [[("* " if p["frontier"] else "") + p["network"], p["schedule"], f"{p['params']:,}",
             number(p["images_per_second"], ",.0f"), percent(p["accuracy"]),
             number(p["train_loss"], ".3f"), number(p["test_loss"], ".3f"),
             number(p["train_seconds"], ".1f"), number(p["joules"], ",.0f")]
            for p in explore["points"]]
    options = explore["options"]
    return Part("Accuracy against training speed", ["network", "schedule", "parameters", "images/s",
                                                    "accuracy", "train loss", "test loss",
                                                    "training, s", "joules"], rows,
                [picture(folder, "explore", "Accuracy against images/s, with the frontier",
                         lambda path: plot_explore.draw(explore, path))],
                note=f"{drawing.plural(options['threads'], 'thread')}, batch "
                     f"{options['training']['batch']}, "
                     f"{drawing.plural(options['training']['epochs'], 'epoch')}, seeds: "
                     f"{options['seeds']}; *: on the frontier", pictures_first=True)


def peers_part(folder: pathlib.Path, peers: list[pathlib.Path]) -> Part:
    works = peers_data.load(peers)
    return Part("Other frameworks in the same run", *peers_data.table(works),
                [picture(folder, "peers", "Images per second beside other frameworks; above "
                         "convmark's bars, the ratio to the fastest of the others",
                         lambda path: plot_peers.draw(works, path))])


def roofline_part(folder: pathlib.Path, profiles: list[dict]) -> Part:
    return Part("Roofline", pictures=[
        picture(folder, "roofline", "Parts of a step below the measured ceilings",
                lambda path: plot_roofline.draw(profiles, path))])


def page(folder: pathlib.Path, theirs: dict[str, list[float]]) -> str:
    report, sweep, explore = (read(folder / f"{kind}.json", kind)
                              for kind in ("report", "sweep", "explore"))
    profiles = [read(path, "profile") for path in sorted(folder.glob("profile*.json"))]
    peers = sorted(path for path in folder.glob("peers*") if path.is_dir())
    if report is None and sweep is None and explore is None:
        sys.exit(f"{drawing.script()}: {folder}: no report.json, sweep.json or explore.json; run "
                 "scripts/run.sh, or convmark report --output FOLDER")
    machine = (report or sweep or explore)["machine"]
    parts = [machine_part(machine, (sweep or explore or {"conditions": []})["conditions"])]
    if report:
        parts.append(accuracy_part(folder, report, theirs))
    if sweep:
        parts.append(sweep_part(folder, sweep))
    if explore:
        parts.append(explore_part(folder, explore))
    if peers:
        parts.append(peers_part(folder, peers))
    if profiles:
        parts.append(roofline_part(folder, profiles))
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(pathlib.Path(__file__).resolve().parent), autoescape=True,
        undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    title = f"convmark on {machine['cpu']['model']}, {machine['cpu']['usable_cores']} cores"
    return environment.get_template(TEMPLATE).render(title=title, parts=parts).lstrip()


def main() -> int:
    if len(sys.argv) not in (2, 3) or not pathlib.Path(sys.argv[1]).is_dir():
        print(__doc__, file=sys.stderr)
        return 2
    folder = pathlib.Path(sys.argv[1])
    theirs = plot_report.pytorch_accuracies(sys.argv[2]) if len(sys.argv) == 3 else {}
    try:
        text = page(folder, theirs)
    except ValueError as error:
        sys.exit(f"{drawing.script()}: {error}")
    replace(folder / "report.html",
            lambda name: pathlib.Path(name).write_text(text + "\n", encoding="utf-8"))
    print(f"written: {folder}/report.html")
    return 0


if __name__ == "__main__":
    sys.exit(main())
