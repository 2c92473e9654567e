#!/usr/bin/env python3
"""Makes one page of a folder of results: machine, tables and pictures, in one file without outside
addresses.

usage: report_page.py FOLDER [PYTORCH.jsonl]
Reads FOLDER/report.json (convmark report) and, where they are there, sweep.json, explore.json,
profile*.json and the folders peers*; writes FOLDER/report.html, accuracy, curves, sweep, explore,
peers and roofline as .svg and .png. PYTORCH.jsonl: the accuracies of PyTorch's seeds, a line each,
to draw beside ours.
Needs matplotlib (Debian: apt install python3-matplotlib).
"""

import base64
import html
import json
import os
import pathlib
import sys
import tempfile

import plot_explore
import plot_peers
import plot_report
import plot_roofline
import plot_sweep
from drawing import matplotlib, pyplot

matplotlib.rcParams["svg.hashsalt"] = "convmark"  # the same picture, the same file,
os.environ.setdefault("SOURCE_DATE_EPOCH", "0")  # whenever it is drawn

STYLE = """
:root { color-scheme: light dark; --text: #1c1e21; --page: #ffffff; --soft: #5f6368;
        --line: #d9dce0; --card: #f6f7f8; }
@media (prefers-color-scheme: dark) { :root { --text: #e4e6e9; --page: #15171a; --soft: #a0a6ad;
        --line: #3a3f45; --card: #1f2226; } }
* { box-sizing: border-box; }
body { margin: 0 auto; max-width: 1100px; padding: 1.5rem 1rem 4rem; color: var(--text);
       background: var(--page); font: 16px/1.5 system-ui, sans-serif; }
h1 { font-size: 1.5rem; } h2 { font-size: 1.15rem; margin-top: 2.2rem; }
p.note { color: var(--soft); font-size: .9rem; }
.wide { overflow-x: auto; border: 1px solid var(--line); border-radius: 6px; }
table { border-collapse: collapse; width: 100%; font-size: .85rem; white-space: nowrap; }
th, td { padding: .3rem .7rem; text-align: right; border-bottom: 1px solid var(--line); }
th { background: var(--card); } tr:last-child td { border-bottom: 0; }
th:first-child, td:first-child { text-align: left; }
table.facts { white-space: normal; } table.facts td { text-align: left; }
@media (max-width: 500px) { table { font-size: .66rem; } th, td { padding: .2rem .3rem; }
         figure { overflow-x: auto; } figure img:not(#accuracy) { min-width: 640px; } }
figure { margin: 1rem 0; } figure img { width: 100%; height: auto; background: #fff;
         border-radius: 6px; }
figcaption { color: var(--soft); font-size: .85rem; }
"""


def read(path: pathlib.Path) -> dict | None:
    if not path.exists():
        return None
    with open(path, encoding="utf-8") as file:
        return json.load(file)


def cells(tag: str, values: list[str]) -> str:
    return "".join(f"<{tag}>{html.escape(value)}</{tag}>" for value in values)


def facts(rows: list[list[str]]) -> str:
    body = "".join(f"<tr>{cells('td', row)}</tr>" for row in rows)
    return f'<div class="wide"><table class="facts"><tbody>{body}</tbody></table></div>'


def table(heads: list[str], rows: list[list[str]]) -> str:
    body = "".join(f"<tr>{cells('td', row)}</tr>" for row in rows)
    return (f'<div class="wide"><table><thead><tr>{cells("th", heads)}</tr></thead>'
            f"<tbody>{body}</tbody></table></div>")


def picture(folder: pathlib.Path, name: str, caption: str, draw) -> str:
    """Draws name.svg and name.png; the page has the SVG inside, as data of an image, so that its
    identifiers stay apart from those of other pictures."""
    for suffix in ("svg", "png"):
        handle, path = tempfile.mkstemp(suffix="." + suffix, dir=folder)
        os.close(handle)
        draw(path)
        os.chmod(path, 0o644)
        os.replace(path, folder / f"{name}.{suffix}")
    data = base64.b64encode((folder / f"{name}.svg").read_bytes()).decode()
    return (f'<figure><img id="{name}" alt="{html.escape(caption)}" '
            f'src="data:image/svg+xml;base64,{data}"><figcaption>{html.escape(caption)}'
            "</figcaption></figure>")


