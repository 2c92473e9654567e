"""Pictures and the page of a folder of results, drawn from what the program writes."""
import base64
import html.parser
import json
import os
import pathlib
import re
import shutil
import subprocess
import tempfile
import unittest

import browser
from cli_support import CliTest

SCRIPTS = pathlib.Path(__file__).resolve().parents[2] / "scripts" / "plots"


def python_that_draws():
    for candidate in (shutil.which("python3"), "/usr/bin/python3"):
        if candidate and os.path.exists(candidate) and subprocess.run(
                [candidate, "-c", "import matplotlib, jinja2"], capture_output=True,
                check=False).returncode == 0:
            return candidate
    return None


PYTHON = python_that_draws()
SHORT = ["--data", "synthetic", "--allow-synthetic", "--epochs", "2", "--steps", "2",
         "--valid-steps", "1", "--quiet"]


class Page(html.parser.HTMLParser):
    """Addresses, pictures and tables of a page; tags that are not closed are an error."""

    def __init__(self, text):
        super().__init__()
        self.open, self.addresses, self.images, self.tables = [], [], {}, 0
        self.feed(text)
        assert self.open == [], self.open

    def handle_starttag(self, tag, attrs):
        attributes = dict(attrs)
        self.addresses += [value for name, value in attrs if name in ("src", "href")]
        if tag == "img":
            self.images[attributes["id"]] = attributes
        if tag == "table":
            assert self.open[-1] == "div"
            self.tables += 1
        if tag not in ("meta", "link", "img"):
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag, tag


