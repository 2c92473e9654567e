"""Results hold what docs/reference/results.schema.json and docs/reference/results-schema.md say."""
import json
import os
import re
import subprocess
import tempfile
import unittest

import jsonschema
import results_schema

CONVMARK = os.environ["CONVMARK"]


def reject(name):
    raise ValueError(f"{name} is not JSON")


class ResultsTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.schema = results_schema.validator()

    def run_convmark(self, folder, *arguments):
        done = subprocess.run([CONVMARK, *arguments, "--threads", "1"], cwd=folder, text=True,
                              capture_output=True, check=False)
        self.assertEqual(done.returncode, 0, done.stderr)

    def load(self, path):
        with open(path, encoding="utf-8") as file:
            return json.load(file, parse_constant=reject)

    def train(self, *arguments):
        with tempfile.TemporaryDirectory() as folder:
            network = os.path.join(folder, "tiny.txt")
            with open(network, "w", encoding="utf-8") as file:
                file.write("input 1 28 28\nmax_pool2d 7\nflatten\nlinear 10\n")
            self.run_convmark(folder, "train", "./tiny.txt", "--data", "synthetic", "--quiet",
                              "--json", "out.json", *arguments)
            return self.load(os.path.join(folder, "out.json"))

    def test_train(self):
        result = self.train("--epochs", "2", "--steps", "3", "--valid-steps", "1", "--seed", "5")
        self.schema.validate(result)
        self.assertEqual(result["kind"], "train")
        self.assertIs(result["complete"], True)
        self.assertEqual(result["variant"], "tiny")
        self.assertEqual(result["seed"], 5)
        self.assertEqual(len(result["step_losses"]), 6)
        self.assertEqual(len(result["epochs"]), 2)
        mean = sum(result["step_losses"][3:]) / 3
        self.assertAlmostEqual(result["epochs"][1]["train_loss"], mean, places=12)

    def test_train_until_accuracy(self):
        result = self.train("--epochs", "2", "--steps", "3", "--until-accuracy", "0.01")
        self.schema.validate(result)
        self.assertEqual(result["options"]["until_accuracy"], 0.01)

    def test_train_schedules(self):
        for schedule in ("constant", "step", "cosine", "one-cycle"):
            result = self.train("--epochs", "2", "--steps", "2", "--schedule", schedule)
            self.schema.validate(result)
            self.assertEqual(result["options"]["schedule"], schedule)

    def test_train_without_validation(self):
        result = self.train("--epochs", "1", "--steps", "1", "--valid-steps", "0")
        self.schema.validate(result)
        self.assertIsNone(result["epochs"][0]["test_loss"])
        self.assertIsNone(result["epochs"][0]["accuracy"])

    def test_info(self):
        with tempfile.TemporaryDirectory() as folder:
            self.run_convmark(folder, "info", "--quiet", "--json", "out.json")
            result = self.load(os.path.join(folder, "out.json"))
        self.schema.validate(result)
        self.assertEqual(len(result["capability"]), 1)

    def test_profile(self):
        with tempfile.TemporaryDirectory() as folder:
            with open(os.path.join(folder, "tiny.txt"), "w", encoding="utf-8") as file:
                file.write("input 1 28 28\nconv2d 4 kernel 3\nmax_pool2d 7\nflatten\nlinear 10\n")
            for mode in ("--train", "--infer"):
                self.run_convmark(folder, "profile", "./tiny.txt", mode, "--data", "synthetic",
                                  "--steps", "2", "--quiet", "--json", "out.json")
                self.schema.validate(self.load(os.path.join(folder, "out.json")))

    def test_sweep(self):
        with tempfile.TemporaryDirectory() as folder:
            with open(os.path.join(folder, "tiny.txt"), "w", encoding="utf-8") as file:
                file.write("input 1 28 28\nmax_pool2d 7\nflatten\nlinear 10\n")
            done = subprocess.run(
                [CONVMARK, "sweep", "--variants", "./tiny.txt", "--cores", "1", "--rounds", "1",
                 "--seconds", "0", "--data", "synthetic", "--allow-synthetic", "--epochs", "1",
                 "--steps", "1", "--valid-steps", "1", "--quiet", "--json", "out.json"],
                cwd=folder, text=True, capture_output=True, check=False)
            self.assertEqual(done.returncode, 0, done.stderr)
            result = self.load(os.path.join(folder, "out.json"))
        self.schema.validate(result)
        self.assertEqual((len(result["measurements"]), len(result["accuracy"])), (2, 1))

    def test_explore(self):
        with tempfile.TemporaryDirectory() as folder:
            self.run_convmark(folder, "explore", "--depth", "1,4", "--pool", "1", "--batch-norm",
                              "off", "--width", "4", "--schedule", "step", "--rounds", "1",
                              "--seconds", "0", "--data", "synthetic", "--allow-synthetic",
                              "--epochs", "2", "--steps", "2", "--valid-steps", "1", "--quiet",
                              "--until-accuracy", "0.001", "--json", "out.json")
            result = self.load(os.path.join(folder, "out.json"))
            self.run_convmark(folder, "explore", "--depth", "12", "--pool", "12",
                              "--batch-norm", "off", "--width", "4", "--schedule", "plateau",
                              "--rounds", "1", "--seconds", "0", "--data", "synthetic",
                              "--allow-synthetic", "--lr", "1000", "--quiet", "--json",
                              "failed.json", "--restart")
            failed = self.load(os.path.join(folder, "failed.json"))
        self.schema.validate(result)
        self.assertEqual([len(result[key]) for key in ("skipped", "measurements", "points")],
                         [1, 1, 1])
        self.schema.validate(failed)
        self.assertIn("learning rate", failed["points"][0]["runs"][0]["failure"])

    def test_report(self):
        with tempfile.TemporaryDirectory() as folder:
            with open(os.path.join(folder, "tiny.txt"), "w", encoding="utf-8") as file:
                file.write("input 1 28 28\nmax_pool2d 7\nflatten\nlinear 10\n")
            self.run_convmark(folder, "report", "--seeds", "2", "--variants", "./tiny.txt,baseline",
                              "--data", "synthetic", "--allow-synthetic", "--epochs", "1",
                              "--steps", "1", "--valid-steps", "1", "--output", "out",
                              "--json", "report.json", "--quiet")
            result = self.load(os.path.join(folder, "report.json"))
        self.schema.validate(result)
        self.assertEqual(result["kind"], "report")
        self.assertEqual([v["id"] for v in result["variants"]], ["tiny", "baseline"])
        self.assertEqual(result["variants"][1]["params"], 314250)
        self.assertEqual([len(v["seeds"]) for v in result["variants"]], [2, 2])

    def run_json(self, *arguments):
        done = subprocess.run([CONVMARK, *arguments, "--json", "-"], text=True,
                              capture_output=True, check=False)
        self.assertEqual(done.returncode, 0, done.stderr)
        result = json.loads(done.stdout, parse_constant=reject)
        self.schema.validate(result)
        self.assertEqual(result["kind"], arguments[0])
        return result

    def test_evaluate(self):
        with tempfile.TemporaryDirectory() as folder:
            model = os.path.join(folder, "model")
            trained = self.train("--epochs", "1", "--steps", "1", "--valid-steps", "1", "--save",
                                 model)
            result = self.run_json("evaluate", model, "--data", "synthetic", "--threads", "1")
        for member in ("sha256", "data", "machine"):
            self.assertEqual(result[member], trained[member])
        self.assertEqual(result["command"][:2], ["evaluate", model])

    def test_variants_and_describe(self):
        self.assertEqual(len(self.run_json("variants")["variants"]), 8)
        self.assertEqual(self.run_json("describe", "bn-3")["params"], 315018)

    def test_words_name_every_member(self):
        quoted = re.findall(r"`([^`]*)`", results_schema.read("results-schema.md"))
        words = set(re.findall(r"[a-z0-9_]+", " ".join(quoted)))
        for name, definition in results_schema.root()["$defs"].items():
            for member in definition.get("properties", {}):
                self.assertIn(member, words, f"{name}: not in results-schema.md")

    def test_validator_can_fail(self):
        good = self.train("--epochs", "1", "--steps", "1", "--valid-steps", "1")
        for key, value in (("seed", -1), ("isa", "mmx"), ("sha256", "00"), ("params", 1.5),
                           ("schema_version", 2), ("unknown", 1), ("epochs", [{}])):
            with self.subTest(key=key), self.assertRaises(jsonschema.ValidationError):
                self.schema.validate({**good, key: value})


if __name__ == "__main__":
    unittest.main()
