#!/usr/bin/env python3
"""Plants the faults of faults.py, one at a time, and shows which test finds each.
usage: planted_faults.py [--old TREE] [--folder FOLDER] [--table] [WORD...]

Works in a copy of the last commit (git worktree) in FOLDER (default: /tmp/convmark-faults), or of
the older state in TREE. First runs the tests that are expected to find the fault, then all that
scripts/test.sh runs by default in that build. Results are kept in FOLDER/results.jsonl: run again,
it does only what is left (and faults that were not found). Builds go through ccache.
  --control  first shows that without a fault the expected tests pass; stops where one fails
  --table  only prints the table of the kept results
  WORD     only faults with this word in their name or kind
Exit code 1 when a fault is not found.
"""

import argparse
import json
import os
import pathlib
import re
import shutil
import subprocess
import sys
import time

from faults import FAULTS

ROOT = pathlib.Path(__file__).resolve().parents[2]
LABELS = {"clang": "compiler", "asan-ubsan": "memory", "aarch64": "arm"}
FOLDERS = ("kernels", "src", "bench", "include", "cmake", "docs")
OUTCOME = re.compile(r"^\s*\d+ - (\S+) \((Failed|SEGFAULT|Timeout|[A-Za-z ]+)\)", re.MULTILINE)


def run(*words, **options):
    return subprocess.run([str(word) for word in words], capture_output=True, text=True,
                          check=False, **options)


class Tree:
    """A copy of the project that faults are planted in."""

    def __init__(self, folder, source):
        self.path = folder / "tree"
        self.old = not (source / "scripts/ci/junit.py").exists()
        if not self.path.exists():
            folder.mkdir(parents=True, exist_ok=True)
            subprocess.run(["git", "clone", "-q", "--shared", source, self.path], check=True)
        if not self.old: # the last commit, whatever was there before
            head = run("git", "-C", source, "rev-parse", "HEAD").stdout.strip()
            run("git", "-C", self.path, "fetch", "-q", source)
            subprocess.run(["git", "-C", self.path, "checkout", "-q", "-f", head], check=True)
        run("git", "-C", self.path, "checkout", "-q", "-f", ".")

    def locate(self, fault):
        """The file with the text, and its content; None where it is in none or in several."""
        candidates = [self.path / fault.path]
        name = candidates[0].name # older states have it in another folder
        candidates += sorted(path for folder in FOLDERS for path in
                             (self.path / folder).rglob(name) if path != candidates[0])
        candidates += [path for name in FOLDERS for path in sorted((self.path / name).rglob("*"))
                       if path.suffix in (".c", ".h", ".cmake", ".1") and
                       path.name != name]
        found = []
        for path in candidates:
            if not path.is_file():
                continue
            text = path.read_text(encoding="utf-8")
            if len(re.findall(fault.old, text)) >= 1:
                found.append((path, text))
                if path.name == name:
                    break
        return found[0] if len(found) == 1 else None

    def build(self, preset, targets):
        """None, or the end of what the compiler said."""
        folder = self.path / "build" / preset
        if not (folder / "build.ninja").exists():
            options = ["-DCONVMARK_TESTS=ON", "-DCONVMARK_EXAMPLES=ON"]
            if shutil.which("ccache"):
                options += ["-DCMAKE_C_COMPILER_LAUNCHER=ccache",
                            "-DCMAKE_CXX_COMPILER_LAUNCHER=ccache"]
            done = run("cmake", "--preset", preset, *options, cwd=self.path)
            if done.returncode:
                return done.stdout[-2000:] + done.stderr[-2000:]
        known = run("ninja", "-C", folder, "-t", "targets", "all").stdout
        names = [t for t in targets if re.search(rf"^(?:\S*/)?{re.escape(t)}: ", known, re.M)]
        done = run("cmake", "--build", folder, *(["--target", *names] if names else []),
                   cwd=self.path, env={**os.environ, "CCACHE_BASEDIR": str(self.path),
                                       "CCACHE_NOHASHDIR": "1"})
        return done.stdout[-2000:] if done.returncode else None

    def test(self, preset, *choice):
        """The first test that fails, or None."""
        folder = self.path / "build" / preset
        done = run("ctest", "--test-dir", folder, "--stop-on-failure", "--timeout", "300", "-j",
                   os.cpu_count(), *choice)
        failed = OUTCOME.search(done.stdout)
        if failed and failed[2] == "Not Run": # its program was not built: nothing was shown
            return f"({failed[1]} did not run)"
        return failed[1] if failed else None

    def everything(self, preset):
        """What the default suite chooses in this build."""
        if preset == "release":
            return []
        if self.old:
            return [] if preset == "aarch64" else ["-LE", "outside|commands"]
        return ["-L", f"^{LABELS[preset]}$"]


