"""Programs that the documentation shows are the ones that are tested."""

import json
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


class Results(unittest.TestCase):
    """Committed results are fit to be quoted."""

    def files(self):
        for path in sorted((ROOT / "results").rglob("*.json")):
            yield path.relative_to(ROOT), json.loads(path.read_text(encoding="utf-8"))

    def test_say_when_and_with_what_they_were_measured(self):
        for name, results in self.files():
            self.assertRegex(results["started"], r"^2\d{3}-\d\d-\d\d", name)
            self.assertRegex(results["machine"]["build"]["commit"], "^[0-9a-f]{40}", name)

    def test_no_row_of_other_frameworks_is_disturbed(self):
        """A ratio to a framework means nothing where the samples reach from 2.9 to 24.3 times, as
        those of one row did that was measured again."""
        count = 0
        for name, results in self.files():
            for row in results["measurements"] if results["kind"] == "peers" else []:
                low, high = row["confidence_interval"] or (1, 1)
                self.assertLess(high, 1.6 * low, (name, row["name"]))
                count += 1
        self.assertGreater(count, 100)


class Guides(unittest.TestCase):
    def test_lead_with_a_command(self):
        """The first code of a guide stands near its top, and is a command or the library's."""
        for path in sorted((ROOT / "docs/guide").glob("*.md")):
            top = path.read_text(encoding="utf-8").split("\n")[:12]
            self.assertTrue(any(line.startswith(("    ", "```")) for line in top), path.name)

    def test_readme_links_what_it_names(self):
        """Documents of the README are links, not names in back quotes."""
        text = read("README.md")
        self.assertEqual(re.findall(r"`docs/[\w/.-]+\.md`", text), [])
        for variant in ("baseline", "dropout-out-0.5", "dropout-conv-0.5", "dropout-conv-0.3",
                        "bn-3", "plain-8", "bn-8", "bn-16"):
            self.assertIn(f"`{variant}`", text)
        for word in ("CNNs Assignment Report", "Koen van Esterik", "6,400 images", "not for",
                     "cmake --install", "of disk"):
            self.assertIn(word, text)


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
