"""Model files of other programs: names, types and tensors that differ from convmark's, and files of
other kinds."""
import gzip
import io
import json
import os
import pickle
import random
import resource
import struct
import tarfile
import unittest
import zipfile

from cli_support import CliTest, tensors

NETWORK = """input 1 6 6
conv2d 3 kernel 3
batch_norm
relu
max_pool2d 2
flatten
linear 4
"""
SHAPES = {"conv.0.weight": [3, 1, 3, 3], "conv.0.bias": [3], "conv.1.weight": [3],
          "conv.1.bias": [3], "conv.1.running_mean": [3], "conv.1.running_var": [3],
          "conv.1.num_batches_tracked": [], "dense.1.weight": [4, 12], "dense.1.bias": [4]}
COUNTER = "conv.1.num_batches_tracked"
FORMATS = {"F16": "e", "F32": "f", "F64": "d", "I64": "q", "I32": "i", "I16": "h", "I8": "b",
           "U8": "B", "U32": "I", "U64": "Q"}


def count_of(shape):
    count = 1
    for size in shape:
        count *= size
    return count


def encode(dtype, values):
    if dtype == "BF16":
        return b"".join(struct.pack("<f", value)[2:] for value in values)
    return struct.pack(f"<{len(values)}{FORMATS[dtype]}", *values)


def model_file(entries, metadata=None):
    """Bytes of a safetensors file of {name: (dtype, shape, values)}."""
    header, data = {"__metadata__": metadata} if metadata else {}, b""
    for name, (dtype, shape, values) in entries.items():
        content = encode(dtype, values)
        header[name] = {"dtype": dtype, "shape": shape,
                        "data_offsets": [len(data), len(data) + len(content)]}
        data += content
    text = json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + data


class Foreign(CliTest):
    def setUp(self):
        super().setUp()
        self.write("net.txt", NETWORK)
        numbers = random.Random(2)
        # Multiples of 1/8 below 8: the same in every type of floats.
        self.entries = {name: ("F32", shape, [numbers.randrange(1, 64) / 8
                                              for _ in range(count_of(shape))])
                        for name, shape in SHAPES.items()}
        self.entries[COUNTER] = ("I64", [], [5])

    def renamed(self, rename):
        return {rename(name): entry for name, entry in self.entries.items()}

    def typed(self, dtype):
        return {name: entry if name == COUNTER else (dtype, *entry[1:])
                for name, entry in self.entries.items()}

    def load(self, entries, name="theirs.safetensors", **more):
        """The tensors that train --load takes, as it saves them, and the warning."""
        self.write(name, model_file(entries))
        result = self.run_program("train", "./net.txt", "--load", name, "--steps", "0", "--quiet",
                                  "--save", "loaded", "--threads", "1", **more)
        self.assertEqual(result.returncode, 0, result.stderr)
        header, data = tensors(self.path("loaded"))
        values = {}
        for key, entry in header.items():
            if key != "__metadata__":
                begin, end = entry["data_offsets"]
                values[key] = list(struct.unpack(
                    f"<{count_of(entry['shape'])}{FORMATS[entry['dtype']]}", data[begin:end]))
        return values, result.stderr.decode()

    def expected(self, **changes):
        return {name: entry[2] for name, entry in self.entries.items()} | changes

    def refused(self, entries):
        self.write("theirs.safetensors", model_file(entries))
        return self.fails(3, "evaluate", "theirs.safetensors", "--network", "./net.txt", "--data",
                          "synthetic")


