"""convmark train, as a user types it: results, files, progress, interrupts, data that is missing or
damaged."""
import gzip
import os
import pty
import re
import shutil
import signal
import subprocess
import unittest

from cli_support import PROGRAM, CliTest, environment, tensors, needs_teams

DEEP_NETWORK = "input 1 28 28\nflatten\n" + "linear 64\nrelu\n" * 10 + "linear 10\n"


class Results(CliTest):
    def test_json_says_what_was_run_and_what_came_out(self):
        result = self.train("--seed", "7", "--threads", "1", "--isa", "scalar", "--batch", "32",
                            "--lr", "0.01", "--weight-decay", "0", "--epochs", "2")
        self.assertEqual((result["variant"], result["params"]), ("tiny", 49 * 16 + 16 + 170))
        self.assertEqual((result["seed"], result["threads"], result["isa"]), (7, 1, "scalar"))
        self.assertIs(result["complete"], True)
        self.assertEqual(len(result["step_losses"]), 8)
        self.assertEqual(len(result["epochs"]), 2)
        for number, epoch in enumerate(result["epochs"]):
            losses = result["step_losses"][4 * number:4 * number + 4]
            self.assertAlmostEqual(epoch["train_loss"], sum(losses) / 4, places=6)
            self.assertGreater(epoch["test_loss"], 0)
            self.assertEqual(epoch["accuracy"] * 64, int(epoch["accuracy"] * 64))
        self.assertGreater(result["images_per_second"], 0)
        self.assertRegex(result["sha256"], r"\A[0-9a-f]{64}\Z")
        self.assertEqual(result["options"]["learning_rate"], 0.01)

    @needs_teams
    def test_more_threads_than_cpus_are_not_pinned(self):
        many = str(len(os.sched_getaffinity(0)) + 1)
        for pinned, words in ((True, ("--threads", "1")), (False, ("--threads", many)),
                              (False, ("--threads", "1", "--no-pin"))):
            self.assertIs(self.train(*words)["pinned"], pinned)

    @needs_teams
    def test_each_option_changes_the_result_and_repetition_does_not(self):
        reference = self.train()["sha256"]
        self.assertEqual(self.train()["sha256"], reference)
        for words in (("--seed", "1"), ("--epochs", "2"), ("--steps", "3"), ("--batch", "63"),
                      ("--lr", "0.002"), ("--weight-decay", "0.1"), ("--no-shuffle",)):
            with self.subTest(words):
                self.assertNotEqual(self.train(*words)["sha256"], reference)
        for words in (("--seed", "0"), ("--no-shuffle", "--shuffle"), ("--valid-steps", "0"),
                      ("--threads", "3", "--no-pin", "--isa", "scalar", "--batch=64")):
            with self.subTest(words):
                self.assertEqual(self.train(*words)["sha256"], reference)

    @needs_teams
    def test_a_variant_is_the_same_on_threads_and_instruction_sets(self):
        words = ("--steps", "1", "--valid-steps", "1", "--batch", "5")
        results = [self.train(*words, *more, network="bn-3") for more in
                   (("--threads", "1", "--isa", "scalar"), ("--threads", "2"), ())]
        self.assertEqual(len({r["sha256"] for r in results}), 1)
        self.assertEqual(len({str(r["step_losses"] + [r["epochs"][0]["test_loss"]])
                              for r in results}), 1)

    def test_until_accuracy(self):
        words = ["train", self.network, "--data", "synthetic", "--epochs", "5", "--steps", "2",
                 "--valid-steps", "2", "--batch", "10", "--json", "out.json"]
        text = self.succeed(*words, "--until-accuracy", "0.001")
        self.assertRegex(text, r"accuracy 0\.10 % after 20 images, [0-9.]+ s of training")
        result = self.read_json("out.json")
        self.assertEqual((len(result["epochs"]), result["reached_accuracy"]), (1, True))
        self.assertEqual(result["images"], 20)
        self.assertEqual(result["train_seconds"], result["epochs"][0]["train_seconds"])
        self.assertNotEqual(result["joules"] is None, result["energy_note"] is None)
        self.assertEqual(" J" in text, result["joules"] is not None)
        self.assertIn(result["energy_note"] or "", text)
        line = self.fails(1, *words, "--until-accuracy", "1", "--quiet")
        self.assertIn("was not reached in 5 epochs", line)
        result = self.read_json("out.json")
        self.assertEqual((len(result["epochs"]), result["reached_accuracy"]), (5, False))
        # More epochs are no way out where the run ends by itself.
        line = self.fails(1, *words, "--until-accuracy", "1", "--quiet", "--epochs", "100", "--lr",
                          "0")
        self.assertRegex(line, r"in \d\d epochs; the validation loss no longer decreased: "
                               r"try another")
        self.succeed(*words, "--quiet")
        self.assertIsNone(self.read_json("out.json")["reached_accuracy"])
        self.fails(2, *words, "--until-accuracy", "1.5")
        for without in ("--epochs", "--steps", "--valid-steps"):
            line = self.fails(2, *words, without, "0", "--until-accuracy", "0.5")
            self.assertIn("--until-accuracy needs training and validation", line)

    def test_schedules(self):
        hashes = {self.train("--epochs", "3")["sha256"]}
        for words, rates in (
                (("constant",), [1e-3, 1e-3, 1e-3]), (("step",), [1e-3, 1e-4, 1e-5]),
                (("step", "--schedule-step", "2", "--schedule-factor", "0.5"), [1e-3, 1e-3, 5e-4]),
                (("cosine",), [1e-3, 7.5e-4, 2.5e-4]),
                (("one-cycle", "--lr", "0.01"), [4e-4, 9.33e-3, 2.83e-3])):
            with self.subTest(words):
                result = self.train("--epochs", "3", "--schedule", *words)
                self.assertEqual(result["options"]["schedule"], words[0])
                self.assertEqual("schedule_step" in result["options"], words[0] == "step")
                for epoch, rate in zip(result["epochs"], rates):
                    self.assertLess(abs(epoch["learning_rate"] - rate), 0.01 * rate)
                hashes.add(result["sha256"])
        self.assertEqual(len(hashes), 5)  # constant is plateau, in three epochs
        plateau = self.train("--schedule", "plateau", "--schedule-factor", "0.5")
        self.assertNotIn("schedule", plateau["options"])
        self.assertEqual(plateau["options"]["plateau_factor"], 0.5)

    def test_wrong_schedules(self):
        for words, part in ((("--schedule", "linear"), "one-cycle"),
                            (("--schedule-step", "2"), "--schedule step"),
                            (("--schedule", "cosine", "--schedule-factor", "0.5"), "cosine"),
                            (("--schedule", "step", "--schedule-factor", "2"), "--schedule-factor"),
                            (("--schedule", "step", "--schedule-step", "0"), "--schedule-step")):
            self.assertIn(part, self.fails(2, "train", self.network, *words), words)

    def test_without_validation_none_is_reported(self):
        text = self.succeed("train", self.network, "--data", "synthetic", "--steps", "1",
                            "--epochs", "1", "--valid-steps", "0")
        self.assertIn("train loss", text)
        self.assertNotIn("accuracy 0", text)

    def test_algorithms_differ_in_bits_only(self):
        words = ("--steps", "1", "--valid-steps", "0", "--batch", "4", "--threads", "1")
        table = self.train(*words, network="bn-3")
        again = self.train(*words, "--conv-algorithm", "auto", network="bn-3")
        self.assertEqual(table["conv_algorithm"], "auto")
        self.assertEqual(table["sha256"], again["sha256"])
        hashes = {table["sha256"]}
        for name in ("direct", "winograd3", "winograd4"):
            forced = self.train(*words, "--conv-algorithm", name, network="bn-3")
            self.assertEqual(forced["conv_algorithm"], name)
            self.assertAlmostEqual(table["step_losses"][0], forced["step_losses"][0], places=5)
            hashes.add(forced["sha256"])
        self.assertEqual(len(hashes), 4)

    def test_german_locale_gives_the_same_bytes(self):
        locales = self.path("locales")
        os.mkdir(locales)
        made = shutil.which("localedef") and subprocess.run(
            ["localedef", "-i", "de_DE", "-f", "UTF-8", os.path.join(locales, "de_DE.UTF-8")],
            check=False, capture_output=True).returncode in (0, 1)
        if not made or not os.listdir(locales):
            self.skipTest("no localedef, or no sources of locales, here")
        words = ("train", self.network, "--data", "synthetic", "--epochs", "1", "--steps", "1",
                 "--valid-steps", "1", "--lr", "0.5", "--no-pin", "--json", "-", "--quiet")
        german = {"LC_ALL": "de_DE.UTF-8", "LOCPATH": locales}
        measured = r'".*(seconds|_per_second|started|mhz).*'
        outputs = [re.sub(measured, "", self.succeed(*words, env=env), flags=re.IGNORECASE)
                   for env in ({}, german)]
        self.assertEqual(outputs[0], outputs[1])
        self.fails(2, "train", self.network, "--lr", "0,5", env=german)

    def test_loss_that_is_not_finite(self):
        text = self.fails(1, "train", self.write("deep.txt", DEEP_NETWORK), "--data", "synthetic",
                          "--lr", "1000", "--steps", "50", "--quiet", "--save", "m", "--json", "j")
        self.assertRegex(text, r"in epoch 1 at step \d+; the first output that is not finite is "
                               r"that of layer dense\.\d+; use a smaller")
        self.assert_no_files("m", "j")


