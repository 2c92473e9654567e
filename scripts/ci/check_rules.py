#!/usr/bin/env python3
"""Rules of this repo that a machine can check. usage: check_rules.py [FOLDER]

Prints one line a breach, file:line: what, and exits with 1 if there is any.
"""

import pathlib
import re
import sys

MAX_LINES = 600
MAX_COLUMNS = 100
FOLDERS = ("include", "kernels", "src", "examples", "bench", "tests", "scripts", "cmake", "docs",
           ".ci")
C_SUFFIXES = {".c", ".h", ".cpp"}
SCRIPT_SUFFIXES = {".py", ".sh", ".cmake", ".in", ".map"}
BUILD_SUFFIXES = {".cmake", ".txt", ".json"}
NAMES = {"CMakeLists.txt", "run"}
ROOT_FILES = ("CMakeLists.txt", "CMakePresets.json", "CONTRIBUTING.md", "README.md")
PUBLIC_HEADER = "include/convmark/convmark.h"

# What a line may not hold: suffixes, pattern, what is said of it.
FORBIDDEN = (
    (C_SUFFIXES | SCRIPT_SUFFIXES,
     re.compile(r"\b(TO" r"DO|FIX" r"ME|XX" r"X)\b"),
     "an unfinished part: finish it, or write an issue"),
    (BUILD_SUFFIXES,
     re.compile(r"-(ffast-math|funsafe-math|march=nat" r"ive|Ofast)\b"),
     "breaks the numeric contract, or the binary on other machines"),
    ({".sh"}, re.compile(r"^[^#]*(?<!CDPATH= )\bcd (?!--)[^-]"),
     "a user's CDPATH may lead it elsewhere: CDPATH= cd -- FOLDER"),
    ({".sh"}, re.compile(r"^[^#]*(?<!-I )(?<!-)-c \"import"),
     "python takes modules from the current folder: python3 -I -c"),
    (C_SUFFIXES, re.compile(r"\t"), "a tab: indent with 4 spaces"),
    (C_SUFFIXES, re.compile(r"#\s*pragma\s+omp.*\b(reduction|atomic|simd)\b"),
     "breaks the numeric contract: the order is then the compiler's or the scheduler's"),
    (C_SUFFIXES,
     re.compile(r"_mm\w*_(rcp|rsqrt|reduce_add|reduce_mul)\w*|\bv(recpe|rsqrte|addv)q?_f32"),
     "breaks the numeric contract: an estimate, or a sum in no written order"),
)

# What lines of the program may not hold, but in the files that wrap it: pattern of the file's path,
# that of those files, pattern, what is said of it.
WRAPPED = (
    (re.compile(r"(src|bench|examples)/.*\.[ch]$"),
     re.compile(r"src/core/files/json(_\w+)?\.[ch]$"),
     re.compile(r"\bjson_(object_(set|update|del|clear)|array_(append|insert|set|extend|remove)"
                r"|load|dump|v?unpack|set_alloc)\w*\s*\("),
     "Jansson's own function: its failure is easily lost; core/files/json.h has one that is not"),
)

# Text from files and the system that no printf() of the program may have but through core/escape.h:
# members that hold such text, without the tables of the program that have members of that name.
PRINTING = re.compile(r"\b(?:f?printf|fputs|puts|cm_warn)\s*\((?:[^;\"]|\"(?:\\.|[^\"\\])*\")*;")
STRINGS = re.compile(r"\"(?:\\.|[^\"\\])*\"")
ESCAPED = re.compile(r"\bCM_SHOW(?:_IN)?\s*\((?:[^()]|\((?:[^()]|\([^()]*\))*\))*\)")
OUTSIDE_TEXT = re.compile(
    r"(?<!option)(?<!kernels)(?<!level)(?<!levels\[level\])(?<!own\[i\])(?:->|\.)"
    r"(?:name|path|metric|unit|isa|reason|failure|note|cpu_model|no_counters|source|output|doing)"
    r"\b")
PRINTING_FOLDERS = ("src/harness/", "src/cli/")


