"""convmark against PyTorch from the same initial values: what the parity test compares with.

    parity.py golden OUTPUT.json [--variants ID,...] [--first-seed N]
        PyTorch's outputs, for machines without it
    parity.py exchange VARIANT IN.safetensors OUT.safetensors
        loads IN (strict), evaluates it, trains 3 steps, saves OUT, evaluates that; JSON on stdout

CONVMARK_LIBRARY names the shared library. docs/guide/pytorch.md explains every figure.
"""

import argparse
import copy
import json
import os
import sys
import tempfile
import time
from pathlib import Path

import torch
from torch.nn.functional import cross_entropy

import fashion_mnist
import model as models
import variants
from convmark_library import Library, Model
from fingerprint import fingerprint

STEPS, BATCH, PIXELS = 20, 64, 784
# Steps in which two runs can stay together by themselves; docs/guide/pytorch.md says why not all.
FREE_STEPS = {"baseline": 20, "bn-3": 20, "plain-8": 19, "bn-8": 4, "bn-16": 3}
GRADIENT_TOLERANCE = 1e-4  # of a tensor's norm
MARGIN = 0.75  # of each tolerance, when a seed is chosen
SEEDS = 50  # tried at most


def tolerance(variant: str) -> float:
    """Relative, of a step's loss."""
    return 1e-3 if variant == "bn-16" else 1e-4


def say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


class Data:
    def __init__(self, folder: Path, part: str):
        _, self.pixels, self.label_bytes = fashion_mnist.load(folder, part)
        bytes_ = torch.frombuffer(bytearray(self.pixels), dtype=torch.uint8)
        self.images = bytes_.reshape(-1, 1, 28, 28).float() / 255
        self.labels = torch.frombuffer(bytearray(self.label_bytes), dtype=torch.uint8).long()

    def batch(self, step: int) -> tuple[torch.Tensor, torch.Tensor]:
        rows = slice(step * BATCH, (step + 1) * BATCH)
        return self.images[rows], self.labels[rows]

    def raw_batch(self, step: int) -> tuple[bytes, bytes]:
        return (self.pixels[step * BATCH * PIXELS:(step + 1) * BATCH * PIXELS],
                self.label_bytes[step * BATCH:(step + 1) * BATCH])


def copy_into(module: torch.nn.Module, ours: Model) -> None:
    """convmark's values, num_batches_tracked apart, which no result depends on."""
    with torch.no_grad():
        state = module.state_dict()
        for name, values in ours.tensors().items():
            state[name].copy_(torch.frombuffer(values, dtype=torch.float32)
                              .reshape(state[name].shape))


def train_step(module, optimizer, images, labels) -> float:
    optimizer.zero_grad()
    loss = cross_entropy(module(images.to(next(module.parameters()).dtype)), labels)
    loss.backward()
    optimizer.step()
    return loss.item()


@torch.inference_mode()
def evaluate(module, data: Data) -> dict:
    module.eval()
    total, right = 0.0, 0
    for rows in torch.arange(len(data.labels)).split(100):
        logits = module(data.images[rows]).double()
        total += cross_entropy(logits, data.labels[rows], reduction="sum").item()
        right += (logits.argmax(1) == data.labels[rows]).sum().item()
    return {"loss": total / len(data.labels), "accuracy": right / len(data.labels)}


def our_step(ours: Model, library: Library, data: Data, step: int) -> float:
    images, labels = data.raw_batch(step)
    return ours.train_step(library.floats(images), labels)


def free_running(ours: Model, library: Library, module, data: Data, name: str) -> dict | None:
    """Both train by themselves, PyTorch in float64: its losses, and its gradients of step 1; None
    if they part before FREE_STEPS."""
    optimizer = models.adam(module.train())
    losses, gradients, difference, tensor = [], {}, 0.0, ""
    for step in range(FREE_STEPS[name]):
        our_loss = our_step(ours, library, data, step)
        losses.append(train_step(module, optimizer, *data.batch(step)))
        if step == 0:
            gradients = {key: fingerprint(key, parameter.grad.flatten().tolist())
                         for key, parameter in module.named_parameters()}
            difference, tensor = worst_gradient(ours, module)
        if (difference > MARGIN * GRADIENT_TOLERANCE
                or differences([our_loss], losses[-1:])[0] > MARGIN * tolerance(name)):
            break
    else:
        say(f"  gradients of step 1 differ by {difference:.1e} ({tensor})")
        return {"losses": losses, "gradients": gradients}
    return None


def choose_seed(ours: Model, library: Library, module, data: Data, name: str, first: int) -> dict:
    """The first seed, from `first` on, from which both take the same side of every kink that
    matters; `module`, in float64, gets its initial values."""
    for seed in range(first, first + SEEDS):
        ours.initialize(seed)
        copy_into(module, ours)
        row = {"seed": seed, "initial_sha256": ours.sha256()}
        found = free_running(ours, library, copy.deepcopy(module), data, name)
        if found:
            say(f"  seed {seed}; free-running for {FREE_STEPS[name]} steps")
            return row | found
    sys.exit(f"parity.py: {name}: convmark and PyTorch part early from each of {SEEDS} seeds")