class Files(CliTest):
    def initial(self, name, *words):
        self.succeed("train", self.network, "--steps", "0", "--quiet", "--save", name, *words)
        return tensors(self.path(name))

    def test_initial_values(self):
        header, data = self.initial("a")
        self.assertEqual(header.pop("__metadata__")["format"], "pt")
        self.assertEqual({name: (t["dtype"], t["shape"]) for name, t in header.items()},
                         {"dense.1.weight": ("F32", [16, 49]), "dense.1.bias": ("F32", [16]),
                          "dense.3.weight": ("F32", [10, 16]), "dense.3.bias": ("F32", [10])})
        self.assertEqual(self.initial("b")[1], data)
        self.assertNotEqual(self.initial("c", "--seed", "1")[1], data)

    def test_names_are_no_files(self):
        """A variant and generated pictures are not read from files of their names."""
        for name in ("bn-3", "d1-p1-w4", "synthetic"):
            network = "d1-p1-w4" if name == "synthetic" else name
            self.succeed("train", network, "--data", "synthetic", "--steps", "0", "--quiet",
                         "--save", name, "--json", name + ".json")
            self.succeed("describe", network, "--json", name)

    def test_names_of_a_variant(self):
        self.succeed("train", "bn-3", "--steps", "0", "--quiet", "--save", "bn-3")
        header, _ = tensors(self.path("bn-3"))
        batch_norm = ("weight", "bias", "running_mean", "running_var", "num_batches_tracked")
        expected = {"__metadata__"} | {f"dense.{i}.{n}" for i in (1, 4) for n in batch_norm[:2]}
        for i in (0, 4, 8):
            expected |= {f"conv.{i}.{n}" for n in batch_norm[:2]}
            expected |= {f"conv.{i + 1}.{n}" for n in batch_norm}
        self.assertEqual(set(header), expected)

    def test_initial_values_need_no_data(self):
        self.succeed("train", self.network, "--steps", "0", "--save", "a", "--data", "missing")
        self.succeed("train", self.network, "--epochs", "0", "--save", "b", "--data", "missing")
        self.assertEqual(tensors(self.path("a")), tensors(self.path("b")))

    def test_saved_values_are_loaded_exactly(self):
        saved = self.train("--save", "a")["sha256"]
        loaded = self.train("--steps", "0", "--load", "a", "--save", "b")
        self.assertEqual((loaded["sha256"], loaded["step_losses"]), (saved, []))
        self.assertEqual(tensors(self.path("a")), tensors(self.path("b")))

    def test_a_file_that_does_not_fit(self):
        self.initial("a")
        text = self.fails(3, "train", "baseline", "--data", "synthetic", "--load", "a",
                          "--save", "b")
        self.assertIn("a:", text)
        self.assert_no_files("b")
        with open(self.path("a"), "rb") as file:
            content = file.read()
        for name, bad in (("cut", content[:-1]), ("long", content + b"x"), ("empty", b""),
                          ("noise", b"\xff" * 100), ("text", b"{}")):
            with self.subTest(name):
                path = self.write(name, bad)
                self.assertIn(path, self.fails(3, "train", self.network, "--data", "synthetic",
                                               "--load", path))
        self.fails(3, "train", self.network, "--data", "synthetic", "--load", "missing")

    def test_network_text_that_is_wrong(self):
        self.write("bad.txt", "input 1 28 28\nflaten\nlinear 10\n")
        self.assertRegex(self.fails(3, "train", "./bad.txt"), r"bad\.txt:2: .*flatten")
        self.fails(3, "train", "./missing.txt")


