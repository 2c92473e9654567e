"""Loops over what can go wrong while a training run writes: it is killed, calls fail, the disk is
full, files are damaged. Whatever happens, exit code and line are right, no data file is harmed, no
temporary file stays, and the run that resumes ends with the bits of one that was never disturbed.

CONVMARK_FAULTS=full tries every point; otherwise some of each kind. CONVMARK_FAULTS=full:K/N, with
K from 0 to N-1, does one of N parts of it.
"""
import ctypes
import os
import random
import re
import resource
import shutil
import subprocess
import tempfile
import time
import unittest

import checkpoint_reader
from cli_support import PROGRAM, CliTest, environment

SETTING = os.environ.get("CONVMARK_FAULTS", "")
FULL = SETTING.startswith("full")
PART, PARTS = map(int, (SETTING.partition(":")[2] or "0/1").split("/"))
INJECT = os.environ["CONVMARK_INJECT"]
# Where there is no disk to wait for.
MEMORY = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None
NETWORK = """input 1 28 28
conv2d 4 kernel 5 stride 3
batch_norm
relu
max_pool2d 3
flatten
linear 16
relu
dropout 0.3
linear 10
"""
RUN = ("train", "./small.txt", "--data", "synthetic", "--epochs", "2", "--steps", "3",
       "--valid-steps", "2", "--batch", "8", "--threads", "1", "--no-pin", "--quiet", "--every",
       "1")
OUTPUTS = ("--json", "json", "--save", "save")
USED = rb"\Aconvmark: warning: c: [^\n]*; resuming from c\.previous\n"
WARNING = rb"(" + USED + rb")?\Z"
LINE = rb"(" + USED + rb")?convmark: [^\n]+\n\Z"


class Faults(CliTest):
    """A folder in memory, a reference, and the steps of every loop."""
    counts = {}

    def setUp(self):
        folder = tempfile.TemporaryDirectory(dir=MEMORY)
        self.addCleanup(folder.cleanup)
        self.folder = folder.name
        self.write("small.txt", NETWORK)
        self.random = random.Random(PART)

    def run_program(self, *words, env=None, **options):
        """With the library that makes faults: without one to make, it saves time."""
        return super().run_program(*words, env={"LD_PRELOAD": INJECT, **(env or {})}, **options)

    @classmethod
    def tearDownClass(cls):
        for what, count in sorted(cls.counts.items()):
            print(f"{cls.__name__}: {what}: {count}", flush=True)
        cls.counts.clear()

    @staticmethod
    def points(every, some):
        """Those of this part; `some` where a quick test is wanted."""
        return list(every)[PART::PARTS] if FULL else list(some)

    def count(self, what, number=1):
        self.counts[what] = self.counts.get(what, 0) + number

    def files(self):
        return sorted(set(os.listdir(self.folder)) - {"small.txt", "fired"})

    def clear(self):
        for name in self.files() + ["fired"]:
            if os.path.exists(self.path(name)):
                os.remove(self.path(name))

    _reference = None

    def reference(self):
        """State and model file of a run that nothing disturbs, and its sha256."""
        if Faults._reference is None:
            self.clear()
            self.succeed(*RUN, *OUTPUTS, "--checkpoint", "c")
            Faults._reference = self.outcome()
            self.clear()
        return Faults._reference

    def outcome(self):
        with open(self.path("save"), "rb") as file:
            saved = file.read()
        result = self.read_json("json")
        return (checkpoint_reader.state_sha256(self.path("c")), saved, result["sha256"],
                result["step_losses"], result["complete"])

    def run_once(self, *words, fault=None, **options):
        env = {}
        if fault is not None:
            env = {"CONVMARK_FAULT": fault, "CONVMARK_FAULT_FIRED": self.path("fired")}
        return self.run_program(*RUN, *OUTPUTS, *words, env=env, **options)

    def begin_or_resume(self):
        """Resumes as a user does who does not know how far the run came."""
        exists = any(os.path.exists(self.path(n)) for n in ("c", "c.previous"))
        return ("--resume" if exists else "--checkpoint", "c")

    def assert_line(self, text, expected):
        if not re.match(expected, text):
            self.fail(f"{text} is not {expected}")

    def fired(self):
        there = os.path.exists(self.path("fired"))
        if there:
            os.remove(self.path("fired"))
        return there

    def check_end(self, result, codes=(1,), unlinked=True):
        """An undisturbed end, or the right code with one line and no leftovers."""
        if result.returncode == 0:
            self.assert_line(result.stderr, WARNING)
            self.assertEqual(self.outcome(), self.reference())
        elif result.returncode != -9:
            self.assertIn(result.returncode, codes, result.stderr)
            self.assert_line(result.stderr, LINE)
        if result.returncode != -9 and unlinked:
            self.assertLessEqual(set(self.files()), {"c", "c.previous", "json", "save"})

    def recover(self):
        """Resumes, undisturbed: the bits, and nothing else in the folder."""
        result = self.run_once(*self.begin_or_resume())
        self.assertEqual(result.returncode, 0, result.stderr)
        self.assert_line(result.stderr, WARNING)
        self.assertEqual(self.outcome(), self.reference())
        self.assertEqual(set(self.files()) - {"c.previous"}, {"c", "json", "save"})

    def disturb(self, fault, codes=(1,), prepared=None):
        """One run with a fault, and its recovery; whether the fault came."""
        self.clear()
        if prepared is not None:
            for name in prepared:
                shutil.copy(os.path.join(prepared[name], name), self.path(name))
        result = self.run_once(*self.begin_or_resume(), fault=fault)
        fired = self.fired()
        kept = {n for n in self.files() if n in ("c", "c.previous")}
        with self.subTest(fault):
            self.check_end(result, codes, unlinked=not fault.startswith("unlink"))
            if fired and (kept or result.returncode in (0, -9) or fault.startswith("unlink")):
                self.recover()
        return fired


