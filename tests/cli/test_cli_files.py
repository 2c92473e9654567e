"""What is no regular file where one is expected: refused at once, in one line, not waited for."""
import os
import unittest

import cli_support

TIMEOUT = 20  # a program that waits for a pipe's writer would wait for ever
LABELS = "train-labels-idx1-ubyte"


class NotFiles(cli_support.CliTest):
    def setUp(self):
        super().setUp()
        os.mkfifo(self.path("pipe.txt"))
        os.mkdir(self.path("folder.txt"))
        os.symlink("nowhere", self.path("dangling.txt"))
        os.symlink("loop.txt", self.path("loop.txt"))
        # Paths, and what the line on standard error says of them.
        self.bad = [("./pipe.txt", "pipe"), ("./folder.txt", "folder"),
                    ("./dangling.txt", "no such file|link"), ("./loop.txt", "links"),
                    ("/dev/zero", "device"), ("/dev/full", "device"), ("/dev/null", "device")]

    def refuse_all(self, code, *words):
        """Runs the words with each bad path in place of FILE."""
        for path, says in self.bad:
            with self.subTest(words=words, path=path):
                given = [word.replace("FILE", path) for word in words]
                text = self.fails(code, *given, timeout=TIMEOUT)
                self.assertIn(path, text)
                self.assertRegex(text, says)

    def test_inputs(self):
        self.refuse_all(3, "describe", "FILE")
        self.refuse_all(3, "train", "FILE", "--data", "synthetic", "--quiet")
        self.refuse_all(3, "train", self.network, "--load", "FILE", "--data", "synthetic",
                        "--quiet")
        self.refuse_all(3, "evaluate", "FILE", "--data", "synthetic")
        self.refuse_all(3, "predict", "FILE", "FILE")
        self.refuse_all(3, "compare", "FILE", "FILE")
        self.refuse_all(3, "export", "FILE")
        self.refuse_all(3, "profile", "FILE")

    def test_pictures(self):
        model = self.path("model.safetensors")
        self.train("--save", model)
        self.refuse_all(3, "predict", model, "FILE")

    def test_data_folders(self):
        for path, _ in self.bad:
            if path == "./folder.txt":
                continue
            with self.subTest(path=path):
                text = self.fails(3, "train", self.network, "--data", path, timeout=TIMEOUT)
                self.assertIn(path, text)

    def test_files_of_the_data(self):
        os.mkdir(self.path("data"))
        at = self.path(f"data/{LABELS}")
        for path, says in self.bad:
            with self.subTest(path=path):
                os.symlink(os.path.join(self.folder, path), at)
                text = self.fails(3, "train", self.network, "--data", "data", timeout=TIMEOUT)
                os.remove(at)
                self.assertIn(LABELS, text)
                self.assertRegex(text, says)

    def test_results_of_an_earlier_run(self):
        os.mkdir(self.path("out"))
        for command in ("report", "sweep"):
            for path, says in self.bad[:3]:  # these hash their data first
                with self.subTest(command=command, path=path):
                    at = self.path(f"out/{command}.json")
                    os.symlink(os.path.join(self.folder, path), at)
                    result = self.run_program(command, "--output", "out", "--data", "synthetic",
                                              "--allow-synthetic", timeout=TIMEOUT)
                    os.remove(at)
                    *warnings, text = result.stderr.decode().splitlines()
                    self.assertEqual(result.returncode, 2, text)
                    self.assertRegex(text, rf"^convmark: --output: .*({says})")
                    for warning in warnings:  # of the sweep, about the machine
                        self.assertRegex(warning, "^convmark: warning: ")
        self.assertEqual(os.listdir(self.path("out")), [])

    def test_outputs(self):
        self.refuse_all(2, "train", self.network, "--save", "FILE", "--data", "synthetic")
        self.refuse_all(2, "train", self.network, "--json", "FILE", "--data", "synthetic")
        self.refuse_all(2, "variants", "--json", "FILE")
        for path, _ in self.bad:  # as they were
            self.assertTrue(os.path.lexists(os.path.join(self.folder, path)))


if __name__ == "__main__":
    unittest.main()