def lockstep(ours: Model, library: Library, module, data: Data) -> dict:
    """PyTorch in float64, set to convmark's own parameters before each step: its loss there, and
    its loss on the next batch after its own update of them."""
    optimizer = models.adam(module.train())
    at, after, ours_at = [], [], []
    for step in range(STEPS):
        images, labels = data.batch(step)
        if step > 0:
            with torch.no_grad():
                after.append(cross_entropy(module(images.double()), labels).item())
        copy_into(module, ours)
        ours_at.append(our_step(ours, library, data, step))
        at.append(train_step(module, optimizer, images, labels))
    say(f"  in lockstep losses differ by {max(differences(ours_at, at)):.1e} at most, after "
        f"PyTorch's update by {max(differences(ours_at[1:], after)):.1e}")
    return {"sha256": ours.sha256(), "losses": at, "losses_after_update": after}


def differences(ours: list[float], theirs: list[float]) -> list[float]:
    """Relative."""
    return [abs(a - b) / b for a, b in zip(ours, theirs, strict=True)]


def worst_gradient(ours: Model, module) -> tuple[float, str]:
    """Largest |difference| / |gradient| of a tensor, and its name."""
    gradients = {name: value.grad.double() for name, value in module.named_parameters()}
    total = sum(g.square().sum().item() for g in gradients.values()) ** 0.5
    rows = []
    for name, values in ours.gradients().items():
        theirs = gradients[name]
        if theirs.norm() > 1e-6 * total:  # not zero in exact arithmetic
            mine = torch.frombuffer(values, dtype=torch.float32).reshape(theirs.shape).double()
            rows.append((((mine - theirs).norm() / theirs.norm()).item(), name))
    return max(rows)


def golden_of(variant: variants.Variant, library: Library, data: Data, test: Data,
              folder: str, first_seed: int) -> dict:
    begin = time.monotonic()
    text = Path(folder, f"{variant.id}.txt")
    text.write_text(variants.network_text(variant, dropout=False))
    ours = Model(library, str(text), BATCH, torch.get_num_threads(), True)
    say(variant.id)
    single = models.build(variant, dropout=False)
    double = copy.deepcopy(single).double()
    row = choose_seed(ours, library, double, data, variant.id, first_seed)
    ours.initialize(row["seed"])
    row["lockstep"] = lockstep(ours, library, double, data)
    copy_into(single, ours)
    row["evaluation"] = evaluate(single, test)
    ours.close()
    say(f"  {time.monotonic() - begin:.0f} s")
    return row


def rounded(value):
    """Ten digits are far more than any tolerance here needs."""
    if isinstance(value, float):
        return float(f"{value:.10g}")
    if isinstance(value, list):
        return [rounded(item) for item in value]
    return {key: rounded(item) for key, item in value.items()} if isinstance(value, dict) else value


def golden_text(document: dict) -> str:
    """JSON with one short value or one tensor per line."""
    def lines(value, depth: int) -> str:
        if not isinstance(value, dict) or "norm" in value:
            return json.dumps(value)
        rows = ",\n".join(f"{' ' * depth}{json.dumps(key)}: {lines(item, depth + 1)}"
                          for key, item in value.items())
        return f"{{\n{rows}\n{' ' * (depth - 1)}}}"
    return lines(rounded(document), 1) + "\n"


def golden(output: str, names: list[str], first_seed: int) -> None:
    """Writes the file after each variant; rows of other variants stay as they are in it."""
    folder = data_folder()
    library = Library(os.environ["CONVMARK_LIBRARY"])
    data, test = Data(folder, "train"), Data(folder, "test")
    path = Path(output)
    rows = json.loads(path.read_text())["variants"] if path.exists() else {}
    for name in names:
        with tempfile.TemporaryDirectory() as temporary:
            rows[name] = golden_of(variants.find(name), library, data, test, temporary,
                                   first_seed)
        document = {"origin": f"PyTorch {torch.__version__}, CPU; scripts/peers.sh golden",
                    "steps": STEPS, "batch": BATCH,
                    "variants": {name: rows[name] for name in variants.DISTINCT if name in rows}}
        Path(f"{output}.tmp").write_text(golden_text(document))
        os.replace(f"{output}.tmp", output)


def exchange(name: str, source: str, target: str) -> None:
    from safetensors.torch import load_file, save_file
    module = models.build(variants.find(name))
    module.load_state_dict(load_file(source), strict=True)
    folder = data_folder()
    test = Data(folder, "test")
    loaded = evaluate(module, test)
    data, optimizer = Data(folder, "train"), models.adam(module.train())
    for step in range(3):
        train_step(module, optimizer, *data.batch(step))
    save_file(module.state_dict(), target)
    print(json.dumps({"loaded": loaded, "saved": evaluate(module, test)}))


def data_folder() -> Path:
    folder = fashion_mnist.find()
    if folder is None:
        sys.exit("parity.py: Fashion-MNIST was not found; scripts/get-data.sh downloads it")
    return folder


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    commands = parser.add_subparsers(dest="command", required=True)
    command = commands.add_parser("golden")
    command.add_argument("output")
    command.add_argument("--variants", default=",".join(variants.DISTINCT))
    command.add_argument("--first-seed", type=int, default=0)
    command = commands.add_parser("exchange")
    command.add_argument("variant", choices=variants.IDS)
    command.add_argument("source")
    command.add_argument("target")
    options = parser.parse_args()
    torch.manual_seed(0)
    if options.command == "golden":
        golden(options.output, options.variants.split(","), options.first_seed)
    else:
        exchange(options.variant, options.source, options.target)


if __name__ == "__main__":
    main()