def sources(root):
    """Every checked file below root, sorted."""
    for folder in FOLDERS:
        for path in sorted((root / folder).rglob("*")):
            if path.is_file() and (path.suffix in C_SUFFIXES | SCRIPT_SUFFIXES
                                   or path.name in NAMES):
                yield path
    for name in ROOT_FILES:
        if (root / name).is_file():
            yield root / name


def check_text(path, text):
    """Breaches (line, what) that can be seen in one file."""
    lines = text.split("\n")
    if text and not text.endswith("\n"):
        yield len(lines), "no newline at the end"
    count = text.count("\n")
    table = path.name.endswith("_golden.h")  # written by a program
    if count > MAX_LINES and not table:
        yield count, f"{count} lines: split it, {MAX_LINES} is the limit"
    for number, line in enumerate(lines, 1):
        if len(line) > MAX_COLUMNS and path.suffix != ".md" and not table:
            yield number, f"{len(line)} columns: {MAX_COLUMNS} is the limit"
        if line != line.rstrip():
            yield number, "space at the end of the line"
        for suffixes, pattern, what in FORBIDDEN:
            if path.suffix in suffixes and pattern.search(line):
                yield number, what
    if path.suffix == ".h":
        yield from check_header(text)


def check_wrapped(name, text):
    """Breaches (line, what) of functions that only their wrappers may call."""
    for files, wrappers, pattern, what in WRAPPED:
        if files.match(name) and not wrappers.match(name):
            for number, line in enumerate(text.split("\n"), 1):
                if pattern.search(line):
                    yield number, what


def check_printing(name, text):
    """Breaches (line, what) of text that reaches a person or another program as it is."""
    if name.endswith(".c") and name.startswith(PRINTING_FOLDERS):
        for call in PRINTING.finditer(text):
            rest = ESCAPED.sub("", STRINGS.sub('""', call[0]))
            if not call[0].startswith("cm_warn") and OUTSIDE_TEXT.search(rest):
                yield (text.count("\n", 0, call.start()) + 1,
                       "text from outside is printed as it is: CM_SHOW() of core/escape.h")


def check_header(text):
    """Breaches of what every header has: what it is for, and a guard."""
    if not text.startswith("/*"):
        yield 1, "a header begins with a comment that says what it is for"
    guard = re.search(r"#ifndef (\w+)\n#define (\w+)\n", text)
    if not guard or guard[1] != guard[2]:
        yield 1, "no include guard (#ifndef, #define of the same name)"


def public_headers(root):
    """convmark.h and all that it includes, by quoted includes."""
    found, queue = set(), [root / PUBLIC_HEADER]
    while queue:
        path = queue.pop()
        if path in found or not path.is_file():
            continue
        found.add(path)
        for name in re.findall(r'#include "(.+?)"', path.read_text(encoding="utf-8")):
            queue += [root / "include" / name]
    return sorted(found)


def check_public_headers(root):
    """Breaches (path, line, what): C++ can include them, and all of them are installed."""
    install = root / "cmake" / "install.cmake"
    installed = install.read_text(encoding="utf-8") if install.is_file() else ""
    for path in public_headers(root):
        text = path.read_text(encoding="utf-8")
        if re.search(r"^\w[^#/{]*\([^{]*\);", text, re.M) and 'extern "C"' not in text:
            yield path, 1, 'a public header with functions needs extern "C" for C++'
        name = path.relative_to(root).as_posix()
        if not re.search(rf"^\s+{re.escape(name)}\)?$", installed, re.M):
            yield path, 1, "included by convmark.h but not installed: add it to cmake/install.cmake"


def breaches(root):
    for path in sources(root):
        try:
            text = path.read_text(encoding="utf-8")
        except UnicodeDecodeError:
            yield path, 1, "not UTF-8"
            continue
        name = path.relative_to(root).as_posix()
        for line, what in (*check_text(path, text), *check_wrapped(name, text),
                           *check_printing(name, text)):
            yield path, line, what
    yield from check_public_headers(root)


def main():
    root = pathlib.Path(sys.argv[1] if len(sys.argv) > 1 else pathlib.Path(__file__).parents[2])
    count = 0
    for path, line, what in breaches(root):
        print(f"{path.relative_to(root)}:{line}: {what}")
        count += 1
    return 1 if count else 0


if __name__ == "__main__":
    sys.exit(main())
