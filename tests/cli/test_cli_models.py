"""convmark evaluate, predict, variants, describe and verify, as a user types them."""
import json
import os
import struct
import unittest
import zlib

from cli_support import ONE_THREAD, CliTest

CLASSES = ["T-shirt/top", "Trouser", "Pullover", "Dress", "Coat", "Sandal", "Shirt", "Sneaker",
           "Bag", "Ankle boot"]

# As the report prints them, but for bn-8, which is the true count.
PARAMS = {"baseline": 314250, "dropout-out-0.5": 314250, "dropout-conv-0.5": 314250,
          "dropout-conv-0.3": 314250, "bn-3": 315018, "plain-8": 1052170, "bn-8": 1054218,
          "bn-16": 2236938}


def png(pixels):
    """A grey 28 x 28 picture."""
    def chunk(kind, content):
        return (struct.pack(">I", len(content)) + kind + content +
                struct.pack(">I", zlib.crc32(kind + content)))
    rows = b"".join(b"\0" + pixels[28 * y:28 * y + 28] for y in range(28))
    return (b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", struct.pack(">IIBBBBB", 28, 28, 8, 0, 0, 0, 0)) +
            chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b""))


class Saved(CliTest):
    """Tests of a model that was trained a little."""

    prepared = None # the model and its JSON, by the first test

    def setUp(self):
        super().setUp()
        if Saved.prepared is None:
            trained = self.train("--lr", "0.05", "--steps", "30", "--save", "model")
            with open(self.path("model"), "rb") as file:
                Saved.prepared = file.read(), trained
        self.write("model", Saved.prepared[0])
        self.trained = Saved.prepared[1]


class Evaluate(Saved):
    WORDS = ("evaluate", "model", "--data", "synthetic")

    def test_json(self):
        self.succeed(*self.WORDS, "--json", "e.json", "--quiet")
        result = self.read_json("e.json")
        matrix = result["confusion"]
        self.assertEqual(result["images"], 10000)
        self.assertEqual(result["sha256"], self.trained["sha256"])
        self.assertEqual((len(matrix), {len(row) for row in matrix}), (10, {10}))
        self.assertEqual(sum(map(sum, matrix)), 10000)
        self.assertAlmostEqual(result["accuracy"], sum(matrix[i][i] for i in range(10)) / 10000)
        self.assertGreater(result["accuracy"], 0.2) # the answers have to do with the labels
        for label, row in enumerate(result["classes"]):
            self.assertEqual(row["name"], CLASSES[label])
            self.assertEqual(row["images"], sum(matrix[label]))
            self.assertAlmostEqual(row["accuracy"], matrix[label][label] / row["images"])

    def test_text_agrees_with_json(self):
        text = self.succeed(*self.WORDS)
        result = json.loads(self.succeed(*self.WORDS, "--json", "-"))
        lines = text.splitlines()
        self.assertIn(f"accuracy  {result['accuracy']:.4f}", lines)
        self.assertIn(f"loss      {result['loss']:.6f}", lines)
        for label, row in enumerate(result["classes"]):
            self.assertIn(f"{row['name']:14}{row['images']:9}{row['accuracy']:9.4f}", lines)
            self.assertIn(f"{row['name']:14}" + "".join(f"{n:6}" for n in
                                                        result["confusion"][label]), lines)

    def test_threads_and_instruction_set_change_nothing(self):
        texts = {self.succeed(*self.WORDS, *more) for more in
                 ((), ("--threads", "1"), ("--isa", "scalar"))}
        self.assertEqual(len(texts), 1)

    def test_network_by_name(self):
        text = self.succeed(*self.WORDS)
        self.assertEqual(self.succeed(*self.WORDS, "--network", "./tiny.txt"), text)
        self.assertIn("model", self.fails(3, *self.WORDS, "--network", "bn-3"))
        self.assertIn("did you mean", self.fails(2, *self.WORDS, "--network", "bn3"))

    def test_file_without_a_network(self):
        with open(self.path("model"), "rb") as file:
            content = file.read()
        length = struct.unpack("<Q", content[:8])[0]
        header = json.loads(content[8:8 + length])
        del header["__metadata__"]
        text = json.dumps(header).encode()
        text += b" " * (-len(text) % 8)
        self.write("model", struct.pack("<Q", len(text)) + text + content[8 + length:])
        self.assertIn("--network", self.fails(3, *self.WORDS))
        self.succeed(*self.WORDS, "--network", "./tiny.txt")

    def test_algorithms_differ_in_bits_only(self):
        network = self.write("conv.txt", "input 1 28 28\nmax_pool2d 4 stride 4\n"
                             "conv2d 8 kernel 3 padding 1\nrelu\n"
                             "conv2d 8 kernel 3 padding 1\n"
                             "flatten\nlinear 10\n")
        self.train("--save", "conv", network=network)
        losses = {}
        for name in ("auto", "winograd3", "winograd4"):
            self.succeed("evaluate", "conv", "--data", "synthetic", "--conv-algorithm", name,
                         "--json", "e.json", "--quiet")
            result = self.read_json("e.json")
            self.assertEqual(result["conv_algorithm"], name)
            losses[name] = result["loss"]
        self.assertEqual(len(set(losses.values())), 3)
        for loss in losses.values():
            self.assertAlmostEqual(loss, losses["auto"], places=5)

    def test_bad_files(self):
        self.assertIn("missing", self.fails(3, "evaluate", "missing", "--data", "synthetic"))
        self.write("noise", b"\xff" * 100)
        self.assertIn("noise", self.fails(3, "evaluate", "noise", "--data", "synthetic"))
        self.fails(3, "evaluate", "model", "--data", "missing")
        self.fails(3, "evaluate", self.folder)