class Names(Foreign):
    def test_convmarks_own_names_need_no_word(self):
        self.assertEqual(self.load(self.entries), (self.expected(), ""))

    def test_prefixes(self):
        for prefix in ("module.", "_orig_mod.", "model.", "module._orig_mod.", "net.encoder.",
                       "state_dict.model.", "_orig_mod.module.model."):
            with self.subTest(prefix):
                values, warning = self.load(self.renamed(lambda name: prefix + name))
                self.assertEqual(values, self.expected())
                self.assertEqual(warning, "convmark: warning: theirs.safetensors: names are read "
                                 f'without "{prefix}"\n')

    def test_wrappers_inside_names(self):
        for wrapped in ("conv._orig_mod.", "conv.module.", "_fsdp_wrapped_module.conv."):
            with self.subTest(wrapped):
                values, warning = self.load(self.renamed(
                    lambda name: name.replace("conv.", wrapped)))
                self.assertEqual(values, self.expected())
                self.assertRegex(warning, r"\A[^\n]*(is read as|are read without)[^\n]*\n\Z")

    def test_evaluate_and_predict_warn_as_well(self):
        self.write("plain.safetensors", model_file(self.entries))
        self.write("theirs.safetensors", model_file(self.renamed(lambda name: "module." + name)))
        words = ["--network", "./net.txt", "--data", "synthetic", "--threads", "1"]
        theirs = self.run_program("evaluate", "theirs.safetensors", *words)
        self.assertEqual(theirs.returncode, 0)
        self.assertIn(b'names are read without "module."', theirs.stderr)
        self.assertEqual(theirs.stdout.decode(), self.succeed("evaluate", "plain.safetensors",
                                                              *words))

    def test_two_sets_of_weights(self):
        both = self.renamed(lambda name: "model." + name) | self.renamed(
            lambda name: "ema." + name)
        self.assertRegex(self.refused(both),
                         r'twice, under "(ema|model)\." and under "(ema|model)\."; keep one')
        self.assertIn('are both "conv.0.bias"; keep one',
                      self.refused(self.entries | {"module.conv.0.bias": ("F32", [3], [0] * 3)}))

    def test_names_of_another_program(self):
        text = self.refused(self.renamed(lambda name: name.replace("conv.", "features.")))
        self.assertIn('has no tensor "conv.0.weight" of network net (it has "', text)
        text = self.refused({name: entry for name, entry in self.renamed(
            lambda name: "module." + name).items() if name != "module.dense.1.bias"})
        self.assertIn('has no tensor "dense.1.bias" of network net; is it', text)


