#!/usr/bin/env python3
"""Writes the figures of README.md and docs/ from the committed results.

usage: figures.py [--check] [FOLDER]

Fills the lines between `<!-- figures: NAME MACHINE -->` and `<!-- end -->` in each Markdown file.
NAME is one of the functions in BLOCKS, MACHINE a folder of results/. Each block ends with the
machine, the date, the commit that was measured and a link to the data.
--check changes nothing, prints the blocks that differ, and exits with 1 if there is any.
"""

import collections
import json
import os
import pathlib
import re
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "plots"))
import peers_data  # noqa: E402 (beside the scripts that draw)
import profile_data  # noqa: E402

BLOCK = re.compile(r"(<!-- figures: (?P<name>[\w-]+) (?P<machine>[\w-]+) -->\n)(?P<body>.*?)"
                   r"(<!-- end -->)", re.DOTALL)

# Folder of results/: what its machine is. Virtual machines hide the model's name.
MACHINES = {
    "xeon-emerald-rapids-2-cores":
        "two cores of an Intel Xeon (Emerald Rapids, AVX-512), a virtual machine",
    "epyc-zen4-2-cores": "two cores of an AMD EPYC (Zen 4, AVX-512), a virtual machine",
    "epyc-zen3-2-cores": "two cores of an AMD EPYC (Zen 3, AVX2), a virtual machine",
}


class Source:
    """The results of one machine, and the Markdown file that quotes them."""

    def __init__(self, root, machine, document):
        if machine not in MACHINES:
            raise ValueError(f"{document}: no machine '{machine}' in MACHINES of figures.py")
        self.folder, self.machine, self.document = root / "results" / machine, machine, document

    def read(self, name):
        return json.loads((self.folder / name).read_text(encoding="utf-8"))

    def peers(self, modes=tuple(peers_data.MODES)):
        """Works of these modes, and the folders that have them."""
        folders = sorted(path for path in self.folder.glob("peers*") if path.is_dir())
        folders = [folder for folder in folders if any(
            m.get("mode") in modes and m["metric"] == "images_per_second"
            for results in peers_data.read(folder) for m in results["measurements"])]
        works = peers_data.load(folders)
        return ({key: row for key, row in peers_data.in_order(works) if key[0] in modes},
                [path for folder in folders for path in sorted(folder.glob("*.json"))], folders)

    def caption(self, paths, links=None, what=""):
        """The line below a table: machine, dates, commits and links to the data."""
        days, commits = set(), set()
        for path in paths:
            results = json.loads(path.read_text(encoding="utf-8"))
            days.add(results["started"][:10])
            commit = results["machine"]["build"]["commit"]
            commits.add(commit[:7] + ("-dirty" if commit.endswith("-dirty") else ""))
        here = self.document.parent
        data = ",\n".join(f"[{path.relative_to(self.folder.parent.parent).as_posix()}]"
                          f"({pathlib.Path(os.path.relpath(path, here)).as_posix()})"
                          for path in (links or paths))
        return ["", *wrap(f"{what}{capital(MACHINES[self.machine])}; "
                          f"{', '.join(sorted(days))}, commit {', '.join(sorted(commits))}. Data:"),
                f"{data}"]


def capital(text):
    return text[:1].upper() + text[1:]


def wrap(text, width=100):
    lines = [""]
    for word in text.split():
        if lines[-1] and len(lines[-1]) + 1 + len(word) > width:
            lines.append("")
        lines[-1] += (" " if lines[-1] else "") + word
    return lines


def table(heads, rows, left=1):
    """A Markdown table; the first `left` columns are text, the others numbers."""
    marks = ["---" if i < left else "---:" for i in range(len(heads))]
    return ["| " + " | ".join(heads) + " |", "|" + "|".join(marks) + "|",
            *("| " + " | ".join(row) + " |" for row in rows)]


def span(values, digits=1):
    return f"{min(values):.{digits}f} to {max(values):.{digits}f}"


def versions(source):
    """'PyTorch 2.13, TensorFlow 2.21 ...' of a machine's peers."""
    found = {}
    for folder in sorted(source.folder.glob("peers*")):
        for results in peers_data.read(folder):
            number = re.match(r"\d+\.\d+", results["version"])
            title = peers_data.TITLES[results["framework"]].split(",")[0]
            if results["framework"] != peers_data.OURS and number:
                found.setdefault(title, number[0])
    return ", ".join(f"{title} {found[title]}" for title in peers_data.TITLES.values()
                     if title in found)


