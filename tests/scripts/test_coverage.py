"""scripts/ci/coverage.sh --table: a row below its floor is found, and what several objects of one
file ran is added up. gcc, gcov and gcovr are the real ones, on a tree of small files."""

import pathlib
import re
import shutil
import subprocess
import tempfile
import unittest

ROOT = pathlib.Path(__file__).resolve().parents[2]
SCRIPT = ROOT / "scripts/ci/coverage.sh"
SOURCE = """int f_{number}(int value) {{
    if (value > 3) {{
        return 1;
    }}
    return 2;
}}
"""


@unittest.skipUnless(shutil.which("gcovr") and shutil.which("gcc"), "no gcovr, or no gcc")
class Table(unittest.TestCase):
    def setUp(self):
        folder = tempfile.mkdtemp(prefix="convmark-coverage-")
        self.addCleanup(shutil.rmtree, folder)
        self.root = pathlib.Path(folder).resolve()
        (self.root / "scripts/ci").mkdir(parents=True)
        shutil.copy(SCRIPT, self.root / "scripts/ci")
        shutil.copy(ROOT / "scripts/lib.sh", self.root / "scripts")
        rows = SCRIPT.read_text(encoding="utf-8").split("PARSERS='")[1].split("'")[0]
        self.files = re.findall(r"[a-z0-9_/]+\.c", rows)
        self.assertGreater(len(self.files), 8)
        for number, name in enumerate(self.files):
            path = self.root / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(SOURCE.format(number=number), encoding="utf-8")

    def compile(self, program, values, unit):
        """A program that calls each function with its values; its objects lie below `program`."""
        build = self.root / "build/coverage" / program
        build.mkdir(parents=True)
        calls = [f"int f_{n}(int); " for n in range(len(self.files))]
        body = "".join(f"f_{n}({value});" for n, name in enumerate(self.files)
                       for value in values(name))
        (build / "main.c").write_text(f"{''.join(calls)}\nint main(void) {{ {body} }}",
                                      encoding="utf-8")
        subprocess.run(["gcc", "-c", "main.c", "-o", "main.o"], check=True, cwd=build)
        objects = ["main.o"]
        for name in self.files:
            objects.append(f"{name.replace('/', '_')}.{unit}.o")
            subprocess.run(["gcc", "--coverage", "-c", self.root / name, "-o", objects[-1]],
                           check=True, cwd=build)
        subprocess.run(["gcc", "--coverage", *objects, "-o", "program"], check=True, cwd=build)
        subprocess.run(["./program"], check=False, cwd=build)

    def table(self, *words):
        done = subprocess.run([self.root / "scripts/ci/coverage.sh", "--table", *words],
                              capture_output=True, text=True, check=False)
        return done.returncode, done.stdout + done.stderr

    def test_all_run(self):
        self.compile("a", lambda name: (1, 5), "c")
        code, text = self.table()
        self.assertEqual(code, 0, text)
        self.assertRegex(text, r"(?m)^shapes +4 of +4 +100\.0% +2 of +2 +100\.0%$")
        self.assertRegex(text, r"(?m)^src, kernels, bench ")

    def test_a_line_that_never_runs(self):
        self.compile("a", lambda name: (1,) if name == "bench/shapes.c" else (1, 5), "c")
        code, text = self.table("--missed", "bench/shapes.c")
        self.assertEqual(code, 1, text)
        self.assertRegex(text, r"(?m)^shapes +3 of +4 +75\.0% +1 of +2 +50\.0%  below 100 %, 95 %$")
        self.assertEqual(text.count("below"), 1, text)
        self.assertRegex(text, r"(?m)^bench/shapes\.c +4 +3 +75% +3$")
        self.assertRegex(text, r"(?m)^bench/shapes\.c +2 +1 +50% +2$")

    def test_objects_of_one_file_are_added_up(self):
        self.compile("a", lambda name: (1,), "c")
        self.compile("b", lambda name: (5,), "c")
        code, text = self.table()
        self.assertEqual(code, 0, text)

    def test_objects_of_other_processors_are_not_counted(self):
        self.compile("a", lambda name: (1, 5), "c")
        self.compile("cm_kernels_zzz", lambda name: (), "c")
        script = self.root / "scripts/ci/coverage.sh"
        text = script.read_text(encoding="utf-8")
        self.assertIn("\navx512f  cm_kernels_avx512", text)
        text = text.replace("avx512f  cm_kernels_avx512", "no_such_flag  cm_kernels_zzz")
        script.write_text(text, encoding="utf-8")
        (self.root / "build/coverage/cm_kernels_zzz/bench_shapes.c.c.gcda").write_bytes(b"damaged")
        code, text = self.table()
        self.assertEqual(code, 0, text)
        self.assertIn("not counted, as this processor cannot run them: cm_kernels_zzz", text)

    def test_a_file_of_a_row_is_missing(self):
        """A row whose files moved away must not pass."""
        self.compile("a", lambda name: (1, 5), "c")
        script = self.root / "scripts/ci/coverage.sh"
        text = script.read_text(encoding="utf-8")
        script.write_text(text.replace("| bench/shapes.c", "| bench/moved.c"), encoding="utf-8")
        code, text = self.table()
        self.assertEqual(code, 1, text)
        self.assertRegex(text, r"(?m)^shapes .*below 100 %, 95 %$")

    def test_gcovr_writes_below_the_build_folder_only(self):
        """It deletes what it is to write before it does: as root, even /dev/null."""
        text = SCRIPT.read_text(encoding="utf-8")
        outputs = re.findall(r"--(?:output|json) +(\S+)", text)
        self.assertIn('"$counts"', outputs)
        for output in outputs:
            self.assertRegex(output, r'^"\$(counts"|folder/)')

    def test_nothing_was_run(self):
        code, text = self.table()
        self.assertEqual(code, 1, text)
        self.assertRegex(text, r"no counts; run .*coverage\.sh without --table\n$")


if __name__ == "__main__":
    unittest.main()
