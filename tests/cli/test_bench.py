"""convmark-bench ($BENCH), as a user types it, and its results in convmark compare."""
import json
import os
import subprocess
import unittest

from cli_support import CliTest, environment

BENCH = os.environ["BENCH"]
QUICK = ("--isa", "scalar", "--threads", "1", "--benchmark_min_time=0.001")


class BenchTest(CliTest):
    def bench(self, *words):
        return subprocess.run([BENCH, *words], capture_output=True, stdin=subprocess.DEVNULL,
                              env=environment(), cwd=self.folder, check=False)

    def refuses(self, code, *words):
        result = self.bench(*words)
        text = result.stderr.decode()
        self.assertEqual((result.returncode, result.stdout), (code, b""), (words, text))
        self.assertRegex(text, r"\Aconvmark-bench: [^\n]+\n\Z")
        return text

    def names(self, *words):
        result = self.bench("--benchmark_list_tests", *words)
        self.assertEqual((result.returncode, result.stderr), (0, b""))
        return result.stdout.decode().split()

    def test_names(self):
        names = self.names("--shapes", "report", "--steps", "all", "--isa", "all", "--caches",
                           "both")
        self.assertEqual(len(names), len(set(names)))
        shape = "n64_c128_h9_w9_k128_r3/scalar"
        for name in (f"conv2d/forward/dft10/{shape}/cold/threads:1/real_time",
                     f"conv2d/forward/winograd3/{shape}/cold/threads:1/real_time",
                     f"conv2d/backward_weights/direct/{shape}/warm/threads:1/real_time",
                     "train/bn-3/n64/scalar/threads:1/real_time",
                     "infer/bn-16/n64/scalar/threads:1/real_time"):
            self.assertIn(name, names)
        steps = [name for name in names if name.startswith(("train/", "infer/"))]
        self.assertEqual(len({name.split("/")[1] for name in steps}), 8)
        warm = self.names("--caches", "warm", "--isa=scalar", "--threads=1", "--shapes", "vgg16",
                          "--shapes", "resnet50")
        self.assertTrue(all("/scalar/" in name and "/threads:1/" in name for name in warm))
        self.assertFalse([name for name in warm if "/cold/" in name])
        self.assertIn("conv2d/forward/direct/n1_c64_h224_w224_k64_r3/scalar/warm/threads:1/"
                      "real_time", warm)

    def test_json_and_compare(self):
        shapes = self.write("small.txt", "linear n64_c32_k10\nrelu n64_c8_h9_w9\nadam k300\n")
        for name in ("a.json", "b.json"):
            result = self.bench(*QUICK, "--benchmark_repetitions=3",
                                "--benchmark_enable_random_interleaving=true",
                                "--shapes", shapes, "--caches", "both",
                                "--benchmark_filter=linear/|relu/forward|adam/step",
                                f"--benchmark_out={name}", "--benchmark_format=json")
            self.assertEqual(result.returncode, 0, result.stderr)
        results = self.read_json("a.json")
        self.assertEqual(json.loads(result.stdout)["benchmarks"],
                         self.read_json("b.json")["benchmarks"])
        context = results["context"]
        for key in ("cpu", "convmark_version", "convmark_commit", "convmark_compiler",
                    "convmark_type"):
            self.assertTrue(context[key], key)
        runs = [row for row in results["benchmarks"] if row["run_type"] == "iteration"]
        names = {row["run_name"] for row in runs}
        self.assertEqual(len(runs), 3 * len(names))
        self.assertEqual(len(names), 2 * (3 + 1 + 1))
        for row in runs:
            self.assertNotIn("error_occurred", row)
            self.assertGreater(row["bytes/s"], 0)
            self.assertGreater(row["dram%"], 0)
            if row["name"].startswith("linear/"):
                self.assertAlmostEqual(row["images/s"], 64e9 / row["real_time"],
                                       delta=1e-6 * row["images/s"])
                share = 100 * row["FLOP/s"] / row["fma_peak_FLOP/s"]
                self.assertAlmostEqual(row["fma_peak%"] / share, 1, delta=1e-6)
        text = self.succeed("compare", "a.json", "b.json")
        for name in names:
            self.assertIn(name, text)

    def test_step(self):
        result = self.bench("--steps", "baseline", "--isa", "all", "--threads", "1",
                            "--benchmark_min_time=0.001", "--benchmark_format=json",
                            "--benchmark_filter=infer/baseline/")
        rows = json.loads(result.stdout)["benchmarks"]
        self.assertEqual(result.returncode, 0)
        self.assertTrue(rows)
        for row in rows:
            self.assertGreater(row["images/s"], 0)
            self.assertGreater(row["fma_peak%"], 0)

    def test_own_shapes(self):
        path = self.write("mine.txt", "relu n2_c5_h3_w3 # small\n")
        names = self.names("--shapes", path, "--isa", "scalar", "--threads", "1",
                           "--caches=warm")
        self.assertEqual(names, [f"relu/{way}/n2_c5_h3_w3/scalar/warm/threads:1/real_time"
                                 for way in ("forward", "backward")])

    def test_default_is_small(self):
        """One instruction set, warm caches: less than a tenth of everything."""
        names = self.names()
        self.assertLess(len(names), 100)
        self.assertTrue([name for name in names if name.startswith("train/bn-3/")])
        self.assertEqual(len({name.split("/")[-4] for name in names if "/warm/" in name}), 1)
        self.assertEqual([name for name in names if "/cold/" in name], [])
        steps = self.names("--steps", "bn-3,bn-16", "--threads", "1")
        self.assertEqual([name.split("/")[:2] for name in steps],
                         [[mode, variant] for variant in ("bn-3", "bn-16")
                          for mode in ("train", "infer")])

    def test_says_how_much_first(self):
        shapes = self.write("small.txt", "relu n2_c5_h3_w3\nadam k30\n")
        for filters, count in (((), "3 benchmarks"), (("--benchmark_filter=^relu/for",),
                                                      "1 benchmark"),
                               (("--benchmark_filter=-relu/f",), "2 benchmarks")):
            result = self.bench(*QUICK, "--shapes", shapes, *filters)
            self.assertEqual(result.returncode, 0, result.stderr)
            self.assertRegex(result.stderr.decode(),
                             rf"(?m)^convmark-bench: {count}, about \d+ seconds$")
            self.assertEqual(result.stdout.decode().count("threads:1"), int(count[0]))

    def test_wrong_usage(self):
        self.write("bad.txt", "relu n2_c5_h3_w3\nrelu n2\n")
        self.assertIn("bad.txt:2: ", self.refuses(3, "--shapes", "./bad.txt"))
        self.assertRegex(self.refuses(3, "--shapes", "resnet"), r"no list of shapes 'resnet' in "
                         r"\S+, which has mobilenet, report, resnet50, small, vgg16; a file ")
        self.assertIn("'bn-99' is not a variant", self.refuses(2, "--steps", "bn-99"))
        self.assertIn("did you mean --threads?", self.refuses(2, "--cores", "1"))
        self.assertIn("did you mean --shapes?", self.refuses(2, "--shape", "report"))
        self.assertIn("did you mean --benchmark_filter?", self.refuses(2, "--benchmark_filtr=x"))
        self.assertIn("unexpected argument 'x'", self.refuses(2, "x"))
        self.refuses(2, "--shapes")
        self.refuses(2, "--threads", "0")
        self.refuses(2, "--isa", "sse9")
        self.refuses(2, "--caches", "hot")
        result = self.bench("--benchmark_filter=nothing_of_this_name")
        self.assertEqual(result.returncode, 1)

    def test_help_and_version(self):
        result = self.bench("--help")
        self.assertEqual((result.returncode, result.stderr), (0, b""))
        for option in ("--shapes", "--isa", "--threads", "--caches", "--benchmark_filter"):
            self.assertIn(option, result.stdout.decode())
        self.assertRegex(self.bench("--version").stdout.decode(), r"\Aconvmark-bench \d+\.\d+\.\d")


if __name__ == "__main__":
    unittest.main()
