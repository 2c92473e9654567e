#!/usr/bin/env python3
"""convmark against PyTorch. oracles/pytorch_golden.json holds PyTorch's outputs, so PyTorch is not
needed; where `scripts/peers.sh setup` was done, the test compares with PyTorch itself as well and
exchanges files with it. docs/guide/pytorch.md explains.

Environment: CONVMARK (the program), CONVMARK_LIBRARY (libconvmark.so), CC (a C compiler: cc if it
is not set), CONVMARK_PEERS_PYTHON (a Python with PyTorch; the one of scripts/peers.sh if it is not
set).
"""

import ctypes
import json
import os
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
PEERS = ROOT / "scripts/peers"
sys.path.insert(0, str(PEERS))
import convmark_library  # noqa: E402  (these need the path above)
import fashion_mnist  # noqa: E402
import variants  # noqa: E402
from convmark_library import Library, Model  # noqa: E402
from fingerprint import distance, fingerprint  # noqa: E402

CONVMARK = os.environ.get("CONVMARK", "convmark")
LIBRARY = os.environ.get("CONVMARK_LIBRARY", "")
needs_library = unittest.skipUnless(os.path.exists(LIBRARY),
                                    "CONVMARK_LIBRARY names no shared library")
CACHE = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
PEERS_PYTHON = Path(os.environ.get("CONVMARK_PEERS_PYTHON", CACHE / "convmark/peers/bin/python"))

GOLDEN = json.loads((HERE.parent / "oracles/pytorch_golden.json").read_text())
STEPS, BATCH = GOLDEN["steps"], GOLDEN["batch"]
PIXELS = 28 * 28
GRADIENT_TOLERANCE = 1e-4  # of a tensor's norm
# A gradient this small beside all of them is zero in exact arithmetic (a bias before batch norm):
# what is computed is rounding, which must stay small beside all of them too.
NEGLIGIBLE = 1e-6
LIVE = ("baseline", "bn-3")  # what is computed again where PyTorch is
DATA = fashion_mnist.find()


def loss_tolerance(name: str) -> float:
    return 1e-3 if name == "bn-16" else 1e-4


def convmark(*words: str) -> None:
    run = subprocess.run([CONVMARK, *words], capture_output=True, text=True)
    if run.returncode != 0:
        raise AssertionError(f"convmark {' '.join(words)}: exit {run.returncode}: {run.stderr}")


class FolderTest(unittest.TestCase):
    """A test with a folder of its own."""

    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = Path(folder.name)

    def network(self, name: str) -> str:
        """A network text file of the variant without dropout, whose random numbers differ."""
        path = self.folder / f"{name}.txt"
        path.write_text(variants.network_text(variants.find(name), dropout=False))
        return str(path)


@needs_library
class BindingTest(FolderTest):
    """What the other tests and the peers see through ctypes is what the library means."""

    def test_structures_are_those_of_the_headers(self):
        names = {"cm_error": convmark_library.Error,
                 "cm_model_options": convmark_library.ModelOptions,
                 "cm_optimizer": convmark_library.Optimizer,
                 "cm_batch_result": convmark_library.BatchResult,
                 "cm_tensor_spec": convmark_library.TensorSpec}
        expected = {"CM_CONV2D_AUTO": convmark_library.CONV_ALGORITHM_AUTO}
        for name, structure in names.items():
            expected[f"sizeof({name})"] = ctypes.sizeof(structure)
            for field, _ in structure._fields_:
                expected[f"offsetof({name}, {field})"] = getattr(structure, field).offset
                expected[f"sizeof((({name} *)0)->{field})"] = getattr(structure, field).size
        lines = "".join(f'printf("%zu\\n", (size_t){text});\n' for text in expected)
        source, program = self.folder / "sizes.c", self.folder / "sizes"
        source.write_text("#include <stddef.h>\n#include <stdio.h>\n#include \"convmark/model.h\"\n"
                          f"int main(void) {{\n{lines}return 0;\n}}\n")
        subprocess.run([os.environ.get("CC", "cc"), "-std=c17", f"-I{ROOT / 'include'}",
                        source, "-o", program], check=True)
        printed = subprocess.run([program], capture_output=True, text=True, check=True).stdout
        self.assertEqual(dict(zip(expected, map(int, printed.split()), strict=True)), expected)

    def test_library_reads_the_options(self):
        library = Library(LIBRARY)
        model = Model(library, self.network("baseline"), 5, 3, True, "scalar")
        self.addCleanup(model.close)
        self.assertEqual(model.isa(), "scalar")
        for wrong in ((5, 3, "neon"), (5, 2, "scalar"), (4, 3, "scalar")):
            with self.assertRaisesRegex(RuntimeError, "asked for"):
                model._check_options(*wrong)


