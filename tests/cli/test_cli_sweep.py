"""convmark sweep, compare and export, as a user types them, on small networks."""
import csv
import io
import json
import os
import random
import signal
import subprocess
import time
import unittest

from cli_support import PROGRAM, CliTest, environment, needs_teams

QUICK = ["--data", "synthetic", "--allow-synthetic", "--quiet", "--rounds", "6", "--seconds", "0",
         "--epochs", "1", "--steps", "2", "--valid-steps", "2"]


class SweepTest(CliTest):
    def sweep(self, *words, cores="1"):
        return self.succeed("sweep", *QUICK, "--variants", self.network, "--cores", cores, *words)

    def refused(self, code, *words):
        return self.fails(code, "sweep", *QUICK, "--variants", self.network, *words)

    def test_files(self):
        self.assertEqual(self.sweep("--batch", "8,3", "--json", "copy.json"), "")
        self.assertEqual(sorted(os.listdir(self.path("convmark-sweep"))),
                         ["sweep.csv", "sweep.json", "sweep.md"])
        sweep = self.read_json("convmark-sweep/sweep.json")
        self.assertEqual(sweep, self.read_json("copy.json"))
        self.assertTrue(sweep["complete"])
        names = [m["name"] for m in sweep["measurements"]]
        self.assertEqual(names, [f"{mode}/tiny/n{batch}/threads:1" for batch in (8, 3)
                                 for mode in ("train", "infer")])
        for m in sweep["measurements"]:
            self.assertEqual((len(m["samples"]), m["n"]), (6, 6))
            low, high = m["confidence_interval"]
            self.assertTrue(0 < low <= m["median"] <= high)
            self.assertEqual(m["parallel_efficiency"], 1)
        (run,) = sweep["accuracy"]
        self.succeed("train", self.network, *QUICK[:2], "--quiet", "--epochs", "1", "--steps", "2",
                     "--valid-steps", "2", "--json", "train.json")
        self.assertEqual(run["sha256"], self.read_json("train.json")["sha256"])
        with open(self.path("convmark-sweep/sweep.csv"), newline="") as file:
            rows = list(csv.DictReader(file))
        self.assertEqual([float(row["value"]) for row in rows],
                         [x for m in sweep["measurements"] for x in m["samples"]])
        self.assertEqual(self.succeed("export", "copy.json").replace("\r\n", "\n"),
                         open(self.path("convmark-sweep/sweep.csv")).read())

    @needs_teams
    def test_same_bits_at_all_core_counts(self):
        if len(os.sched_getaffinity(0)) < 2:
            self.skipTest("one CPU")
        words = [word for word in QUICK if word != "--quiet"]
        text = self.run_program("sweep", *words, "--variants", self.network, "--cores", "2,1",
                                "--pin", "scatter").stdout.decode()
        self.assertIn("the same bits at all 2 core counts", text)
        runs = self.read_json("convmark-sweep/sweep.json")["accuracy"]
        self.assertEqual([run["threads"] for run in runs], [2, 1])
        self.assertEqual(runs[0]["sha256"], runs[1]["sha256"])
        # Other bits are told by every call, not only by the one that trained.
        sweep = self.read_json("convmark-sweep/sweep.json")
        sweep["accuracy"][1]["sha256"] = 64 * "0"
        self.write("convmark-sweep/sweep.json", json.dumps(sweep))
        for _ in range(2):
            self.assertIn("tiny gives other bits", self.refused(1, "--cores", "2,1", "--pin",
                                                                "scatter"))

    def interrupt(self, name, *words, gone=False):
        """What a sweep says that is told to stop when this file is there, or gone."""
        process = subprocess.Popen([PROGRAM, "sweep", *QUICK, "--variants", self.network, "--cores",
                                    "1", *words], cwd=self.folder, env=environment(),
                                   stderr=subprocess.PIPE, stdin=subprocess.DEVNULL)
        limit = time.monotonic() + 60
        while os.path.exists(self.path(name)) == gone and time.monotonic() < limit:
            time.sleep(0.02)
        process.send_signal(signal.SIGTERM)
        text = process.communicate(timeout=60)[1].decode()
        self.assertEqual(process.returncode, 143)
        return text

    def test_goes_on_where_it_was_interrupted(self):
        words = ["--rounds", "60", "--seconds", "0.02"]
        self.assertRegex(self.interrupt("convmark-sweep/sweep.json", *words),
                         r"after \d+ of 60 rounds; the same command resumes from "
                         r"convmark-sweep/sweep\.json\n\Z")
        first = self.read_json("convmark-sweep/sweep.json")
        self.assertFalse(first["complete"])
        self.sweep(*words)
        second = self.read_json("convmark-sweep/sweep.json")
        self.assertTrue(second["complete"])
        for before, after in zip(first["measurements"], second["measurements"]):
            self.assertTrue(0 < before["n"] < 60)
            self.assertEqual(after["samples"][:before["n"]], before["samples"])
            self.assertEqual(after["n"], 60)

    def test_what_an_interruption_says(self):
        # With --restart the same command would start over.
        self.assertIn("the same command without --restart resumes",
                      self.interrupt("convmark-sweep/sweep.json", "--restart", "--rounds", "60",
                                     "--seconds", "0.02"))
        # In the first round, of sixteen seconds, there is only what another call left.
        self.assertIn("nothing to resume from",
                      self.interrupt("new", "--restart", "--output", "new", "--seconds", "1",
                                     "--batch", "1,2,3,4,5,6,7,8"))

    def test_tables_of_an_earlier_sweep_do_not_stay_beside_another(self):
        words = ["--rounds", "60", "--seconds", "0.02"]
        tables = [self.path("convmark-sweep/sweep" + suffix) for suffix in (".csv", ".md")]
        self.sweep()
        self.assertEqual([os.path.exists(path) for path in tables], [True, True])
        self.interrupt("convmark-sweep/sweep.csv", "--restart", *words, gone=True)
        self.assertEqual([os.path.exists(path) for path in tables], [False, False])
        self.assertFalse(self.read_json("convmark-sweep/sweep.json")["complete"])
        self.sweep(*words)
        self.assertEqual([os.path.exists(path) for path in tables], [True, True])

    def test_a_table_that_is_a_link_stays_one(self):
        words = ["--rounds", "60", "--seconds", "0.02"]
        os.mkdir(self.path("convmark-sweep"))
        link, linked = self.path("convmark-sweep/sweep.csv"), self.write("linked.csv", "old")
        os.symlink("../linked.csv", link)
        self.sweep()
        self.assertGreater(os.path.getsize(linked), 100)
        # The one is emptied before the other is removed.
        self.interrupt("convmark-sweep/sweep.md", "--restart", *words, gone=True)
        self.assertFalse(self.read_json("convmark-sweep/sweep.json")["complete"])
        self.assertEqual((os.readlink(link), os.path.getsize(linked)), ("../linked.csv", 0))
        self.sweep(*words)
        self.assertEqual(os.readlink(link), "../linked.csv")
        self.assertGreater(os.path.getsize(linked), 100)

    def test_another_sweep_is_not_gone_on_with(self):
        self.sweep()
        before = self.read_json("convmark-sweep/sweep.json")
        self.assertIn("--restart", self.refused(3, "--cores", "1", "--batch", "2"))
        self.assertEqual(self.read_json("convmark-sweep/sweep.json"), before)
        self.sweep("--batch", "2", "--restart")
        self.assertEqual(self.read_json("convmark-sweep/sweep.json")["options"]["batches"], [2])

    def test_damaged_files_are_refused_and_kept(self):
        self.sweep()
        with open(self.path("convmark-sweep/sweep.json")) as file:
            good = file.read()
        sweep = json.loads(good)
        changes = [good[:len(good) // 2], "[]", "{}", good.replace("6,", "NaN,", 1),
                   good.replace('"schema_version": 1', '"schema_version": 2'),
                   good.replace('"kind": "sweep"', '"kind": "train"'),
                   json.dumps({**sweep, "measurements": []}),
                   json.dumps({**sweep, "accuracy": [{}]})]
        for text in changes:
            self.write("convmark-sweep/sweep.json", text)
            line = self.refused(3, "--cores", "1")
            self.assertIn("convmark-sweep/sweep.json", line)
            with open(self.path("convmark-sweep/sweep.json")) as file:
                self.assertEqual(file.read(), text)

    def test_until_accuracy(self):
        self.sweep("--until-accuracy", "0.01", "--epochs", "5")
        (run,) = self.read_json("convmark-sweep/sweep.json")["accuracy"]
        self.assertTrue(run["reached_accuracy"])
        self.assertEqual((run["epochs"], run["images"]), (1, 128))
        until = run["until_accuracy"]
        for member in ("epochs", "images", "train_seconds", "joules"):
            self.assertEqual(until[member], run[member])
        sweep = self.read_json("convmark-sweep/sweep.json")
        self.assertNotEqual(run["joules"] is None, sweep["energy_note"] is None)
        self.sweep("--until-accuracy", "0.01", "--epochs", "5", "--schedule", "cosine", "--restart")
        sweep = self.read_json("convmark-sweep/sweep.json")
        self.assertEqual(sweep["options"]["training"]["schedule"], "cosine")
        self.assertIn("% after 128 images", open(self.path("convmark-sweep/sweep.md")).read())

    def test_wrong_options(self):
        many = str(len(os.sched_getaffinity(0)) + 1)
        for words, part in [(["--cores", "0"], "0"), (["--cores", many], many),
                            (["--cores", "1,,2"], "empty item"), (["--cores", "1,1"], "twice"),
                            (["--cores", "x"], "'x'"), (["--batch", "0"], "--batch"),
                            (["--batch", "99999"], "99999"), (["--pin", "tight"], "tight"),
                            (["--rounds", "0"], "--rounds"), (["--threads", "1"], "--threads"),
                            (["--variants", "bn-3,bn-3"], "twice"),
                            (["--no-accuracy", "--until-accuracy", "0.5"], "--no-accuracy"),
                            (["--output", "/nonexistent/x"], "--output")]:
            self.assertIn(part, self.refused(2, *words), words)
        for name in ("csv", "md", "json"):
            os.makedirs(self.path(f"taken/sweep.{name}"))
            self.assertIn(f"taken/sweep.{name}", self.refused(2, "--output", "taken"))
            os.rmdir(self.path(f"taken/sweep.{name}"))
        line = self.fails(2, "sweep", "--data", "synthetic", "--quiet", "--cores", "1",
                          "--variants", self.network)
        self.assertIn("--no-accuracy", line)
        self.assert_no_files("convmark-sweep")


def measurements(values, metric="images_per_second", better=True, **members):
    return {"schema_version": 1, "kind": "sweep",
            "machine": {"cpu": {"model": "A", "cores": 2, "usable_cores": 2},
                        "build": {"type": "Release", "compiler": "c", "flags": "f"}},
            "data": {"sha256": "0"},
            "measurements": [{"name": name, "metric": metric, "unit": "x",
                              "higher_is_better": better, "n": len(samples), "samples": samples}
                             for name, samples in values.items()], **members}


class CompareTest(CliTest):
    def setUp(self):
        super().setUp()
        self.random = random.Random(3)

    def samples(self, typical, n=9, spread=0.02):
        return [typical * self.random.lognormvariate(0, spread) for _ in range(n)]

    def put(self, name, values, *words, **members):
        return self.write(name, json.dumps(measurements(values, *words, **members)))

    def test_verdicts(self):
        self.put("a.json", {"up": self.samples(100), "down": self.samples(100),
                            "same": self.samples(100), "little": self.samples(100, spread=0.001),
                            "few": [1, 2], "gone": [1]})
        self.put("b.json", {"up": self.samples(130), "down": self.samples(70),
                            "same": self.samples(100), "little": self.samples(102, spread=0.001),
                            "few": [3, 4], "new": [1]})
        text = self.succeed("compare", "a.json", "b.json")
        for name, verdict in [("up", "faster"), ("down", "slower"), ("same", "not shown"),
                              ("little", "not shown"), ("few", "too few samples")]:
            self.assertRegex(text, rf"(?m)^{name} .*  {verdict}$")
        self.assertIn("1 faster, 1 slower, 2 not shown, 1 with too few", text)
        self.assertIn("2 measurements are not in both", text)
        self.assertLessEqual(max(map(len, text.splitlines())), 100)
        self.assertRegex(self.succeed("compare", "a.json", "b.json", "--threshold", "0.01"),
                         r"(?m)^little .*  faster$")
        one = self.succeed("compare", "a.json", "b.json", "--filter", "up")
        self.assertNotIn("down", one)
        self.succeed("compare", "a.json", "b.json", "--markdown", "t.md")
        self.assertIn("| up ", open(self.path("t.md")).read())

    def test_smaller_is_better(self):
        self.put("a.json", {"x": self.samples(100)}, "seconds", False)
        self.put("b.json", {"x": self.samples(70)}, "seconds", False)
        self.assertRegex(self.succeed("compare", "a.json", "b.json"), r"(?m)^x .*  faster$")

    def test_fail_if_slower(self):
        self.put("a.json", {"x": self.samples(100), "y": self.samples(100)})
        self.put("b.json", {"x": self.samples(80), "y": self.samples(100)})
        self.assertIn("x: images_per_second is slower by",
                      self.fails(1, "compare", "a.json", "b.json", "--fail-if-slower", "5%"))
        self.succeed("compare", "a.json", "b.json", "--fail-if-slower", "40%")
        self.succeed("compare", "b.json", "a.json", "--fail-if-slower", "5%")
        for limit in ("x", "-1%", "5%%", "100%", "%"):
            self.fails(2, "compare", "a.json", "b.json", "--fail-if-slower", limit)

    def test_what_is_not_comparable(self):
        self.put("a.json", {"x": self.samples(100)})
        other = measurements({"x": self.samples(100)})
        other["machine"]["build"]["type"] = "Debug"
        self.write("debug.json", json.dumps(other))
        other = measurements({"x": self.samples(100)})
        other["machine"]["cpu"]["model"] = "B"
        self.write("machine.json", json.dumps(other))
        for what, value in (("isas", ["scalar"]), ("caches", [])):
            other = measurements({"x": self.samples(100)})
            other["machine"]["cpu"][what] = value
            self.write(f"{what}.json", json.dumps(other))
        self.put("kind.json", {"x": self.samples(100)}, kind="profile")
        self.put("data.json", {"x": self.samples(100)}, data={"sha256": "1"})
        self.put("bare.json", {"x": self.samples(100)}, machine={})
        for name, reason in [("debug", "build types"), ("machine", "another CPU"),
                             ("kind", "kinds"), ("data", "data set"), ("bare", "another CPU"),
                             ("isas", "instruction sets"), ("caches", "caches differ")]:
            line = self.fails(3, "compare", "a.json", f"{name}.json")
            self.assertIn(reason, line)
            self.assertIn("--force", line)
            self.succeed("compare", "a.json", f"{name}.json", "--force")

    def test_the_same_build_is_no_difference(self):
        """Drawn as two runs of one build look: outliers, drift within a run, runs that differ by
        a percent or two. At most 2 of 40 pairs may be judged different."""
        wrong = 0
        for _ in range(40):
            for name in ("a.json", "b.json"):
                run = self.random.lognormvariate(0, 0.01)
                self.put(name, {f"w{i}": [
                    1000 * run * (1 - 0.002 * k) * self.random.lognormvariate(0, 0.02) *
                    (0.7 if self.random.random() < 0.1 else 1) for k in range(9)]
                    for i in range(8)})
            text = self.succeed("compare", "a.json", "b.json")
            wrong += "0 faster, 0 slower" not in text
        self.assertLessEqual(wrong, 2)

    def test_google_benchmark(self):
        name = "conv/" + 50 * "x"

        def rows(time):
            return [{"name": f"{name}_{k}", "run_name": name, "run_type": kind,
                     "real_time": time * (1 + 0.001 * k), "time_unit": "us"}
                    for k, kind in enumerate(["iteration"] * 9 + ["aggregate"])]
        context = {"num_cpus": 2, "library_build_type": "release"}
        for file, time in (("a", 100), ("b", 50)):
            self.write(f"{file}.json", json.dumps({"context": context, "benchmarks": rows(time)}))
        text = self.succeed("compare", "a.json", "b.json")
        self.assertRegex(text, rf"(?m)^{name} +100.4 u +50.2 u +2.000 .*  faster$")
        # Columns stand under their heads however long a name is.
        head, _, row = text.split("\n")[2:5]
        self.assertEqual(head.index("verdict"), row.index("faster"))
        rows_of = list(csv.DictReader(io.StringIO(self.succeed("export", "a.json"))))
        self.assertEqual(len(rows_of), 9)

    def test_folders(self):
        for folder, typical in (("before", 100), ("now", 130)):
            os.makedirs(self.path(folder))
            self.put(f"{folder}/sweep.json", {"x": self.samples(typical)})
            self.put(f"{folder}/explore.json", {"y": self.samples(typical)})
        text = self.succeed("compare", "before", "now")
        self.assertRegex(text, r"before/sweep\.json .*now/sweep\.json")
        self.assertRegex(text, r"(?m)^x .*  faster$")
        self.assertNotRegex(text, r"(?m)^y ")
        os.remove(self.path("before/sweep.json"))
        os.remove(self.path("now/sweep.json"))
        self.assertRegex(self.succeed("compare", "before", "now"), r"(?m)^y .*  faster$")
        self.assertIn("is a folder without sweep.json", self.fails(3, "compare", ".", "now"))

    def test_bad_files(self):
        good = self.put("a.json", {"x": self.samples(100)})
        for text in ("", "{", "[]", "{}", '{"schema_version": 1, "kind": "sweep"}',
                     '{"schema_version": 9, "kind": "sweep", "measurements": []}',
                     json.dumps(measurements({"x": [1.0]})).replace("1.0", "NaN"),
                     '{"context": {}, "benchmarks": [{"name": "a"}]}'):
            self.write("b.json", text)
            self.assertIn("b.json", self.fails(3, "compare", good, "b.json"))
            self.assertIn("b.json", self.fails(3, "export", "b.json"))
        self.fails(3, "compare", good, "nothing.json")
        self.fails(3, "compare", good, self.folder)
        self.fails(2, "compare", good)
        self.fails(2, "export")


if __name__ == "__main__":
    unittest.main()
