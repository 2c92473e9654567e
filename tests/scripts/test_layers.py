"""scripts/ci/check_layers.py finds each kind of breach, and nothing in a clean tree."""

import pathlib
import subprocess
import sys
import tempfile
import unittest

SCRIPT = pathlib.Path(__file__).resolve().parents[2] / "scripts" / "ci" / "check_layers.py"
CLEAN = {
    "include/convmark/kernels.h": '#include "convmark/team.h"\n',
    "include/convmark/team.h": "#include <stddef.h>\n",
    "include/convmark/status.h": "",
    "include/convmark/model.h": '#include "convmark/kernels.h"\n#include "convmark/status.h"\n',
    "kernels/isa.h": '#include "convmark/kernels.h"\n',
    "kernels/gemm/gemm.h": '#include "kernels/isa.h"\n',
    "kernels/conv2d/conv2d.c": '#include "kernels/gemm/gemm.h"\n',
    "src/core/files/file.h": '#include "convmark/status.h"\n',
    "src/core/network/plan.h": '#include "core/files/file.h"\n#include "convmark/model.h"\n',
    "src/harness/record/json.h": '#include "core/network/plan.h"\n',
    "src/harness/studies/report/report.h": '#include "harness/record/json.h"\n',
    "src/cli/main.c": '#include "harness/studies/report/report.h"\nx = "--data";\n',
    "examples/train.c": "#include <convmark/model.h>\n",
}


class Layers(unittest.TestCase):
    def check(self, files):
        """Exit code and lines of the script on the clean tree with these files in it."""
        with tempfile.TemporaryDirectory() as folder:
            for name, text in {**CLEAN, **files}.items():
                path = pathlib.Path(folder, name)
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_text(text, encoding="utf-8")
            done = subprocess.run([sys.executable, str(SCRIPT), folder], capture_output=True,
                                  text=True, check=False)
        self.assertEqual(done.stderr, "")
        return done.returncode, done.stdout.splitlines()

    def assert_breach(self, files, start, what):
        code, lines = self.check(files)
        self.assertEqual(code, 1)
        self.assertEqual(len(lines), 1, lines)
        self.assertTrue(lines[0].startswith(start + ": "), lines)
        self.assertIn(what, lines[0])

    def test_clean_tree(self):
        self.assertEqual(self.check({}), (0, []))

    def test_floor_above(self):
        for name, text in (
                ("kernels/a.c", '#include "convmark/model.h"\n'),
                ("include/convmark/conv2d.h", '#include "convmark/status.h"\n'),
                ("src/core/files/a.c", '#include "core/network/plan.h"\n'),
                ("src/core/network/a.c", '#include "convmark/trainer.h"\n'),
                ("src/core/train/a.c", '  #  include "harness/record/json.h"\n'),
                ("src/harness/record/a.c", '#include "../studies/report/report.h"\n')):
            with self.subTest(name=name):
                self.assert_breach({"include/convmark/trainer.h": "", name: text}, name + ":1",
                                   "a floor above")

    def test_floor_beside(self):
        self.assert_breach({"src/harness/profile/a.c":
                            '\n#include "harness/studies/report/report.h"\n'},
                           "src/harness/profile/a.c:2", "beside it")
        self.assert_breach({"bench/a.cpp": '#include "cli/cli.h"\n', "src/cli/cli.h": ""},
                           "bench/a.cpp:1", "beside it")

    def test_private_floor(self):
        self.assert_breach({"src/core/network/a.c": '#include "kernels/gemm/gemm.h"\n'},
                           "src/core/network/a.c:1", "private")

    def test_examples_use_public_headers_only(self):
        self.assert_breach({"examples/a.c": '#include "core/network/plan.h"\n'},
                           "examples/a.c:1", "not public")

    def test_circle_of_files(self):
        self.assert_breach({"src/core/files/a.h": '#include "core/files/b.h"\n',
                            "src/core/files/b.h": '#include "core/files/a.h"\n'},
                           "src/core/files/a.h:1", "a.h -> src/core/files/b.h -> src/core/files/a")

    def test_circle_of_folders(self):
        self.assert_breach({"kernels/gemm/a.c": '#include "kernels/conv2d/b.h"\n',
                            "kernels/conv2d/b.h": ""}, "kernels/conv2d:1",
                           "kernels/conv2d -> kernels/gemm -> kernels/conv2d")

    def test_file_on_no_floor(self):
        self.assert_breach({"src/other/a.c": ""}, "src/other/a.c:1", "no floor")

    def test_options_in_strings(self):
        self.assert_breach({"src/core/files/a.c": 'x = "a \\" b"\n  "; give --data";\n'},
                           "src/core/files/a.c:2", "names an option")
        fine = '/* "cut -- here" --i */ int i = 1; x = "a--b -- c"; y = --i; /* --data */\n'
        self.assertEqual(self.check({"src/core/files/a.c": fine}), (0, []))


if __name__ == "__main__":
    unittest.main()
