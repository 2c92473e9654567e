"""convmark info, as a user types it."""
import json
import os
import shutil
import subprocess
import unittest

from cli_support import PROGRAM, CliTest, environment, needs_teams


class InfoTest(CliTest):
    def info(self, *words, program=()):
        result = subprocess.run([*program, PROGRAM, "info", "--json", "-", *words], check=False,
                                env=environment(), capture_output=True, stdin=subprocess.DEVNULL)
        self.assertEqual(result.returncode, 0, result.stderr)
        return json.loads(result.stdout), result.stderr.decode()

    def test_text_and_figures(self):
        info, text = self.info("--threads", "1")
        cpu = info["machine"]["cpu"]
        self.assertIn(cpu["model"], text)
        (team,) = info["capability"]
        self.assertEqual(team["threads"], 1)
        self.assertEqual(sorted(team["flops_per_second"]), sorted(cpu["isas"]))
        for isa, flops in team["flops_per_second"].items():
            self.assertTrue(1e6 < flops < 1e13, isa)
            self.assertIn(f"fma {isa} ", text)
        self.assertEqual(team["levels"][-1]["name"], "DRAM")
        for level in team["levels"]:
            self.assertTrue(1e7 < level["bytes_per_second"] < 1e14, level)
            self.assertIn(f"read {level['name']} ", text)
        for condition in info["conditions"]:
            self.assertIn(condition["message"], text)

    def test_without_measurement(self):
        info, text = self.info("--no-measure")
        self.assertEqual(info["capability"], [])
        self.assertNotIn("GFLOP/s", text)
        self.assertEqual(self.info("--no-measure", "--quiet")[1], "")

    @needs_teams
    @unittest.skipUnless(shutil.which("taskset"), "no taskset")
    def test_affinity_mask(self):
        first = str(min(os.sched_getaffinity(0)))
        info, text = self.info("--no-measure", program=("taskset", "-c", first))
        self.assertEqual(info["machine"]["cpu"]["usable_cores"], 1)
        self.assertIn("usable            1 physical, 1 logical", text)
        self.assertIn("1 thread by default", text)
        if info["machine"]["cpu"]["cores"] > 1:
            self.assertIn("affinity", [c["name"] for c in info["conditions"]])

    def test_wrong_options(self):
        self.fails(2, "info", "x")
        self.fails(2, "info", "--json", "/nonexistent/x")
        self.fails(2, "info", "--threads", "0")


if __name__ == "__main__":
    unittest.main()
