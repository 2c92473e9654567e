"""coverage_table.py: what several objects of one file ran is added up, and a row below its
floor is found. What gcov says is made up here."""

import contextlib
import io
import json
import pathlib
import sys
import tempfile
import unittest
from unittest import mock

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "scripts" / "ci"))
import coverage_table # noqa: E402


def line(number, count, *branches):
    return {"line_number": number, "count": count, "branches": [{"count": c} for c in branches]}


class Table(unittest.TestCase):
    def run_table(self, objects, *words):
        """Exit code and text for {file: lines} of each object."""
        with tempfile.TemporaryDirectory() as folder:
            for number in range(len(objects)):
                pathlib.Path(folder, "src").mkdir(exist_ok=True)
                pathlib.Path(folder, "src", f"{number}.gcno").touch()
            told = [json.dumps({"files": [{"file": str(ROOT / name), "lines": lines}
                                          for name, lines in files.items()]})
                    for files in objects]
            answers = [mock.Mock(stdout=text + "\n") for text in told]
            out = io.StringIO()
            with mock.patch("subprocess.run", side_effect=answers), \
                    mock.patch.object(sys, "argv", ["x", folder, *words]), \
                    contextlib.redirect_stdout(out):
                return coverage_table.main(), out.getvalue()

    def whole(self, changes=None):
        names = [name for row in coverage_table.PARSERS for name in row[3]]
        return {**{name: [line(1, 5, 2, 3), line(2, 1)] for name in names}, **(changes or {})}

    def test_all_run(self):
        code, text = self.run_table([self.whole()])
        self.assertEqual(code, 0, text)
        self.assertIn("100.0 %", text)
        self.assertNotIn("below", text)

    def test_one_line_is_missing(self):
        lines = {"bench/shapes.c": [line(1, 5, 2, 3), line(2, 0)]}
        code, text = self.run_table([self.whole(lines)], "--missed")
        self.assertEqual(code, 1)
        self.assertRegex(text, r"(?m)^shapes +1 of +2 +50\.0 % +2 of +2 +100\.0 %  below")
        self.assertRegex(text, r"(?m)^bench/shapes\.c:2: never run: ")
        self.assertNotIn("bench/shapes.c:1", text)

    def test_objects_of_one_file_are_added_up(self):
        first = self.whole({"kernels/elementwise/relu.c": [line(1, 1, 1, 0), line(2, 0)]})
        second = {"kernels/elementwise/relu.c": [line(1, 1, 0, 4, 0), line(2, 7)]}
        code, text = self.run_table([first, second], "--missed", "kernels/elementwise/relu.c")
        self.assertEqual(code, 0, text)
        self.assertIn("kernels/elementwise/relu.c:1: 1 of 3 branches: ", text)
        self.assertNotIn("never run", text)

    def test_what_the_processor_cannot_run_is_not_counted(self):
        self.assertEqual(coverage_table.absent("flags : fpu avx2 avx512f"), [])
        self.assertEqual(coverage_table.absent("flags : fpu avx2"), ["cm_kernels_avx512"])
        bad = {"kernels/elementwise/relu.c": [line(1, 0)] * 100}
        with mock.patch.object(coverage_table, "absent", lambda text: ["1.gcno"]):
            code, text = self.run_table([self.whole(), bad])
        self.assertEqual(code, 0, text)
        self.assertRegex(text, r"not counted.* 1\.gcno\n")


if __name__ == "__main__":
    unittest.main()
