"""Standard streams that are closed, full, or whose reader went away: every command says so with its
exit code and one line, and no file is harmed."""
import json
import os
import struct
import subprocess
import unittest
import zlib

from cli_support import COMMANDS, PROGRAM, CliTest, environment

SLOW = "CONVMARK_CHECK_CASES" in os.environ  # a sanitizer
DATA = ("--data", "synthetic")
RUN = ("--epochs", "1", "--steps", "2", "--valid-steps", "1")

# Each command with words that make it write all it can.
WORDS = {
    "report": ("--variants", "tiny.txt", "--seeds", "1", "--allow-synthetic", "--restart",
               "--output", "report", "--json", "report.json", *RUN, *DATA),
    "sweep": ("--variants", "tiny.txt", "--cores", "1", "--rounds", "2", "--seconds", "0.01",
              "--no-accuracy", "--restart", "--output", "sweep", *DATA),
    "explore": ("--depth", "1", "--pool", "1", "--batch-norm", "on", "--width", "4",
                "--schedule", "constant", "--rounds", "1", "--seconds", "0.01",
                "--allow-synthetic", "--restart", "--output", "explore", *RUN, *DATA),
    "profile": ("tiny.txt", "--steps", "3", "--threads", "1", "--json", "profile.json",
                "--trace", "trace.json", *DATA),
    "compare": ("sweep.json", "sweep.json", "--markdown", "compare.md"),
    "export": ("sweep.json",),
    "train": ("tiny.txt", "--save", "model", "--json", "train.json", *RUN, *DATA),
    "evaluate": ("model", "--json", "evaluate.json", *DATA),
    "predict": ("model", "picture.png"),
    "variants": (),
    "describe": ("tiny.txt",),
    "info": ("--no-measure", "--json", "info.json"),
    "verify": ("--cases", "1"),
}

# Not those that compute for seconds, in a sanitizer's build minutes.
QUICK = [command for command in COMMANDS if command not in ("verify", "profile")]


def png(width, height):
    """A black picture."""
    def chunk(kind, content):
        checked = kind + content
        return struct.pack(">I", len(content)) + checked + struct.pack(">I", zlib.crc32(checked))
    rows = (b"\0" + bytes(width)) * height
    return (b"\x89PNG\r\n\x1a\n" +
            chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)) +
            chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b""))


class Streams(CliTest):
    prepared = {} # files that every test begins with, made by the first one

    def setUp(self):
        super().setUp()
        self.write("picture.png", png(28, 28))
        if not self.prepared:
            self.succeed("sweep", *WORDS["sweep"], "--quiet")
            os.rename(self.path("sweep/sweep.json"), self.path("sweep.json"))
            self.succeed("train", *WORDS["train"], "--quiet")
            for name in ("sweep.json", "model"):
                with open(self.path(name), "rb") as file:
                    self.prepared[name] = file.read()
        for name, content in self.prepared.items():
            self.write(name, content)
        self.model = self.prepared["model"]

    def run_with(self, command, closed=(), words=None, **streams):
        """Runs a command with these descriptors closed or replaced; (exit code, errors)."""
        for name in ("stdin", "stdout", "stderr"):
            streams.setdefault(name, subprocess.PIPE if name == "stderr" else subprocess.DEVNULL)

        def close():
            for fd in closed:
                os.close(fd)
        result = subprocess.run([PROGRAM, command, *(words or WORDS[command])],
                                env=environment(), cwd=self.folder, check=False,
                                preexec_fn=close, **streams)
        lines = (result.stderr or b"").decode().splitlines()
        return result.returncode, [line for line in lines
                                   if not line.startswith("convmark: warning: ")]

    def assert_files_whole(self):
        """What was printed went into no file, and each file is whole."""
        with open(self.path("model"), "rb") as file:
            self.assertEqual(file.read(), self.model)
        for folder, _, names in os.walk(self.folder):
            for name in names:
                self.assertFalse(name.endswith(".tmp"), name)
                if name.endswith(".json"):
                    with open(os.path.join(folder, name)) as file:
                        json.load(file)
        with open(self.path("picture.png"), "rb") as file:
            self.assertEqual(file.read(), png(28, 28))
        with open(self.path("sweep.json")) as file:
            self.assertEqual(json.load(file)["kind"], "sweep")

    def assert_lost(self, command, **streams):
        code, lines = self.run_with(command, **streams)
        self.assertEqual((code, len(lines)), (1, 1), (command, lines))
        self.assertRegex(lines[0], r"\Aconvmark: .*standard output")
        self.assert_files_whole()

    def test_table_is_complete(self):
        self.assertEqual(list(WORDS), COMMANDS)

    def test_full_device(self):
        for command in QUICK if SLOW else COMMANDS:
            with self.subTest(command), open("/dev/full", "w") as full:
                self.assert_lost(command, stdout=full)

    def test_reader_that_went_away(self):
        for command in QUICK:
            reader, writer = os.pipe()
            os.close(reader)
            with self.subTest(command):
                self.assert_lost(command, stdout=writer)
            os.close(writer)

    def test_closed_output(self):
        for command in QUICK:
            with self.subTest(command):
                self.assert_lost(command, closed=(1,))

    def test_closed_input(self):
        for command in QUICK:
            with self.subTest(command):
                self.assertEqual(self.run_with(command, closed=(0,)), (0, []))
                self.assert_files_whole()

    def test_everything_closed(self):
        # The first files that are opened would be descriptors 0, 1 and 2.
        for command in QUICK:
            with self.subTest(command):
                self.assertEqual(self.run_with(command, closed=(0, 1, 2))[0], 1)
                self.assert_files_whole()

    def test_errors_that_cannot_be_printed(self):
        for closed in ((), (2,)):
            with open("/dev/full", "w") as full:
                self.assertEqual(self.run_with("variants", closed=closed, stderr=full)[0], 0)
                self.assertEqual(self.run_with("describe", closed=closed, words=["missing.txt"],
                                               stderr=full)[0], 3)


if __name__ == "__main__":
    unittest.main()
