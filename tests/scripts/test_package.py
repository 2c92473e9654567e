"""Installs the build and uses it as a stranger does: by find_package and by pkg-config, both kinds.

Needs cmake's path in $CMAKE and the compiler's in $CC.
"""

import os
import pathlib
import re
import shutil
import subprocess
import tempfile
import unittest

BUILD = pathlib.Path(os.environ["CONVMARK_BUILD"])
CMAKE = os.environ.get("CMAKE", "cmake")
CC = os.environ.get("CC", "cc")
PROJECT = pathlib.Path(__file__).resolve().parent / "package"


def run(*command, **environment):
    """Standard output of a command; an exception with its messages when it fails."""
    done = subprocess.run([str(word) for word in command], capture_output=True, text=True,
                          check=False, env={**os.environ, **environment})
    if done.returncode != 0:
        raise AssertionError(f"{' '.join(map(str, command))}: exit code {done.returncode}\n"
                             f"{done.stdout}{done.stderr}")
    return done.stdout


class Package(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = pathlib.Path(tempfile.mkdtemp(prefix="convmark-package-"))
        cls.addClassCleanup(shutil.rmtree, cls.folder)
        first = cls.folder / "first"
        run(CMAKE, "--install", BUILD, "--prefix", first)
        # Moved after the installation: nothing in it may know where it was put.
        cls.prefix = cls.folder / "prefix"
        first.rename(cls.prefix)
        cls.pc = next(cls.prefix.rglob("convmark.pc"))
        cls.lib = cls.pc.parent.parent
        cls.hashes = {}

    def assert_trains(self, program, **environment):
        """The program runs, and all of them end with the same parameters."""
        text = run(program, **environment).strip()
        self.assertRegex(text, r"^[0-9a-f]{64}$")
        self.hashes[program] = text
        self.assertEqual(len(set(self.hashes.values())), 1, self.hashes)

    def loads_shared_library(self, program):
        return "libconvmark.so" in run("readelf", "-d", program)

    def test_soname_changes_with_the_minor_version_before_1_0(self):
        version = run("pkg-config", "--modversion", "convmark",
                      PKG_CONFIG_PATH=str(self.pc.parent)).strip()
        major, minor, _ = version.split(".")
        name = f"libconvmark.so.{major}" + (f".{minor}" if major == "0" else "")
        self.assertIn(f"[{name}]", run("readelf", "-d", self.lib / "libconvmark.so"))

    def by_cmake(self, kind):
        build = self.folder / f"cmake-{kind}"
        run(CMAKE, "-S", PROJECT, "-B", build, f"-DCMAKE_PREFIX_PATH={self.prefix}",
            f"-DKIND={kind}", f"-DCMAKE_C_COMPILER={CC}", "-DCMAKE_BUILD_TYPE=Release")
        run(CMAKE, "--build", build)
        return build / "outside"

    def by_pkg_config(self, kind):
        options = ["--static"] if kind == "static" else []
        words = run("pkg-config", *options, "--cflags", "--libs", "convmark",
                    PKG_CONFIG_PATH=str(self.pc.parent)).split()
        if kind == "static":
            words = [str(self.lib / "libconvmark.a") if w == "-lconvmark" else w for w in words]
        program = self.folder / f"pkg-config-{kind}"
        run(CC, "-std=c17", "-Wall", "-Wextra", "-Werror", PROJECT / "main.c", "-o", program,
            *words)
        return program

    def test_find_package_shared(self):
        program = self.by_cmake("shared")
        self.assertTrue(self.loads_shared_library(program))
        self.assert_trains(program)

    def test_find_package_static(self):
        program = self.by_cmake("static")
        self.assertFalse(self.loads_shared_library(program))
        self.assert_trains(program)

    def test_pkg_config_shared(self):
        program = self.by_pkg_config("shared")
        self.assertTrue(self.loads_shared_library(program))
        self.assert_trains(program, LD_LIBRARY_PATH=str(self.lib))

    def test_pkg_config_static(self):
        program = self.by_pkg_config("static")
        self.assertFalse(self.loads_shared_library(program))
        self.assert_trains(program)

    def test_newer_version_is_refused(self):
        build = self.folder / "newer"
        source = self.folder / "newer-source"
        source.mkdir()
        (source / "CMakeLists.txt").write_text(
            "cmake_minimum_required(VERSION 3.25)\nproject(newer LANGUAGES C)\n"
            "find_package(convmark 99 REQUIRED)\n", encoding="utf-8")
        with self.assertRaisesRegex(AssertionError, "convmark"):
            run(CMAKE, "-S", source, "-B", build, f"-DCMAKE_PREFIX_PATH={self.prefix}")

    def test_installed_program(self):
        version = run(self.prefix / "bin" / "convmark", "--version")
        self.assertIn(run("pkg-config", "--modversion", "convmark",
                          PKG_CONFIG_PATH=str(self.pc.parent)).strip(), version)

    def test_versions_agree(self):
        header = (self.prefix / "include/convmark/convmark.h").read_text(encoding="utf-8")
        number = re.search(r'#define CM_VERSION "(.+)"', header)[1]
        self.assertEqual(run("pkg-config", "--modversion", "convmark",
                             PKG_CONFIG_PATH=str(self.pc.parent)).strip(), number)

    def test_manual_and_licence(self):
        self.assertTrue((self.prefix / "share/man/man1/convmark.1").is_file())
        self.assertTrue((self.prefix / "share/doc/convmark/LICENSE").is_file())

    def test_pages_schema_and_scripts(self):
        """What messages name is installed, and runs from there."""
        share = self.prefix / "share"
        for name in ("docs/guide/report.md", "docs/guide/bench.md", "docs/guide/data.md",
                     "docs/reference/results.schema.json", "docs/reference/network-text.md"):
            self.assertTrue((share / "doc/convmark" / name).is_file(), name)
        scripts = share / "convmark/scripts"
        self.assertIn("get-data.sh", run(scripts / "get-data.sh", "--help"))
        for name in ("report_page.py", "plot_sweep.py", "plot_report.py", "plot_roofline.py",
                     "plot_explore.py", "plot_peers.py"):
            self.assertTrue(os.access(scripts / "plots" / name, os.X_OK), name)
        self.assertTrue((scripts / "plots/report_page.html").is_file())
        python = next((name for name in ("python3", "/usr/bin/python3") if subprocess.run(
            [name, "-c", "import matplotlib, jinja2"], capture_output=True,
            check=False).returncode == 0), None)
        if python:
            self.assertIn("usage: report_page.py",
                          run(python, scripts / "plots/report_page.py", "--help"))

    def test_completion(self):
        """The installed completion knows commands, options and variants."""
        script = self.prefix / "share/bash-completion/completions/convmark"
        words = """. "$0"
            for line in "tr" "train --check" "train bn-1" "compare --thr"; do
                COMP_WORDS=("$1" $line); COMP_CWORD=$((${#COMP_WORDS[@]} - 1)); _convmark
                echo "${COMPREPLY[*]}"
            done"""
        self.assertEqual(run("bash", "-c", words, script, self.prefix / "bin/convmark").split(),
                         ["train", "--checkpoint", "bn-16", "--threshold"])

    def test_nothing_knows_the_build(self):
        """No installed text names the folders of the build or of the sources."""
        for path in self.prefix.rglob("*"):
            if path.is_file() and path.suffix in {".cmake", ".pc", ".h"}:
                text = path.read_text(encoding="utf-8")
                for place in (BUILD, PROJECT.parents[1], self.folder):
                    self.assertNotIn(f"{place}/", text, path)



class Headers(unittest.TestCase):
    """The public headers in programs of other languages and standards."""

    def test_standards(self):
        include = pathlib.Path(__file__).resolve().parents[2] / "include"
        source = "#include <convmark/convmark.h>\nint main(void) { return CM_OK; }\n"
        for compiler in ("gcc", "clang"):
            for language, standards in (("c", ("c11", "c17")),
                                        ("c++", ("c++11", "c++14", "c++17", "c++20"))):
                for standard in standards:
                    with self.subTest(f"{compiler} {standard}"):
                        if shutil.which(compiler) is None:
                            self.skipTest(f"needs {compiler}")
                        done = subprocess.run(
                            [compiler, "-x", language, f"-std={standard}", "-Wall", "-Wextra",
                             "-Wpedantic", "-Werror", "-fsyntax-only", f"-I{include}", "-"],
                            input=source, capture_output=True, text=True, check=False)
                        self.assertEqual((done.returncode, done.stderr), (0, ""))


if __name__ == "__main__":
    unittest.main()
