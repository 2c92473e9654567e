"""Programs that the documentation shows are the ones that are tested."""

import os
import pathlib
import re
import subprocess
import unittest

ROOT = pathlib.Path(__file__).resolve().parents[2]


def read(name):
    return (ROOT / name).read_text(encoding="utf-8")


class Library(unittest.TestCase):
    def test_shows_the_tested_program(self):
        shown = re.findall(r"```c\n(.*?)```", read("docs/guide/library.md"), re.DOTALL)
        self.assertEqual(shown, [read("examples/train.c")])

    def test_program_runs(self):
        def run(*arguments):
            return subprocess.run([os.environ["EXAMPLE"], *arguments], capture_output=True,
                                  text=True, check=False)
        done = run("synthetic")
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        self.assertRegex(done.stdout, r"\Aepoch 1: .*\nepoch 2: .*\nsha256 [0-9a-f]{64}\nfirst 100 "
                                      r"images: accuracy [01]\.[0-9]{2}\n\Z")
        self.assertEqual(run("synthetic").stdout, done.stdout)
        done = run("/nonexistent")
        self.assertEqual(done.returncode, 3)
        self.assertRegex(done.stderr, r"\Aexample: .*/nonexistent.*\n\Z")


class Numerics(unittest.TestCase):
    def test_says_what_the_sources_say(self):
        text = read("docs/design/numerics.md")
        flags = re.search(r"(-ffp-contract=.*-fno-trapping-math)\)", read("cmake/options.cmake"))
        for flag in flags[1].split():
            self.assertIn(flag, text)
        philox = read("include/convmark/philox.h")
        for name, number in re.findall(r"CM_RANDOM_(\w+) = (\d)", philox):
            self.assertRegex(text, rf"\n\| [a-z ]+ \| {number} \|", name)
        files = re.findall(r"`((?:src|tests|kernels|scripts|cmake|docs)/[\w./]+)`", text)
        self.assertGreater(len(files), 10)
        for name in files:
            self.assertTrue((ROOT / name).exists(), name)


class Reliability(unittest.TestCase):
    def test_names_tests_that_exist(self):
        named = re.findall(r"`(test_\w+)\.([\w.]+)`", read("docs/design/reliability.md"))
        self.assertGreater(len(named), 30)
        for file, names in named:
            path = next((ROOT / "tests").rglob(f"{file}.*"))
            for name in names.split("."):
                self.assertRegex(path.read_text(encoding="utf-8"), rf"\b{name}\b", file)


if __name__ == "__main__":
    unittest.main()
