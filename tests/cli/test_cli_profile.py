"""convmark profile, as a user types it, on a small network."""
import collections
import os
import unittest

from cli_support import CliTest, needs_teams

NETWORK = """input 1 28 28
conv2d 8 kernel 3 padding 1
batch_norm
relu
max_pool2d 3
conv2d 16 kernel 3 padding 1
conv2d 16 kernel 3 padding 1
relu
flatten
dropout 0.1
linear 10
"""
QUICK = ["--data", "synthetic", "--steps", "8", "--batch", "16"]


class ProfileTest(CliTest):
    def setUp(self):
        super().setUp()
        self.network = self.write("net.txt", NETWORK)

    def profile(self, *words):
        text = self.run_program("profile", self.network, *QUICK, "--json", "p.json", *words)
        self.assertEqual(text.returncode, 0, text.stderr)
        return text.stdout.decode(), self.read_json("p.json")

    def check_sum(self, profile):
        """All parts and the data together are the step, but for the region's start."""
        parts = [m for m in profile["measurements"] if "part" in m]
        whole = {m["name"].rsplit("/", 1)[1]: m for m in profile["measurements"]
                 if "part" not in m}
        for step in range(8):
            explained = sum(m["samples"][step] for m in parts) + whole["data"]["samples"][step]
            self.assertTrue(0 < explained <= whole["step"]["samples"][step] * (1 + 1e-9))
        wall = sum(whole["step"]["samples"])
        explained = sum(sum(m["samples"]) for m in parts) + sum(whole["data"]["samples"])
        self.assertAlmostEqual(profile["accounted"], explained / wall, places=9)
        return parts

    def test_training(self):
        text, profile = self.profile("--threads", "1")
        parts = self.check_sum(profile)
        found = {(m["layer"], m["pass"], m["part"]) for m in parts}
        for wanted in [("conv.0 conv2d+pool", "forward", "work"),
                       ("conv.0 conv2d+pool", "backward", "work"),
                       ("conv.4 conv2d", "forward", "multiply"),
                       ("conv.5 conv2d", "forward", "transform"),
                       ("conv.5 conv2d", "forward", "restore"),
                       ("conv.5 conv2d", "backward", "weights"), ("dense.2 linear", "forward",
                                                                  "multiply"),
                       ("loss", "loss", "work"), ("adam", "update", "work")]:
            self.assertIn(wanted, found)
        self.assertIn("The parts explain", text)
        self.assertIn("Where most can be gained:", text)
        self.assertNotIn("Memory:", text)
        self.assertLessEqual(max(map(len, text.splitlines())), 120)
        for m in parts:
            if m["part"] in ("multiply", "weights"):
                self.assertTrue(m["flops"] > 0 and m["bytes"] > 0, m["name"])
                self.assertEqual(m["limit"] in ("compute", "imbalance", "L1", "L2", "L3", "DRAM"),
                                 True)

    def test_inference_and_memory(self):
        text, profile = self.profile("--infer", "--threads", "1", "--memory")
        passes = {m["pass"] for m in self.check_sum(profile)}
        self.assertEqual(passes, {"forward", "loss"})
        self.assertEqual(profile["mode"], "infer")
        for line in ("Memory:", "arena of this plan", "in huge pages", "peak of the process"):
            self.assertIn(line, text)

    @needs_teams
    def test_trace(self):
        if len(os.sched_getaffinity(0)) < 2:
            self.skipTest("one CPU")
        self.profile("--threads", "2", "--trace", "t.json", "--flamegraph", "f.txt", "--quiet")
        trace = self.read_json("t.json")
        threads = collections.defaultdict(list)
        names = {}
        for event in trace["traceEvents"]:
            if event["ph"] == "M":
                self.assertEqual(event["name"], "thread_name")
                names[event["tid"]] = event["args"]["name"]
                continue
            self.assertEqual(event["ph"], "X")
            self.assertTrue(event["ts"] >= 0 and event["dur"] >= 0)
            threads[event["tid"]].append(event)
        # Not 0, which Perfetto takes for the idle task and leaves out.
        self.assertEqual(names, {1: "thread 0", 2: "thread 1"})
        self.assertEqual(sorted(threads), [1, 2])
        for events in threads.values():
            for before, after in zip(events, events[1:]):
                self.assertAlmostEqual(before["ts"] + before["dur"], after["ts"], places=3)
            self.assertTrue(any("barrier" in event["name"] for event in events))
        with open(self.path("f.txt")) as file:
            for line in file:
                stack, _, value = line.rpartition(" ")
                self.assertEqual(len(stack.split(";")), 4)
                self.assertGreaterEqual(int(value), 0)

    def test_two_profiles_are_compared(self):
        self.profile("--threads", "1", "--quiet")
        os.rename(self.path("p.json"), self.path("a.json"))
        self.profile("--threads", "1", "--quiet", "--conv-algorithm", "direct")
        text = self.succeed("compare", "a.json", "p.json", "--filter", "conv.5/forward/multiply")
        self.assertIn("conv.5/forward/multiply", text)
        both = self.succeed("profile", "--compare", "a.json", "p.json")
        self.assertEqual(both, self.succeed("compare", "a.json", "p.json"))
        self.fails(2, "profile", "--compare", "a.json")
        self.fails(3, "profile", "--compare", "a.json", "net.txt")

    def test_wrong_options(self):
        for words, part in [(["--steps", "0"], "--steps"), (["--batch", "0"], "--batch"),
                            (["--trace", "-"], "--trace"), (["--json", "/nonexistent/x"], "--json"),
                            (["--conv-algorithm", "fft"], "fft")]:
            self.assertIn(part, self.fails(2, "profile", self.network, "--data", "synthetic",
                                           "--quiet", *words))
        self.fails(2, "profile")
        self.fails(2, "profile", "bn-3x")


if __name__ == "__main__":
    unittest.main()
