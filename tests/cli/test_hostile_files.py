"""Every reader of files with a file made to take memory and time: within 256 MiB of address space
and 5 seconds of the processor the command ends with one line, or has done its work.
docs/design/reliability.md has the bounds as a table.
"""
import gzip
import hashlib
import json
import os
import resource
import shutil
import struct
import unittest
import zlib

from cli_support import CliTest

MEMORY = 256 << 20
SECONDS = 5
MACHINE = ("--threads", "1", "--no-pin")
SHORT = ("--data", "synthetic", "--epochs", "1", "--steps", "1", "--valid-steps", "1", *MACHINE)
REPORT = ("report", "--variants", "./tiny.txt", "--allow-synthetic", "--seeds", "1", *SHORT,
          "--output", "out")


def row(name, samples, metric="seconds"):
    return {"name": name, "metric": metric, "unit": "s", "higher_is_better": False,
            "samples": samples}


def results(rows):
    return json.dumps({"schema_version": 1, "kind": "sweep", "measurements": rows})


def repeated(item, size, before="[", after="0]"):
    return before + item * (size // len(item)) + after


# Texts that are JSON, or nearly, and what they are made to spend.
JSON_TEXTS = {
    "objects": lambda: repeated("{},", 24 << 20),
    "objects of objects": lambda: repeated('{"":{"":{"":0}}},', 12 << 20),
    "lists": lambda: repeated("[],", 24 << 20),
    "numbers": lambda: repeated("1,", 24 << 20),
    "long numbers": lambda: repeated("1." + "3" * 10000 + ",", 24 << 20),
    "a long string": lambda: '["' + "x" * (24 << 20) + '"]',
    "escapes": lambda: '["' + "\\u0041" * (4 << 20) + '"]',
    "depth": lambda: "[" * (24 << 20),
    "depth of objects": lambda: '{"":' * (10 << 20),
    "keys": lambda: "{" + ",".join(f'"{i}":0' for i in range(900000)) + "}",
    "one key, often": lambda: repeated('"a":0,', 24 << 20, "{", '"b":0}'),
    "a file that is too long": lambda: " " * (65 << 20) + "{}",
    "blanks": lambda: " " * (24 << 20),
    "no quote at the end": lambda: '["' + "\\" * (24 << 20),
}


class Hostile(CliTest):
    def limited(self, *words, seconds=SECONDS, **options):
        def limit():
            resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
            resource.setrlimit(resource.RLIMIT_CPU, (seconds, seconds))
        return self.run_program(*words, preexec_fn=limit, **options)

    def assert_one_line(self, result, codes=(1, 3)):
        """Refused in one line."""
        self.assertIn(result.returncode, codes, result.stderr[-300:])
        lines = [line for line in result.stderr.splitlines()
                 if not line.startswith(b"convmark: warning: ")]
        self.assertEqual(len(lines), 1, lines)
        self.assertLess(len(lines[0]), 1100)

    def assert_ends(self, result):
        """Done, or refused in one line."""
        if result.returncode != 0:
            self.assert_one_line(result)

    def test_json(self):
        os.mkdir(self.path("out"))
        for name, text in JSON_TEXTS.items():
            with self.subTest(name):
                self.write("a.json", text())
                self.assert_one_line(self.limited("compare", "a.json", "a.json"))
                if name in ("objects", "keys", "depth"): # all have one reader
                    shutil.copy(self.path("a.json"), self.path("out/report.json"))
                    self.assert_one_line(self.limited(*REPORT))

    def test_measurements(self):
        many = list(range(1, 100001))
        texts = {
            "many samples": results([row("a", many), row("b", many[::-1])]),
            "more samples than are read": results([row("a", [1] * 1000001)]),
            "many rows": results([row(str(i), [1]) for i in range(60000)]),
            "many metrics": results([row("a", [1], f"m{i}") for i in range(60000)]),
            "more rows than are read": '{"schema_version": 1, "kind": "sweep", "measurements": ['
                                       + "0," * 100001 + "0]}",
            "ties": results([row("a", [1] * 500000)]),
        }
        for name, text in texts.items():
            with self.subTest(name):
                self.write("a.json", text)
                self.assert_ends(self.limited("compare", "a.json", "a.json"))
                self.assert_ends(self.limited("export", "a.json"))
                self.assert_ends(self.limited("export", "a.json", "--markdown", "-"))

    def test_benchmarks(self):
        rows = [{"name": "a", "real_time": i, "time_unit": "ns"} for i in range(1, 100001)]
        self.write("a.json", json.dumps({"context": {}, "benchmarks": rows}))
        result = self.limited("compare", "a.json", "a.json")
        self.assertEqual(result.returncode, 0, result.stderr)
        self.assertIn(b"not shown", result.stdout)

    def model(self, header, data=b"", length=None):
        text = header.encode()
        size = len(text) if length is None else length
        return self.write("model", struct.pack("<Q", size) + text + data)

    def test_models(self):
        network = "input 1 28 28\nflatten\nlinear 1048576\nlinear 222\nlinear 10\n"
        huge = json.dumps({"__metadata__": {"convmark.network": "x",
                                            "convmark.network_text": network}})
        tensor = '"%d":{"dtype":"F32","shape":[0],"data_offsets":[0,0]},'
        tensors = "{" + "".join(tensor % i for i in range(150000))[:-1] + "}"
        headers = {
            "a network of gigabytes": huge,
            "tensors": tensors,
            "objects": repeated('{},', 30 << 20, '{"a":[', "0]}"),
            "one string": '{"a":"' + "x" * (30 << 20) + '"}',
            "depth": '{"a":' + "[" * (30 << 20),
            "long shapes": '{"a":{"dtype":"F32","shape":[' + "1," * 900000 + '1]}}',
        }
        for name, header in headers.items():
            self.model(header)
            for words in (("describe", "./model"), ("evaluate", "model", "--data", "synthetic"),
                          ("train", "./tiny.txt", "--load", "model", *SHORT)):
                with self.subTest(name, command=words[0]):
                    self.assert_one_line(self.limited(*words), (1, 2, 3))

    def test_files_with_holes(self):
        """100 GB that take no room on the disk."""
        self.model("{}")
        with open(self.path("model"), "r+b") as file:
            file.truncate(100 << 30)
        shutil.copy(self.path("tiny.txt"), self.path("holes.txt"))
        with open(self.path("holes.txt"), "r+b") as file:
            file.truncate(100 << 30)
        for words in (("evaluate", "model", "--data", "synthetic"), ("compare", "model", "model"),
                      ("describe", "./holes.txt"), ("predict", "model", "holes.txt"),
                      ("train", "./tiny.txt", "--load", "model", *SHORT),
                      ("train", "./tiny.txt", "--resume", "model", *SHORT)):
            with self.subTest(words):
                self.assert_one_line(self.limited(*words), (1, 2, 3))

    def test_networks(self):
        texts = {
            "layers": "input 1 28 28\n" + "relu\n" * 200000 + "flatten\nlinear 10\n",
            "a line": "input 1 28 28" + " " * 1000000,
            "a comment": "#" * 1000000,
            "a megabyte more": "#\n" * (1 << 20),
            "width": "input 1 28 28\nflatten\n" + "linear 1048576\n" * 400 + "linear 10\n",
            "maps": "input 1 1024 1024\n" + "conv2d 1024 kernel 3 padding 1\n" * 300 +
                    "flatten\nlinear 10\n",
        }
        for name, text in texts.items():
            self.write("net.txt", text)
            for words in (("describe", "./net.txt"), ("train", "./net.txt", *SHORT)):
                with self.subTest(name, command=words[0]):
                    result = self.limited(*words)
                    if words[0] == "describe":
                        self.assert_ends(result)
                    else:
                        self.assert_one_line(result, (1, 2, 3))

    def test_checkpoints(self):
        def number(value):
            return struct.pack("<Q", value)
        head = b"\x89CMCKPT\n" + number(1)
        contents = {
            "zeros": head + bytes(50 << 20),
            "a long text": head + number(1) + number(50 << 20) + bytes(50 << 20),
            "a length beyond all": head + number(1) + number(2**64 - 1) + b"x" * 1000,
            "too long a file": head + bytes(300 << 20),
        }
        for name, content in contents.items():
            with self.subTest(name):
                self.write("c", content + hashlib.sha256(content).hexdigest().encode())
                self.assert_one_line(self.limited("train", "./tiny.txt", *SHORT, "--resume", "c"),
                                     (1, 2, 3))

    def test_images(self):
        """Gzip members that become gigabytes, and headers that ask for them."""
        os.mkdir(self.path("data"))
        zeros = gzip.compress(bytes(1 << 20)) * 2000
        labels = {part: gzip.compress(struct.pack(">II", 0x801, n) + bytes(n))
                  for part, n in (("train", 60000), ("t10k", 10000))}
        shapes = {
            "the right shape": (60000, 28, 28), "the largest": (2**31 - 1, 2**31 - 1, 2**31 - 1),
            "none": (0, 0, 0), "a thousand pictures": (1000, 28, 28)}
        for name, shape in shapes.items():
            head = gzip.compress(struct.pack(">IIII", 0x803, *shape))
            for part in ("train", "t10k"):
                self.write(f"data/{part}-images-idx3-ubyte.gz", head + zeros)
                self.write(f"data/{part}-labels-idx1-ubyte.gz", labels[part])
            with self.subTest(name):
                words = list(SHORT)
                words[words.index("synthetic")] = "data"
                self.assert_one_line(self.limited("train", "./tiny.txt", *words))

    def test_pictures(self):
        self.succeed("train", "./tiny.txt", *SHORT, "--save", "model", "--quiet")

        def chunk(kind, data):
            body = kind + data
            return struct.pack(">I", len(data)) + body + struct.pack(">I", zlib.crc32(body))

        def picture(side, rows, extra=b""):
            head = struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0)
            return (b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + extra +
                    chunk(b"IDAT", zlib.compress(bytes((1 + 3 * side) * rows), 9)) +
                    chunk(b"IEND", b""))
        text = chunk(b"zTXt", b"a\0\0" + zlib.compress(bytes(200 << 20), 9))
        pictures = {
            "wide": picture(16384, 1), "the largest": picture(2**31 - 1, 0),
            "a real one": picture(5000, 5000), "texts": picture(28, 28, text * 100),
            "profile": picture(28, 28, chunk(b"iCCP", b"a\0\0" + zlib.compress(bytes(200 << 20)))),
        }
        for name, content in pictures.items():
            with self.subTest(name):
                self.write("a.png", content)
                self.assert_ends(self.limited("predict", "model", "a.png"))

    def test_the_limits_hold(self):
        """What takes more than is allowed is ended."""
        words = ("train", "./tiny.txt", *SHORT, "--steps", "1000000", "--quiet")
        self.assertEqual(self.limited(*words, seconds=1).returncode, -9)
        self.write("tiny.txt", "input 1 28 28\nflatten\nlinear 100000\nlinear 10\n")
        self.assertIn(b"memory", self.limited(*words).stderr)


if __name__ == "__main__":
    unittest.main()