def draw_curves(report: dict, path: str) -> None:
    """Mean losses and accuracy of the seeds after each epoch."""
    figure, axes = pyplot.subplots(1, 3, figsize=(9, 3.2), constrained_layout=True)
    for variant, colour in zip(report["variants"], plot_sweep.COLOURS * 8):
        runs = [seed["epochs"] for seed in variant["seeds"] if seed.get("epochs")]
        if not runs:
            continue
        for axis, key, scale in zip(axes, ("train_loss", "test_loss", "accuracy"), (1, 1, 100)):
            means = [scale * sum(run[e][key] for run in runs) / len(runs)
                     for e in range(min(map(len, runs)))]
            axis.plot(range(1, len(means) + 1), means, marker="o", markersize=3, color=colour,
                      label=variant["id"])
    for axis, title in zip(axes, ("Loss/train", "Loss/test", "accuracy, %")):
        axis.set_title(title, fontsize=10)
        axis.set_xlabel("epoch")
        axis.set_xticks(range(1, 1 + max((len(line.get_xdata()) for line in axis.lines),
                                         default=1)))
        plot_sweep.clean(axis)
    handles, labels = axes[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="upper center", bbox_to_anchor=(0.5, 0), ncol=4,
                  frameon=False, fontsize=8)
    figure.savefig(path, dpi=150, bbox_inches="tight")
    pyplot.close(figure)


def machine_part(machine: dict, conditions: list[dict]) -> str:
    cpu, build = machine["cpu"], machine["build"]
    caches = ", ".join(f"L{c['level']} {c['kind']} {c['count']} x {c['bytes'] // 1024} KiB"
                       for c in cpu["caches"])
    rows = [["CPU", cpu["model"]], ["cores", f"{cpu['usable_cores']} of {cpu['cores']} usable"],
            ["instruction sets", ", ".join(cpu["isas"])], ["caches", caches],
            ["system", f"{machine.get('os')}, {machine.get('kernel')}"],
            ["build", f"convmark {build['version']}, {build['compiler']}, {build['type']}"]]
    found = "".join(f"<li>{html.escape(c['message'])}</li>" for c in conditions)
    return ("<h2>Machine</h2>" + facts(rows) +
            (f'<p class="note">What spoils measurements here:</p><ul>{found}</ul>'
             if found else ""))


def percent(value: float | None) -> str:
    return "" if value is None else f"{100 * value:.2f} %"


def accuracy_part(folder: pathlib.Path, report: dict, theirs: dict[str, list[float]]) -> str:
    rows = []
    for variant in report["variants"]:
        values = [seed["accuracy"] for seed in variant["seeds"]]
        published = variant.get("published")
        rows.append([variant["id"], f"{variant['params']:,}",
                     percent(published["accuracy"] if published else None),
                     percent(sum(values) / len(values)) if values else "",
                     f"{percent(min(values))} to {percent(max(values))}" if values else "",
                     str(len(values))])
    return ("<h2>Accuracy under the published protocol</h2>" +
            table(["variant", "parameters", "published", "ours: mean", "range", "seeds"], rows) +
            picture(folder, "accuracy", "Accuracy of each seed beside the published value",
                    lambda path: plot_report.draw(report, theirs, path)) +
            picture(folder, "curves", "Learning curves, means of the seeds",
                    lambda path: draw_curves(report, path)))


def sweep_part(folder: pathlib.Path, sweep: dict) -> str:
    rows = []
    for m in sweep["measurements"]:
        if m["median"] is None:
            continue
        interval = m["confidence_interval"]
        rows.append([m["variant"], m["mode"], str(m["batch"]), str(m["threads"]),
                     f"{m['median']:,.0f}",
                     f"{interval[0]:,.0f} .. {interval[1]:,.0f}" if interval else "-",
                     f"{100 * m['parallel_efficiency']:.1f} %" if m["parallel_efficiency"]
                     else "-"])
    return ("<h2>Throughput</h2>" +
            table(["variant", "mode", "batch", "cores", "images/s", "95 % interval",
                   "efficiency"], rows) +
            picture(folder, "sweep", "Throughput against cores, efficiency, accuracy",
                    lambda path: plot_sweep.draw(sweep, path)))


