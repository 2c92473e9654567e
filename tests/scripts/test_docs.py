"""Programs that the documentation shows are the ones that are tested."""

import pathlib
import re
import unittest

ROOT = pathlib.Path(__file__).resolve().parents[2]


def read(name):
    return (ROOT / name).read_text(encoding="utf-8")


class Library(unittest.TestCase):
    def test_shows_the_tested_program(self):
        shown = re.findall(r"```c\n(.*?)```", read("docs/guide/library.md"), re.DOTALL)
        self.assertEqual(shown, [read("examples/train.c")])


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
