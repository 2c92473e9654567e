"""Every command without memory: each allocation in turn is refused once. The command then ends with
one line and exit code 1, or does its whole work: standard output and files are those of a run that
nothing disturbed. Nothing is called damaged, no signal ends it, and no gate passes.

CONVMARK_FAULTS=full tries every allocation (full:K/N: one of N parts of them); otherwise a few of
each command, in equal strides.
"""
import json
import os
import re
import shutil
import struct
import tempfile
import unittest
import zlib

from cli_support import CliTest

SETTING = os.environ.get("CONVMARK_FAULTS", "")
FULL = SETTING.startswith("full")
PART, PARTS = map(int, (SETTING.partition(":")[2] or "0/1").split("/"))
INJECT = os.environ["CONVMARK_INJECT"]
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
MACHINE = ("--threads", "1", "--no-pin")
DATA = ("--data", "synthetic")
SHORT = ("--epochs", "1", "--steps", "2", "--valid-steps", "1")
TRAIN = ("train", "small.txt", *DATA, *SHORT, "--batch", "8", *MACHINE, "--json", "json")
REPORT = ("report", "--variants", "./small.txt", *DATA, "--allow-synthetic", "--seeds", "2",
          *SHORT, *MACHINE, "--output", "out")
SWEEP = ("sweep", "--variants", "./small.txt", *DATA, "--cores", "1", "--rounds", "2",
         "--seconds", "0.001", *SHORT, "--allow-synthetic", "--output", "out")
EXPLORE = ("explore", "--depth", "3", "--pool", "3", "--batch-norm", "off", "--width", "8",
           "--schedule", "constant", *SHORT, "--rounds", "1", "--seconds", "0.001",
           "--allow-synthetic", *DATA, "--threads", "1", "--output", "out")
# Name, command line, points of a quick test, whether it measures time.
LOOPS = (
    ("train", (*TRAIN, "--save", "save", "--checkpoint", "c"), 3, True),
    ("train, resuming", (*TRAIN, "--epochs", "2", "--resume", "begun"), 3, True),
    ("evaluate", ("evaluate", "model", *DATA, *MACHINE, "--json", "json"), 3, False),
    ("predict", ("predict", "model", "a.png"), 12, False),
    ("report", (*REPORT, "--json", "json"), 4, True),
    ("report, resuming", (*REPORT[:-1], "report"), 2, True),
    ("sweep", (*SWEEP, "--json", "json"), 4, True),
    ("sweep, resuming", (*SWEEP[:-1], "sweep"), 2, True),
    ("explore", (*EXPLORE, "--json", "json"), 4, True),
    ("explore, resuming", (*EXPLORE[:-1], "explore"), 2, True),
    ("profile", ("profile", "small.txt", *DATA, "--steps", "2", *MACHINE, "--json", "json",
                 "--trace", "trace", "--flamegraph", "folded"), 2, True),
    ("info", ("info", *MACHINE, "--no-measure", "--json", "json"), 4, True),
    ("info, measuring", ("info", *MACHINE, "--json", "json"), 2, True),
    ("compare", ("compare", "before.json", "after.json", "--markdown", "md"), 12, False),
    ("compare, a gate", ("compare", "before.json", "after.json", "--fail-if-slower", "5%"), 12,
     False),
    ("compare, Google Benchmark", ("compare", "google.json", "google.json"), 12, False),
    ("export", ("export", "before.json", "--csv", "csv", "--markdown", "md"), 12, False),
    ("export, Google Benchmark", ("export", "google.json"), 12, False),
    ("describe", ("describe", "small.txt"), 3, False),
    ("describe, JSON", ("describe", "bn-16", "--json", "json"), 12, False),
    ("variants", ("variants",), 3, False),
    ("variants, JSON", ("variants", "--json", "json"), 12, False),
    ("verify", ("verify", "--cases", "1"), 2, True),
)
# A run takes seconds: a quick test tries early points only, and a full one so many.
SLOW = {"verify": 40, "profile": 200, "info, measuring": 40}


def png():
    """A grey picture of 28 x 28."""
    def chunk(kind, data):
        body = kind + data
        return struct.pack(">I", len(data)) + body + struct.pack(">I", zlib.crc32(body))
    rows = b"".join(b"\0" + bytes((x * 9 + y) % 256 for x in range(28)) for y in range(28))
    return (b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", struct.pack(">IIBBBBB", 28, 28, 8, 0, 0, 0, 0)) +
            chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b""))


def measurement(name, factor):
    return {"name": name, "metric": "seconds", "unit": "s", "higher_is_better": False,
            "variant": "bn-3", "samples": [factor * (1 + 0.01 * i) for i in range(8)]}


def masked_json(value, key=""):
    """Structure, text and whole numbers, without what a clock or a busy machine decides."""
    if isinstance(value, dict):
        return {k: masked_json(v, k) for k, v in value.items()
                if k not in ("conditions", "frequency")}
    if isinstance(value, list):
        # A profile has the longest parts first.
        items = [masked_json(v, key) for v in value]
        return sorted(items, key=json.dumps) if key in ("measurements", "traceEvents") else items
    changing = ("started", "level", "limit", "no_counters", "calls", "ts", "dur", "tid")
    return "" if isinstance(value, float) or key in changing else value