def headline(source):
    works, paths, folders = source.peers()
    spans = {mode: span([peers_data.ratio(row) for key, row in works.items() if key[0] == mode])
             for mode in peers_data.MODES}
    return wrap(f"Training is **{spans['train']}** times and inference **{spans['infer']}** times "
                f"as fast as the fastest of {versions(source)} on the same machine.") + \
        source.caption(paths, folders)


def peers_summary(source):
    """One row per variant: images/s of convmark and the ratio to the fastest framework."""
    works, paths, folders = source.peers()
    keys = sorted({key[:2] for key in works}, key=lambda key: (key[0] != "train", key[1]))
    heads = ["variant"]
    for mode, threads in keys:
        heads += [f"{peers_data.MODES[mode]}, {threads} thread{'s' if threads > 1 else ''}",
                  "ratio"]
    rows = []
    for variant in dict.fromkeys(key[2] for key in works):
        cells = [variant]
        for mode, threads in keys:
            row = works[(mode, threads, variant)]
            cells += [f"{row['convmark']['median']:,.0f}", f"**{peers_data.ratio(row):.2f}**"]
        rows.append(cells)
    return table(heads, rows) + source.caption(paths, folders)


def peers_mode(source, mode):
    works, paths, folders = source.peers((mode,))
    columns = peers_data.names(works.values())
    heads = [peers_data.MODES[mode], "threads", *(peers_data.TITLES[name] for name in columns),
             "ratio to the fastest"]
    rows = [[variant, str(threads),
             *(f"{row[name]['median']:,.0f}" if name in row else "" for name in columns),
             f"**{peers_data.ratio(row):.2f}**"] for (_, threads, variant), row in works.items()]
    return table(heads, rows) + source.caption(paths, folders)


def memory(source):
    """Peak memory of training, MiB."""
    found, paths = collections.defaultdict(dict), []
    for folder in sorted(source.folder.glob("peers*")):
        for path in sorted(folder.glob("*.json")):
            results = json.loads(path.read_text(encoding="utf-8"))
            for m in results["measurements"]:
                if m["metric"] == "peak_memory" and m["mode"] == "train":
                    found[m["variant"]][results["framework"]] = m["median"] / 2 ** 20
                    paths.append(path)
    columns = peers_data.names(found.values())
    rows = [[variant, *(f"{row[name]:,.0f}" if name in row else "" for name in columns)]
            for variant, row in found.items()]
    heads = ["peak memory, MiB", *(peers_data.TITLES[name] for name in columns)]
    return table(heads, rows) + source.caption(paths, sorted({path.parent for path in paths}))


def accuracy(source):
    """The published accuracies beside those of all seeds."""
    report = source.read("report.json")
    rows = []
    for variant in report["variants"]:
        found, published = variant["summary"]["accuracy"], variant["published"]
        low, high = found["prediction_interval"]
        mark = r"\*" if published["slip"] else ""
        rows.append([variant["id"], f"{variant['params']:,}{mark}",
                     f"{100 * published['accuracy']:.2f} %", f"{100 * found['mean']:.2f} %",
                     f"{100 * found['sd']:.2f}",
                     f"{100 * found['min']:.2f} to {100 * found['max']:.2f}",
                     f"{100 * low:.2f} to {100 * high:.2f}",
                     "yes" if found["published_inside"] else "no"])
    heads = ["variant", "parameters", "published", "mean", "sd", "min to max",
             "95 % prediction interval", "published inside"]
    return table(heads, rows) + source.caption([source.folder / "report.json"],
                                               what=f"{report['seed_count']} seeds per variant. ")