@unittest.skipIf(DATA is None, "Fashion-MNIST is not installed: scripts/get-data.sh")
class ParityTest(FolderTest):
    """Nothing by itself: how both are run and compared."""

    def train(self, network: str, *words: str) -> dict:
        result = self.folder / "train.json"
        convmark("train", network, "--quiet", "--json", str(result), *words)
        return json.loads(result.read_text())

    def evaluate(self, model: Path, *words: str) -> dict:
        result = self.folder / "evaluate.json"
        convmark("evaluate", str(model), "--quiet", "--json", str(result), *words)
        return json.loads(result.read_text())

    def initial(self, network: str, seed: int) -> Path:
        path = self.folder / "initial.safetensors"
        self.train(network, "--steps", "0", "--seed", str(seed), "--save", str(path))
        return path

    def unshuffled(self, network: str, initial: Path, *words: str) -> dict:
        return self.train(network, "--load", str(initial), "--no-shuffle", "--epochs", "1",
                          "--steps", str(STEPS), "--valid-steps", "0", *words)

    def assert_near(self, ours: list[float], theirs: list[float], tolerance: float, what: str):
        self.assertEqual(len(ours), len(theirs), what)
        for step, (a, b) in enumerate(zip(ours, theirs), 1):
            self.assertLessEqual(abs(a - b), tolerance * abs(b), f"{what}, step {step}: {a}, "
                                 f"PyTorch {b}, relative {abs(a - b) / abs(b):.1e}")

    def assert_evaluation(self, ours: dict, theirs: dict, what: str):
        for figure in ("loss", "accuracy"):
            self.assertAlmostEqual(ours[figure], theirs[figure], delta=1e-5, msg=(what, figure))

    def compare_training(self, name: str, row: dict):
        """Losses of all steps, and what the trained model gives on the test images."""
        network, trained = self.network(name), self.folder / "trained.safetensors"
        run = self.unshuffled(network, self.initial(network, row["seed"]), "--save", str(trained))
        losses, free, lockstep = run["step_losses"], row["losses"], row["lockstep"]
        tolerance = loss_tolerance(name)
        self.assertGreaterEqual(len(free), 3)
        # With batch norm a free run is chaotic within a few steps (docs/guide/pytorch.md):
        # lockstep only.
        if not name.startswith("bn-"):
            self.assert_near(losses[:len(free)], free, tolerance, f"{name}, free")
        # PyTorch's losses at our own parameters belong to exactly these parameters.
        self.assertEqual(run["sha256"], lockstep["sha256"],
                         "results have changed: run scripts/peers.sh golden")
        self.assert_near(losses, lockstep["losses"], tolerance, f"{name}, in lockstep")
        self.assert_near(losses[1:], lockstep["losses_after_update"], tolerance,
                         f"{name}, after PyTorch's update")
        self.assert_evaluation(self.evaluate(trained), row["evaluation"], name)

    def compare_step_1(self, name: str, row: dict):
        library = Library(LIBRARY)
        _, pixels, labels = fashion_mnist.load(DATA, "train")
        model = Model(library, self.network(name), BATCH, 2, True)
        self.addCleanup(model.close)
        model.initialize(row["seed"])
        self.assertEqual(model.sha256(), row["initial_sha256"], "initial values")
        model.train_step(library.floats(pixels[:BATCH * PIXELS]), labels[:BATCH])
        self.compare_gradients(name, model.gradients(), row["gradients"])

    def compare_gradients(self, name: str, ours: dict, theirs: dict):
        self.assertEqual(list(ours), list(theirs))
        total = sum(row["norm"] ** 2 for row in theirs.values()) ** 0.5
        for tensor, row in theirs.items():
            difference = distance(fingerprint(tensor, ours[tensor]), row)
            scale = row["norm"] if row["norm"] > NEGLIGIBLE * total else total
            self.assertLessEqual(difference, GRADIENT_TOLERANCE * scale,
                                 f"{name}: {tensor}: {difference / scale:.1e} of its norm")


