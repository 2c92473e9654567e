"""scripts/peers/check_reference.py: Welch's p of a report against the stored PyTorch runs."""
import json
import math
import os
import pathlib
import re
import subprocess
import sys
import tempfile
import unittest

TESTS = pathlib.Path(__file__).resolve().parents[1]
SCRIPT = TESTS.parent / "scripts" / "peers" / "check_reference.py"
REFERENCE = TESTS / "oracles" / "pytorch_seeds.jsonl"

sys.path.insert(0, str(SCRIPT.parent))
sys.dont_write_bytecode = True
import check_reference  # noqa: E402


def pytorch_report(change=None):
    """PyTorch's own runs as if they were a report's; `change` edits a run."""
    variants = {}
    for line in REFERENCE.read_text().splitlines():
        row = json.loads(line)
        run = {"seed": row["seed"], "train_loss": row["train"], "test_loss": row["test"],
               "accuracy": row["accuracy"]}
        if change:
            change(row["variant"], run)
        variants.setdefault(row["variant"], {"id": row["variant"], "seeds": []})
        variants[row["variant"]]["seeds"].append(run)
    return {"variants": list(variants.values())}


class CheckReference(unittest.TestCase):
    def run_script(self, report, *words):
        with tempfile.TemporaryDirectory() as folder:
            path = os.path.join(folder, "report.json")
            with open(path, "w") as file:
                file.write(report if isinstance(report, str) else json.dumps(report))
            return subprocess.run([sys.executable, str(SCRIPT), path, *words],
                                  capture_output=True, text=True, check=False)

    def test_same_runs_agree(self):
        result = self.run_script(pytorch_report())
        self.assertEqual(result.returncode, 0, result.stderr)
        self.assertIn("0 of 24 comparisons rejected", result.stdout)
        self.assertEqual(len(re.findall(r"^\S+ +8 +8 ", result.stdout, re.M)), 8)

    def test_one_shifted_measure_is_found(self):
        def shift(variant, run):
            if variant == "bn-3":
                run["accuracy"] -= 0.05
        result = self.run_script(pytorch_report(shift), str(REFERENCE))
        self.assertEqual(result.returncode, 1)
        self.assertIn("1 of 24 comparisons rejected", result.stdout)
        self.assertRegex(result.stdout, r"(?m)^bn-3 .*!$")

    def test_one_seed_cannot_be_compared(self):
        report = pytorch_report()
        for variant in report["variants"]:
            del variant["seeds"][1:]
        result = self.run_script(report)
        self.assertEqual(result.returncode, 3)
        self.assertIn("--seeds", result.stderr)

    def test_not_a_number_is_not_agreement(self):
        def spoil(variant, run):
            if variant == "bn-3":
                run["accuracy"] = math.nan
        self.assertEqual(self.run_script(pytorch_report(spoil)).returncode, 1)

    def test_bad_files(self):
        for report in ("", "[]", "{}", '{"variants": [{"id": "bn-3", "seeds": [{}]}]}'):
            result = self.run_script(report)
            self.assertEqual(result.returncode, 3, report)
            self.assertEqual(result.stderr.count("\n"), 1, result.stderr)
        self.assertEqual(self.run_script(pytorch_report(), "/no/such/file").returncode, 3)
        self.assertEqual(self.run_script(pytorch_report(), "a", "b").returncode, 2)

    def test_p_against_scipy(self):
        # The golden values of tests/oracles/statistics.py.
        text = (TESTS / "oracles" / "statistics_golden.h").read_text()
        golden = {name: float(value) for name, value in
                  re.findall(r"double golden_(\w+) = (\S+);", text)}
        samples = {name: [float(x) for x in values.split(",")] for name, values in
                   re.findall(r"double (sample_\w)\[\] = \{([^}]*)\}", text)}
        p = check_reference.welch(samples["sample_a"], samples["sample_b"])
        self.assertAlmostEqual(p / golden["welch_p"], 1, delta=1e-9)
        p = check_reference.two_sided_p(golden["welch_t"], golden["welch_df"])
        self.assertAlmostEqual(p / golden["welch_p"], 1, delta=1e-9)
        # Both branches of the continued fraction: a small t as well as a large one.
        rows = re.findall(r"\{(\S+), (\S+), (\S+)\},", text.split("golden_quantile")[0])
        for t, df, cdf in [tuple(map(float, row)) for row in rows]:
            if t < 0:
                p = check_reference.two_sided_p(t, df)
                self.assertAlmostEqual(p / (2 * cdf), 1, delta=1e-9)
        self.assertGreater(len(rows), 50)


if __name__ == "__main__":
    unittest.main()
