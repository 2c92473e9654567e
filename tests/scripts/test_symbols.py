"""What the built objects define and need: the shared library's exports, the kernels' isolation."""

import os
import pathlib
import re
import shutil
import subprocess
import unittest

ROOT = pathlib.Path(__file__).resolve().parents[2]
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


HEADERS = pathlib.Path(__file__).resolve().parents[2] / "include" / "convmark"


def declared(folder):
    """Names of the functions and variables that the headers in a folder declare, by ctags."""
    headers = sorted(folder.glob("*.h"))
    tags = subprocess.run(["ctags", "--language-force=C", "--kinds-C=px", "--sort=no", "-f", "-",
                           *map(str, headers)], check=True, capture_output=True, text=True).stdout
    return {line.split("\t")[0] for line in tags.splitlines() if not line.startswith("!")}


class SharedLibrary(unittest.TestCase):
    def exported(self, name):
        return {name for _, name in symbols(BUILD / "lib" / name, "-D", "--defined-only")}

    @unittest.skipIf(shutil.which("ctags") is None, "needs ctags")
    def test_exports_are_the_headers_declarations(self):
        names = declared(HEADERS)
        self.assertLessEqual({"cm_version", "cm_model_create", "cm_kernels_best"}, names)
        exported = self.exported("libconvmark.so")
        self.assertEqual(sorted(names - exported), [], "declared, not exported")
        self.assertEqual(sorted(exported - names), [], "exported, not declared")

    def test_soname(self):
        dynamic = subprocess.run(["readelf", "-d", str(BUILD / "lib/libconvmark.so")], check=True,
                                 capture_output=True, text=True).stdout
        self.assertRegex(dynamic, r"SONAME.*\[libconvmark\.so\.\d+\.\d+\]")


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


class KernelNames(unittest.TestCase):
    """A search for the plain name of a kernel finds its definition."""

    def setUp(self):
        header = (ROOT / "kernels/isa.h").read_text(encoding="utf-8")
        self.renamed = re.findall(r"^#define (cm_\w+) +CM_FN\((\w+)\)$", header, re.M)
        self.sources = "".join(path.read_text(encoding="utf-8")
                               for path in sorted((ROOT / "kernels").rglob("*.c")))

    def test_registry_is_renamed(self):
        header = (ROOT / "include/convmark/kernels.h").read_text(encoding="utf-8")
        registry = re.findall(r"^    ROW\((\w+)\)", header, re.M)
        self.assertGreater(len(registry), 20)
        self.assertEqual([name for name, op in self.renamed if name != f"cm_{op}"], [])
        self.assertEqual(set(registry) - {op for _, op in self.renamed}, set())

    def test_each_name_has_one_definition(self):
        for name, _ in self.renamed:
            found = re.findall(rf"^(?:const )?\w[\w ]*[ *]{name}(?:\([^;{{]*\) \{{| = \{{)",
                               self.sources, re.M)
            self.assertEqual(len(found), 1, name)


@unittest.skipIf(shutil.which("ctags") is None, "needs ctags")
class Definitions(unittest.TestCase):
    """What a search relies on: one name has one definition; and calls are short."""

    FOLDERS = ("include", "kernels", "src", "bench")
    # The vectors have one definition per instruction set; each program has its main().
    SHARED = re.compile(r"v[fbdt]\w*_\w+|main")
    MAX_PARAMETERS = 8

    def definitions(self, kinds):
        """(name, file, signature) of each definition, each once."""
        command = ["ctags", "-x", f"--kinds-C={kinds}", "--languages=C", "-I", "CM_ALWAYS_INLINE",
                   "--_xformat=%N|%F|%S", "-R", *self.FOLDERS]
        done = subprocess.run(command, check=True, capture_output=True, text=True, cwd=ROOT)
        found = {tuple(line.split("|", 2)) for line in done.stdout.splitlines()}
        self.assertGreater(len(found), 50)
        return sorted(found)

    def test_one_name_is_one_function_or_structure(self):
        files = {}
        for name, file, _ in self.definitions("fs"):
            if not self.SHARED.fullmatch(name):
                files.setdefault(name, set()).add(file)
        self.assertEqual({name: sorted(at) for name, at in files.items() if len(at) > 1}, {})

    def test_no_function_has_too_many_parameters(self):
        for name, file, signature in self.definitions("f"):
            self.assertLessEqual(signature.count(",") + 1, self.MAX_PARAMETERS, f"{file}: {name}")


if __name__ == "__main__":
    unittest.main()
