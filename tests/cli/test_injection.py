"""Names in files of results and names of networks cannot act on a terminal, a table of Markdown or
a spreadsheet."""
import csv
import io
import json
import re
import unittest

from cli_support import CliTest

EVIL = ["\x1b]0;pwned\x07\x1b[2J\x1b[31mname", "=cmd|'/C calc'!A0", "+1+1", "@SUM(1)", "-2+3",
        "<img src=x onerror=alert(1)>|x|y\n| evil | row |", "\u009b31m", "\u202ereversed",
        "[a](javascript:b)", "`x`"]
SHORT = ("--epochs", "1", "--steps", "1", "--valid-steps", "1", "--rounds", "1", "--seconds",
         "0.001", "--cores", "1", "--data", "synthetic", "--allow-synthetic")


class Injection(CliTest):
    def setUp(self):
        super().setUp()
        rows = [{"name": name, "metric": metric, "unit": unit, "higher_is_better": True,
                 "variant": name, "samples": [1 + 0.1 * i for i in range(9)]}
                for name in EVIL for metric, unit in (("speed", "images/s"),
                                                      ("\x1b[41m=metric", "\x1b|u"))]
        self.write("a.json", json.dumps({"schema_version": 1, "kind": "sweep",
                                         "measurements": rows}))

    def assert_harmless(self, text):
        self.assertIsNone(re.search("[\x00-\x09\x0b-\x1f\x7f-\x9f\u202a-\u202e]", text), text)

    def assert_tables(self, text):
        """Every row of each table has the cells of its head, and nothing is a tag or a link."""
        columns = None
        for line in text.splitlines():
            cells = re.sub(r"\\.", "", line).count("|")
            if columns is None or not line.startswith("|"):
                columns = cells if line.startswith("|") else None
            else:
                self.assertEqual(cells, columns, line)
        self.assertIsNone(re.search(r"(?<!\\)<\w|(?<!\\)\]\(|(?<!\\)`x", text), text)

    def test_compare(self):
        self.assert_harmless(self.succeed("compare", "a.json", "a.json", "--markdown", "md"))
        with open(self.path("md")) as file:
            text = file.read()
        self.assert_harmless(text)
        self.assert_tables(text)

    def test_export(self):
        text = self.succeed("export", "a.json", "--markdown", "-")
        self.assert_harmless(text)
        self.assert_tables(text)
        content = self.succeed("export", "a.json")
        self.assert_harmless(content.replace("\r\n", "\n"))
        rows = list(csv.reader(io.StringIO(content, newline="")))
        self.assertEqual(len(rows), 1 + 2 * 9 * len(EVIL))
        for row in rows:
            self.assertEqual(len(row), len(rows[0]))
            for cell in row:
                self.assertFalse(cell[:1] in ("=", "+", "@", "\t", "\r") or cell.startswith("-2"),
                                 cell)

    def test_networks(self):
        """A network has the name of its file."""
        name = "|x|\x1b[31m<b>"
        self.write(name + ".txt", "input 1 28 28\nflatten\nlinear 10\n")
        result = self.run_program("sweep", "--variants", f"./{name}.txt", *SHORT, "--output", "out")
        self.assertEqual(result.returncode, 0, result.stderr)
        self.assert_harmless((result.stdout + result.stderr).decode().replace("\r", ""))
        with open(self.path("out/sweep.md")) as file:
            text = file.read()
        self.assert_harmless(text)
        self.assert_tables(text)
        self.assert_harmless(self.succeed("describe", f"./{name}.txt"))


if __name__ == "__main__":
    unittest.main()
