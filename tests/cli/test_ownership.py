"""What the program deletes or replaces is its own: no file of the user's goes because of its name,
no output takes the place of an input, no link of another user's decides where is written, and two
runs do not write the same files."""
import fcntl
import hashlib
import json
import os
import shutil
import struct
import subprocess
import unittest

from cli_support import CliTest, PROGRAM, environment

SHORT = ("--data", "synthetic", "--epochs", "1", "--steps", "2", "--valid-steps", "1", "--threads",
         "1", "--no-pin", "--quiet")
TRAIN = ("train", "./tiny.txt", *SHORT)
REPORT = ("report", "--variants", "./tiny.txt", "--allow-synthetic", "--seeds", "1", *SHORT)
INJECT = os.environ["CONVMARK_INJECT"]


class Ownership(CliTest):
    def read(self, name):
        with open(self.path(name), "rb") as file:
            return file.read()

    def files(self, folder="."):
        return sorted(os.listdir(self.path(folder)))

    def test_a_lock_of_the_users_is_kept(self):
        self.write("Cargo.lock", "x\n")
        line = self.fails(1, *TRAIN, "--checkpoint", "Cargo")
        self.assertIn("Cargo.lock: cannot lock: it is not an empty file of this user", line)
        self.assertEqual(self.read("Cargo.lock"), b"x\n")
        os.mkfifo(self.path("fifo.lock"))
        self.fails(1, *TRAIN, "--checkpoint", "fifo")
        os.mkdir(self.path("out"))
        self.write("out/report.lock", "mine")
        self.fails(1, *REPORT, "--output", "out")
        self.assertEqual(self.read("out/report.lock"), b"mine")
        self.assertEqual(self.files("out"), ["report.lock"])
        self.assertEqual(self.files(), ["Cargo.lock", "fifo.lock", "out", "tiny.txt"])

    def test_one_writer_of_a_folder(self):
        os.mkdir(self.path("out"))
        with open(self.path("out/report.lock"), "w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            line = self.fails(1, *REPORT, "--output", "out")
            self.assertIn("out: is in use by another run", line)
            if os.access("/proc/locks", os.R_OK):
                self.assertIn(f"(process {os.getpid()})", line)
            self.assertEqual(self.files("out"), ["report.lock"])
        self.succeed(*REPORT, "--output", "out") # takes over what a killed run left
        self.assertEqual(self.files("out"), ["report.json", "report.md"])

    def test_two_writers_of_a_folder(self):
        """With different options: one fills the folder, the other one ends."""
        words = [PROGRAM, *REPORT, "--output", "out", "--steps", "2000", "--seeds"]
        runs = [subprocess.Popen([*words, str(seeds)], cwd=self.folder, env=environment(),
                                 stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                                 stderr=subprocess.PIPE) for seeds in (1, 2)]
        ends = []
        for run in runs:
            errors = run.communicate()[1]
            ends.append((run.returncode, b"is in use by another run" in errors))
        self.assertEqual(sorted(ends), [(0, False), (1, True)])
        seeds = 1 + [code for code, _ in ends].index(0)
        self.assertEqual(self.read_json("out/report.json")["seed_count"], seeds)

    def without_locks(self, *words):
        result = self.run_program(*words, env={"LD_PRELOAD": INJECT, "CONVMARK_FAULT": "flock:1+"})
        self.assertEqual(result.returncode, 0, result.stderr)
        return result.stderr.decode()

    def test_file_systems_without_locks(self):
        line = self.without_locks(*TRAIN, "--checkpoint", "c")
        self.assertIn("warning: c.lock: the file system has no locks", line)
        self.assertEqual(self.files(), ["c", "tiny.txt"])
        self.without_locks(*REPORT, "--output", "out")
        self.assertEqual(self.files("out"), ["report.json", "report.md"])

    def test_outputs_are_no_inputs(self):
        rows = [{"name": "a", "metric": "m", "unit": "s", "higher_is_better": True,
                 "samples": [1, 2]}]
        self.write("a.json", json.dumps({"schema_version": 1, "kind": "sweep",
                                         "measurements": rows}))
        shutil.copy(self.path("a.json"), self.path("b.json"))
        os.link(self.path("a.json"), self.path("hard"))
        os.symlink("tiny.txt", self.path("soft"))
        os.mkdir(self.path("data"))
        self.write("data/train-images-idx3-ubyte", b"pictures")
        os.mkdir(self.path("out"))
        self.succeed(*TRAIN, "--save", "model")
        before = {name: self.read(name) for name in self.files()
                  if os.path.isfile(self.path(name))}
        for words, which in (
                (("compare", "a.json", "b.json", "--markdown", "./b.json"), "b.json"),
                (("compare", "a.json", "b.json", "--markdown", "hard"), "hard"),
                (("export", "a.json", "--csv", "a.json"), "a.json"),
                (("export", "a.json", "--csv", "c", "--markdown", "../" +
                  os.path.basename(self.folder) + "/a.json"), "a.json"),
                ((*TRAIN, "--save", "tiny.txt"), "tiny.txt"),
                ((*TRAIN, "--json", "soft"), "soft"),
                ((*TRAIN, "--load", "model", "--save", "model"), "model"),
                ((*TRAIN, "--json", "c.previous", "--checkpoint", "c"), "c.previous"),
                ((*TRAIN, "--json", "c.lock", "--checkpoint", "c"), "c.lock"),
                ((*TRAIN, "--checkpoint", "tiny.txt"), "tiny.txt"),
                ((*TRAIN, "--data", "data", "--json", "data/train-images-idx3-ubyte"),
                 "data/train-images-idx3-ubyte"),
                (("evaluate", "model", "--data", "synthetic", "--json", "model"), "model"),
                (("describe", "./tiny.txt", "--json", "tiny.txt"), "tiny.txt"),
                (("profile", "./tiny.txt", "--data", "synthetic", "--trace", "soft"), "soft"),
                ((*REPORT, "--output", "out", "--json", "out/report.json"), "out/report.json"),
                ((*REPORT, "--output", "out", "--json", "tiny.txt"), "tiny.txt")):
            with self.subTest(words):
                self.assertIn(which, self.fails(2, *words))
                self.assertEqual(before, {name: self.read(name) for name in before})
        self.assertEqual(self.read("data/train-images-idx3-ubyte"), b"pictures")

    @unittest.skipIf(os.geteuid() != 0, "another user's link needs root")
    def test_links_of_others_are_not_followed(self):
        for name in ("report.md", "report.json", "file"):
            self.write("victim-" + name, "precious")
        os.mkdir(self.path("theirs"))
        os.chown(self.path("theirs"), 65534, 65534)
        for name in ("report.md", "report.json", "file"):
            os.symlink("../victim-" + name, self.path("theirs/" + name))
            os.lchown(self.path("theirs/" + name), 65534, 65534)
        self.assertIn("a link that another user made",
                      self.fails(2, *REPORT, "--output", "theirs"))
        self.assertIn("a link that another user made",
                      self.fails(2, *TRAIN, "--json", "theirs/file"))
        for name in ("report.md", "report.json", "file"):
            self.assertEqual(self.read("victim-" + name), b"precious")

    def test_nothing_newer_is_replaced(self):
        """By FILE.previous, unless FILE is damaged or missing."""
        words = (*TRAIN, "--every", "1")
        self.succeed(*words, "--checkpoint", "c")
        whole, previous = self.read("c"), self.read("c.previous")
        version = struct.unpack("<Q", whole[8:16])[0]
        newer = whole[:8] + struct.pack("<Q", version + 1) + whole[16:-64]
        newer += hashlib.sha256(newer).hexdigest().encode()
        self.write("c", newer)
        self.assertIn(f"c: field version: {version + 1}, this program reads {version}",
                      self.fails(3, *words, "--resume", "c"))
        self.assertEqual((self.read("c"), self.read("c.previous")), (newer, previous))
        with open(self.path("c"), "r+b") as file: # one that this run does not read
            file.truncate(100 << 20)
        self.fails(3, *words, "--resume", "c")
        self.assertEqual((os.path.getsize(self.path("c")), self.read("c.previous")),
                         (100 << 20, previous))
        self.write("c", whole[:-1])
        result = self.run_program(*words, "--resume", "c")
        self.assertEqual(result.returncode, 0, result.stderr)
        self.assertIn(b"resuming from c.previous", result.stderr)
        self.assertEqual(self.read("c")[:100], whole[:100])


if __name__ == "__main__":
    unittest.main()