class Calls(Faults):
    KINDS = ("write", "fsync", "rename", "close", "unlink")

    def loop(self, kind, mode, codes=(1,), prepared=None, some=()):
        """Every call of this kind in turn, or some."""
        for point in range(1 + PART, 10000, PARTS) if FULL else some:
            if not self.disturb(f"{kind}:{point}{mode}", codes, prepared):
                break
            name = "killed" if mode == ":kill" else "for ever" if mode == "+" else "once"
            self.count(f"{kind} {name}{', resuming' if prepared else ''}")

    def test_calls_that_fail_once(self):
        self.reference()
        for kind in self.KINDS:
            # 2: an output path that cannot be written
            self.loop(kind, "", (1, 2), some=(self.random.randrange(1, 4), ))

    def test_calls_that_fail_for_ever(self):
        self.reference()
        for kind in self.KINDS:
            self.loop(kind, "+", (1, 2), some=(3, ))

    def test_killed_at_calls(self):
        self.reference()
        for kind in self.KINDS:
            self.loop(kind, ":kill", some=(self.random.randrange(2, 5), ))

    def test_failing_again_while_going_on(self):
        self.reference()
        self.clear()
        self.run_once("--checkpoint", "c", fault="rename:3:kill") # between the two renames
        self.assertEqual(set(self.files()) & {"c", "c.previous"}, {"c.previous"})
        with tempfile.TemporaryDirectory(dir=MEMORY) as kept:
            shutil.copy(self.path("c.previous"), kept)
            for mode in ("", "+", ":kill"):
                for kind in self.KINDS if FULL else ("rename", ):
                    self.loop(kind, mode, (1, 2), {"c.previous": kept}, some=(1, ))


class Allocations(Faults):
    def loop(self, mode):
        self.reference()
        some = [self.random.randrange(1, 300) for _ in range(3)]
        for point in range(1 + PART, 100000, PARTS) if FULL else some:
            if not self.disturb(f"alloc:{point}{mode}", (1, 2)):
                break
            self.count(f"allocation {'for ever' if mode else 'once'}")

    def test_allocations_that_fail_once(self):
        self.loop("")

    def test_allocations_that_fail_for_ever(self):
        self.loop("+")


