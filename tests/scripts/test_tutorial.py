"""docs/guide/tutorial-convolution.md shows the code that is compiled, and its program finds every
step's result right.

Needs $CONVMARK_BUILD.
"""

import os
import pathlib
import re
import subprocess
import unittest

ROOT = pathlib.Path(__file__).resolve().parents[2]
SOURCES = ROOT / "examples/tutorial"
PAGE = (ROOT / "docs/guide/tutorial-convolution.md").read_text(encoding="utf-8")
PROGRAM = pathlib.Path(os.environ["CONVMARK_BUILD"]) / "bin/examples/tutorial"
ROW = re.compile(r"^(\d .+?|library, \w+) +(\d+) +([\d.]+) +([\d.]+) +([\d.]+) %  "
                 r"(equal|error .*)$")


def rows_of(text):
    return [match.groups() for match in map(ROW.match, text.splitlines()) if match]


class Page(unittest.TestCase):
    def test_shows_every_marked_part_of_the_sources_in_order(self):
        marked = []
        for name in ("scalar.c", "vectors.c", "panels.c"):
            text = (SOURCES / name).read_text(encoding="utf-8")
            marked += [code.rstrip() for _, code in re.findall(
                r"(?ms)^/\* ([\w ]+) \*/\n(.*?)^/\* end of \1 \*/$", text)]
        self.assertEqual(len(marked), 11)
        shown = [code.rstrip() for code in re.findall(r"(?ms)^```c\n(.*?)^```$", PAGE)]
        self.assertEqual(shown, marked)

    def test_shows_the_rows_that_the_program_prints(self):
        done = subprocess.run([PROGRAM, "2", "64", "1"], capture_output=True, text=True,
                              check=False)
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        rows, shown = rows_of(done.stdout), rows_of(PAGE)
        self.assertEqual(len(rows), 10)
        self.assertEqual([row[:2] for row in rows], [row[:2] for row in shown])
        self.assertEqual([row[5][:5] for row in rows], ["equal"] * 9 + ["error"])

    def test_wrong_use(self):
        for words in (["0"], ["1", "65"], ["1", "64", "0"], ["x"]):
            done = subprocess.run([PROGRAM, *words], capture_output=True, text=True, check=False)
            self.assertEqual((done.returncode, done.stdout), (2, ""), words)
            self.assertRegex(done.stderr, r"\Ausage: .*\n\Z")


if __name__ == "__main__":
    unittest.main()
