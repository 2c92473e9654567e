"""Data sets as a user gives them: generated pictures of any shape."""
import unittest

from cli_support import CliTest

COLOURS = """input 3 32 32
conv2d 4 kernel 3 stride 2
relu
max_pool2d 3
flatten
linear CLASSES
"""
SHORT = ["--data", "synthetic", "--threads", "1", "--quiet"]


class Synthetic(CliTest):
    """Every command that takes --data synthetic takes a network of another shape."""

    def setUp(self):
        super().setUp()
        self.ten = self.write("ten.txt", COLOURS.replace("CLASSES", "10"))
        self.hundred = self.write("hundred.txt", COLOURS.replace("CLASSES", "100"))

    def test_train_and_evaluate(self):
        for network, classes in ((self.ten, 10), (self.hundred, 100)):
            result = self.train("--threads", "1", "--save", "net.safetensors", network=network)
            self.assertEqual(result["data"]["classes"], classes)
            self.assertEqual(result["data"]["train_images"], 21845)
            self.succeed("evaluate", "net.safetensors", *SHORT, "--json", "evaluate.json")
            evaluation = self.read_json("evaluate.json")
            self.assertEqual(len(evaluation["classes"]), classes)
            self.assertEqual(evaluation["images"], 5461)
            self.assertEqual(evaluation["data"], result["data"])

    def test_training_learns_one_hundred_classes(self):
        result = self.train("--threads", "1", "--epochs", "1", "--steps", "80", "--lr", "0.01",
                            "--valid-steps", "10", network=self.hundred)
        self.assertGreater(result["epochs"][0]["accuracy"], 0.3)

    def test_profile(self):
        self.succeed("profile", self.hundred, *SHORT, "--steps", "2", "--batch", "4", "--json",
                     "profile.json")
        self.assertEqual(self.read_json("profile.json")["kind"], "profile")

    def test_sweep(self):
        quick = [*SHORT[:2], "--quiet", "--no-accuracy", "--rounds", "1", "--seconds", "0",
                 "--cores", "1", "--batch", "4"]
        self.succeed("sweep", *quick, "--variants", f"{self.ten},{self.hundred}")
        sweep = self.read_json("convmark-sweep/sweep.json")
        self.assertEqual(sweep["data"]["classes"], 10)
        self.assertEqual({m["variant"] for m in sweep["measurements"]}, {"ten", "hundred"})
        text = self.fails(2, "sweep", *quick, "--output", "other", "--variants",
                          f"bn-3,{self.ten}")
        self.assertIn("--variants: ten takes 3x32x32 images, 'bn-3' 1x28x28; measure them apart",
                      text)
        self.assert_no_files("other")

    def test_explore(self):
        self.succeed("explore", *SHORT, "--allow-synthetic", "--input", "3x20x17", "--classes",
                     "12", "--rounds", "1", "--seconds", "0", "--epochs", "1", "--steps", "2",
                     "--valid-steps", "1", "--batch", "8", "--depth", "1", "--pool", "1",
                     "--batch-norm", "off", "--width", "4", "--schedule", "constant")
        explore = self.read_json("convmark-explore/explore.json")
        self.assertEqual(explore["data"]["classes"], 12)
        # conv2d 3 -> 4, 3x3; a pool by 3 leaves 6x5; linear 128, linear 12.
        self.assertEqual(explore["points"][0]["params"],
                         4 * 27 + 4 + 4 * 30 * 128 + 128 + 128 * 12 + 12)
        for wrong in ("3x20", "3x20x17x2", "0x2x2", "3x20xa", "x"):
            self.assertIn("--input is not accepted; give channels, height and width",
                          self.fails(2, "explore", "--input", wrong))

    def test_the_report_takes_the_pictures_it_always_took(self):
        text = self.fails(2, "report", *SHORT)
        self.assertIn("say nothing", text)

    def test_a_batch_larger_than_the_set_is_explained(self):
        text = self.fails(2, "train", self.ten, *SHORT, "--batch", "5462", "--steps", "1")
        self.assertIn("batch 5462 is out of range: choose 1 to 5461", text)


if __name__ == "__main__":
    unittest.main()