class Killed(Faults):
    def test_killed_at_random_moments(self):
        self.reference()
        kills, runs, wanted = 0, 0, -(-200 // PARTS) if FULL else 5
        start = time.monotonic()
        self.succeed(*RUN, *OUTPUTS, "--checkpoint", "c")
        whole = time.monotonic() - start
        while kills < wanted:
            self.clear()
            while kills < wanted:
                start = time.monotonic()
                process = subprocess.Popen(
                    [PROGRAM, *RUN, *OUTPUTS, *self.begin_or_resume()], cwd=self.folder,
                    env=environment({"LD_PRELOAD": INJECT}), stdin=subprocess.DEVNULL,
                    stderr=subprocess.PIPE)
                # The first half is the making of data; there is little to disturb in it.
                try:
                    process.wait(whole * self.random.uniform(0.4, 1.0))
                except subprocess.TimeoutExpired:
                    process.kill()
                errors = process.stderr.read()
                process.stderr.close()
                if process.wait() == 0:
                    self.assert_line(errors, WARNING)
                    whole = time.monotonic() - start # other work on the machine comes and goes
                    break
                self.assertEqual(process.returncode, -9, errors)
                kills += 1
            self.recover()
            runs += 1
        self.count("kills", kills)
        self.count("runs that resumed to the same bits", runs)


class Space(Faults):
    def test_limit_on_file_sizes(self):
        self.reference()
        for limit in self.points(range(0, 12001, 500), (0, 6000)):
            with self.subTest(limit):
                self.clear()
                result = self.run_once(
                    "--checkpoint", "c",
                    preexec_fn=lambda limit=limit: resource.setrlimit(resource.RLIMIT_FSIZE,
                                                                      (limit, limit)))
                self.check_end(result)
                if result.returncode != 0:
                    self.assertIn(b"larger than allowed", result.stderr)
                self.recover()
                self.count("file size limits")

    def mount(self, size):
        folder = tempfile.mkdtemp()
        self.addCleanup(os.rmdir, folder)
        libc = ctypes.CDLL(None, use_errno=True)
        if libc.mount(b"tmpfs", folder.encode(), b"tmpfs", 0, f"size={size}".encode()) != 0:
            self.skipTest("mounting a small file system needs root")
        self.addCleanup(libc.umount, folder.encode())
        return folder

    def test_full_disk(self):
        self.reference()
        size = 256 << 10
        self.folder = self.mount(size)
        self.write("small.txt", NETWORK)
        for free in self.points(range(0, 61, 4), (0, 20)):
            with self.subTest(free):
                self.clear()
                self.fill(free << 10)
                result = self.run_once("--checkpoint", "c")
                self.check_disk(result)
                # Again, with half of that left, while it resumes.
                self.fill(free << 9)
                self.check_disk(self.run_once(*self.begin_or_resume()))
                os.remove(self.path("filler"))
                self.recover()
                self.count("full disks")

    def fill(self, left):
        """Leaves so many bytes."""
        with open(self.path("filler"), "wb") as file:
            info = os.statvfs(self.folder)
            file.write(bytes(max(0, info.f_bavail * info.f_frsize - left)))

    def check_disk(self, result):
        left = set(self.files()) - {"filler"}
        self.assertLessEqual(left, {"c", "c.previous", "json", "save"})
        if result.returncode == 0:
            self.assertEqual(self.outcome(), self.reference())
            return
        self.assertIn(result.returncode, (1, 2))
        self.assert_line(result.stderr, LINE)
        self.assertIn(b"no space left on the device", result.stderr)


class Damage(Faults):
    def damaged(self, content):
        self.write("c", content)
        result = self.run_once("--resume", "c")
        self.assertEqual(result.returncode, 0, result.stderr)
        self.assertRegex(result.stderr, USED + rb"\Z")
        self.assertEqual(self.outcome(), self.reference())

    def test_cut_and_flipped(self):
        self.reference()
        self.succeed(*RUN, *OUTPUTS, "--checkpoint", "c")
        with open(self.path("c"), "rb") as file:
            content = file.read()
        with open(self.path("c.previous"), "rb") as file:
            previous = file.read()
        cuts = self.points(range(0, len(content), 512), range(0, len(content), 4096))
        flips = self.random.sample(range(8 * len(content)), -(-64 // PARTS) if FULL else 2)
        for cut in cuts:
            self.write("c.previous", previous)
            self.damaged(content[:cut])
            self.count("cuts")
        for bit in flips:
            self.write("c.previous", previous)
            flipped = bytearray(content)
            flipped[bit // 8] ^= 1 << bit % 8
            self.damaged(bytes(flipped))
            self.count("flipped bits")


class ResultFiles(Faults):
    """report, sweep and explore resume from their JSON: cut anywhere it is refused, and left as it
    is."""
    COMMANDS = (
        ("report", ("report", "--variants", "./small.txt", "--allow-synthetic", "--seeds", "2",
                    "--epochs", "1", "--steps", "2", "--valid-steps", "1")),
        ("sweep", ("sweep", "--variants", "./small.txt", "--no-accuracy", "--cores", "1",
                   "--rounds", "2", "--seconds", "0.001")),
        ("explore", ("explore", "--depth", "3", "--pool", "3", "--batch-norm", "off", "--width",
                     "8", "--schedule", "constant", "--epochs", "1", "--steps", "2",
                     "--valid-steps", "1", "--rounds", "1", "--seconds", "0.001",
                     "--allow-synthetic")))

    def test_cut(self):
        for name, words in self.COMMANDS:
            words = (*words, "--data", "synthetic", "--output", "out", "--quiet")
            result = self.run_program(*words)
            self.assertEqual(result.returncode, 0, result.stderr)
            file = f"out/{name}.json"
            with open(self.path(file), "rb") as opened:
                content = opened.read()
            length = len(content.rstrip())
            every = [length * i // 24 for i in range(24)] + [length - 1]
            for cut in self.points(every, (0, length // 2, length - 1)):
                self.write(file, content[:cut])
                result = self.run_program(*words)
                self.assertEqual(result.returncode, 3, (cut, result.stderr))
                last = result.stderr.splitlines(keepends=True)[-1]
                self.assertRegex(last, rb"\Aconvmark: [^\n]*" + file.encode() + rb"[^\n]*\n\Z")
                with open(self.path(file), "rb") as opened:
                    self.assertEqual(opened.read(), content[:cut])
                self.count(f"{name}.json cuts")
            shutil.rmtree(self.path("out"))


if __name__ == "__main__":
    unittest.main()