class Predict(Saved):
    def setUp(self):
        super().setUp()
        self.picture = self.write("a.png", png(bytes((x * 9 + y) % 256 for y in range(28)
                                                     for x in range(28))))

    def test_classes_by_probability(self):
        lines = self.succeed("predict", "model", "a.png").splitlines()
        rows = [line.rsplit(maxsplit=1) for line in lines[2:]]
        self.assertEqual(lines[0], rows[0][0])
        self.assertEqual(sorted(name for name, _ in rows), sorted(CLASSES))
        values = [float(value) for _, value in rows]
        self.assertEqual(values, sorted(values, reverse=True))
        self.assertAlmostEqual(sum(values), 1, delta=0.001)

    def test_invert(self):
        with open(self.picture, "rb") as file:
            self.assertTrue(file.read())
        self.write("b.png", png(bytes(255 - (x * 9 + y) % 256 for y in range(28)
                                      for x in range(28))))
        text = self.succeed("predict", "model", "a.png")
        self.assertNotEqual(self.succeed("predict", "model", "a.png", "--invert"), text)
        self.assertEqual(self.succeed("predict", "model", "b.png", "--invert"), text)

    def test_instruction_set(self):
        text = self.succeed("predict", "model", "a.png")
        self.assertEqual(self.succeed("predict", "model", "a.png", "--isa", "scalar"), text)
        self.assertIn("--isa 'mmx'", self.fails(2, "predict", "model", "a.png", "--isa", "mmx"))
        words = ("predict", "model", "a.png")
        self.assertIn("CONVMARK_ISA 'mmx'", self.fails(2, *words, env={"CONVMARK_ISA": "mmx"}))
        self.assertEqual(self.succeed(*words, "--isa", "scalar", env={"CONVMARK_ISA": "mmx"}), text)

    def test_bad_files(self):
        self.assertIn("missing.png", self.fails(3, "predict", "model", "missing.png"))
        self.assertIn("tiny.txt", self.fails(3, "predict", "model", "tiny.txt"))
        with open(self.picture, "rb") as file:
            content = file.read()
        self.write("cut.png", content[:-20])
        self.assertIn("cut.png", self.fails(3, "predict", "model", "cut.png"))
        self.assertIn("a.png", self.fails(3, "predict", "a.png", "model"))


class Networks(CliTest):
    def test_variants(self):
        text = self.succeed("variants")
        rows = json.loads(self.succeed("variants", "--json", "-"))["variants"]
        self.assertEqual({row["id"]: row["params"] for row in rows}, PARAMS)
        for row in rows:
            line = next(line for line in text.splitlines() if line.startswith(row["id"] + " "))
            self.assertIn(f"{row['params']:,}", line)
            self.assertIn(f"{row['published_accuracy'] * 100:.2f}"[:4], line)

    def test_describe(self):
        for variant, params in PARAMS.items():
            text = self.succeed("describe", variant)
            self.succeed("describe", variant, "--json", "d.json")
            result = self.read_json("d.json")
            self.assertEqual(result["params"], params)
            self.assertEqual(sum(layer["params"] for layer in result["layers"]), params)
            self.assertEqual(sum(layer["macs"] for layer in result["layers"]), result["macs"])
            self.assertIn(f"{params:,}", text)
            for layer in result["layers"]:
                self.assertRegex(text, rf"(?m)^{layer['name']} +{layer['kind']}\b")

    def test_describe_text(self):
        result = json.loads(self.succeed("describe", "./tiny.txt", "--json", "-"))
        self.assertEqual([layer["kind"] for layer in result["layers"]],
                         ["max_pool2d", "flatten", "linear", "relu", "linear"])
        self.assertEqual(result["layers"][0]["output_shape"], [1, 7, 7])


@unittest.skipIf("CONVMARK_CHECK_CASES" in os.environ,
                 "slow build: test_kernels_bits and test_golden check the same, but less of it")
class Verify(CliTest):
    def test_every_instruction_set_and_variant(self):
        lines = self.succeed("verify", "--cases", "1").splitlines()
        kernels = [line.split()[1:3] for line in lines if line.startswith("kernels ")]
        sets = sorted({isa for isa, _ in kernels})
        self.assertIn("scalar", sets)
        teams = "1" if ONE_THREAD else "1237"
        self.assertEqual(sorted(kernels), [[isa, n] for isa in sets for n in teams])
        golden = [line.split()[1:3] for line in lines if line.startswith("golden ")]
        self.assertEqual(golden, [[variant, "same"] for variant in PARAMS])
        checks = len(teams) * len(sets) + (len(teams) + len(sets) - 1) * len(PARAMS)
        self.assertEqual(lines[-1], f"verified: {checks} checks, every bit the same")


if __name__ == "__main__":
    unittest.main()