def profile(source):
    """Where the time of a training step goes."""
    found = source.read("profile-bn-16.json")
    peak, step = profile_data.peak(found), profile_data.step_seconds(found)
    rows = []
    for name, total in profile_data.by_family(found).items():
        share = total["flops"] / total["seconds"] / peak if "multiplications" in name else None
        rows.append([name, f"{100 * total['share']:.1f} %", f"{1e3 * total['seconds']:.1f}",
                     f"{100 * share:.0f} %" if share is not None else ""])
    heads = ["part", "share of the step", "ms", "of the FMA peak"]
    threads = found["threads"]
    return table(heads, rows) + source.caption(
        [source.folder / "profile-bn-16.json"],
        what=f"A step takes {1e3 * step:.0f} ms on {threads} thread{'s' if threads > 1 else ''}; "
             f"the peak is {peak / 1e9:.0f} GFLOP/s ({found['isa']}). ")


def scaling(source):
    """Images/s on one core and on all, from a sweep."""
    sweep = source.read("sweep.json")
    cores = sorted(sweep["options"]["cores"])
    found = {(m["mode"], m["variant"], m["threads"]): m for m in sweep["measurements"]
             if m["batch"] == sweep["options"]["batches"][0]}
    heads = ["variant"]
    for mode in peers_data.MODES.values():
        heads += [f"{mode}, {n} core{'s' if n > 1 else ''}" for n in cores] + ["efficiency"]
    rows = []
    for variant in sweep["options"]["variants"]:
        cells = [variant]
        for mode in peers_data.MODES:
            cells += [f"{found[mode, variant, n]['median']:,.0f}" for n in cores]
            cells.append(f"{100 * found[mode, variant, cores[-1]]['parallel_efficiency']:.0f} %")
        rows.append(cells)
    return table(heads, rows) + source.caption([source.folder / "sweep.json"])


def frontier(source):
    """The points of explore that no other one beats in both accuracy and speed."""
    explore = source.read("explore.json")
    points = sorted((p for p in explore["points"] if p["frontier"]),
                    key=lambda p: -p["images_per_second"])
    rows = [[f"`{p['network']}`", p["schedule"], f"{p['params']:,}",
             f"{p['images_per_second']:,.0f}", f"{100 * p['accuracy']:.2f} %"] for p in points]
    heads = ["on the frontier", "schedule", "parameters", "images/s", "accuracy"]
    return table(heads, rows, 2) + source.caption(
        [source.folder / "explore.json"],
        what=f"{explore['options']['seeds']} seeds per point, {explore['options']['threads']} "
             "threads. ")


BLOCKS = {
    "headline": headline,
    "peers-summary": peers_summary,
    "peers-training": lambda source: peers_mode(source, "train"),
    "peers-inference": lambda source: peers_mode(source, "infer"),
    "memory": memory,
    "accuracy": accuracy,
    "profile": profile,
    "scaling": scaling,
    "frontier": frontier,
}


def filled(root, document, text):
    """The text with every block written from the results. ValueError: an unknown block."""
    def fill(match):
        if match["name"] not in BLOCKS:
            raise ValueError(f"{document}: no figures '{match['name']}'")
        lines = BLOCKS[match["name"]](Source(root, match["machine"], document))
        return match[1] + "\n".join(lines) + "\n" + match[5]
    starts, ends = text.count("<!-- figures:"), text.count("<!-- end -->")
    if starts != ends or starts != len(BLOCK.findall(text)):
        raise ValueError(f"{document}: {starts} starts of figures, {ends} ends")
    return BLOCK.sub(fill, text)


def main():
    arguments = sys.argv[1:]
    check = "--check" in arguments
    arguments = [argument for argument in arguments if argument != "--check"]
    if len(arguments) > 1 or any(argument.startswith("-") for argument in arguments):
        print(__doc__, file=sys.stderr)
        return 2
    root = pathlib.Path(arguments[0] if arguments else pathlib.Path(__file__).parents[2]).resolve()
    different = 0
    for document in [root / "README.md", *sorted((root / "docs").rglob("*.md"))]:
        text = document.read_text(encoding="utf-8")
        try:
            new = filled(root, document, text)
        except (OSError, ValueError, KeyError) as error:
            sys.exit(f"figures.py: {error}")
        if new != text:
            different += 1
            print(f"{document.relative_to(root)}: " + (
                "figures differ from results/: run scripts/ci/figures.py" if check else "written"))
            if not check:
                document.write_text(new, encoding="utf-8")
    return 1 if check and different else 0


if __name__ == "__main__":
    sys.exit(main())
