"""The examples run, and print what examples/README.md shows; they build against an installed
convmark by the commands that it gives.

Needs $CONVMARK_BUILD, $CC and $CMAKE.
"""

import math
import os
import pathlib
import re
import struct
import subprocess
import sys
import tempfile
import unittest

ROOT = pathlib.Path(__file__).resolve().parents[2]
BUILD = pathlib.Path(os.environ["CONVMARK_BUILD"])
EXAMPLES = BUILD / "bin/examples"
README = (ROOT / "examples/README.md").read_text(encoding="utf-8")
SANITIZED = os.environ.get("CONVMARK_SANITIZE", "") != ""


def run(*command, folder=ROOT, **environment):
    """Exit code, standard output and standard error of a command."""
    done = subprocess.run([str(word) for word in command], capture_output=True, text=True,
                          check=False, cwd=folder,
                          env={**os.environ, "OMP_WAIT_POLICY": "passive", **environment})
    return done.returncode, done.stdout, done.stderr


def same_on_all_machines(text):
    return re.sub(r"(?m)^kernels \w+,", "kernels ISA,", text)


class Readme(unittest.TestCase):
    """Each program of a console block prints what is below it, and nothing on standard error."""

    def check(self, program):
        shown = re.search(rf"```console\n\$ (\S*{re.escape(program)}.*)\n((?s:.*?))```", README)
        with tempfile.TemporaryDirectory(prefix="convmark-examples-") as folder:
            words = [word.replace("build/release", str(BUILD)) for word in shown[1].split()]
            words = [sys.executable if word == "python3" else word for word in words]
            words = [str(ROOT / word) if word.startswith("examples/") else word for word in words]
            code, out, err = run(*words, folder=folder)
        self.assertEqual((code, err), (0, ""))
        self.assertEqual(same_on_all_machines(out), same_on_all_machines(shown[2]))

    def test_train(self):
        self.check("/train bn-3")

    def test_kernel(self):
        self.check("/kernel")

    def test_own_network(self):
        self.check("/own_network")

    @unittest.skipIf(SANITIZED, "Python would need the sanitizer's library first")
    def test_ctypes(self):
        self.check("python3 examples/ctypes/train.py")


class Pages(unittest.TestCase):
    def test_files_that_the_guides_name_exist(self):
        """All but those of the operation that the walk-through adds."""
        for page in ("add-an-operation", "tutorial-convolution"):
            text = (ROOT / f"docs/guide/{page}.md").read_text(encoding="utf-8")
            folders = "src|tests|kernels|include|bench|cmake|examples"
            files = set(re.findall(rf"[`(](?:\.\./\.\./)?((?:{folders})/[\w./-]+)[`)]", text))
            self.assertGreater(len(files), 5, page)
            for name in files:
                if "avg_pool2d" not in name:
                    self.assertTrue((ROOT / name).exists(), f"{page}: {name}")


class Errors(unittest.TestCase):
    """A status becomes the exit code, and the library's message one line."""

    def check(self, code, pattern, program, *arguments):
        got, out, err = run(EXAMPLES / program, *arguments)
        self.assertEqual((got, out.count("correct")), (code, 0))
        self.assertRegex(err, rf"\A{program}: .*{pattern}.*\n\Z")

    def test_unknown_variant(self):
        self.check(2, "bn-3", "train", "bn3", "synthetic")

    def test_missing_data(self):
        self.check(3, "/nonexistent", "train", "bn-3", "/nonexistent")

    def test_missing_network(self):
        self.check(3, "nonexistent.txt", "own_network", "./nonexistent.txt", "x.safetensors")

    def test_network_for_other_images(self):
        with tempfile.TemporaryDirectory(prefix="convmark-examples-") as folder:
            path = pathlib.Path(folder) / "small.txt"
            path.write_text("input 1 9 9\nflatten\nlinear 10\n", encoding="utf-8")
            # Generated pictures have the shape of the network, those of a folder their own.
            code, out, err = run(EXAMPLES / "own_network", path, f"{folder}/x.safetensors",
                                 "synthetic")
            self.assertEqual((code, err), (0, ""))
            self.assertIn("saved and loaded", out)
            for part in ("train", "t10k"):
                for kind, dims in (("images-idx3", (64, 4, 4)), ("labels-idx1", (64,))):
                    data = struct.pack(f">HBB{len(dims)}I", 0, 8, len(dims), *dims)
                    (pathlib.Path(folder) / f"{part}-{kind}-ubyte").write_bytes(
                        data + bytes([0, 200][i % 2] if len(dims) == 3 else 1
                                     for i in range(math.prod(dims))))
            self.check(2, "9x9", "own_network", path, f"{folder}/x.safetensors", folder)


@unittest.skipIf(SANITIZED, "a program outside would need the sanitizer as well")
class Outside(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        holder = tempfile.TemporaryDirectory(prefix="convmark-examples-")
        cls.addClassCleanup(holder.cleanup)
        cls.folder = pathlib.Path(holder.name)
        cls.prefix = cls.folder / "convmark"
        cls.succeed(os.environ["CMAKE"], "--install", BUILD, "--prefix", cls.prefix)

    @staticmethod
    def succeed(*command, **environment):
        code, out, err = run(*command, **environment)
        if code != 0:
            raise AssertionError(f"{command}: exit code {code}\n{out}{err}")
        return out

    def shown(self, first):
        """The README's indented block that begins with `first`, for the shell."""
        block = re.search(rf"(?m)^    {re.escape(first)}.*\n(?:    .*\n)*", README)[0]
        return re.sub(r"\bcc -std", f"{os.environ['CC']} -std", block).replace(
            "build/examples", str(self.folder / "build"))

    def shell(self, first):
        # The program is written where the shell stands.
        block = self.shown(first).replace("-o kernel", f"-o {self.folder}/kernel").replace(
            "./kernel", f"{self.folder}/kernel")
        return self.succeed("bash", "-ec", block, HOME=str(self.folder), CC=os.environ["CC"])

    def test_cmake(self):
        self.assertIn("0 differ", self.shell("cmake -S examples"))

    def test_pkg_config(self):
        self.assertIn("0 differ", self.shell("export PKG_CONFIG_PATH"))


if __name__ == "__main__":
    unittest.main()
