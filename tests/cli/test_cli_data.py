"""Data sets as a user gives them: generated pictures of any shape, and own IDX files."""
import gzip
import hashlib
import os
import random
import shutil
import struct
import unittest

from cli_support import CliTest
from test_cli_models import png

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
        """Its measurements of the machine take long: the data fit where what comes after them, the
        model, is refused."""
        one = self.write("one.txt", "input 3 32 32\nmax_pool2d 32\nbatch_norm\nflatten\n"
                         "linear 100\n")
        self.assertIn("batch norm conv.1 has one value per channel",
                      self.fails(2, "profile", one, *SHORT, "--batch", "1"))

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


def idx(dims, elements):
    """An IDX file of unsigned bytes."""
    return struct.pack(f">HBB{len(dims)}I", 0, 8, len(dims), *dims) + bytes(elements)


class OwnSet(CliTest):
    """A folder of IDX files that are not Fashion-MNIST."""
    NAMES = ("train-images-idx3-ubyte", "train-labels-idx1-ubyte", "t10k-images-idx3-ubyte",
             "t10k-labels-idx1-ubyte")

    def setUp(self):
        super().setUp()
        self.files = self.make(9, 7, 3)
        self.small = self.write("small.txt", "input 1 9 7\nmax_pool2d 2\nflatten\nlinear 3\n")

    @staticmethod
    def make(height, width, classes, train=64, test=16):
        """Contents of the four files: a class is a bright row."""
        numbers = random.Random(1)
        contents = []
        for count in (train, test):
            labels = [i % classes for i in range(count)]
            pixels = [200 + numbers.randrange(50) if y % classes == label else 0
                      for label in labels for y in range(height) for x in range(width)]
            contents += [idx((count, height, width), pixels), idx((count,), labels)]
        return dict(zip(OwnSet.NAMES, contents))

    def put(self, folder, files=None, rename=lambda name: name, pack=lambda content: content):
        os.makedirs(self.path(folder), exist_ok=True)
        for name, content in (files or self.files).items():
            self.write(os.path.join(folder, rename(name)), pack(content))
        return self.path(folder)

    def train_on(self, folder, *words, network=None):
        return self.train("--data", folder, "--batch", "8", "--threads", "1", *words,
                          network=network or self.small)

    def expected_sha256(self):
        images, labels, test_images, test_labels = (self.files[name] for name in self.NAMES)
        return hashlib.sha256(images[16:] + labels[8:] + test_images[16:] +
                              test_labels[8:]).hexdigest()

    def test_the_recipe_of_the_guide(self):
        """docs/guide/data.md's Python writes a set that is read."""
        with open(os.path.join(os.path.dirname(os.path.abspath(__file__)),
                               "../../docs/guide/data.md")) as file:
            code = file.read().split("```python\n")[1].split("```")[0]
        recipe = {}
        exec(code, recipe)  # our own page
        os.mkdir(self.path("written"))
        for part, count in (("train", 12), ("t10k", 8)):
            pictures = [[[200 if y % 3 == i % 3 else 0] * 7 for y in range(9)]
                        for i in range(count)]
            recipe["write_set"](self.path("written"), part, pictures, [i % 3 for i in range(count)])
        data = self.train_on(self.path("written"), "--batch", "4")["data"]
        self.assertEqual((data["classes"], data["image"], data["train_images"],
                          data["validation_images"]), (3, [1, 9, 7], 12, 8))

    def test_any_size_and_number_of_classes(self):
        folder = self.put("stripes")
        result = self.train_on(folder, "--steps", "40", "--lr", "0.05", "--save", "net")
        self.assertEqual(result["data"], {
            "name": "stripes (unverified)", "source": folder, "real": True, "verified": False,
            "classes": 3, "image": [1, 9, 7], "train_images": 64, "validation_images": 16,
            "sha256": self.expected_sha256()})
        self.assertEqual(result["epochs"][0]["accuracy"], 1.0)
        text = self.succeed("train", self.small, "--data", folder, "--steps", "1", "--epochs", "1",
                            "--valid-steps", "1", "--batch", "8", "--threads", "1")
        self.assertIn("stripes (unverified)", text)
        self.assertIn("sha256 " + self.expected_sha256(), text)
        self.succeed("evaluate", "net", "--data", folder, "--threads", "1", "--quiet", "--json",
                     "evaluate.json")
        evaluation = self.read_json("evaluate.json")
        self.assertEqual(evaluation["accuracy"], 1.0)
        self.assertEqual([row["name"] for row in evaluation["classes"]],
                         ["class 0", "class 1", "class 2"])

    def test_ten_other_classes_do_not_get_names_of_clothes(self):
        folder = self.put("digits", self.make(28, 28, 10))
        self.train_on(folder, "--save", "net", network=self.network)
        text = self.succeed("evaluate", "net", "--data", folder, "--threads", "1")
        self.assertIn("class 9", text)
        self.assertNotIn("boot", text)
        self.write("a.png", png(bytes(range(196)) * 4))
        text = self.succeed("predict", "net", "a.png")
        self.assertRegex(text, r"\Aclass \d\n")
        self.train("--save", "clothes")
        self.assertNotIn("class", self.succeed("predict", "clothes", "a.png"))

    def test_names_and_folders(self):
        """As Keras, Kaggle, EMNIST and torchvision name and lay them out."""
        layouts = {
            "gz": ("gz", lambda name: name + ".gz", gzip.compress),
            "dots": ("dots", lambda name: name.replace("-idx", ".idx"), None),
            "dots-gz": ("dotsgz", lambda name: name.replace("-idx", ".idx") + ".gz", gzip.compress),
            "test": ("test", lambda name: name.replace("t10k", "test"), None),
            "emnist": ("emnist", lambda name: "emnist-letters-" + name.replace("t10k", "test") +
                       ".gz", gzip.compress),
            "upper": ("upper", lambda name: name.replace("train", "Train"), None),
            "torchvision": ("torch/OwnMNIST/raw", lambda name: name, None),
            "below": ("below/OwnMNIST", lambda name: name + ".gz", gzip.compress)}
        for name, (folder, rename, pack) in layouts.items():
            with self.subTest(name):
                self.put(folder, rename=rename, pack=pack or bytes)
                top = self.path(folder.split("/")[0])
                data = self.train_on(top)["data"]
                self.assertEqual(data["sha256"], self.expected_sha256())
                self.assertEqual(data["source"], self.path(folder))
                title = {"emnist": "emnist-letters", "torchvision": "OwnMNIST",
                         "below": "OwnMNIST"}.get(name, folder)
                self.assertEqual(data["name"], title + " (unverified)")
        # torchvision keeps the compressed files beside the others, Kaggle folders of their names.
        self.put("torch/OwnMNIST/raw", rename=lambda name: name + ".gz", pack=gzip.compress)
        os.mkdir(self.path("dots/train-images-idx3-ubyte"))
        for top in ("torch", "dots"):
            self.assertEqual(self.train_on(self.path(top))["data"]["sha256"],
                             self.expected_sha256())
        for name, content in self.files.items():
            os.makedirs(self.path(f"kaggle/{name}"))
            self.write(f"kaggle/{name}/{name}", content)
        self.assertEqual(self.train_on(self.path("kaggle"))["data"]["sha256"],
                         self.expected_sha256())
        self.assertEqual(self.train("--data", self.path("gz"), "--batch", "8",
                                    network=self.small)["data"]["name"], "gz (unverified)")

    def test_gzip_of_several_members_and_padding(self):
        def members(content):
            half = len(content) // 2
            return gzip.compress(content[:half]) + gzip.compress(content[half:]) + bytes(512)
        folder = self.put("members", rename=lambda name: name + ".gz", pack=members)
        self.assertEqual(self.train_on(folder)["data"]["sha256"], self.expected_sha256())

    def test_what_does_not_fit_is_explained(self):
        self.put("good")
        wide = self.make(9, 8, 3)
        cases = {
            "count": ({self.NAMES[1]: idx((63,), [0] * 63)},
                      r"train-images-idx3-ubyte: has 64 pictures, but .*labels.* has 63 labels"),
            "size": ({name: wide[name] for name in self.NAMES[2:]},
                     r"t10k-images-idx3-ubyte: pictures of 9x8 pixels, but those for training have "
                     r"9x7"),
            "empty": ({self.NAMES[2]: idx((16, 9, 7), [0] * 1008)},
                      r"t10k-images-idx3-ubyte: no pixel is above 1: the pictures are empty"),
            "white": ({self.NAMES[0]: idx((64, 9, 7), [255] * 4032)},
                      r"train-images-idx3-ubyte: all pixels are the same: the pictures are empty"),
            "none": ({self.NAMES[1]: idx((0,), [])}, r"the set is empty"),
            "html": ({self.NAMES[0]: b"<!DOCTYPE html><html>moved</html>"},
                     r"it is a web page: the download failed: download it again"),
            "lfs": ({self.NAMES[0]: b"version https://git-lfs.github.com/spec/v1\noid sha256:0\n"},
                    r"a Git LFS pointer: the download failed"),
            "zip": ({self.NAMES[0]: b"PK\3\4" + bytes(60)}, r"a ZIP archive: unpack it"),
            "colour": ({self.NAMES[0]: idx((2, 3, 4, 3), [0] * 72)}, r"pictures are not grey"),
            "floats": ({self.NAMES[0]: b"\0\0\x0d\3" + bytes(60)}, r"an IDX file of floats: write"),
            "cut": ({self.NAMES[0]: self.files[self.NAMES[0]][:-1]}, r"cut off: "),
        }
        for name, (changes, message) in cases.items():
            with self.subTest(name):
                folder = self.put(name, self.files | changes)
                text = self.fails(3, "train", self.small, "--data", folder, "--steps", "1")
                self.assertRegex(text, message)
                self.assertIn("; docs/guide/data.md shows how to write a data set", text)
        os.remove(self.path("cut/t10k-labels-idx1-ubyte"))
        self.assertIn("has no t10k-labels-idx1-ubyte.gz and no t10k-labels-idx1-ubyte",
                      self.fails(3, "train", self.small, "--data", self.path("cut")))

    def test_several_sets_are_named(self):
        self.put("both/one")
        self.put("both/two")
        text = self.fails(3, "train", self.small, "--data", self.path("both"))
        self.assertRegex(text, r"has a set in .*both/\w+ and one in .*both/\w+; name one")
        for title in ("emnist-letters-", "emnist-digits-"):
            self.put("emnist", rename=lambda name, title=title: title + name)
        text = self.fails(3, "train", self.small, "--data", self.path("emnist"))
        self.assertRegex(text, r"has files of 'emnist-\w+' and of 'emnist-\w+'; give each set")

    def test_a_network_that_does_not_fit(self):
        folder = self.put("set")
        colours = self.write("colours.txt", "input 3 9 7\nflatten\nlinear 3\n")
        few = self.write("few.txt", "input 1 9 7\nflatten\nlinear 2\n")
        self.assertIn("takes 3x9x7 images, not 1x9x7; begin it with 'input 1 9 7'",
                      self.fails(2, "train", colours, "--data", folder))
        self.assertIn("has 2 outputs, the data has 3 classes; end it with 'linear 3'",
                      self.fails(2, "train", few, "--data", folder))

    def test_studies(self):
        folder = self.put("digits", self.make(28, 28, 10))
        text = self.fails(3, "report", "--data", folder, "--quiet", "--threads", "1")
        self.assertRegex(text, r"digits: not Fashion-MNIST \(SHA-256 [0-9a-f]{16}\.\.\.\)")
        self.fails(3, "report", "--data", folder, "--quiet", "--allow-synthetic")
        quick = ["--threads", "1", "--quiet", "--rounds", "1", "--seconds", "0", "--epochs", "1",
                 "--steps", "2", "--valid-steps", "1", "--batch", "8", "--depth", "1", "--pool",
                 "1", "--batch-norm", "off", "--width", "4", "--schedule", "constant"]
        self.succeed("explore", "--data", self.put("set"), *quick)
        data = self.read_json("convmark-explore/explore.json")["data"]
        self.assertEqual((data["verified"], data["sha256"]), (False, self.expected_sha256()))

    def test_a_damaged_copy_of_the_data_set_is_not_taken_for_it(self):
        """Only where it was named; the cache must hold Fashion-MNIST."""
        folder = self.put("fashion-mnist", self.make(28, 28, 10))
        data = self.train("--data", folder, "--batch", "8")["data"]
        self.assertEqual((data["name"], data["verified"]), ("fashion-mnist (unverified)", False))
        os.makedirs(self.path("cache/convmark"))
        shutil.move(folder, self.path("cache/convmark/fashion-mnist"))
        text = self.fails(3, "train", self.network,
                          env={"XDG_CACHE_HOME": self.path("cache"), "HOME": self.folder})
        self.assertIn("dimension 0 at byte 4 is 64, not 60000", text)


if __name__ == "__main__":
    unittest.main()
