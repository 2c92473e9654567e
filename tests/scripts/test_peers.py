"""scripts/peers.sh speed and check: with frameworks that compute nothing, and with convmark's own
side as it is."""

import json
import math
import os
import pathlib
import re
import random
import signal
import struct
import subprocess
import sys
import tempfile
import time
import unittest

TESTS = pathlib.Path(__file__).resolve().parents[1]
ROOT = TESTS.parent
PEERS = ROOT / "scripts/peers"
BUILD = pathlib.Path(os.environ["CONVMARK_BUILD"])
LIBRARY = BUILD / "lib/libconvmark.so"
sys.dont_write_bytecode = True
sys.path.insert(0, str(PEERS))
import measurements  # noqa: E402
import table  # noqa: E402
import weights  # noqa: E402
import results_schema  # noqa: E402

# Runs COMMAND.py with fake frameworks in place of the real ones.
FAKES = """
import sys
sys.path.insert(0, {peers!r})
import frameworks
from frameworks import Framework
def fake(name, *modes, **more):
    worker = ({worker!r}, name)
    return Framework(name, "", {{mode: worker for mode in modes}}, **more)
frameworks.FRAMEWORKS.clear()
frameworks.FRAMEWORKS.update({{
    "convmark": fake("convmark", "train", "infer"), "pytorch": fake("pytorch", "train", "infer"),
    "tensorflow": fake("tensorflow", "train"),
    "openvino": fake("openvino", "infer", limited=False)}})
import process
process.PAUSE = 0
import {command}
sys.exit({command}.main())
"""
# A batch's seconds, by framework and setup.
SECONDS = {"convmark only": 0.01, "pytorch slow": 0.05, "pytorch fast": 0.02,
           "pytorch middle": 0.03, "tensorflow only": 0.04, "openvino only": 0.08}
needs_affinity = unittest.skipUnless(hasattr(os, "sched_setaffinity"), "no affinity masks here")