class BatchNorm(CliTest):
    """One value per channel has no variance: training on it is refused, as PyTorch does."""
    NETWORK = """input 1 28 28
max_pool2d 28
conv2d 8 kernel 1
batch_norm
relu
flatten
linear 10
"""

    def test_one_value_per_channel(self):
        self.write("one.txt", self.NETWORK)
        self.write("two.txt", self.NETWORK.replace("max_pool2d 28", "max_pool2d 14x28"))
        words = ("--data", "synthetic", "--threads", "1", "--quiet")
        says = ("network one: batch norm conv.2 has one value per channel to train on: its map is "
                "1x1 and the batch is 1; use batches of at least 2")
        self.assertIn(says, self.fails(2, "train", "./one.txt", *words, "--batch", "1"))
        self.assertIn(says, self.fails(2, "profile", "./one.txt", *words, "--batch", "1"))
        self.assertIn(says, self.fails(2, "sweep", *words[:2], "--quiet", "--variants", "./one.txt",
                                       "--batch", "1", "--cores", "1", "--no-accuracy",
                                       "--rounds", "1", "--seconds", "0"))
        self.train("--batch", "2", "--save", "model", network="./one.txt")
        self.train("--batch", "1", network="./two.txt")
        # In inference there are running statistics.
        self.succeed("evaluate", "model", *words)


