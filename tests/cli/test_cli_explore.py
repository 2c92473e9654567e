"""convmark explore, as a user types it, on small grids."""
import csv
import json
import os
import signal
import subprocess
import time
import unittest

from cli_support import PROGRAM, CliTest, environment

DATA = ["--data", "synthetic", "--allow-synthetic", "--quiet", "--threads", "1"]
QUICK = [*DATA, "--rounds", "6", "--seconds", "0", "--epochs", "2", "--steps", "2",
         "--valid-steps", "2", "--batch", "8"]
SMALL = ["--depth", "1", "--pool", "1", "--batch-norm", "off", "--width", "4,6"]


class ExploreTest(CliTest):
    def explore(self, *words):
        return self.succeed("explore", *QUICK, *SMALL, *words)

    def refused(self, code, *words):
        return self.fails(code, "explore", *QUICK, *SMALL, *words)

    def results(self):
        return self.read_json("convmark-explore/explore.json")

    def test_files(self):
        self.assertEqual(self.explore("--schedule", "cosine,plateau", "--seeds", "2",
                                      "--json", "copy.json"), "")
        self.assertEqual(sorted(os.listdir(self.path("convmark-explore"))),
                         ["explore.csv", "explore.json", "explore.md"])
        explore = self.results()
        self.assertEqual(explore, self.read_json("copy.json"))
        self.assertTrue(explore["complete"])
        self.assertEqual([(p["network"], p["schedule"]) for p in explore["points"]],
                         [(f"d1-p1-w{width}-do0.1", schedule) for width in (4, 6)
                          for schedule in ("cosine", "plateau")])
        medians = {m["variant"]: m["median"] for m in explore["measurements"]}
        for point in explore["points"]:
            self.assertEqual(point["images_per_second"], medians[point["network"]])
            self.assertEqual([run["seed"] for run in point["runs"]], [0, 1])
            for key in ("accuracy", "train_loss", "test_loss", "train_seconds"):
                mean = sum(run[key] for run in point["runs"]) / 2
                self.assertAlmostEqual(point[key], mean, places=12)
            self.assertIsNone(point["until_accuracy"])
        self.assertEqual(len({run["sha256"] for p in explore["points"] for run in p["runs"]}), 8)
        with open(self.path("convmark-explore/explore.csv"), newline="") as file:
            rows = list(csv.DictReader(file))
        self.assertEqual([float(row["value"]) for row in rows],
                         [x for m in explore["measurements"] for x in m["samples"]])
        self.succeed("compare", "copy.json", "copy.json")

    def shown(self, *words):
        """The text of a run, which may warn of the machine's conditions."""
        result = self.run_program(*words)
        self.assertEqual(result.returncode, 0, result.stderr)
        return result.stdout.decode()

    def test_the_winner_can_be_trained(self):
        """By the command that is shown, to the bits that explore had."""
        words = [word for word in [*QUICK, *SMALL] if word != "--quiet"]
        text = self.shown("explore", *words, "--batch-norm", "both", "--schedule",
                            "plateau,one-cycle", "--lr", "0.003")
        points = self.results()["points"]
        best = max((p for p in points if p["frontier"]), key=lambda p: p["accuracy"])
        command = text.split("Train the most accurate, on the same data set:\n  convmark ")[1]
        command = command.split("\n")[0].split()
        self.assertEqual(command[:2], ["train", best["network"]])
        self.succeed(*command, "--data", "synthetic", "--threads", "1", "--quiet", "--json",
                     "again.json")
        self.assertEqual(self.read_json("again.json")["sha256"], best["runs"][0]["sha256"])
        for point in points:
            self.write("text.txt", point["network_text"])
            self.assertEqual(self.succeed("describe", "./text.txt").splitlines()[1:],
                             self.succeed("describe", point["network"]).splitlines()[1:])
        with open(self.path("convmark-explore/explore.md")) as file:
            self.assertIn("    convmark " + " ".join(command), file.read())

    def test_the_winner_on_other_pictures(self):
        words = [word for word in [*QUICK, *SMALL] if word != "--quiet"]
        text = self.shown("explore", *words, "--input", "2x9x8", "--classes", "3", "--schedule",
                            "constant")
        best = max((p for p in self.results()["points"] if p["frontier"]),
                   key=lambda p: p["accuracy"])
        self.assertTrue(best["network_text"].startswith("input 2 9 8\n"))
        self.write(best["network"] + ".txt", best["network_text"])
        command = text.split("written to a file), on the same data set:\n  convmark ")[1]
        self.succeed(*command.split("\n")[0].split(), "--data", "synthetic", "--threads", "1",
                     "--quiet", "--json", "again.json")
        self.assertEqual(self.read_json("again.json")["sha256"], best["runs"][0]["sha256"])

    def test_names_of_the_grid(self):
        for name in ("d1-p1-w4", "d2-p1-bn-w3-do0.25", "d10-p4-w1"):
            self.assertIn(f"network {name}: ", self.succeed("describe", name))
        self.assertIn("dropout 0.25", self.succeed("describe", "d2-p1-bn-w3-do0.25"))
        for name in ("d0-p1-w4", "d1-p0-w4", "d1-p1-w0", "d1-w4", "d1-p1-bn-w4-do1", "d1-p1-w4x"):
            self.fails(2, "describe", name)
        self.assertIn("larger than its input, 1x1", self.fails(3, "describe", "d9-p1-w4"))

    def test_frontier(self):
        self.explore("--schedule", "constant,one-cycle,step", "--width", "4,6,32")
        points = self.results()["points"]
        for point in points:
            better = [p for p in points if p["accuracy"] >= point["accuracy"] and
                      p["images_per_second"] >= point["images_per_second"] and
                      (p["accuracy"], p["images_per_second"]) !=
                      (point["accuracy"], point["images_per_second"])]
            self.assertEqual(point["frontier"], not better)
        with open(self.path("convmark-explore/explore.md")) as file:
            lines = file.read().splitlines()
        self.assertEqual(sum(line.startswith("| * |") for line in lines),
                         sum(p["frontier"] for p in points))

    def test_a_point_is_the_variant_of_the_report(self):
        words = ["--epochs", "1", "--steps", "1", "--valid-steps", "1", "--batch", "8"]
        self.succeed("explore", *QUICK, *words, "--rounds", "1", "--depth", "3", "--pool", "1",
                     "--batch-norm", "on", "--width", "128", "--schedule", "one-cycle")
        (point,) = self.results()["points"]
        self.succeed("train", "bn-3", "--data", "synthetic", "--quiet", *words, "--schedule",
                     "one-cycle", "--json", "train.json")
        self.assertEqual(point["params"], 315018)
        self.assertEqual(point["runs"][0]["sha256"], self.read_json("train.json")["sha256"])

    def test_what_cannot_be_built_is_skipped(self):
        words = [word for word in QUICK if word != "--quiet"]
        result = self.run_program("explore", *words, *SMALL, "--depth", "1,4")
        self.assertEqual(result.returncode, 0)
        self.assertIn(b"skipped d4-p1-w4-do0.1 and 1 more: max_pool2d", result.stdout)
        explore = self.results()
        self.assertEqual([row["network"] for row in explore["skipped"]],
                         ["d4-p1-w4-do0.1", "d4-p1-w6-do0.1"])
        self.assertEqual(len(explore["points"]), 4)
        self.assertIn("no combination can be built", self.refused(2, "--depth", "4", "--restart"))

    def test_until_accuracy_does_not_end_runs(self):
        self.explore("--until-accuracy", "0.001")
        for point in self.results()["points"]:
            (run,) = point["runs"]
            self.assertEqual((run["epochs"], run["images"]), (2, 32))
            self.assertEqual(run["until_accuracy"]["images"], 16)
            self.assertEqual(point["until_accuracy"]["runs"], 1)
            self.assertLess(point["until_accuracy"]["train_seconds"], point["train_seconds"])

    def test_a_loss_that_is_not_finite_ends_one_run(self):
        self.explore("--lr", "1000", "--schedule", "plateau", "--depth", "12", "--pool", "12")
        explore = self.results()
        self.assertTrue(explore["complete"])
        for point in explore["points"]:
            self.assertIn("use a smaller learning rate", point["runs"][0]["failure"])
            self.assertIsNone(point["accuracy"])
            self.assertFalse(point["frontier"])
        before = self.results()
        self.explore("--lr", "1000", "--schedule", "plateau", "--depth", "12", "--pool", "12")
        self.assertEqual(self.results()["points"], before["points"])

    def test_goes_on_where_it_was_interrupted(self):
        words = ["explore", *QUICK, *SMALL, "--seeds", "40", "--epochs", "3", "--schedule",
                 "plateau"]
        process = subprocess.Popen([PROGRAM, *words], cwd=self.folder, env=environment(),
                                   stderr=subprocess.PIPE, stdin=subprocess.DEVNULL)
        limit = time.monotonic() + 60
        done = 0
        while not done and time.monotonic() < limit:
            time.sleep(0.01)
            if os.path.exists(self.path("convmark-explore/explore.json")):
                done = sum(len(p["runs"]) for p in self.results()["points"])
        process.send_signal(signal.SIGINT)
        self.assertIn(b"the same command resumes", process.communicate(timeout=60)[1])
        self.assertEqual(process.returncode, 130)
        first = self.results()
        self.assertFalse(first["complete"])
        self.assertEqual(os.listdir(self.path("convmark-explore")), ["explore.json"])
        self.succeed(*words)
        second = self.results()
        self.assertTrue(second["complete"])
        self.assertEqual(second["measurements"], first["measurements"])
        for before, after in zip(first["points"], second["points"]):
            self.assertLess(len(before["runs"]), 40)
            self.assertEqual(after["runs"][:len(before["runs"])], before["runs"])
            self.assertEqual(len(after["runs"]), 40)
            self.assertGreater(len(before["runs"]), 0 if after is second["points"][0] else -1)

    def test_another_grid_is_not_gone_on_with(self):
        self.explore()
        before = self.results()
        self.assertIn("--restart", self.refused(3, "--width", "4"))
        self.assertEqual(self.results(), before)
        self.explore("--width", "4", "--restart")
        self.assertEqual(self.results()["options"]["widths"], [4])

    def test_damaged_files_are_refused_and_kept(self):
        self.explore()
        with open(self.path("convmark-explore/explore.json")) as file:
            good = file.read()
        explore = json.loads(good)
        point = explore["points"][0]
        changes = [good[:len(good) // 2], "[]", "{}",
                   good.replace('"schema_version": 1', '"schema_version": 2'),
                   good.replace('"kind": "explore"', '"kind": "sweep"'),
                   json.dumps({**explore, "measurements": []}),
                   json.dumps({**explore, "points": []}),
                   json.dumps({**explore, "points": [{}] * 4}),
                   json.dumps({**explore, "points": [{**point, "runs": point["runs"] * 2}] * 4}),
                   json.dumps({**explore, "points": [{**point, "runs": [{"seed": 0}]}] * 4}),
                   json.dumps({**explore, "points": [{**point, "runs": [{"seed": 9}]}] * 4}),
                   json.dumps({**explore,
                               "points": [{**point, "runs": [{"seed": 0, "failure": ""}]}] * 4})]
        for text in changes:
            self.write("convmark-explore/explore.json", text)
            self.assertIn("convmark-explore/explore.json", self.refused(3))
            with open(self.path("convmark-explore/explore.json")) as file:
                self.assertEqual(file.read(), text)

    def test_wrong_options(self):
        for words, part in [(["--depth", "0"], "--depth"), (["--depth", "101"], "101"),
                            (["--depth", "1,1"], "twice"), (["--pool", "0"], "--pool"),
                            (["--width", "1,,2"], "empty item"), (["--width", "5000"], "5000"),
                            (["--batch-norm", "yes"], "both"), (["--dropout", "1"], "--dropout"),
                            (["--dropout", "x"], "'x'"), (["--dropout", "0.1,0.1"], "twice"),
                            (["--dropout", "0.1,0.10000001"], "0.1 is there twice"),
                            (["--dropout", "0.99999999999"], "below 1"),
                            (["--schedule", "linear"], "'linear'"),
                            (["--schedule", "step,step"], "twice"), (["--seeds", "0"], "--seeds"),
                            (["--epochs", "0"], "--epochs"), (["--rounds", "0"], "--rounds"),
                            (["--output", "/nonexistent/x"], "--output")]:
            self.assertIn(part, self.refused(2, *words), words)
        line = self.fails(2, "explore", "--data", "synthetic", "--quiet")
        self.assertIn("--allow-synthetic", line)
        self.assert_no_files("convmark-explore")


if __name__ == "__main__":
    unittest.main()
