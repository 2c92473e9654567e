"""Runs the program ($CONVMARK) as a user types it."""
import json
import os
import struct
import subprocess
import tempfile
import unittest

PROGRAM = os.environ["CONVMARK"]
ONE_THREAD = os.environ.get("CONVMARK_OPENMP") == "OFF"
needs_teams = unittest.skipIf(ONE_THREAD, "this build has no OpenMP: one thread only")

# Small enough for a step to take no time worth mentioning.
TINY_NETWORK = """input 1 28 28
max_pool2d 4 stride 4
flatten
linear 16
relu
linear 10
"""

COMMANDS = ["report", "sweep", "explore", "profile", "compare", "export", "train", "evaluate",
            "predict", "variants", "describe", "info", "verify"]


def environment(changes=None):
    """The test's environment, without what would change the program's work. Idle threads sleep: a
    test beside this one has a use for their cores."""
    env = {"OMP_WAIT_POLICY": "passive"} | {k: v for k, v in os.environ.items()
           if not k.startswith(("OMP_", "GOMP_", "KMP_")) and k not in
           ("CONVMARK_ISA", "CONVMARK_DATA", "LC_ALL", "LC_NUMERIC", "LANG", "LANGUAGE")}
    return env | (changes or {})


def tensors(path):
    """Header and data of a safetensors file."""
    with open(path, "rb") as file:
        content = file.read()
    length = struct.unpack("<Q", content[:8])[0]
    return json.loads(content[8:8 + length]), content[8 + length:]


class CliTest(unittest.TestCase):
    """A test with a folder of its own."""

    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = folder.name
        self.network = self.write("tiny.txt", TINY_NETWORK)

    def path(self, name):
        return os.path.join(self.folder, name)

    def write(self, name, content):
        mode = "wb" if isinstance(content, bytes) else "w"
        with open(self.path(name), mode) as file:
            file.write(content)
        return self.path(name)

    def run_program(self, *words, env=None, **options):
        options.setdefault("stdout", subprocess.PIPE)
        return subprocess.run([PROGRAM, *words], stdin=subprocess.DEVNULL, stderr=subprocess.PIPE,
                              env=environment(env), cwd=self.folder, check=False, **options)

    def succeed(self, *words, **options):
        """Standard output of a run that must succeed without a word on standard error."""
        result = self.run_program(*words, **options)
        self.assertEqual((result.returncode, result.stderr), (0, b""), words)
        return result.stdout.decode() if result.stdout is not None else ""

    def fails(self, code, *words, **options):
        """The one line on standard error of a run that must end with this exit code."""
        result = self.run_program(*words, **options)
        text = result.stderr.decode()
        self.assertEqual(result.returncode, code, (words, text))
        self.assertRegex(text, r"\Aconvmark: [^\n]+\n\Z", words)
        return text

    def train(self, *words, network=None):
        """A short quiet run on generated pictures; its JSON."""
        self.succeed("train", network or self.network, "--data", "synthetic", "--epochs", "1",
                     "--steps", "4", "--valid-steps", "2", "--quiet", "--json", "train.json",
                     *words)
        return self.read_json("train.json")

    def read_json(self, name):
        with open(self.path(name)) as file:
            return json.load(file)

    def assert_no_files(self, *names):
        for name in names:
            self.assertFalse(os.path.exists(self.path(name)), name)
