"""What the built objects define and need: the shared library's exports, the kernels' isolation."""

import os
import pathlib
import re
import subprocess
import unittest

BUILD = pathlib.Path(os.environ["CONVMARK_BUILD"])
# Of libm, kernels may only call what IEEE 754 defines to the last bit.
EXACT = {"fma", "fmaf", "sqrt", "sqrtf"}
INEXACT = re.compile(
    r"^(a?(sin|cos|tan)h?|exp|exp2|expm1|log|log2|log10|log1p|pow|cbrt|hypot|atan2|[lt]gamma|"
    r"erfc?)f?$")


def symbols(path, *options):
    """(kind, name) of each symbol that nm lists, versions cut off."""
    listing = subprocess.run(["nm", *options, str(path)], check=True, capture_output=True,
                             text=True).stdout
    found = []
    for line in listing.splitlines():
        words = line.split()
        if len(words) >= 2 and len(words[-2]) == 1:
            found.append((words[-2], words[-1].split("@")[0]))
    return found


class SharedLibrary(unittest.TestCase):
    def test_exports_begin_with_cm(self):
        names = [name for _, name in symbols(BUILD / "lib/libconvmark.so", "-D", "--defined-only")]
        self.assertIn("cm_model_create", names)
        self.assertIn("cm_kernels_best", names)
        self.assertEqual([name for name in names if not name.startswith("cm_")], [])


class Kernels(unittest.TestCase):
    def objects(self, isa):
        return sorted(BUILD.glob(f"kernels/CMakeFiles/cm_kernels_{isa}.dir/**/*.o"))

    def isas(self):
        folders = BUILD.glob("kernels/CMakeFiles/cm_kernels_*.dir")
        return [folder.name[len("cm_kernels_"):-len(".dir")] for folder in folders]

    def test_every_set_has_its_own_names(self):
        """A name shared by two sets could make the linker take AVX-512 code for all machines."""
        self.assertIn("scalar", self.isas())
        for isa in self.isas():
            names = [name for path in self.objects(isa)
                     for _, name in symbols(path, "-g", "--defined-only")]
            self.assertTrue(names, isa)
            # Instrumentation of the sanitizers has names of its own.
            wrong = [name for name in names
                     if not name.endswith(f"_{isa}") and not name.startswith("_")]
            self.assertEqual(wrong, [], isa)

    def test_no_inexact_library_function(self):
        for isa in self.isas():
            for path in self.objects(isa):
                needed = {name for _, name in symbols(path, "-u")}
                self.assertEqual({n for n in needed if INEXACT.match(n)} - EXACT, set(), path.name)


if __name__ == "__main__":
    unittest.main()
