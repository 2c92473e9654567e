#!/usr/bin/env python3
"""The table of scripts/ci/coverage.sh, from what gcc's --coverage counted.
usage: coverage_table.py BUILD_FOLDER [--missed [FILE...]]

A file that is compiled several times, as kernels are for each instruction set, counts as one: what
any of them ran. Exit code 1 when a row is below its floor.
"""

import collections
import json
import pathlib
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parents[2]
FOLDERS = ("src/", "kernels/", "bench/")
# Objects for processors that this one may not be: a part of their path, and what /proc/cpuinfo says
# where it is one. Without it they are not counted.
PROCESSORS = {"cm_kernels_avx512": "avx512f", "cm_kernels_avx2": "avx2"}

# Row, floors of lines and branches in percent, files.
PARSERS = (
    ("IDX, gzip", 100, 95, ("src/core/data/idx.c", )),
    ("PNG", 100, 95, ("src/core/data/png_image.c", )),
    ("safetensors", 100, 95, ("src/core/network/safetensors.c", "src/core/network/model_file.c")),
    ("network text", 100, 95, ("src/core/network/network_text.c", )),
    ("JSON, results", 100, 95, ("src/core/files/json.c", "src/harness/compare/results_file.c",
                                "src/harness/record/measurement.c")),
    ("shapes", 100, 95, ("bench/shapes.c", )),
    ("checkpoint", 100, 95, ("src/core/train/checkpoint.c", "src/core/train/checkpoint_values.c")),
)
PROJECT = ("src, kernels, bench", 90, 80)


def counts(folder):
    """{file: {line: (runs, [runs of each branch])}} of all objects below the folder."""
    files = collections.defaultdict(dict)
    lacking = absent(pathlib.Path("/proc/cpuinfo").read_text(encoding="utf-8"))
    for notes in sorted(pathlib.Path(folder).rglob("*.gcno")):
        inside = notes.relative_to(folder).as_posix()
        if not inside.startswith(FOLDERS) or any(part in inside for part in lacking):
            continue
        done = subprocess.run(
            ["gcov", "--json-format", "--stdout", "--branch-probabilities", notes],
            capture_output=True, text=True, check=True, cwd=ROOT)
        for part in done.stdout.splitlines():
            for item in json.loads(part)["files"]:
                path = pathlib.Path(item["file"])
                path = path if path.is_absolute() else pathlib.Path(folder) / path
                path = path.resolve()
                if not path.is_relative_to(ROOT):
                    continue
                name = path.relative_to(ROOT).as_posix()
                if name.startswith(FOLDERS):
                    add(files[name], item["lines"])
    return files


def add(lines, more):
    for line in more:
        runs, branches = lines.get(line["line_number"], (0, []))
        found = [branch["count"] for branch in line["branches"]]
        length = max(len(branches), len(found))
        both = [a + [0] * (length - len(a)) for a in (branches, found)]
        lines[line["line_number"]] = (runs + line["count"], [a + b for a, b in zip(*both)])


def absent(cpuinfo):
    """Parts of the paths of objects that this processor cannot run."""
    return [part for part, flag in PROCESSORS.items() if flag not in cpuinfo.split()]


def total(files, names):
    """Lines, of which run; branches, of which taken."""
    lines = [entry for name in names for entry in files.get(name, {}).values()]
    branches = [count for entry in lines for count in entry[1]]
    return (len(lines), sum(entry[0] > 0 for entry in lines), len(branches),
            sum(count > 0 for count in branches))


def percent(part, whole):
    """Rounded down, so that 100 is all."""
    return 1000 * part // whole / 10 if whole else 0.0


def print_row(name, floors, sums):
    lines, run, branches, taken = sums
    shares = percent(run, lines), percent(taken, branches)
    low = any(share < floor for share, floor in zip(shares, floors))
    print(f"{name:<20} {run:>6} of {lines:>6} {shares[0]:>6.1f} % {taken:>6} of {branches:>6} "
          f"{shares[1]:>6.1f} %{f'  below {floors[0]} %, {floors[1]} %' if low else ''}")
    return not low


def print_missed(files, names):
    for name in names:
        source = (ROOT / name).read_text(encoding="utf-8").splitlines()
        for number, (runs, branches) in sorted(files[name].items()):
            never = sum(count == 0 for count in branches)
            if runs == 0 or never > 0:
                what = "never run" if runs == 0 else f"{never} of {len(branches)} branches"
                print(f"{name}:{number}: {what}: {source[number - 1].strip()}")


def main():
    folder, words = sys.argv[1], sys.argv[2:]
    files = counts(pathlib.Path(folder).resolve())
    print(f"{'':<20} {'lines run':>25} {'branches taken':>26}")
    good = [print_row(name, (lines, branches), total(files, names))
            for name, lines, branches, names in PARSERS]
    good.append(print_row(PROJECT[0], PROJECT[1:], total(files, list(files))))
    lacking = absent(pathlib.Path("/proc/cpuinfo").read_text(encoding="utf-8"))
    if lacking:
        print("not counted, as this processor cannot run them:", *lacking)
    if words[:1] == ["--missed"]:
        print_missed(files, words[1:] or [name for row in PARSERS for name in row[3]])
    return 0 if all(good) else 1


if __name__ == "__main__":
    sys.exit(main())