def explore_part(folder: pathlib.Path, explore: dict) -> str:
    def number(value: float | None, form: str) -> str:
        return "-" if value is None else format(value, form)

    rows = [[("* " if p["frontier"] else "") + p["network"], p["schedule"], f"{p['params']:,}",
             number(p["images_per_second"], ",.0f"), percent(p["accuracy"]) or "-",
             number(p["train_loss"], ".3f"), number(p["test_loss"], ".3f"),
             number(p["train_seconds"], ".1f"), number(p["joules"], ",.0f")]
            for p in explore["points"]]
    options = explore["options"]
    return ("<h2>Which architecture pays</h2>" +
            f'<p class="note">{options["threads"]} threads, batch '
            f'{options["training"]["batch"]}, {options["training"]["epochs"]} epochs, seeds: '
            f'{options["seeds"]}; *: on the frontier</p>' +
            picture(folder, "explore", "Accuracy against images/s, with the frontier",
                    lambda path: plot_explore.draw(explore, path)) +
            table(["network", "schedule", "parameters", "images/s", "accuracy", "train loss",
                   "test loss", "training, s", "joules"], rows))


def peers_part(folder: pathlib.Path, peers: list[pathlib.Path]) -> str:
    works = plot_peers.load(peers)
    return ("<h2>Other frameworks in the same run</h2>" + table(*plot_peers.table(works)) +
            picture(folder, "peers", "Images per second beside other frameworks; above convmark's "
                    "bars, the ratio to the fastest of the others",
                    lambda path: plot_peers.draw(works, path)))


def roofline_part(folder: pathlib.Path, profiles: list[dict]) -> str:
    return ("<h2>Roofline</h2>" +
            picture(folder, "roofline", "Parts of a step below the measured ceilings",
                    lambda path: plot_roofline.draw(profiles, path)))


def page(folder: pathlib.Path, theirs: dict[str, list[float]]) -> str:
    report = read(folder / "report.json")
    sweep = read(folder / "sweep.json")
    explore = read(folder / "explore.json")
    profiles = [read(path) for path in sorted(folder.glob("profile*.json"))]
    if report is None and sweep is None and explore is None:
        sys.exit(f"report_page.py: {folder}: no report.json, sweep.json or explore.json; run "
                 "scripts/run.sh, or convmark report --output FOLDER")
    machine = (report or sweep or explore)["machine"]
    parts = [machine_part(machine, (sweep or explore or {"conditions": []})["conditions"])]
    if report:
        parts.append(accuracy_part(folder, report, theirs))
    if sweep:
        parts.append(sweep_part(folder, sweep))
    if explore:
        parts.append(explore_part(folder, explore))
    peers = sorted(path for path in folder.glob("peers*") if path.is_dir())
    if peers:
        parts.append(peers_part(folder, peers))
    if profiles:
        parts.append(roofline_part(folder, profiles))
    title = f"convmark on {machine['cpu']['model']}, {machine['cpu']['usable_cores']} cores"
    return (f'<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8">'
            f'<meta name="viewport" content="width=device-width, initial-scale=1">'
            f'<link rel="icon" href="data:,"><title>{html.escape(title)}</title>'
            f"<style>{STYLE}</style></head><body><h1>{html.escape(title)}</h1>"
            f"{''.join(parts)}</body></html>\n")


def main() -> int:
    if len(sys.argv) not in (2, 3) or not pathlib.Path(sys.argv[1]).is_dir():
        print(__doc__, file=sys.stderr)
        return 2
    folder = pathlib.Path(sys.argv[1])
    theirs = plot_report.pytorch_accuracies(sys.argv[2]) if len(sys.argv) == 3 else {}
    text = page(folder, theirs)
    handle, path = tempfile.mkstemp(suffix=".html", dir=folder)
    with os.fdopen(handle, "w", encoding="utf-8") as file:
        file.write(text)
    os.chmod(path, 0o644)
    os.replace(path, folder / "report.html")
    print(f"written: {folder}/report.html")
    return 0


if __name__ == "__main__":
    sys.exit(main())
