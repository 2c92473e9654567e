"""scripts/ci/check_words.py finds retired words where people read them, and nowhere else."""

import pathlib
import subprocess
import sys
import tempfile
import unittest

SCRIPT = pathlib.Path(__file__).resolve().parents[2] / "scripts" / "ci" / "check_words.py"


class Words(unittest.TestCase):
    def check(self, name, text):
        with tempfile.TemporaryDirectory() as folder:
            path = pathlib.Path(folder, name)
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
            done = subprocess.run([sys.executable, SCRIPT, folder], capture_output=True, text=True,
                                  check=False)
        self.assertEqual(done.stderr, "")
        self.assertEqual(done.returncode, 1 if done.stdout else 0)
        return done.stdout.splitlines()

    def assert_refused(self, text, say):
        lines = self.check("docs/a.md", text)
        self.assertEqual(len(lines), 1, (text, lines))
        self.assertIn(say, lines[0])

    def assert_fine(self, *texts):
        for text in texts:
            self.assertEqual(self.check("docs/a.md", text), [])

    def test_refused(self):
        for text, say in (
                ("The pass by data is fast.", "backward-data"),
                ("The gradient by weights", "backward-weights"),
                ("written anew", "again"),
                ("bits of before", "previous"),
                ("figures of an earlier state", "measure again"),
                ("the run goes on from there", "resume"),
                ("a barrier puts down a mark", "record"),
                ("stays in the second cache", "L1, L2"),
                ("| one more run, 95 % |", "prediction interval"),
                ("What spoils measurements", "unreliable"),
                ("they are not told apart", "separate"),
                ("which means: none was shown", "demonstrated"),
                ("the pool behind the convolution", "after"),
                ("a third of the products", "multiplications"),
                ("3x3 kernels", "filter"),
                ("one object a variant", "per"),
                ("100 batches an epoch", "per"),
                ("1 MiB of L2 cache a core", "per"),
                ("computed by one thread, it does not matter which", "any")):
            self.assert_refused(text, say)

    def test_fine(self):
        self.assert_fine("before and after", "nothing is left behind", "the matrix product",
                         "running products", "last-level cache", "by data set", "kernel size 3x3",
                         "one row of a network", "a second compiler", "an epoch is 100 batches",
                         "the algorithms behind one contract", "the cat is on the mat")

    def test_phrases_span_lines(self):
        lines = self.check("src/a.c", "/* The run goes\n * on from the state. */\nint a;\n")
        self.assertEqual(lines, ["src/a.c:1: 'goes on': say: resume; continue"])
        lines = self.check("src/a.c", 'f("What spo" "x"\n  "begin "\n  "anew");\n')
        self.assertEqual(lines, ["src/a.c:3: 'anew': say: again; start over"])

    def test_only_what_is_read(self):
        self.assertEqual(self.check("src/a.c", "int behind = 1, anew;\n"), [])
        self.assertEqual(self.check("scripts/a.py", "behind = 1\n"), [])
        for name, text in (("src/a.c", 'puts("behind");\n'), ("src/a.h", "// behind\n"),
                           ("scripts/a.py", "x = 1  # behind\n"), ("scripts/a.sh", "# behind\n"),
                           ("scripts/a.py", 'print(f"{x} behind")\n'),
                           ("docs/a.1", "\\fBanew\\fR\n")):
            self.assertEqual(len(self.check(name, text)), 1, text)

    def test_list(self):
        done = subprocess.run([sys.executable, SCRIPT, "--list"], capture_output=True, text=True,
                              check=False)
        self.assertEqual(done.returncode, 0)
        self.assertIn("anew\tagain; start over\tall\n", done.stdout)
        done = subprocess.run([sys.executable, SCRIPT, "--lst"], capture_output=True, text=True,
                              check=False)
        self.assertEqual((done.returncode, done.stdout), (2, ""))


if __name__ == "__main__":
    unittest.main()