def masked(content, name, measures):
    if not measures:
        return content
    try:
        return json.dumps(masked_json(json.loads(content)))
    except ValueError:
        if name == "folded" or b"The parts explain" in content: # lines in the order of their time
            return content.count(b"\n")
        return re.sub(rb"[-+]?[0-9.,]+(e-?[0-9]+)?|\s+|-+|nan|compute|L[123]|DRAM", b"#", content)


class NoMemory(CliTest):
    counts = {}

    def setUp(self):
        super().setUp()
        folder = tempfile.TemporaryDirectory(dir=MEMORY)
        self.addCleanup(folder.cleanup)
        self.kept, self.folder = self.folder, folder.name

    @classmethod
    def tearDownClass(cls):
        for what, count in cls.counts.items():
            print(f"{what}: {count}", flush=True)

    def run_program(self, *words, env=None, **options):
        return super().run_program(*words, env={"LD_PRELOAD": INJECT, **(env or {})}, **options)

    def make_inputs(self):
        """What commands read, in a folder that each run gets a copy of."""
        self.write("small.txt", NETWORK)
        self.write("a.png", png())
        rows = [measurement(f"m{i}", 1.0) for i in range(3)]
        self.write("before.json", json.dumps({"schema_version": 1, "kind": "sweep",
                                              "measurements": rows}))
        rows = [measurement(f"m{i}", 1.5) for i in range(3)]
        self.write("after.json", json.dumps({"schema_version": 1, "kind": "sweep",
                                             "measurements": rows}))
        self.write("google.json", json.dumps({"context": {}, "benchmarks": [
            {"name": name, "real_time": 3.5 + i, "time_unit": "ns"}
            for name in ("a", "b") for i in range(6)]}))
        for words in ((*TRAIN, "--epochs", "2", "--every", "2", "--checkpoint", "begun", "--save",
                       "model", "--quiet"),
                      (*REPORT[:-1], "report", "--quiet"), (*SWEEP[:-1], "sweep", "--quiet"),
                      (*EXPLORE[:-1], "explore", "--quiet")):
            result = self.run_program(*words)
            self.assertEqual(result.returncode, 0, result.stderr)
        os.remove(self.path("json"))
        os.replace(self.path("begun.previous"), self.path("begun"))
        shutil.copytree(self.folder, self.kept, dirs_exist_ok=True)

    def clear(self):
        shutil.rmtree(self.folder)
        shutil.copytree(self.kept, self.folder)

    def files(self):
        found = {}
        for folder, _, names in os.walk(self.folder):
            for name in names:
                path = os.path.join(folder, name)
                with open(path, "rb") as file:
                    found[os.path.relpath(path, self.folder)] = file.read()
        found.pop("fired", None)
        found.pop("count", None)
        return found

    def outcome(self, result, measures):
        lines = [line for line in result.stderr.splitlines(keepends=True)
                 if not line.startswith(b"convmark: warning: ")]
        files = {name: masked(content, name, measures and name not in self.inputs)
                 for name, content in self.files().items()}
        # A checkpoint holds times; test_faults compares its state.
        for name in ("c", "c.previous", "begun", "begun.previous"):
            files[name] = name in files
        return {"code": result.returncode, "out": masked(result.stdout, "", measures),
                "err": b"".join(lines)} | files

    def once(self, words, fault):
        self.clear()
        env = {"CONVMARK_FAULT": fault, "CONVMARK_FAULT_FIRED": self.path("fired"),
               "CONVMARK_FAULT_COUNT": self.path("count")}
        return self.run_program(*words, env=env)

    def allocations(self):
        with open(self.path("count")) as file:
            return int(file.read())

    def check(self, result, expected, measures):
        outcome = self.outcome(result, measures)
        if outcome["code"] == expected["code"] and outcome["err"] == expected["err"]:
            for name, value in expected.items():
                self.assertEqual(outcome.get(name), value, name)
            self.assertEqual(set(outcome), set(expected))
            return "unharmed"
        self.assertEqual(outcome["code"], 1, result.stderr)
        self.assertRegex(outcome["err"], rb"\Aconvmark: [^\n]*memory[^\n]*\n\Z")
        left = set(self.files())
        self.assertFalse([name for name in left if name.endswith((".tmp", ".lock"))])
        return "refused"

    def test_each_command(self):
        self.make_inputs()
        self.inputs = set(self.files())
        for name, words, some, measures in LOOPS:
            if name in SLOW and not FULL:
                expected, count = {"code": 0, "err": None}, 8
            else:
                expected = self.outcome(self.once(words, "alloc:1000000000"), measures)
                count = self.allocations()
                self.assertEqual(expected["code"], 1 if name == "compare, a gate" else 0,
                                 expected["err"])
            if FULL:
                step = max(1, count // SLOW.get(name, count))
                points = range(1 + PART * step, count + 1, step * PARTS)
            else:
                points = sorted({1 + count * (2 * i + 1) // (2 * some) for i in range(some)})
            ends = {}
            for point in points:
                result = self.once(words, f"alloc:{point}")
                if not os.path.exists(self.path("fired")):
                    continue # a clock decides on some allocations
                with self.subTest(command=name, allocation=point):
                    end = self.check(result, expected, measures)
                    ends[end] = ends.get(end, 0) + 1
            self.counts[name] = f"{len(points)} of {count}: {ends}"


if __name__ == "__main__":
    unittest.main()
