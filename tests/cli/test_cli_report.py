"""convmark report, as a user types it, on small networks and generated pictures."""
import json
import os
import signal
import subprocess
import time
import unittest

from cli_support import PROGRAM, CliTest, environment

SHORT = ["--data", "synthetic", "--allow-synthetic", "--epochs", "1", "--steps", "2",
         "--valid-steps", "2", "--threads", "1"]


class ReportTest(CliTest):
    def report(self, *words):
        return self.succeed("report", *SHORT, "--variants", self.network, *words)

    def test_files_and_table(self):
        text = self.report("--seeds", "2", "--output", "out", "--json", "copy.json")
        self.assertIn("Synthetic data", text)
        self.assertIn("Not the published protocol", text)
        self.assertIn("2 runs: 1 variant, seeds 0 to 1", text)
        report = self.read_json("out/report.json")
        self.assertEqual(report, self.read_json("copy.json"))
        self.assertTrue(report["complete"])
        self.assertEqual(report["kind"], "report")
        (variant,) = report["variants"]
        self.assertEqual((variant["id"], variant["published"]), ("tiny", None))
        self.assertEqual([run["seed"] for run in variant["seeds"]], [0, 1])
        with open(self.path("out/report.md")) as file:
            markdown = file.read()
        for run in variant["seeds"]:
            self.assertIn(run["sha256"], markdown)
        self.assertEqual(sorted(os.listdir(self.path("out"))), ["report.json", "report.md"])

    def test_same_bits_as_train(self):
        self.report("--seeds", "2", "--output", "out")
        run = self.read_json("out/report.json")["variants"][0]["seeds"][1]
        self.succeed("train", self.network, "--data", "synthetic", "--epochs", "1", "--steps", "2",
                     "--valid-steps", "2", "--seed", "1", "--quiet", "--json", "train.json")
        train = self.read_json("train.json")
        self.assertEqual(run["sha256"], train["sha256"])
        self.assertEqual([run[key] for key in ("train_loss", "test_loss", "accuracy")],
                         [train["epochs"][0][key] for key in
                          ("train_loss", "test_loss", "accuracy")])

    def test_goes_on_and_restarts(self):
        self.report("--seeds", "1", "--output", "out")
        first = self.read_json("out/report.json")["variants"][0]["seeds"][0]
        text = self.report("--seeds", "2", "--output", "out")
        self.assertNotIn("run 1/2", text)
        self.assertIn("run 2/2", text)
        report = self.read_json("out/report.json")
        self.assertEqual(report["variants"][0]["seeds"][0], first)  # its time included
        line = self.fails(3, "report", *SHORT, "--variants", self.network, "--seeds", "1",
                          "--output", "out")
        self.assertIn("--restart", line)
        self.assertEqual(self.read_json("out/report.json"), report)
        text = self.report("--seeds", "1", "--output", "out", "--restart")
        self.assertIn("run 1/1", text)

    def start(self, *words):
        """A report that would take hours."""
        words = [PROGRAM, "report", "--data", "synthetic", "--allow-synthetic", "--epochs", "1",
                 "--steps", "2", "--valid-steps", "1", "--threads", "1", "--variants",
                 self.network, "--seeds", "1000", "--output", "out", *words]
        program = subprocess.Popen(words, cwd=self.folder, stdin=subprocess.DEVNULL,
                                   stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                                   env=environment())
        self.addCleanup(program.kill)
        return program

    def test_killed_after_restart(self):
        self.report("--seeds", "1", "--output", "out")
        self.assertTrue(os.path.exists(self.path("out/report.md")))
        program = self.start("--restart")
        limit = time.monotonic() + 60
        while os.path.exists(self.path("out/report.md")) and time.monotonic() < limit:
            time.sleep(0.01)
        program.kill()
        program.communicate()
        self.assertFalse(os.path.exists(self.path("out/report.md")))  # of the first report

    def test_interrupted(self):
        program = self.start()  # it is stopped when the first file of a short run is there
        while not os.path.exists(self.path("out/report.json")) and program.poll() is None:
            time.sleep(0.01)
        program.send_signal(signal.SIGINT)
        text, error = program.communicate()
        self.assertEqual(program.returncode, 130, error)
        self.assertRegex(error.decode(),
                         r"\Aconvmark: interrupted after \d+ of 1000 runs[^\n]*\n\Z")
        report = self.read_json("out/report.json")
        self.assertFalse(report["complete"])
        runs = len(report["variants"][0]["seeds"])
        self.assertTrue(0 < runs < 1000)
        self.assertIn(f"{runs} of 1000 runs", text.decode())
        self.assertTrue(os.path.exists(self.path("out/report.md")))

    def test_json_on_standard_output(self):
        result = self.run_program("report", *SHORT, "--variants", self.network, "--seeds", "1",
                                  "--json", "-")
        self.assertEqual(result.returncode, 0)
        self.assertEqual(json.loads(result.stdout)["seed_count"], 1)
        self.assertIn(b"Claims", result.stderr)
        self.assertTrue(os.path.exists(self.path("convmark-report/report.json")))

    def test_quiet(self):
        self.assertEqual(self.report("--seeds", "1", "--quiet"), "")

    def test_refused(self):
        for code, words, expected in (
                (2, ["--data", "synthetic"], "scripts/get-data.sh"),
                (2, [*SHORT, "--seeds", "0"], "--seeds"),
                (2, [*SHORT, "--seeds", "x"], "--seeds"),
                (2, [*SHORT, "--variants", "bn-33"], "bn-3"),
                (2, [*SHORT, "--variants", "bn-3,,bn-8"], "--variants"),
                (2, [*SHORT, "--variants", "bn-3,bn-3"], "twice"),
                (2, [*SHORT, "--steps", "0"], "--steps"),
                (2, [*SHORT, "--epochs", "100000", "--steps", "1001"], "--epochs"),
                (2, [*SHORT, "--output", "no/such/folder"], "--output"),
                (2, [*SHORT, "--json", "no/such/file"], "--json"),
                (3, ["--data", "no-such-folder"], "no-such-folder")):
            self.assertIn(expected, self.fails(code, "report", *words), words)
        self.assert_no_files("convmark-report/report.json", "convmark-report/report.md")

    def test_output_that_is_no_folder_for_files(self):
        self.write("file", "")
        os.mkdir(self.path("locked"), 0o555)
        # To root only /proc is read-only.
        for folder in ("file", "/proc", *(() if os.geteuid() == 0 else ("locked",))):
            with self.subTest(folder):
                text = self.fails(2, "report", *SHORT, "--variants", self.network, "--seeds", "1",
                                  "--output", folder)
                self.assertTrue(text.startswith("convmark: --output: "), text)
        self.assertEqual(os.listdir(self.path("locked")), [])


if __name__ == "__main__":
    unittest.main()