@unittest.skipUnless(PYTHON, "no matplotlib or jinja2")
class PagesTest(CliTest):
    made = None

    def draw(self, script, *words, code=0):
        done = subprocess.run([PYTHON, SCRIPTS / script, *words], cwd=self.folder,
                              capture_output=True, text=True, check=False,
                              env={**os.environ, "MPLCONFIGDIR": self.folder})
        self.assertEqual(done.returncode, code, done.stderr)
        return done.stderr

    def measure(self):
        self.succeed("report", *SHORT, "--variants", self.network, "--seeds", "2", "--threads",
                     "1", "--output", "out")
        self.succeed("sweep", *SHORT, "--variants", self.network, "--cores", "1", "--rounds", "6",
                     "--seconds", "0", "--output", "out")
        self.succeed("explore", *SHORT, "--depth", "1", "--pool", "1", "--width", "4,6",
                     "--threads", "1", "--rounds", "1", "--seconds", "0", "--output", "out")
        self.succeed("profile", self.network, "--data", "synthetic", "--steps", "3", "--threads",
                     "1", "--quiet", "--json", "out/profile-1.json")

    def results(self, *names):
        """The folder `out`, or these files of it. The first test that asks measures and draws the
        page; all have copies."""
        if not PagesTest.made:
            self.measure()
            self.draw("report_page.py", "out")
            made = tempfile.TemporaryDirectory()
            self.addClassCleanup(made.cleanup)
            PagesTest.made = shutil.move(self.path("out"), made.name)
        for name in names or os.listdir(PagesTest.made):
            os.makedirs(self.path("out"), exist_ok=True)
            shutil.copy(os.path.join(PagesTest.made, name), self.path("out"))

    def test_page(self):
        self.results()
        with open(self.path("out/report.html"), encoding="utf-8") as file:
            text = file.read()
        page = Page(text)
        self.assertEqual(list(page.images), ["accuracy", "curves", "sweep", "explore", "roofline"])
        self.assertEqual(page.tables, 4)
        for address in page.addresses:
            self.assertTrue(address.startswith("data:"), address[:60])
        for name, image in page.images.items():
            picture = base64.b64decode(image["src"].partition("base64,")[2])
            self.assertIn(b"<svg", picture)
            self.assertEqual(picture, pathlib.Path(self.path(f"out/{name}.svg")).read_bytes())
            self.assertGreater(os.path.getsize(self.path(f"out/{name}.png")), 5000)
        sweep = self.read_json("out/sweep.json")
        for measurement in sweep["measurements"]:
            self.assertIn(f"{measurement['median']:,.0f}", text)
        explore = self.read_json("out/explore.json")
        for point in explore["points"]:
            star = "* " if point["frontier"] else ""
            self.assertIn(f"<td>{star}{point['network']}</td><td>{point['schedule']}</td>", text)
        self.assertIn("prefers-color-scheme: dark", text)
        self.assertEqual([name for name in os.listdir(self.path("out")) if name.startswith("tmp")],
                         [])

    def test_peers(self):
        """Measurements of the same work from two folders: the later folder's count."""
        self.results("report.json")
        for folder, framework, median in [("peers", "convmark", 3000), ("peers", "pytorch", 1000),
                                          ("peers-again", "pytorch", 1500)]:
            os.makedirs(self.path("out/" + folder), exist_ok=True)
            self.write(f"out/{folder}/{framework}.json", json.dumps(
                {"kind": "peers", "schema_version": 1, "framework": framework, "measurements": [
                    {"metric": "images_per_second", "mode": "train", "threads": 1,
                     "variant": "bn-3", "median": median, "confidence_interval": None},
                    {"metric": "peak_memory", "mode": "train", "threads": 1, "variant": "bn-3",
                     "median": 5, "confidence_interval": None}]}))
        self.draw("report_page.py", "out")
        with open(self.path("out/report.html"), encoding="utf-8") as file:
            text = file.read()
        self.assertIn("peers", Page(text).images)
        self.assertIn("<td>3,000</td><td>1,500</td><td>2.00</td>", text)
        self.draw("plot_peers.py", "p.png", "out/peers", "out/peers-again")
        self.assertIn("report.json", self.draw("plot_peers.py", "x.svg", "out", code=1))
        self.draw("plot_peers.py", "x.svg", "nothing", code=2)
        self.assert_no_files("x.svg")

    @unittest.skipUnless(browser.PROGRAM, "no chromium")
    def test_in_a_browser(self):
        self.results()
        page = browser.Browser(self.path("browser"))
        self.addCleanup(page.close)
        for width in (1280, 400):
            page.width(width)
            page.open("file://" + self.path("out/report.html"))
            self.assertLessEqual(page.value("document.documentElement.scrollWidth"), width)
            self.assertEqual(page.value("[...document.images].map(i => i.naturalWidth > 0)"),
                             [True] * 5)
            # What is wider than the page can be scrolled to its end.
            self.assertEqual(page.value(
                "[...document.querySelectorAll('table, img')].map(t => {"
                " const box = t.parentElement; box.scrollLeft = 1e6;"
                " const end = box.getBoundingClientRect().right; return end <= innerWidth &&"
                " t.getBoundingClientRect().right <= end + 1; })"), [True] * 9)
        self.assertEqual(page.messages, [])

    def test_names_are_text(self):
        self.results("report.json")
        report = self.read_json("out/report.json")
        report["variants"][0]["id"] = "<script>alert(1)</script>"
        self.write("out/report.json", json.dumps(report))
        self.draw("report_page.py", "out")
        with open(self.path("out/report.html"), encoding="utf-8") as file:
            text = file.read()
        self.assertIn("alert(1)", text)
        self.assertNotRegex(text, "<script")

    def test_single_pictures(self):
        self.results()
        self.draw("plot_sweep.py", "sweep.png", "out/sweep.json")
        self.draw("plot_explore.py", "explore.svg", "out/explore.json")
        explore = self.read_json("out/explore.json")
        with open(self.path("explore.svg"), encoding="utf-8") as file:
            text = file.read()
        for point in explore["points"]:
            label = f"<!-- {point['network']}, {point['schedule']} -->"
            self.assertEqual(label in text, point["frontier"], label)
        for point in explore["points"]:  # one that failed has no accuracy
            point["accuracy"], point["frontier"] = None, False
        self.write("failed.json", json.dumps(explore))
        self.draw("plot_explore.py", "failed.png", "failed.json")
        self.draw("plot_roofline.py", "roofline.svg", "out/profile-1.json", "out/profile-1.json")
        self.draw("plot_report.py", "report.svg", "out/report.json")
        with open(self.path("roofline.svg"), encoding="utf-8") as file:
            self.assertTrue(re.search("<svg", file.read()))

    def test_wrong_files(self):
        self.results()
        self.assertIn("report.json", self.draw("plot_sweep.py", "x.svg", "out/report.json", code=1))
        self.assertIn("sweep.json",
                      self.draw("plot_roofline.py", "x.svg", "out/sweep.json", code=1))
        self.assertIn("sweep.json",
                      self.draw("plot_explore.py", "x.svg", "out/sweep.json", code=1))
        os.mkdir(self.path("empty"))
        self.assertIn("empty", self.draw("report_page.py", "empty", code=1))
        self.draw("report_page.py", "nothing", code=2)
        self.assert_no_files("x.svg", "empty/report.html")


if __name__ == "__main__":
    unittest.main()
