"""Documents: links lead somewhere, files that pages name exist, every page is reachable from the
README, lines end at 100."""

import pathlib
import re
import unittest

ROOT = pathlib.Path(__file__).resolve().parents[2]
LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")
MAX_COLUMNS = 100

# A line with four spaces is code after an empty line, and otherwise part of the paragraph above.
CODE_BLOCK = re.compile(r"(?:\A|(?<=\n\n))(?: {4}.*(?:\n|\Z)|\n(?= {4}))+")

# Files of this project in a page's text; docs/guide/add-an-operation.md names files to write.
NAMED_FILE = re.compile(r"`((?:bench|cmake|docs|examples|include|kernels|scripts|src|tests)/"
                        r"[\w./-]+\.[a-z]+)`")
PLACEHOLDER = re.compile(r"[A-Z]{4,}(?!\.md)|xyz|avg_pool2d")


def pages():
    """Every Markdown page that a reader may open."""
    yield from (ROOT / "README.md", ROOT / "CONTRIBUTING.md", ROOT / "results/README.md")
    for folder in ("docs", "examples"):
        yield from sorted((ROOT / folder).rglob("*.md"))


def prose(path):
    """Lines of a page without its code blocks, with their numbers."""
    inside = False
    for number, line in enumerate(path.read_text(encoding="utf-8").split("\n"), 1):
        if line.startswith("```"):
            inside = not inside
        elif not inside:
            yield number, line


def links(path):
    """Targets of a page's relative links: (file, anchor). A link may run over a line's end."""
    text = CODE_BLOCK.sub("", "\n".join(line for _, line in prose(path)))
    for target in LINK.findall(re.sub(r"`[^`]*`", "", text)):
        if "://" not in target:
            name, _, anchor = target.partition("#")
            yield (path.parent / name).resolve() if name else path, anchor


def anchors(path):
    """Anchors of a page's headings, as GitHub makes them."""
    for _, line in prose(path):
        if line.startswith("#"):
            heading = re.sub(r"[^\w\- ]", "", line.lstrip("#").strip().lower())
            yield heading.replace(" ", "-")


class Links(unittest.TestCase):
    def test_lead_somewhere(self):
        count = 0
        for page in pages():
            for target, anchor in links(page):
                count += 1
                name = f"{page.relative_to(ROOT)}: {target}"
                self.assertTrue(target.exists(), name)
                if anchor:
                    self.assertIn(anchor, list(anchors(target)), name)
        self.assertGreater(count, 40)

    def test_files_that_pages_name_exist(self):
        count = 0
        for page in pages():
            for number, line in prose(page):
                for name in NAMED_FILE.findall(line):
                    if not PLACEHOLDER.search(name):
                        count += 1
                        place = f"{page.relative_to(ROOT)}:{number}: {name}"
                        self.assertTrue((ROOT / name).exists(), place)
        self.assertGreater(count, 60)

    def test_every_page_is_reachable(self):
        found, queue = set(), [ROOT / "README.md"]
        while queue:
            page = queue.pop()
            if page not in found and page.suffix == ".md":
                found.add(page)
                queue += [target for target, _ in links(page)]
        lost = sorted(str(page.relative_to(ROOT)) for page in set(pages()) - found)
        self.assertEqual(lost, [])

    def test_lines_end_at_the_limit(self):
        """Not a table's row, a program's output, or a line that is one link."""
        for page in pages():
            for number, line in prose(page):
                if len(line) > MAX_COLUMNS and not line.startswith(("|", "    ")):
                    self.assertRegex(line, r"^\S+$", f"{page.relative_to(ROOT)}:{number}")


if __name__ == "__main__":
    unittest.main()