class GoldenTest(ParityTest):
    def test_file_has_all_variants(self):
        self.assertEqual(tuple(GOLDEN["variants"]), variants.DISTINCT)

    def test_losses(self):
        for name, row in GOLDEN["variants"].items():
            with self.subTest(name):
                self.compare_training(name, row)

    @needs_library
    def test_gradients_of_step_1(self):
        for name, row in GOLDEN["variants"].items():
            with self.subTest(name):
                self.compare_step_1(name, row)

    def test_dropout_of_zero_changes_nothing(self):
        runs = []
        for name in ("baseline", "dropout-out-0.5", "dropout-conv-0.5", "dropout-conv-0.3"):
            network = self.network(name)
            initial = self.initial(network, 1)
            run = self.unshuffled(network, initial)
            runs.append((run["sha256"], run["step_losses"]))
        self.assertEqual(runs, runs[:1] * len(runs))


@unittest.skipUnless(PEERS_PYTHON.exists(), "no PyTorch: scripts/peers.sh setup")
@needs_library
class LiveTest(ParityTest):
    """PyTorch's outputs computed here and now, for the small variants."""

    def test_pytorch_itself(self):
        output = self.folder / "golden.json"
        for name in LIVE:
            with self.subTest(name):
                seed = GOLDEN["variants"][name]["seed"]  # those before it do not serve
                run = subprocess.run([PEERS_PYTHON, PEERS / "parity.py", "golden", output,
                                      "--variants", name, "--first-seed", str(seed)],
                                     capture_output=True, text=True)
                self.assertEqual(run.returncode, 0, run.stderr)
                row = json.loads(output.read_text())["variants"][name]
                self.compare_training(name, row)
                self.compare_step_1(name, row)


@unittest.skipUnless(PEERS_PYTHON.exists(), "no PyTorch: scripts/peers.sh setup")
class ExchangeTest(ParityTest):
    """A file saved by one is loaded by the other, load_state_dict(strict=True) included."""

    def test_files_both_ways(self):
        theirs = self.folder / "theirs.safetensors"
        for name in ("baseline", "dropout-conv-0.5", "bn-3"):
            with self.subTest(name):
                ours = self.folder / "ours.safetensors"
                self.train(name, "--epochs", "1", "--steps", "5", "--valid-steps", "0", "--save",
                           str(ours))
                run = subprocess.run(
                    [PEERS_PYTHON, PEERS / "parity.py", "exchange", name, ours, theirs],
                    capture_output=True, text=True)
                self.assertEqual(run.returncode, 0, run.stderr)
                answer = json.loads(run.stdout)
                self.assert_evaluation(self.evaluate(ours), answer["loaded"], f"{name}: ours")
                self.assert_evaluation(self.evaluate(theirs, "--network", name),
                                       answer["saved"], f"{name}: PyTorch's")

    def test_every_variant_loads_strictly(self):
        script = ("import sys, model, variants; from safetensors.torch import load_file\n"
                  "for name, file in zip(sys.argv[1::2], sys.argv[2::2], strict=True):\n"
                  "    module = model.build(variants.find(name))\n"
                  "    print(name, module.load_state_dict(load_file(file), strict=True))")
        words = []
        for name in variants.IDS:
            words += [name, self.initial(name, 1).rename(self.folder / f"{name}.safetensors")]
        run = subprocess.run([PEERS_PYTHON, "-c", script, *words], cwd=PEERS,
                             capture_output=True, text=True)
        self.assertEqual(run.returncode, 0, run.stdout + run.stderr)
        self.assertEqual(run.stdout.count("All keys matched"), len(variants.IDS))


if __name__ == "__main__":
    unittest.main(verbosity=2)
