"""convmark train --checkpoint and --resume, as a user types them."""
import os
import signal
import subprocess
import tempfile
import unittest

import checkpoint_reader
from cli_support import PROGRAM, CliTest, environment, needs_teams

NETWORK = """input 1 28 28
conv2d 4 kernel 5 stride 3 padding 0
batch_norm
relu
max_pool2d 3 stride 3
flatten
linear 16
relu
dropout 0.3
linear 10
"""
TIMES = ("images_per_second", "train_seconds", "valid_seconds", "started", "command", "machine",
         "threads", "isa")


def without_times(value):
    if isinstance(value, dict):
        return {k: without_times(v) for k, v in value.items() if k not in TIMES}
    return [without_times(v) for v in value] if isinstance(value, list) else value


class Checkpoints(CliTest):
    WORDS = ("train", "./small.txt", "--data", "synthetic", "--epochs", "3", "--steps", "6",
             "--valid-steps", "3", "--batch", "8", "--quiet")

    def setUp(self):
        # Checkpoints wait for the disk: where there is a folder in memory there is none.
        memory = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None
        folder = tempfile.TemporaryDirectory(dir=memory)
        self.addCleanup(folder.cleanup)
        self.folder = folder.name
        self.write("small.txt", NETWORK)

    def reference(self):
        self.succeed(*self.WORDS, "--json", "whole.json", "--save", "whole")
        return self.compared("whole")

    def compared(self, name):
        with open(self.path(name), "rb") as file:
            return without_times(self.read_json(name + ".json")), file.read()

    def files(self):
        return sorted(name for name in os.listdir(self.folder) if name.startswith((".", "c")))

    def test_checkpoints_change_nothing(self):
        whole = self.reference()
        self.succeed(*self.WORDS, "--checkpoint", "c", "--every", "4", "--json", "a.json",
                     "--save", "a")
        self.assertEqual(self.compared("a"), whole)
        self.assertEqual(self.files(), ["c", "c.previous"])
        self.succeed(*self.WORDS, "--resume", "c", "--checkpoint", "./c", "--json", "b.json",
                     "--save", "b")
        self.assertEqual(self.compared("b"), whole)

    def test_the_format_is_the_documented_one(self):
        self.succeed(*self.WORDS, "--checkpoint", "c", "--json", "c.json")
        values, result = checkpoint_reader.read(self.path("c")), self.read_json("c.json")
        self.assertEqual((values["version"], values["network"]), (2, "small"))
        self.assertEqual((values["network_text"], values["data_sha256"]),
                         (NETWORK, result["data"]["sha256"]))
        self.assertEqual((values["step_losses"], values["adam_steps"]),
                         (result["step_losses"], 18))
        for mine, told in zip(values["epochs"], result["epochs"], strict=True):
            joules = mine.pop("joules") # NaN there and null here where they cannot be measured
            self.assertEqual(told.pop("joules"), joules if joules == joules else None)
            self.assertEqual(mine, told)
        self.assertEqual(values["options"]["batch"], 8)
        self.assertEqual(values["state"]["epoch"], 3)
        self.assertEqual(values["valid_stream"], [0, 9 * 8])
        self.assertEqual(len(values["tensors"]["conv.1.running_mean"]), 1)
        self.assertEqual([len(v) for v in values["tensors"]["conv.0.weight"]], [4 * 4 * 25] * 3)

    @needs_teams
    def test_a_stopped_run_goes_on_to_the_same_bits(self):
        whole = self.reference()
        words = list(self.WORDS)
        words.remove("--quiet")
        more = ["--epochs", "3"]
        for number, threads in ((signal.SIGTERM, "1"), (signal.SIGINT, "2")):
            with self.subTest(number):
                process = subprocess.Popen(
                    [PROGRAM, *words, *more, "--checkpoint", f"c{number}", "--threads", threads,
                     "--isa", "scalar", "--json", "part.json"], cwd=self.folder, text=True,
                    stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                    env=environment())
                for line in process.stdout:
                    if line.startswith("epoch 1/3  step"):
                        process.send_signal(number)
                        break
                error = process.communicate()[1]
                if process.returncode != 0: # it may have been faster than the signal
                    self.assertEqual(process.returncode, 128 + number)
                    self.assertRegex(error, r"\Aconvmark: interrupted after \d+ steps; the same "
                                            rf"command resumes with --resume c{number}\n\Z")
                self.succeed(*self.WORDS, "--resume", f"c{number}", "--json", "r.json", "--save",
                             "r")
                self.assertEqual(self.compared("r"), whole)

    def test_the_one_before_is_used_with_a_warning(self):
        whole = self.reference()
        self.succeed(*self.WORDS, "--checkpoint", "c", "--every", "5")
        self.write("c", b"")
        result = self.run_program(*self.WORDS, "--resume", "c", "--json", "r.json", "--save", "r")
        self.assertEqual(result.returncode, 0)
        self.assertRegex(result.stderr.decode(), r"\Aconvmark: warning: c: field magic: [^\n]*; "
                                                 r"resuming from c\.previous\n\Z")
        self.assertEqual(self.compared("r"), whole)
        for name in self.files():
            self.write(name, b"damaged")
        self.assertIn("c.previous", self.fails(3, *self.WORDS, "--resume", "c"))

    def test_more_epochs(self):
        """As one longer run, where the schedule does not depend on the number of epochs."""
        for words in (("plateau", "--lr", "0.1"), ("constant",), ("step", "--schedule-step", "2")):
            with self.subTest(words):
                schedule = ("--schedule", *words)
                self.succeed(*self.WORDS, *schedule, "--epochs", "7", "--json", "whole.json",
                             "--save", "whole")
                self.succeed(*self.WORDS, *schedule, "--checkpoint", "c", "--every", "4")
                self.succeed(*self.WORDS, *schedule, "--resume", "c", "--epochs", "5")
                self.succeed(*self.WORDS, *schedule, "--resume", "c", "--epochs", "7", "--json",
                             "longer.json", "--save", "longer")
                self.assertEqual(self.compared("longer"), self.compared("whole"))
                self.assertIn("c: is the checkpoint of a run of 7 epochs, which cannot be cut to "
                              "3; "
                              "give 7 epochs or more",
                              self.fails(2, *self.WORDS, *schedule, "--resume", "c"))
                for name in self.files():
                    os.remove(self.path(name))

    def test_more_epochs_of_a_schedule_that_knows_its_end(self):
        for schedule in ("cosine", "one-cycle"):
            with self.subTest(schedule):
                words = (*self.WORDS, "--schedule", schedule)
                self.succeed(*words, "--checkpoint", "c")
                self.assertIn(f"c: is the checkpoint of a run of 3 epochs, whose {schedule} "
                              "schedule "
                              "ends with them; it cannot be extended to 4: repeat its 3 epochs",
                              self.fails(2, *words, "--resume", "c", "--epochs", "4"))
                self.assertIn("schedule (", self.fails(2, *self.WORDS, "--resume", "c", "--epochs",
                                                       "4", "--schedule", "constant"))
                for name in self.files():
                    os.remove(self.path(name))

    def test_refused(self):
        self.succeed(*self.WORDS, "--checkpoint", "c")
        before = {name: os.stat(self.path(name)).st_mtime_ns for name in self.files()}
        for code, words, says in (
                (2, ("--resume", "c", "--seed", "1"), r"seed \(0 there, 1 here\)"),
                (2, ("--resume", "c", "--batch", "9"), r"batch \(8 there, 9 here\)"),
                (2, ("--resume", "c", "--conv-algorithm", "direct"),
                 "another convolution algorithm"),
                (2, ("--checkpoint", "c"), "already; resume from it"),
                (3, ("--resume", "missing"), "missing: cannot open: no such file"),
                (2, ("--every", "5"), "--every needs --checkpoint"),
                (2, ("--checkpoint", "-"), "standard output"),
                (2, ("--checkpoint", "n", "--every", "0"), "--every"),
                (2, ("--checkpoint", "n", "--json", "n"), "are both 'n'"),
                (2, ("--checkpoint", "n", "--json", "./n"), "--json are both './n'"),
                (2, ("--checkpoint", "n", "--save", os.path.join(self.folder, "n")),
                 "--save and --checkpoint are both 'n'"),
                (2, ("--resume", "c", "--save", ".//c"), "--save and --resume are both 'c'"),
                (2, ("--checkpoint", "n", "--steps", "0"), "nothing to resume from"),
                (2, ("--checkpoint", "no/folder"), "--checkpoint: no/folder")):
            with self.subTest(words):
                self.assertRegex(self.fails(code, *self.WORDS, *words), says)
        self.write("other.txt", NETWORK.replace("linear 16", "linear 17"))
        self.assertIn("another network", self.fails(2, "train", "./other.txt", *self.WORDS[2:],
                                                    "--resume", "c"))
        self.assertEqual({n: os.stat(self.path(n)).st_mtime_ns for n in self.files()}, before)

    def test_a_second_run_on_the_path_is_refused_while_the_first_one_lives(self):
        # Without validation no early stopping ends it.
        long = (*self.WORDS, "--epochs", "100000", "--valid-steps", "0")
        process = subprocess.Popen(
            [PROGRAM, *long, "--checkpoint", "c", "--every", "1"],
            cwd=self.folder, stdin=subprocess.DEVNULL, env=environment())
        self.addCleanup(process.wait)
        self.addCleanup(process.kill)
        while not os.path.exists(self.path("c.previous")):
            self.assertIsNone(process.poll())
        self.assertRegex(self.fails(1, *long, "--resume", "c"),
                         r"c: is in use by another run( \(process \d+\))?, which holds c.lock")
        process.kill()
        process.wait()
        short = ("--resume", "c", "--epochs", "99999") # refused, but not for the lock
        self.assertIn("a run of 100000 epochs, which cannot be cut", self.fails(2, *long, *short))
        # It may have been killed between the two renamings.
        self.assertIn(self.files(), (["c", "c.previous"], ["c.previous"]))


if __name__ == "__main__":
    unittest.main()
