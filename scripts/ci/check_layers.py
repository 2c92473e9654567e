#!/usr/bin/env python3
"""Checks who includes whom. usage: check_layers.py [FOLDER]

The table below is the order of floors (CONTRIBUTING.md). Prints one line per breach, file:line:
what, and exits with 1 if there is any:
- an include of a floor above, or of one beside,
- an include of a private floor from outside,
- files, or folders of one floor, that include each other in a circle,
- a string literal with a command-line option on a floor that does not know the command line,
- a source file that no floor has.
"""

import pathlib
import re
import sys

# Lowest floor first; floors of one row stand beside each other and do not include each other.
# A floor has files and folders (with a '/' at the end); the longest path that matches decides.
KERNEL_HEADERS = tuple(f"include/convmark/{name}.h" for name in (
    "batch_norm", "conv2d", "elementwise", "first_layer", "kernels", "max_pool2d", "philox",
    "probe", "team", "trace"))
FLOORS = (
    {"kernels' contract": KERNEL_HEADERS},
    {"elementary functions": ("kernels/elementwise/elementary.h",
                              "kernels/elementwise/elementary.c")},
    {"simd": ("kernels/simd/",)},
    {"kernels": ("kernels/",)},
    {"status": ("include/convmark/status.h", "src/core/status.c", "src/core/escape.c",
                "src/core/escape.h", "src/core/name_suggestion.c", "src/core/name_suggestion.h")},
    {"files": ("src/core/files/",)},
    {"statistics": ("src/core/statistics/",)},
    {"system": ("src/core/system/",)},
    {"data": ("include/convmark/dataset.h", "src/core/data/")},
    {"network": ("include/convmark/network.h", "include/convmark/model.h",
                 "include/convmark/model_file.h", "src/core/network/")},
    {"train": ("include/convmark/schedule.h", "include/convmark/stream.h",
               "include/convmark/trainer.h", "src/core/train/")},
    {"ranks": ("src/core/ranks/",)},
    {"library": ("include/convmark/convmark.h", "src/core/version.c")},
    {"measure": ("src/harness/measure/",)},
    {"record": ("src/harness/record/",)},
    {"studies": ("src/harness/studies/",),
     "profile": ("src/harness/profile/",),
     "compare": ("src/harness/compare/",),
     "verify": ("src/harness/verify/",)},
    {"options": ("src/cli/options/",)},
    {"cli": ("src/cli/",),
     "bench": ("bench/",),
     "tutorial": ("examples/tutorial/",),
     "examples": ("examples/", "tests/package/", "scripts/peers/")},
)
# Floors that are private to themselves and the floors named: others use the contract.
PRIVATE = {"kernels": (), "simd": ("kernels", "tutorial")}
# Floors that include public headers only.
OUTSIDE = {"examples"}
# Folders whose strings do not name options: they speak of values.
NO_OPTIONS = ("kernels/", "src/core/")

FOLDERS = ("include", "kernels", "src", "bench", "examples", "tests/package", "scripts/peers")
SUFFIXES = {".c", ".h", ".cpp"}
INCLUDE = re.compile(r'^\s*#\s*include\s+["<]([^">]+)[">]')
STRING = re.compile(r'"((?:[^"\\\n]|\\.)*)"')
OPTION = re.compile(r"(?<![\w-])--[a-z]")


def floor_of(name):
    """(rank, floor) of a path below the root; None: it has none."""
    best = (-1, None)
    for rank, row in enumerate(FLOORS):
        for floor, paths in row.items():
            for path in paths:
                if name == path or (path.endswith("/") and name.startswith(path)):
                    best = max(best, (len(path), (rank, floor)))
    return best[1]


def sources(root):
    for folder in FOLDERS:
        for path in sorted((root / folder).rglob("*")):
            if path.suffix in SUFFIXES and path.is_file():
                yield path


def find_included(root, path, name):
    """The file of ours that an include means, as a path below root; None: a system header."""
    for start in (path.parent, root, root / "include", root / "src"):
        target = start / name
        if target.is_file():
            return target.resolve().relative_to(root).as_posix()
    return None


def includes(root):
    """{file: [(line, included file)]} of all sources."""
    graph = {}
    for path in sources(root):
        found = []
        for number, line in enumerate(path.read_text(encoding="utf-8").split("\n"), 1):
            match = INCLUDE.match(line)
            target = match and find_included(root, path, match[1])
            if target:
                found.append((number, target))
        graph[path.relative_to(root).as_posix()] = found
    return graph


def check_order(graph):
    for name, found in graph.items():
        mine = floor_of(name)
        if mine is None:
            yield name, 1, "is on no floor: add its folder to the table in check_layers.py"
            continue
        for line, target in found:
            theirs = floor_of(target)
            if theirs is None or theirs == mine:
                continue
            if theirs[0] > mine[0]:
                yield name, line, f"{mine[1]} includes {target} of {theirs[1]}, a floor above"
            elif theirs[0] == mine[0]:
                yield name, line, f"{mine[1]} includes {target} of {theirs[1]}, which is beside it"
            elif mine[1] not in PRIVATE.get(theirs[1], (mine[1],)):
                yield name, line, f"{target} is private to {theirs[1]}: include its contract"
            elif mine[1] in OUTSIDE and not target.startswith("include/"):
                yield name, line, f"{target} is not public: include convmark/ headers only"


def circles(edges):
    """One path per circle that a depth-first walk finds, its first node again at the end."""
    state, path = {}, []

    def walk(node):
        state[node] = "open"
        path.append(node)
        for target in sorted(edges.get(node, ())):
            if state.get(target) == "open":
                yield path[path.index(target):] + [target]
            elif target not in state:
                yield from walk(target)
        path.pop()
        state[node] = "done"

    for node in sorted(edges):
        if node not in state:
            yield from walk(node)


def check_circles(graph):
    files = {name: {target for _, target in found} for name, found in graph.items()}
    for circle in circles(files):
        yield circle[0], 1, "files include each other: " + " -> ".join(circle)
    folders = {}
    for name, found in graph.items():
        for _, target in found:
            here, there = (str(pathlib.PurePosixPath(path).parent) for path in (name, target))
            if here != there and floor_of(name) == floor_of(target) and is_below(here, there):
                folders.setdefault(here, set()).add(there)
    for circle in circles(folders):
        yield circle[0], 1, "folders include each other: " + " -> ".join(circle)


def is_below(here, there):
    """Whether an include counts for circles of folders: what a folder and one inside it share lies
    in the outer one, so an include from the one to the other does not."""
    return not (here.startswith(there + "/") or there.startswith(here + "/"))


def check_strings(root):
    for path in sources(root):
        name = path.relative_to(root).as_posix()
        if name.startswith(NO_OPTIONS):
            for number, line in enumerate(path.read_text(encoding="utf-8").split("\n"), 1):
                if any(OPTION.search(text) for text in STRING.findall(line)):
                    yield name, number, "names an option: name the value, and let the CLI add it"


def breaches(root):
    graph = includes(root)
    yield from check_order(graph)
    yield from check_circles(graph)
    yield from check_strings(root)


def main():
    root = pathlib.Path(sys.argv[1] if len(sys.argv) > 1 else pathlib.Path(__file__).parents[2])
    count = 0
    for name, line, what in breaches(root.resolve()):
        print(f"{name}:{line}: {what}")
        count += 1
    return 1 if count else 0


if __name__ == "__main__":
    sys.exit(main())