class Tensors(Foreign):
    def test_counters(self):
        none = {name: entry for name, entry in self.entries.items() if name != COUNTER}
        values, warning = self.load(none)
        self.assertEqual(values, self.expected(**{COUNTER: [0]}))
        self.assertIn("num_batches_tracked is not there: 0 is taken", warning)
        for dtype in ("I64", "I32", "I16", "I8", "U8", "U32", "U64"):
            for shape in ([], [1]):
                with self.subTest((dtype, shape)):
                    self.assertEqual(self.load(self.entries | {COUNTER: (dtype, shape, [7])}),
                                     (self.expected(**{COUNTER: [7]}), ""))
        for entry in (("I32", [], [-1]), ("I8", [1], [-128]), ("U64", [], [1 << 63]),
                      ("I64", [], [1 << 62])):
            self.assertIn("negative or too large", self.refused(self.entries | {COUNTER: entry}))
        self.assertIn("has shape [2] where",
                      self.refused(self.entries | {COUNTER: ("I64", [2], [1, 1])}))
        self.assertIn("has type F32 where the network has I64",
                      self.refused(self.entries | {COUNTER: ("F32", [], [1])}))

    def test_types(self):
        for dtype in ("F16", "BF16", "F64"):
            with self.subTest(dtype):
                values, warning = self.load(self.typed(dtype))
                self.assertEqual(values, self.expected())
                self.assertEqual(warning, "convmark: warning: theirs.safetensors: 8 tensors are "
                                 f"converted from {dtype} to F32\n")
        mixed = self.entries | {"dense.1.bias": ("F16", [4], [1, 2, 3, 4])}
        self.assertIn("1 tensor is converted from F16 to F32; num_batches_tracked is not there",
                      self.load({k: v for k, v in mixed.items() if k != COUNTER})[1])

    def test_every_half(self):
        """All finite values of F16, subnormal numbers and signed zeros among them."""
        halves = [struct.unpack("<e", struct.pack("<H", bits))[0] for bits in range(1 << 16)
                  if bits & 0x7C00 != 0x7C00]
        self.write("net.txt", f"input 1 1 {len(halves) // 2}\nflatten\nlinear 2\n")
        values, _ = self.load({"dense.1.weight": ("F16", [2, len(halves) // 2], halves),
                               "dense.1.bias": ("BF16", [2], [-0.0, 2.0 ** -130])})
        self.assertEqual(struct.pack(f"<{len(halves)}f", *values["dense.1.weight"]),
                         struct.pack(f"<{len(halves)}f", *halves))
        self.assertEqual(struct.pack("<2f", *values["dense.1.bias"]),
                         struct.pack("<2f", -0.0, 2.0 ** -130))

    def test_values_that_no_training_gives(self):
        for dtype in ("F16", "F32", "BF16", "F64"):
            for bad in (float("nan"), float("inf"), float("-inf")):
                with self.subTest((dtype, bad)):
                    text = self.refused(
                        self.entries | {"dense.1.bias": (dtype, [4], [1, 2, bad, 3])})
                    self.assertIn('tensor "dense.1.bias": element 2 is not a finite number', text)
        text = self.refused(self.entries | {"dense.1.bias": ("F64", [4], [1, 1e39, 2, 3])})
        self.assertIn('tensor "dense.1.bias": element 1 is too large for F32', text)
        text = self.refused(self.entries | {"conv.1.running_var": ("F16", [3], [1, 1, -0.5])})
        self.assertIn('tensor "conv.1.running_var": element 2 is negative', text)

    def test_other_tensors(self):
        """Of the optimizer or an average: passed over. In conv or dense: it is another network."""
        others = {"n_averaged": ("I64", [], [3]), "optimizer.step": ("F32", [1], [1]),
                  "mask": ("U8", [2], [1, 0]), "z": ("F16", [1], [1])}
        values, warning = self.load(self.entries | others)
        self.assertEqual(values, self.expected())
        self.assertIn('left out, as the network does not have them: "mask", "n_averaged", '
                      '"optimizer.step" and 1 more', warning)
        text = self.refused(self.entries | {"conv.9.weight": ("F32", [1], [1])})
        self.assertIn('tensor "conv.9.weight" is not in network net; is it the right', text)
        text = self.refused(self.renamed(lambda name: "module." + name) |
                            {"module.dense.3.bias": ("F32", [1], [1]),
                             "module.dense.3.weight": ("F32", [1], [1])})
        self.assertIn('tensors "module.dense.3.bias", "module.dense.3.weight" are not in', text)

    def test_shapes(self):
        text = self.refused(self.entries | {"dense.1.weight": ("F32", [12, 4], [1] * 48)})
        self.assertIn("has shape [12, 4] where the network has [4, 12]", text)


def zip_of(*names):
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name in names:
            archive.writestr(name, b"content")
    return buffer.getvalue()


def tar_of(name):
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        archive.addfile(tarfile.TarInfo(name), io.BytesIO(b""))
    return buffer.getvalue()


class Kinds(Foreign):
    """A file of another kind is named by its first bytes, with what to do."""
    KINDS = {
        "pytorch zip": (zip_of("archive/data.pkl"), "a PyTorch file",
                        "safetensors.torch.save_file"),
        "pytorch zip, new": (zip_of("model/.format_version"), "a PyTorch file", "save_file"),
        "torchscript": (zip_of("jit/data/0"), "a PyTorch file", "docs/guide/pytorch.md"),
        "pickle": (pickle.dumps({"a": [1.5] * 9}, 2), "a Python pickle", "torch.load"),
        "pickle 5": (pickle.dumps({"a": [1.5] * 9}, 5), "a Python pickle", "torch.load"),
        "npz": (zip_of("weight.npy"), "NumPy arrays", "numpy.load"),
        "npy": (b"\x93NUMPY\x01\0v\0{'descr': '<f4'}", "a NumPy array", "save_file"),
        "keras": (zip_of("metadata.json", "config.json"), "a Keras model", "Keras"),
        "zip": (zip_of("model.safetensors"), "a ZIP archive", "unpack it first"),
        "onnx": (b"\x08\x08\x12\x07pytorch\x1a\x062.13.0:" + bytes(64), "an ONNX model",
                 "docs/guide/pytorch.md"),
        "tflite": (b"\x1c\0\0\0TFL3" + bytes(64), "a TensorFlow Lite model", "safetensors"),
        "hdf5": (b"\x89HDF\r\n\x1a\n" + bytes(64), "an HDF5 file", "h5py"),
        "gguf": (b"GGUF\x03\0\0\0" + bytes(64), "a GGUF model", "convolution networks"),
        "lfs": (b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 9\n",
                "a Git LFS pointer", "git lfs pull"),
        "html": (b"\n<!DOCTYPE html>\n<html><body>404</body></html>", "a web page",
                 "the download failed"),
        "html, small": (b"<html><head></head></html>", "a web page", "download"),
        "xml": (b"<?xml version='1.0'?><Error><Code>AccessDenied</Code></Error>", "an XML file",
                "the download failed"),
        "index": (json.dumps({"metadata": {}, "weight_map": {"a": "m-1.safetensors"}}).encode(),
                  "the index of a model", ".safetensors file that it names"),
        "json": (b'{"architectures": ["X"]}', "a JSON file", "saved as safetensors"),
        "json, BOM": (b'\xef\xbb\xbf{"architectures": ["X"]}', "a JSON file", "saved as"),
        "gzip": (gzip.compress(b"x" * 99), "a gzip file", "unpack it first"),
        "tar": (tar_of("model.safetensors"), "a tar archive", "unpack it first"),
        "zstd": (b"\x28\xb5\x2f\xfd" + bytes(64), "a zstd file", "unpack it first"),
        "png": (b"\x89PNG\r\n\x1a\n" + bytes(64), "a PNG picture", "give the model first"),
        "jpeg": (b"\xff\xd8\xff\xe0\0\x10JFIF" + bytes(64), "a JPEG picture", "the model first"),
        "idx": (b"\0\0\x08\x03" + bytes(64), "an IDX file", "data set"),
        "network": (NETWORK.encode(), "a network text", "it has no weights"),
        "network, comment": (b"# mine\n\n" + NETWORK.encode(), "a network text", "no weights"),
        "text": (b"weights: see below\n", "a text file", "saved as safetensors"),
        "utf-16": ("{}".join("abcdefgh").encode("utf-16"), "text in UTF-16", "saved as"),
        "zeros": (bytes(4096), "nothing but zeros", "download it again"),
    }

    def test_kinds(self):
        for name, (content, title, advice) in self.KINDS.items():
            with self.subTest(name):
                self.write("model.bin", content)
                for words in (("evaluate", "model.bin"),
                              ("evaluate", "model.bin", "--network", "./net.txt"),
                              ("train", "./net.txt", "--load", "model.bin", "--steps", "0")):
                    text = self.fails(3, *words)
                    self.assertIn(f"model.bin: is {title}", text)
                    self.assertIn("not a safetensors model; ", text)
                    self.assertIn(advice, text)
                    self.assertNotIn("--network", text)

    def test_where_a_network_text_is_expected(self):
        self.write("model.safetensors", model_file(self.entries))
        text = self.fails(3, "train", "./model.safetensors")
        self.assertIn("is a safetensors file, not a network text; give it as the model", text)
        for name in ("png", "json", "gzip", "html", "onnx", "hdf5"):
            self.write("net.bin", self.KINDS[name][0])
            self.assertIn(f"net.bin: is {self.KINDS[name][1]}, not a network text; give a file",
                          self.fails(3, "describe", "./net.bin").replace("model (.pt)", "model"))
        self.write("net.bin", b"x" * 9 + bytes(1 << 21))
        self.fails(3, "describe", "./net.bin")
        whole = self.succeed("describe", "./net.txt")
        self.write("net.txt", b"\xef\xbb\xbf" + NETWORK.encode())
        self.assertEqual(self.succeed("describe", "./net.txt"), whole)
        self.write("net.txt", NETWORK.encode("utf-16"))
        self.assertIn("is text in UTF-16; save it as UTF-8", self.fails(3, "describe", "./net.txt"))

    def test_own_files(self):
        self.succeed("train", self.network, "--data", "synthetic", "--epochs", "1", "--steps", "2",
                     "--valid-steps", "1", "--threads", "1", "--quiet", "--checkpoint", "state",
                     "--json", "run.json")
        self.assertIn("is a checkpoint of convmark train", self.fails(3, "evaluate", "state"))
        self.assertIn("is a JSON file of results", self.fails(3, "evaluate", "run.json"))

    def test_cut_off(self):
        whole = model_file(self.entries)
        for size in (0, 7, 9, 200, len(whole) - 1):
            self.write("model.bin", whole[:size])
            text = self.fails(3, "evaluate", "model.bin", "--network", "./net.txt")
            self.assertIn("model.bin: ", text)


class Sizes(Foreign):
    """A small file does not decide how much memory is taken."""

    def limited(self, *words):
        def limit():
            resource.setrlimit(resource.RLIMIT_AS, (1 << 29, 1 << 29))
        return self.run_program(*words, preexec_fn=limit)

    @unittest.skipIf("CONVMARK_CHECK_CASES" in os.environ, "a sanitizer maps all of memory")
    def test_a_network_far_larger_than_the_file(self):
        text = "input 1 28 28\nflatten\nlinear 1048576\nlinear 222\nlinear 10\n"
        self.write("huge.safetensors", model_file({}, {"convmark.network": "x",
                                                        "convmark.network_text": text}))
        self.write("huge.txt", text)
        for words in (("evaluate", "huge.safetensors", "--data", "synthetic"),
                      ("predict", "huge.safetensors", "picture.png"),
                      ("train", "./huge.txt", "--load", "huge.safetensors")):
            result = self.limited(*words)
            self.assertEqual(result.returncode, 3, result.stderr)
            self.assertIn(b'has no tensor "dense.1.weight" of network', result.stderr)


if __name__ == "__main__":
    unittest.main()