class Data(CliTest):
    def test_missing(self):
        for words, env in ((("--data", "missing"), {}), ((), {"CONVMARK_DATA": "missing"})):
            text = self.fails(3, "train", self.network, *words, env=env)
            self.assertIn("missing", text)
            self.assertIn("synthetic", text)

    def test_damaged(self):
        for name in ("train-images-idx3-ubyte.gz", "train-labels-idx1-ubyte.gz",
                     "t10k-images-idx3-ubyte.gz", "t10k-labels-idx1-ubyte.gz"):
            self.write(name, gzip.compress(b"\0\0\x08\x03" + bytes(12)))
        text = self.fails(3, "train", self.network, "--data", self.folder, "--save", "m")
        self.assertIn("ubyte.gz", text)
        self.assert_no_files("m")

    def test_generated_pictures_are_named_as_such(self):
        text = self.succeed("train", self.network, "--data", "synthetic", "--epochs", "1",
                            "--steps", "1", "--valid-steps", "1")
        self.assertIn("generated pictures", text)


class Progress(CliTest):
    WORDS = ("train", "./tiny.txt", "--data", "synthetic", "--epochs", "2", "--steps", "8",
             "--valid-steps", "2")

    def test_redirected(self):
        text = self.succeed(*self.WORDS)
        self.assertNotRegex(text, r"[^\n\x20-\x7e]")
        self.assertEqual(re.findall(r"^epoch (\d)/2  step (\d)/8  loss ", text, re.MULTILINE),
                         [(e, s) for e in "12" for s in "2468"])
        self.assertEqual(len(re.findall(r"^epoch ./2  train loss .* test loss .* accuracy ", text,
                                        re.MULTILINE)), 2)
        self.assertRegex(text, r"images/s")
        self.assertRegex(text, r"ETA \d+:\d\d")

    def test_quiet(self):
        self.assertEqual(self.succeed(*self.WORDS, "--quiet"), "")

    def test_json_on_standard_output_stands_alone(self):
        result = self.run_program(*self.WORDS, "--json", "-")
        self.assertTrue(result.stdout.startswith(b"{\n"))
        self.assertTrue(result.stdout.endswith(b"}\n"))
        self.assertIn(b"epoch 1/2", result.stderr)

    def on_terminal(self, **env):
        master, slave = pty.openpty()
        with subprocess.Popen([PROGRAM, *self.WORDS], stdin=subprocess.DEVNULL, stdout=slave,
                              env=environment(env), cwd=self.folder) as process:
            os.close(slave)
            text = b""
            while True:
                try:
                    part = os.read(master, 4096)
                except OSError: # how Linux says that the last writer has closed
                    part = b""
                if not part:
                    break
                text += part
            os.close(master)
        self.assertEqual(process.returncode, 0)
        return text.decode().replace("\r\n", "\n")

    def test_terminal(self):
        text = self.on_terminal(TERM="xterm")
        self.assertIn("\repoch 1/2  step 1/8  loss ", text)
        self.assertNotRegex(text, r"[^\r\n\x20-\x7e]")
        for line in text.split("\n"):
            self.assertLess(max(map(len, line.split("\r"))), 100)
        # Every line that was rewritten is cleared before another follows.
        self.assertRegex(text, r"\r +\repoch 1/2  train loss")

    def test_terminal_that_cannot_rewrite(self):
        self.assertNotIn("\r", self.on_terminal(TERM="dumb"))


