#!/usr/bin/env python3
"""Whether built programs and libraries are hardened. usage: check_hardening.py FILE...

Prints one line per breach, FILE: what, and exits with 1 if there is any: the table of symbols can
be written after the start (no full RELRO, no BIND_NOW), the stack or code can be changed (a segment
that is writable and executable), functions have no stack protector, or calls that the C library
checks (_FORTIFY_SOURCE) are not those. Needs readelf.
"""

import re
import subprocess
import sys


def readelf(path, *options):
    return subprocess.run(["readelf", "-W", *options, path], check=True, capture_output=True,
                          text=True).stdout


def breaches(path):
    """What this file lacks."""
    segments, dynamic = readelf(path, "-l"), readelf(path, "-d")
    symbols = readelf(path, "--dyn-syms")
    if "GNU_RELRO" not in segments:
        yield "no RELRO: link with -z relro"
    if not re.search(r"BIND_NOW|FLAGS_1.*\bNOW\b", dynamic):
        yield "no BIND_NOW: link with -z now"
    if (re.search(r"GNU_STACK.*\bRWE\b", segments) or
            re.search(r"^\s+LOAD.*\bRWE\b", segments, re.M)):
        yield "a segment is writable and executable"
    if not re.search(r"Elf file type is DYN", segments):
        yield "not position-independent: link with -pie"
    if "__stack_chk_fail" not in symbols:
        yield "no stack protector: compile with -fstack-protector-strong"
    if not re.search(r"\b__\w+_chk\b(?<!__stack_chk)", symbols.replace("__stack_chk_fail", "")):
        yield "no checked calls: compile with -D_FORTIFY_SOURCE=2 and optimisation"


def main():
    if len(sys.argv) < 2:
        print(__doc__.split("\n")[0], file=sys.stderr)
        return 2
    count = 0
    for path in sys.argv[1:]:
        for what in breaches(path):
            print(f"{path}: {what}")
            count += 1
    return 1 if count else 0


if __name__ == "__main__":
    sys.exit(main())
