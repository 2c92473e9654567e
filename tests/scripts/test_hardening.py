"""Release builds are hardened, and scripts/ci/check_hardening.py sees what is not."""
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile
import unittest

ROOT = pathlib.Path(__file__).resolve().parents[2]
SCRIPT = ROOT / "scripts/ci/check_hardening.py"
CACHE = (pathlib.Path(os.environ["CONVMARK_BUILD"]) / "CMakeCache.txt").read_text(encoding="utf-8")
SOURCE = """#include <stdio.h>
#include <string.h>
int main(int argc, char **argv) {
    char text[64];
    (void)argc;
    strcpy(text, argv[0]);
    return puts(text) < 0;
}
"""
GOOD = ("-O2", "-U_FORTIFY_SOURCE", "-D_FORTIFY_SOURCE=2", "-fstack-protector-strong", "-fPIE",
        "-pie", "-Wl,-z,relro,-z,now")


@unittest.skipIf(shutil.which("readelf") is None, "needs readelf")
class Hardening(unittest.TestCase):
    def check(self, *paths):
        done = subprocess.run([sys.executable, "-I", str(SCRIPT), *map(str, paths)], text=True,
                              capture_output=True, check=False)
        self.assertEqual(done.stderr, "")
        return done.returncode, done.stdout

    def test_this_build(self):
        if "CONVMARK_HARDENED:BOOL=ON" not in CACHE or "CMAKE_BUILD_TYPE:STRING=Rel" not in CACHE:
            self.skipTest("a build for debugging")
        self.assertEqual(self.check(os.environ["CONVMARK"], os.environ["CONVMARK_LIBRARY"]),
                         (0, ""))

    def test_each_lack_is_found(self):
        with tempfile.TemporaryDirectory() as folder:
            source = pathlib.Path(folder, "a.c")
            source.write_text(SOURCE, encoding="utf-8")
            program = pathlib.Path(folder, "a")
            for more, what in (((), ""),
                               (("-Wl,-z,lazy", "-Wl,-z,norelro"), "no RELRO"),
                               (("-Wl,-z,lazy",), "no BIND_NOW"),
                               (("-Wl,-z,execstack",), "writable and executable"),
                               (("-fno-pie", "-no-pie"), "not position-independent"),
                               (("-fno-stack-protector",), "no stack protector"),
                               (("-U_FORTIFY_SOURCE",), "no checked calls")):
                with self.subTest(more):
                    subprocess.run([os.environ["CC"], *GOOD, *more, str(source), "-o",
                                    str(program)], check=True, capture_output=True)
                    code, text = self.check(program)
                    self.assertEqual(code, 1 if what else 0, text)
                    self.assertIn(what, text)


if __name__ == "__main__":
    unittest.main()