def targets_of(names):
    targets = ["convmark"] + [name if name.startswith("fuzz_") else f"test_{name}"
                              for name in names]
    return targets + (["inject"] if "faults" in names else [])


def control(tree, faults):
    """Without a fault the tests that should find one pass: {build: the first that fails}."""
    failing = {}
    for preset in sorted({fault.build for fault in faults}):
        names = sorted({name for fault in faults if fault.build == preset
                        for name in fault.tests.split()})
        problem = tree.build(preset, targets_of(names))
        failing[preset] = "(does not compile)" if problem is not None else \
            tree.test(preset, "-R", f"^({'|'.join(names)})$")
        print(f"no fault, {preset}: {failing[preset] or 'every test passes'}", flush=True)
    return {preset: name for preset, name in failing.items() if name}


def plant(tree, fault):
    """How the fault was found: the test's name, a word in brackets, or None."""
    place = tree.locate(fault)
    if place is None:
        return "(text not found)"
    path, text = place
    try:
        path.write_text(re.sub(fault.old, fault.new, text, count=1), encoding="utf-8")
        names = fault.tests.split()
        problem = tree.build(fault.build, targets_of(names))
        if problem is not None:
            print(problem, file=sys.stderr)
            return "(does not compile)"
        found = tree.test(fault.build, "-R", f"^({'|'.join(names)})$")
        if found is None:
            label = LABELS.get(fault.build)
            wanted = [f"tests_{label}", "convmark"] if label and not tree.old else []
            problem = tree.build(fault.build, wanted)
            if problem is not None:
                return "(the whole build failed)"
            found = tree.test(fault.build, *tree.everything(fault.build))
        return found
    finally:
        path.write_text(text, encoding="utf-8")


def print_table(results):
    print("| Fault | Kind | Found by | Build | Seconds |")
    print("|---|---|---|---|---|")
    for fault in FAULTS:
        if fault.name in results:
            row = results[fault.name]
            print(f"| {fault.name} | {fault.kind} | {row['found'] or 'NOT FOUND'} | "
                  f"{fault.build} | {row['seconds']} |")


def main():
    parser = argparse.ArgumentParser(usage=__doc__)
    parser.add_argument("--old", type=pathlib.Path)
    parser.add_argument("--folder", type=pathlib.Path)
    parser.add_argument("--table", action="store_true")
    parser.add_argument("--control", action="store_true")
    parser.add_argument("words", nargs="*")
    options = parser.parse_args()
    folder = options.folder or pathlib.Path("/tmp/convmark-faults" + ("-old" if options.old
                                                                      else ""))
    kept = folder / "results.jsonl"
    results = {}
    if kept.exists():
        rows = map(json.loads, kept.read_text(encoding="utf-8").splitlines())
        results = {row["name"]: row for row in rows}
    if not options.table:
        tree = Tree(folder, options.old or ROOT)
        chosen = [fault for fault in FAULTS if not options.words or
                  any(word in fault.name + " " + fault.kind for word in options.words)]
        if options.control and control(tree, chosen):
            return 1
        for fault in chosen:
            done = results.get(fault.name, {}).get("found") or "("
            if not done.startswith("("):
                continue
            start = time.monotonic()
            found = plant(tree, fault)
            row = {"name": fault.name, "found": found,
                   "seconds": round(time.monotonic() - start)}
            results[fault.name] = row
            with open(kept, "a", encoding="utf-8") as file:
                file.write(json.dumps(row) + "\n")
            print(f"{fault.name}: {found or 'NOT FOUND'} ({row['seconds']} s)", flush=True)
    print_table(results)
    return 0 if all(row["found"] and not row["found"].startswith("(")
                    for row in results.values()) else 1


if __name__ == "__main__":
    sys.exit(main())
