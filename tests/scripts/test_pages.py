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
import xml.etree.ElementTree

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
        self.links = []
        self.feed(text)
        assert self.open == [], self.open

    def handle_starttag(self, tag, attrs):
        attributes = dict(attrs)
        self.addresses += [value for name, value in attrs if name in ("src", "srcset")]
        self.links += [value for name, value in attrs if tag == "a" and name == "href"]
        if tag == "img":
            self.images[attributes["id"]] = attributes
        if tag == "table":
            self.tables += 1
        if tag not in ("meta", "link", "img", "source"):
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
        self.assertEqual(list(page.images), ["sweep", "accuracy", "curves", "roofline", "explore"])
        self.assertEqual(page.tables, 6)
        for address in page.addresses:
            self.assertTrue(address.startswith("data:"), address[:60])
        for name in page.links:
            self.assertTrue(os.path.isfile(self.path("out/" + name)), name)
        for name in ("report.json", "report.md", "sweep.json", "sweep.csv", "sweep.md",
                     "explore.json", "explore.csv", "explore.md", "profile-1.json"):
            self.assertIn(name, page.links)
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
            norm = ", batch norm" if point["batch_norm"] else ""
            self.assertIn(f">{star}1 conv, a pool every 1{norm}, {point['width']} channels, "
                          f"{point['schedule']}</td>", text)
            self.assertIn(f">{point['network']}</td>", text)
        self.assertIn("prefers-color-scheme: dark", text)
        self.assertEqual([name for name in os.listdir(self.path("out")) if "tmp" in name], [])

    def test_answer_first(self):
        """Throughput, threads, claims and gain stand before the first section; each section and
        each picture says machine, day and commit."""
        self.results()
        with open(self.path("out/report.html"), encoding="utf-8") as file:
            text = file.read()
        head, *sections = text.split("<h2>")
        for answer in ("Training, images/s", "Inference, images/s", "five claims",
                       "Most to gain in a step"):
            self.assertIn(answer, head)
        self.assertIn("Where most can be gained", text)
        results = self.read_json("out/sweep.json")
        machine = results["machine"]
        commit = machine["build"]["commit"]
        self.assertRegex(results["started"], r"^\d{4}-\d\d-\d\dT")
        origin = f"{results['started'][:10]}; commit {commit[:7]}"
        self.assertIn(origin, head)
        for section in sections:
            name = section.partition("</h2>")[0]
            if name not in ("The same bits", "Machine"):
                self.assertIn(origin.partition(";")[0], section, name)
        for name in ("sweep", "accuracy", "curves", "roofline", "explore"):
            with open(self.path(f"out/{name}.svg"), encoding="utf-8") as file:
                picture = file.read()
            comments = " ".join(re.findall(r"<!-- (.*?) -->", picture, re.DOTALL))
            self.assertIn(results["started"][:10], comments, name)
            self.assertIn(commit[:7], comments, name)
            self.assertIn("prefers-color-scheme:dark", picture)
            self.assertNotIn("fill: #000000", picture)  # black stays black on a dark page

    def test_hashes_of_sweep_and_report_are_compared(self):
        self.results("report.json", "sweep.json")
        sweep = self.read_json("out/sweep.json")
        self.draw("report_page.py", "out")
        with open(self.path("out/report.html"), encoding="utf-8") as file:
            self.assertIn("ended with the bits of the report", file.read())
        sweep["accuracy"][0]["sha256"] = "0" * 64
        self.write("out/sweep.json", json.dumps(sweep))
        self.draw("report_page.py", "out")
        with open(self.path("out/report.html"), encoding="utf-8") as file:
            self.assertIn("DIFFERENT BITS", file.read())
        sweep["program"]["numeric_contract"] -= 1  # other bits are right then
        self.write("out/sweep.json", json.dumps(sweep))
        self.draw("report_page.py", "out")
        with open(self.path("out/report.html"), encoding="utf-8") as file:
            self.assertNotIn("DIFFERENT BITS", file.read())

    def test_files_keep_the_umask_and_leave_nothing(self):
        self.results("sweep.json")
        old = os.umask(0o077)
        try:
            self.draw("plot_sweep.py", "mine.svg", "out/sweep.json")
            self.draw("report_page.py", "out")
        finally:
            os.umask(old)
        for name in ("mine.svg", "out/report.html", "out/sweep.png"):
            self.assertEqual(os.stat(self.path(name)).st_mode & 0o777, 0o600, name)
        os.mkdir(self.path("out/taken.svg"))
        self.draw("plot_sweep.py", "out/taken.svg", "out/sweep.json", code=1)
        self.draw("plot_sweep.py", "missing/x.svg", "out/sweep.json", code=1)
        self.assertEqual([name for name in os.listdir(self.path("out")) if "tmp" in name], [])

    def test_a_signal_leaves_no_temporary_file(self):
        """SIGTERM while the file is flushed: the program ends by it, and the file is gone."""
        self.write("end.py", "import os, signal, sys\n"
                   f"sys.path.insert(0, {str(SCRIPTS)!r})\n"
                   "import drawing, pathlib\n"
                   "os.fsync = lambda _: os.kill(os.getpid(), signal.SIGTERM)\n"
                   "sys.argv = ['end.py', 'x.svg', 'y']\n"
                   "drawing.main('', lambda words: drawing.replace(pathlib.Path(words[0]), b'x'))")
        done = subprocess.run([PYTHON, "end.py"], cwd=self.folder, check=False,
                              env={**os.environ, "MPLCONFIGDIR": self.folder})
        self.assertEqual(done.returncode, 143)
        self.assertEqual([n for n in os.listdir(self.folder) if n.endswith((".tmp", ".svg"))], [])

    def test_names_that_are_no_mathematics(self):
        """'$' in a name is a dollar; characters that XML cannot hold are '?'."""
        self.results()
        name = "a$\\frac$\x01--><b>"
        for file, key in (("report.json", "id"), ("sweep.json", "variant")):
            results = self.read_json("out/" + file)
            for row in results.get("variants", results.get("measurements")):
                row[key] = name
            for row in results.get("accuracy", []):
                row["variant"] = name
            if file == "sweep.json":
                results["options"]["variants"] = [name]
            self.write("out/" + file, json.dumps(results))
        explore = self.read_json("out/explore.json")
        explore["options"]["threads"] = "<script>alert(2)</script>$"
        explore["options"]["schedules"].append("$\\frac$")
        self.write("out/explore.json", json.dumps(explore))
        self.draw("report_page.py", "out")
        for picture in ("accuracy", "curves", "sweep", "explore"):
            xml.etree.ElementTree.parse(self.path(f"out/{picture}.svg"))
        with open(self.path("out/report.html"), encoding="utf-8") as file:
            self.assertNotRegex(file.read(), "<script|<b>a")

    def test_arguments_in_the_other_order(self):
        """One line that says what comes first; the results file is as it was."""
        self.results("sweep.json", "report.json")
        before = self.read_json("out/report.json")
        for script, file in (("plot_report.py", "out/report.json"),
                             ("plot_sweep.py", "out/sweep.json")):
            line = self.draw(script, file, "picture.svg", code=2)
            self.assertEqual(line.count("\n"), 1, line)
            self.assertIn("the picture to write comes first", line)
            self.assertIn(f"usage: {script} PICTURE", line)
        self.assertEqual(self.read_json("out/report.json"), before)
        self.assert_no_files("picture.svg")

    def test_scripts_run_as_the_guides_call_them(self):
        for script in SCRIPTS.glob("*.py"):
            first = script.read_text(encoding="utf-8").partition("\n")[0]
            self.assertEqual(first.startswith("#!"), os.access(script, os.X_OK), script)

    def test_peers(self):
        """Measurements of the same work from two folders: the later folder's count."""
        self.results("report.json")
        for folder, framework, median in [("peers", "convmark", 3000), ("peers", "pytorch", 1000),
                                          ("peers-again", "pytorch", 1500)]:
            os.makedirs(self.path("out/" + folder), exist_ok=True)
            self.write(f"out/{folder}/{framework}.json", json.dumps(
                {"kind": "peers", "schema_version": 1, "framework": framework,
                 "started": "2026-11-30T10:00:00Z", "command": ["scripts/peers.sh", "speed"],
                 "machine": self.read_json("out/report.json")["machine"], "measurements": [
                    {"metric": "images_per_second", "mode": "train", "threads": 1,
                     "variant": "bn-3", "median": median, "confidence_interval": None},
                    {"metric": "peak_memory", "mode": "train", "threads": 1, "variant": "bn-3",
                     "median": 5, "confidence_interval": None}]}))
        self.draw("report_page.py", "out")
        with open(self.path("out/report.html"), encoding="utf-8") as file:
            text = file.read()
        self.assertIn("peers", Page(text).images)
        self.assertRegex(text, r">3,000</td><td[^>]*>1,500</td><td[^>]*>2.00</td>")
        self.assertIn(">bn-3, training, 1 thread<", text)
        self.assertIn("2026-11-30; commit", text)
        self.draw("plot_peers.py", "p.png", "out/peers", "out/peers-again")
        self.assertIn("report.json", self.draw("plot_peers.py", "x.svg", "out", code=1))
        self.assertIn("nothing", self.draw("plot_peers.py", "x.svg", "nothing", code=1))
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
            # Nothing is wider than the page, so that nothing has to be scrolled sideways.
            self.assertEqual(page.value(
                "[...document.querySelectorAll('table, td, th, img')].filter(t =>"
                " t.getBoundingClientRect().right > innerWidth).map(t => t.outerHTML)"), [])
            # A narrow page has the narrow pictures.
            self.assertEqual(page.value(
                "[...document.images].every(i => (i.currentSrc == i.src) == (innerWidth > 600))"),
                True)
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
            label = f"<!-- {point['width']} channels -->"
            self.assertEqual(text.count(label), sum(
                p["frontier"] and p["width"] == point["width"] for p in explore["points"]))
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
        self.write("bad.json", '{"kind": "sweep", "schema_version": 1, "options": 3}')
        self.assertIn("bad.json: not as convmark writes it",
                      self.draw("plot_sweep.py", "x.svg", "bad.json", code=1))
        self.write("nan.json", '{"kind": "sweep", "schema_version": NaN}')
        self.assertIn("nan.json", self.draw("plot_sweep.py", "x.svg", "nan.json", code=1))
        self.assert_no_files("x.svg", "empty/report.html")


if __name__ == "__main__":
    unittest.main()