class Interrupts(CliTest):
    def start(self, *words):
        process = subprocess.Popen([PROGRAM, "train", *words, "--data", "synthetic"],
                                   stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                   stderr=subprocess.PIPE, text=True, env=environment(),
                                   cwd=self.folder)
        self.addCleanup(process.stdout.close)
        self.addCleanup(process.stderr.close)
        self.addCleanup(process.wait)
        self.addCleanup(process.kill)
        return process

    def test_what_is_complete_is_written(self):
        for number, outputs, says in (
                (signal.SIGINT, ["--save", "m"], "the results so far are written"),
                (signal.SIGINT, [], "nothing is written"),
                (signal.SIGTERM, ["--save", "m", "--json", "j"], "the results so far are written")):
            process = self.start(self.network, "--epochs", "100000", "--steps", "8",
                                 "--valid-steps", "1", *outputs)
            while "epoch 3/" not in process.stdout.readline():
                pass
            process.send_signal(number)
            _, errors = process.communicate()
            self.assertEqual(process.returncode, 128 + number)
            self.assertRegex(errors, rf"\Aconvmark: interrupted after \d+ steps; {says}\n\Z")
            if "--json" not in outputs:
                continue
            result = self.read_json("j")
            self.assertIs(result["complete"], False)
            self.assertGreaterEqual(len(result["step_losses"]), 17)
            self.assertGreaterEqual(len(result["epochs"]), 2)
            loaded = self.train("--steps", "0", "--load", "m")
            self.assertEqual(loaded["sha256"], result["sha256"])

    def test_a_second_signal_ends_at_once(self):
        # One step of this takes many seconds, so the second signal comes while it runs.
        process = self.start("bn-16", "--isa", "scalar", "--threads", "1", "--batch", "300",
                             "--save", "m", "--json", "j")
        self.assertIn("bn-16", process.stdout.readline())
        process.send_signal(signal.SIGINT)
        while process.poll() is None:
            process.send_signal(signal.SIGINT)
            try:
                process.wait(0.1)
            except subprocess.TimeoutExpired:
                pass
        self.assertEqual(process.returncode, 130)
        self.assertEqual(process.stderr.read(), "")
        self.assert_no_files("m", "j")


if __name__ == "__main__":
    unittest.main()
