"""convmark evaluate, predict, variants, describe and verify, as a user types them."""
import json
import os
import struct
import unittest
import zlib

from cli_support import ONE_THREAD, CliTest, tensors

CLASSES = ["T-shirt/top", "Trouser", "Pullover", "Dress", "Coat", "Sandal", "Shirt", "Sneaker",
           "Bag", "Ankle boot"]

# As the report prints them, but for bn-8, which is the true count.
PARAMS = {"baseline": 314250, "dropout-out-0.5": 314250, "dropout-conv-0.5": 314250,
          "dropout-conv-0.3": 314250, "bn-3": 315018, "plain-8": 1052170, "bn-8": 1054218,
          "bn-16": 2236938}


def png_of(width, height, depth, colour, rows, extra=None):
    """A picture of rows of bytes as they stand in the file; `extra`: kind, content of a chunk."""
    def chunk(kind, content):
        return (struct.pack(">I", len(content)) + kind + content +
                struct.pack(">I", zlib.crc32(kind + content)))
    return (b"\x89PNG\r\n\x1a\n" +
            chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0)) +
            (chunk(*extra) if extra else b"") +
            chunk(b"IDAT", zlib.compress(b"".join(b"\0" + row for row in rows))) +
            chunk(b"IEND", b""))


def png(pixels):
    """A grey 28 x 28 picture."""
    return png_of(28, 28, 8, 0, [pixels[28 * y:28 * y + 28] for y in range(28)])


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

    def warns(self, *words):
        """Output and the one warning of a run that succeeds."""
        result = self.run_program("predict", *words)
        self.assertEqual(result.returncode, 0, result.stderr)
        self.assertRegex(result.stderr.decode(), r"\Aconvmark: warning: [^\n]+\n\Z")
        return result.stdout.decode(), result.stderr.decode()

    def test_several_pictures(self):
        self.write("b.png", png(bytes(y * 9 % 256 for y in range(28) for x in range(28))))
        single = [self.succeed("predict", "model", name).splitlines()
                  for name in ("a.png", "b.png")]
        lines = self.succeed("predict", "model", "a.png", "b.png").splitlines()
        self.assertEqual(lines, [f"{one[2]}  {name}" for one, name in
                                 zip(single, ("a.png", "b.png"))])
        self.write("c.png", b"GIF89a")
        result = self.run_program("predict", "model", "a.png", "c.png", "missing.png", "b.png")
        self.assertEqual(result.returncode, 3)
        self.assertEqual(result.stdout.decode().splitlines(), lines)
        errors = result.stderr.decode().splitlines()
        self.assertEqual(len(errors), 3)
        self.assertIn("c.png: not a PNG file but a GIF picture", errors[0])
        self.assertIn("missing.png", errors[1])
        self.assertIn("2 of 4 pictures could not be classified", errors[2])
        self.assertIn("1 argument given; usage", self.fails(2, "predict", "model"))

    def test_pictures_of_every_kind_are_the_same_picture(self):
        """Colour, alpha, palette, 16 bits: a light block on dark ground."""
        block = [8 <= x < 20 and 8 <= y < 20 for y in range(28) for x in range(28)]
        kinds = {"grey": (0, 8, [b"\0", b"\xff"], b""),
                 "grey 1": (0, 1, None, b""),
                 "grey 16": (0, 16, [b"\0\0", b"\xff\xff"], b""),
                 "rgb": (2, 8, [b"\0\0\0", b"\xff\xff\xff"], b""),
                 "palette": (3, 8, [b"\0", b"\1"], (b"PLTE", b"\0\0\0\xff\xff\xff")),
                 "grey alpha": (4, 8, [b"\x37\0", b"\xff\xff"], b""),
                 "rgb alpha": (6, 8, [b"\x37\x37\x37\0", b"\xff" * 4], b"")}
        texts = set()
        for name, (colour, depth, values, extra) in kinds.items():
            rows = []
            for y in range(28):
                row = block[28 * y:28 * y + 28]
                if values is None:
                    bits = int("".join("1" if bit else "0" for bit in row) + "0000", 2)
                    rows.append(bits.to_bytes(4, "big"))
                else:
                    rows.append(b"".join(values[bit] for bit in row))
            self.write("kind.png", png_of(28, 28, depth, colour, rows, extra) + b"\n")
            texts.add(self.succeed("predict", "model", "kind.png"))
        self.assertEqual(len(texts), 1)

    def test_doubtful_pictures(self):
        ring = bytes(0 if 8 <= x < 20 and 8 <= y < 20 else 255
                     for y in range(28) for x in range(28))
        self.write("light.png", png(ring))
        text, warning = self.warns("model", "light.png")
        self.assertIn("light.png: looks like dark on light, and models are trained on light on "
                      "dark; "
                      "try --invert", warning)
        inverted = self.succeed("predict", "model", "light.png", "--invert")
        self.assertNotEqual(inverted, text)
        self.write("dark.png", png(bytes(255 - value for value in ring)))
        self.assertEqual(self.succeed("predict", "model", "dark.png"), inverted)
        self.assertIn("; leave --invert out", self.warns("model", "dark.png", "--invert")[1])
        self.write("black.png", png(bytes(784)))
        self.assertIn("black.png: all pixels are nearly the same",
                      self.warns("model", "black.png")[1])
        # Black on transparent ground: black on black, unless it is inverted.
        rows = [b"".join(b"\0\xff" if ring[28 * y + x] == 0 else b"\0\0" for x in range(28))
                for y in range(28)]
        self.write("clear.png", png_of(28, 28, 8, 4, rows))
        self.assertIn("clear.png: all pixels are nearly the same: there is nothing to classify; "
                      "give "
                      "--invert if it is dark on transparent ground",
                      self.warns("model", "clear.png")[1])
        self.assertEqual(self.succeed("predict", "model", "clear.png", "--invert"), inverted)
        wide = [bytes(56 * [0] + 56 * [200]) for _ in range(28)]
        self.write("wide.png", png_of(112, 28, 8, 0, wide))
        self.assertIn("wide.png: its 112 x 28 pixels are squeezed to 28 x 28",
                      self.warns("model", "wide.png")[1])

    def test_colour_networks_take_colours(self):
        self.write("colour.txt", "input 3 8 8\nflatten\nlinear 2\n")
        self.train("--save", "colour", network="./colour.txt")
        texts = set()
        for pixel in (b"\xff\0\0", b"\0\0\xff"):
            rows = [(b"\0\0\0" * 2 + pixel * 4 + b"\0\0\0" * 2) for _ in range(8)]
            self.write("c.png", png_of(8, 8, 8, 2, rows))
            texts.add(self.succeed("predict", "colour", "c.png"))
        self.assertEqual(len(texts), 2)
        self.assertIn("class 0", texts.pop())
        self.write("two.txt", "input 2 8 8\nflatten\nlinear 2\n")
        self.train("--save", "two", network="./two.txt")
        self.assertIn("reads 2 channels, a picture has one (grey) or three",
                      self.fails(3, "predict", "two", "c.png"))

    def test_an_answer_that_is_not_a_number(self):
        self.write("over.txt", "input 1 28 28\nflatten\nlinear 2\nlinear 2\n")
        self.train("--save", "over", network="./over.txt")
        with open(self.path("over"), "rb") as file:
            content = bytearray(file.read())
        header, data = tensors(self.path("over"))
        begin, end = header["dense.1.weight"]["data_offsets"]
        start = len(content) - len(data)
        content[start + begin:start + end] = struct.pack("<f", 3e38) * ((end - begin) // 4)
        self.write("over", bytes(content))
        text = self.fails(1, "predict", "over", "a.png")
        self.assertRegex(text, r"a\.png: the answer is not a number: .* layer dense\.\d; the model")

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