@needs_affinity
class FakeFrameworks(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = pathlib.Path(folder.name)
        self.log = self.folder / "log"
        self.log.touch()

    def start(self, command, *words, **environment):
        code = FAKES.format(peers=str(PEERS), worker=str(TESTS / "support/fake_worker.py"),
                            command=command)
        return subprocess.Popen(
            [sys.executable, "-c", code, *words], cwd=self.folder, text=True,
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, start_new_session=True,
            env={**os.environ, "FAKE_LOG": str(self.log), "FAKE_SECONDS": json.dumps(SECONDS),
                 "CONVMARK_LIBRARY": str(LIBRARY), "PYTHONDONTWRITEBYTECODE": "1", **environment})

    def run_command(self, command, *words, **environment):
        process = self.start(command, *words, **environment)
        out, err = process.communicate(timeout=120)
        return subprocess.CompletedProcess(words, process.returncode, out, err)

    def speed(self, *words, **environment):
        return self.run_command("speed", "--threads", "1", "--variants", "bn-3", "--repetitions",
                                "7", "--seconds", "0.1", "--output", "new/results", *words,
                                **environment)

    def results(self):
        return {path.stem: json.loads(path.read_text(encoding="utf-8"))
                for path in (self.folder / "new/results").iterdir()}

    def requests(self, do):
        rows = [line.split() for line in self.log.read_text(encoding="utf-8").splitlines()]
        return [row for row in rows if row[1] == do]

    def test_one_file_a_framework_as_the_schema_has_it(self):
        done = self.speed()
        self.assertEqual(done.returncode, 0, done.stderr)
        results = self.results()
        self.assertEqual(set(results), {"convmark", "pytorch", "tensorflow", "openvino"})
        for name, document in results.items():
            results_schema.validator().validate(document)
            self.assertEqual((document["framework"], document["complete"]), (name, True))
            for item in document["measurements"]:
                self.assertEqual(item["n"], len(item["samples"]))
        names = {name: [item["name"] for item in document["measurements"]
                        if item["metric"] == "images_per_second"]
                 for name, document in results.items()}
        train, infer = "train/bn-3/n64/threads:1", "infer/bn-3/n64/threads:1"
        self.assertEqual(names, {"convmark": [train, infer], "pytorch": [train, infer],
                                 "tensorflow": [train], "openvino": [infer]})
        self.assertGreaterEqual(results["convmark"]["machine"]["cpu"]["pus"], 1)

    def test_rates_are_images_over_seconds_of_the_fastest_setup(self):
        self.assertEqual(self.speed().returncode, 0)
        train = {name: document["measurements"][0] for name, document in self.results().items()}
        self.assertEqual(train["pytorch"]["setup"], "fast")
        self.assertEqual(set(train["pytorch"]["trials"]), {"slow", "fast", "middle"})
        self.assertAlmostEqual(train["pytorch"]["trials"]["slow"], 64 / 0.05)
        for name, seconds in (("convmark", 0.01), ("pytorch", 0.02), ("tensorflow", 0.04)):
            self.assertEqual(train[name]["n"], 7)
            for sample in train[name]["samples"]:
                self.assertAlmostEqual(sample, 64 / seconds)
        # What is measured is what was prepared last.
        self.assertTrue(all(setup == "fast" for name, _, setup in self.requests("time")[-14:]
                            if name == "pytorch"))

    def test_every_round_has_one_turn_of_each_in_changing_order(self):
        self.assertEqual(self.speed("--modes", "train").returncode, 0)
        turns = [row[0] for row in self.requests("time")][-21:]
        rounds = [tuple(turns[i:i + 3]) for i in range(0, 21, 3)]
        for each in rounds:
            self.assertEqual(sorted(each), ["convmark", "pytorch", "tensorflow"])
        self.assertGreater(len(set(rounds)), 1)

    def test_table(self):
        done = self.speed()
        train, infer = [line.split() for line in done.stdout.splitlines()
                        if line.split()[1:3] in (["train", "bn-3"], ["infer", "bn-3"])]
        self.assertEqual(train, ["1", "train", "bn-3", "6,400", "3,200", "1,600", "-", "2.00",
                                 "pytorch"])
        self.assertEqual(infer, ["1", "infer", "bn-3", "6,400", "3,200", "-", "800", "2.00",
                                 "pytorch"])

    def test_peak_memory_of_training_from_processes_of_their_own(self):
        self.assertEqual(self.speed().returncode, 0)
        for name, document in self.results().items():
            found = [item for item in document["measurements"] if item["metric"] == "peak_memory"]
            self.assertEqual(len(found), 0 if name == "openvino" else 1, name)
            for item in found:
                self.assertEqual((item["mode"], item["unit"], item["higher_is_better"]),
                                 ("train", "bytes", False))
                self.assertGreater(item["median"], 1 << 20)
                self.assertGreaterEqual(item["median"], item["resident_before"])
        # Twice before anything is timed and once after it.
        self.assertEqual(sum(row[0] == "convmark" for row in self.requests("memory")), 2)

    def test_same_cpus_and_threads_for_all(self):
        self.assertEqual(self.speed().returncode, 0)
        found = {json.dumps(worker["cpus"]) for document in self.results().values()
                 for worker in document["workers"].values()}
        self.assertEqual(len(found), 1)
        self.assertEqual(len(json.loads(found.pop())), 1)
        for document in self.results().values():
            environment = document["workers"]["networks/threads:1"]["environment"]
            self.assertEqual(environment["OMP_NUM_THREADS"], "1")
            self.assertIsNone(environment["ONEDNN_MAX_CPU_ISA"])

    def test_instruction_set_is_limited_or_the_framework_left_out(self):
        done = self.speed("--isa", "avx2")
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertIn("openvino cannot be limited to avx2", done.stderr)
        results = self.results()
        self.assertNotIn("openvino", results)
        for document in results.values():
            self.assertEqual(document["isa_limit"], "avx2")
            environment = document["workers"]["networks/threads:1"]["environment"]
            self.assertEqual((environment["ONEDNN_MAX_CPU_ISA"], environment["CONVMARK_ISA"]),
                             ("AVX2", "avx2"))

    def test_batch_is_in_name_and_rate(self):
        self.assertEqual(self.speed("--batch", "128", "--modes", "infer").returncode, 0)
        item = self.results()["convmark"]["measurements"][0]
        self.assertEqual((item["name"], item["batch"]), ("infer/bn-3/n128/threads:1", 128))
        self.assertAlmostEqual(item["median"], 128 / 0.01)

    def test_framework_that_dies(self):
        done = self.speed(FAKE_BAD="tensorflow time")
        self.assertEqual(done.returncode, 1)
        self.assertRegex(done.stderr, r"(?m)^peers\.sh: tensorflow ended .*7.*out of luck$")
        self.assertNotIn("Traceback", done.stderr)

    def test_what_was_measured_before_a_failure_is_kept(self):
        done = self.speed("--modes", "train,infer", FAKE_BAD="openvino time")
        self.assertEqual(done.returncode, 1)
        document = self.results()["convmark"]
        self.assertFalse(document["complete"])
        self.assertEqual([item["mode"] for item in document["measurements"]], ["train"])

    def test_interrupt(self):
        process = self.start("speed", "--threads", "1", "--variants", "bn-3,bn-8", "--repetitions",
                             "8", "--output", "new/results", FAKE_SLEEP="0.01")
        first = self.folder / "new/results/convmark.json"
        for _ in range(1200):
            if first.exists() or process.poll() is not None:
                break
            time.sleep(0.05)
        os.killpg(process.pid, signal.SIGINT)
        _, err = process.communicate(timeout=60)
        self.assertEqual(process.returncode, 130, err)
        self.assertIn("interrupted", err.splitlines()[-1])
        for document in self.results().values():
            self.assertFalse(document["complete"])

    def test_results_are_not_written_over(self):
        self.assertEqual(self.speed("--modes", "train").returncode, 0)
        before = self.results()
        done = self.speed("--modes", "train")
        self.assertEqual(done.returncode, 2)
        self.assertRegex(done.stderr, r"\A[^\n]*new/results/convmark\.json exists[^\n]*\n\Z")
        self.assertEqual(self.results(), before)

    def test_check_same(self):
        done = self.run_command("check", "--threads", "1", "--variants", "bn-3")
        self.assertEqual(done.returncode, 0, done.stderr)
        rows = [line.split() for line in done.stdout.splitlines()]
        self.assertEqual([row[0] for row in rows], ["pytorch"] * 3 + ["tensorflow"] +
                         ["pytorch"] * 3 + ["openvino"])
        self.assertEqual({row[-1] for row in rows}, {"same"})

    def test_check_finds_what_differs(self):
        done = self.run_command("check", "--threads", "1", "--variants", "bn-3",
                                FAKE_SHIFT="tensorflow 0.01")
        self.assertEqual(done.returncode, 1)
        wrong = [line for line in done.stdout.splitlines() if line.endswith("DIFFERS")]
        self.assertEqual([line.split()[0] for line in wrong], ["tensorflow"])
        done = self.run_command("check", "--threads", "1", "--variants", "bn-3",
                                FAKE_SHIFT="openvino nan")
        self.assertEqual(done.returncode, 1)


class Statistics(unittest.TestCase):
    def test_interval_of_the_median(self):
        # Coverage 1 - 2 P(Bin(n, 1/2) < k): the tables of order-statistic intervals.
        for count, k in ((6, 1), (8, 1), (9, 2), (12, 3), (20, 6), (50, 18)):
            samples = [float(i) for i in range(1, count + 1)]
            random.Random(1).shuffle(samples)
            self.assertEqual(measurements.median_interval(samples), [k, count + 1 - k], count)
        self.assertIsNone(measurements.median_interval([1.0, 2.0, 3.0, 4.0, 5.0]))

    def test_file_is_whole_or_absent(self):
        with tempfile.TemporaryDirectory() as folder:
            path = pathlib.Path(folder, "a.json")
            with self.assertRaises(ValueError):
                measurements.write_json(path, {"x": math.nan})
            self.assertEqual(list(pathlib.Path(folder).iterdir()), [])

    def test_table_without_peers(self):
        item = measurements.measurement("train/bn-3/n64/threads:2", "images_per_second",
                                        "images/s", True, [10.0], variant="bn-3", threads=2,
                                        mode="train")
        self.assertEqual(table.lines({"convmark": [item]})[1].split(),
                         ["2", "train", "bn-3", "10", "-", "-"])
        self.assertEqual(table.memory_lines({"convmark": [item]}), [])


class CommandLine(unittest.TestCase):
    """As a user types it."""

    def peers(self, *words, cache="/nonexistent"):
        return subprocess.run([str(ROOT / "scripts/peers.sh"), *words], text=True,
                              capture_output=True, check=False, timeout=60,
                              env={**os.environ, "XDG_CACHE_HOME": cache,
                                   "CONVMARK_BUILD": str(BUILD)})

    def test_wrong_usage(self):
        for words, what in ((("speed", "--threads", "0"), "'0' is no whole number"),
                            (("speed", "--threads", "100000"), "100000"),
                            (("speed", "--modes", "train,dream"), "unknown 'dream'"),
                            (("speed", "--frameworks", "caffe"), "unknown 'caffe'"),
                            (("speed", "--variants", "vgg"), "unknown 'vgg'"),
                            (("speed", "--batch", "-1"), "--batch"),
                            (("speed", "--repetitions", "0"), "--repetitions"),
                            (("speed", "--seconds", "nan"), "--seconds"),
                            (("speed", "--isa", "mmx"), "mmx"),
                            (("check", "--shapes", "alexnet"), "unknown 'alexnet'"),
                            (("setup", "caffe"), "unknown environment"),
                            (("fly",), "unknown command")):
            done = self.peers(*words)
            self.assertEqual((done.returncode, done.stderr.count("\n")), (2, 1), done.stderr)
            self.assertIn(what, done.stderr)
            self.assertEqual(done.stdout, "")

    def test_help(self):
        done = self.peers("speed", "--help")
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        self.assertIn("--repetitions", done.stdout)
        self.assertIn("setup [NAME...]", self.peers("help").stdout)

    def test_missing_environments_are_named(self):
        for command in ("speed", "check"):
            done = self.peers(command, "--frameworks", "convmark,openvino,tensorflow",
                              "--threads", "1")
            self.assertEqual((done.returncode, done.stderr.count("\n")), (1, 1), done.stderr)
            self.assertIn("scripts/peers.sh setup inference pytorch tensorflow", done.stderr)

    def test_dry_run_lists_the_work(self):
        done = self.peers("speed", "--frameworks", "convmark", "--modes", "train,conv",
                          "--variants", "bn-8", "--threads", "1", "--batch", "32", "--dry-run")
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        lines = done.stdout.splitlines()
        self.assertEqual(lines[0], "train/bn-8/n32/threads:1: convmark")
        self.assertEqual(lines[1], "conv2d/forward/n32_c1_h28_w28_k128_r3/threads:1: convmark")
        self.assertEqual(len(lines), 1 + 4 * 3)


class Setup(unittest.TestCase):
    """scripts/peers.sh setup, with a stand-in for pip."""

    PYTHON = """#!/bin/sh
mkdir -p "$3/bin"
printf '#!/bin/sh\\necho "$@" >>"$LOG"\\nexit ${PIP_EXITS:-0}\\n' >"$3/bin/pip"
chmod +x "$3/bin/pip"
"""

    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = pathlib.Path(folder.name)
        (self.folder / "bin").mkdir()
        (self.folder / "bin/python3").write_text(self.PYTHON, encoding="utf-8")
        (self.folder / "bin/python3").chmod(0o755)
        self.log = self.folder / "log"
        self.log.touch()

    def run_setup(self, *words, **environment):
        return subprocess.run([str(ROOT / "scripts/peers.sh"), "setup", *words], text=True,
                              capture_output=True, check=False,
                              env={**os.environ, "XDG_CACHE_HOME": str(self.folder),
                                   "PATH": f"{self.folder}/bin:{os.environ['PATH']}",
                                   "LOG": str(self.log), **environment})

    def test_installs_once(self):
        for _ in range(2):
            done = self.run_setup("onednn", "tensorflow")
            self.assertEqual(done.returncode, 0, done.stderr)
        calls = self.log.read_text(encoding="utf-8").splitlines()
        self.assertEqual([call.split("/")[-1] for call in calls],
                         ["requirements-onednn.txt", "requirements-tensorflow.txt"])
        for call in calls:
            self.assertIn(" --require-hashes ", call)

    def test_each_package_has_its_hashes(self):
        """And those that are asked for by name are among them, in the same version."""
        for names in (ROOT / "scripts/peers").glob("requirements*.in"):
            text = names.with_suffix(".txt").read_text(encoding="utf-8")
            packages = re.sub(r"\\\n", " ", re.sub(r"^#.*\n", "", text, flags=re.M)).splitlines()
            for package in packages:
                self.assertRegex(package, r"^[\w.-]+==[\w.+]+ .*--hash=sha256:[0-9a-f]{64}$")
            pinned = {package.split()[0] for package in packages}
            for line in names.read_text(encoding="utf-8").splitlines():
                self.assertTrue(line.startswith("#") or line in pinned, line)

    def test_other_versions_are_installed_again(self):
        self.run_setup("onednn")
        (self.folder / "convmark/peers-onednn/installed.txt").write_text("onednn==1\n")
        self.run_setup("onednn")
        self.assertEqual(len(self.log.read_text(encoding="utf-8").splitlines()), 2)

    def test_failed_installation_does_not_count(self):
        done = self.run_setup("onednn", PIP_EXITS="1")
        self.assertEqual(done.returncode, 1)
        self.assertIn("pip could not install", done.stderr)
        self.assertFalse((self.folder / "convmark/peers-onednn/installed.txt").exists())


@needs_affinity
class OwnSide(unittest.TestCase):
    """convmark's workers with the real library."""

    def speed(self, folder, *words):
        done = subprocess.run(
            [str(ROOT / "scripts/peers.sh"), "speed", "--frameworks", "convmark", "--threads", "1",
             "--batch", "4", "--repetitions", "2", "--seconds", "0.01", "--output", folder, *words],
            text=True, capture_output=True, check=False, timeout=120,
            env={**os.environ, "CONVMARK_BUILD": str(BUILD)})
        self.assertEqual(done.returncode, 0, done.stderr)
        with open(os.path.join(folder, "convmark.json"), encoding="utf-8") as file:
            return json.load(file)

    def test_networks(self):
        with tempfile.TemporaryDirectory() as folder:
            result = self.speed(folder, "--variants", "baseline")
        results_schema.validator().validate(result)
        self.assertEqual([(item["name"], item["metric"]) for item in result["measurements"]],
                         [("train/baseline/n4/threads:1", "images_per_second"),
                          ("infer/baseline/n4/threads:1", "images_per_second"),
                          ("train/baseline/n4/threads:1", "peak_memory")])
        for item in result["measurements"]:
            self.assertTrue(all(sample > 0 for sample in item["samples"]))
        self.assertIn(result["measurements"][0]["implementation"],
                      result["machine"]["cpu"]["isas"])

    def test_convolutions(self):
        with tempfile.TemporaryDirectory() as folder:
            result = self.speed(folder, "--modes", "conv")
        results_schema.validator().validate(result)
        self.assertEqual(len(result["measurements"]), 12)
        found = {item["name"]: item["implementation"].split()[0]
                 for item in result["measurements"]}
        self.assertEqual(found["conv2d/forward/n4_c128_h9_w9_k128_r3/threads:1"], "dft10")

    def worker(self, script, *words, **environment):
        process = subprocess.Popen(
            [sys.executable, str(PEERS / script), "1", "2", *words], text=True,
            stdin=subprocess.PIPE, stdout=subprocess.PIPE,
            env={**os.environ, "CONVMARK_LIBRARY": str(LIBRARY), "PYTHONDONTWRITEBYTECODE": "1",
                 **environment})
        self.addCleanup(process.stdout.close)
        self.addCleanup(process.wait)
        self.addCleanup(process.stdin.close)

        def ask(do, **arguments):
            process.stdin.write(json.dumps({"do": do, **arguments}) + "\n")
            process.stdin.flush()
            return json.loads(process.stdout.readline())
        return ask

    def test_weights_are_saved_and_read(self):
        with tempfile.TemporaryDirectory() as folder:
            ask = self.worker("worker_convmark.py")
            path = os.path.join(folder, "a.safetensors")
            ask("save", variant="bn-3", path=path, steps=2)
            tensors = weights.read(path)
            self.assertEqual(tensors["conv.0.weight"].shape, (128, 1, 3, 3))
            self.assertEqual(len(tensors["dense.4.bias"].data), 4 * 10)
            self.assertEqual(struct.unpack("<q", tensors["conv.1.num_batches_tracked"].data), (2,))
            # From the same weights, without dropout, twice the same; and the steps do train.
            work = {"mode": "train", "variant": "bn-3", "weights": path, "dropout": False}
            losses = []
            for _ in range(2):
                ask("prepare", work=work, setup="default")
                losses.append(ask("values", batches=3))
            self.assertEqual(losses[0], losses[1])
            self.assertEqual(len({loss for loss, in losses[0]}), 3)

    def test_convolution_against_plain_loops(self):
        """Also that conv_convmark.c takes the passes, arrays and orders that it says."""
        with tempfile.TemporaryDirectory() as folder:
            subprocess.run(
                [os.environ.get("CC", "cc"), "-std=c17", "-Wall", "-Wextra", "-Werror", "-shared",
                 "-fPIC", str(PEERS / "conv_convmark.c"), f"-I{ROOT}/include",
                 f"-L{LIBRARY.parent}", f"-Wl,-rpath,{LIBRARY.parent}", "-lconvmark", "-o",
                 f"{folder}/libconv_convmark.so"], check=True)
            ask = self.worker("worker_conv.py", "convmark", CONVMARK_CONV_FOLDER=folder)
            for which, expected in plain_convolution(2, 3, 5, 4, 3).items():
                ask("prepare", setup="default", work={"mode": "conv", "pass": which, "images": 2,
                                                      "shape": [3, 5, 4, 3, 2]})
                found = ask("output")
                self.assertEqual(len(found), len(expected))
                self.assertLess(math.dist(found, expected), 1e-5 * math.hypot(*expected), which)


def fill(count, seed):
    values = []
    for _ in range(count):
        seed = (seed * 1664525 + 1013904223) % 2**32
        values.append((seed - 2**32 if seed >= 2**31 else seed) / 2**31)
    return values


def plain_convolution(images, channels, size, outputs, kernel, stride=2, padding=1):
    """The three passes in double, NHWC and RSCK, from the numbers of conv_peer.h."""
    out = (size + 2 * padding - kernel) // stride + 1
    x, weight = fill(images * size * size * channels, 1), fill(kernel**2 * channels * outputs, 2)
    bias, dy = fill(outputs, 3), fill(images * out * out * outputs, 4)
    y = [bias[i % outputs] for i in range(len(dy))]
    dx, dweight = [0.0] * len(x), [0.0] * len(weight)
    spots = [(n, p, q, r, s) for n in range(images) for p in range(out) for q in range(out)
             for r in range(kernel) for s in range(kernel)
             if 0 <= p * stride - padding + r < size and 0 <= q * stride - padding + s < size]
    for n, p, q, r, s in spots:
        at_x = ((n * size + p * stride - padding + r) * size + q * stride - padding + s) * channels
        at_y, at_w = ((n * out + p) * out + q) * outputs, (r * kernel + s) * channels * outputs
        for c in range(channels):
            for k in range(outputs):
                w = at_w + c * outputs + k
                y[at_y + k] += x[at_x + c] * weight[w]
                dx[at_x + c] += dy[at_y + k] * weight[w]
                dweight[w] += dy[at_y + k] * x[at_x + c]
    return {"forward": y, "backward_data": dx, "backward_weights": dweight}


if __name__ == "__main__":
    unittest.main()
