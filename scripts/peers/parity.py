"""convmark against PyTorch from the same initial values: what the parity test compares with.

    parity.py golden OUTPUT.json [--variants ID,...]   PyTorch's outputs, for machines without it
    parity.py exchange VARIANT IN.safetensors OUT.safetensors
        loads IN (strict), evaluates it, trains 3 steps, saves OUT, evaluates that; JSON on stdout

CONVMARK_LIBRARY names the shared library. docs/pytorch.md explains every figure.
"""

import argparse
import copy
import json
import os
import sys
import tempfile
from pathlib import Path

import torch
from torch.nn.functional import cross_entropy, unfold

import fashion_mnist
import model as models
import variants
from convmark_library import Library, Model
from fingerprint import fingerprint

STEPS, BATCH, PIXELS = 20, 64, 784
SEEDS = 12  # tried for the best conditioned first step
ROUNDING = 2.0**-22  # relative size of the perturbation: two units of float32's last place


def tolerance(variant: str) -> float:
    """Relative, of a step's loss."""
    return 1e-3 if variant == "bn-16" else 1e-4


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


def train(module, data: Data, steps: int = STEPS) -> list[float]:
    optimizer = models.adam(module.train())
    return [train_step(module, optimizer, *data.batch(step)) for step in range(steps)]


@torch.inference_mode()
def evaluate(module, data: Data) -> dict:
    module.eval()
    total, right = 0.0, 0
    for rows in torch.arange(len(data.labels)).split(500):
        logits = module(data.images[rows]).double()
        total += cross_entropy(logits, data.labels[rows], reduction="sum").item()
        right += (logits.argmax(1) == data.labels[rows]).sum().item()
    return {"loss": total / len(data.labels), "accuracy": right / len(data.labels)}


@torch.inference_mode()
def smallest_gap(module, images: torch.Tensor) -> float:
    """How far the first step is from a jump of the gradient: over all max-pool windows, the least
    distance of the two largest different values, against the map's root mean square."""
    values, least = images, float("inf")
    for layer in module.train().conv:
        if isinstance(layer, torch.nn.MaxPool2d):
            windows = unfold(values.reshape(-1, 1, *values.shape[2:]), 3, stride=3)
            largest = windows.topk(2, dim=1).values
            gap = largest[:, 0] - largest[:, 1]
            # Equal in float64 to 1e-12: the same patch twice, hence the same gradient.
            counted = (largest[:, 0] > 0) & (gap > 1e-12)
            if counted.any():
                least = min(least, (gap[counted].min() / values.square().mean().sqrt()).item())
        values = layer(values)
    return least


def choose_seed(ours: Model, module, data: Data) -> tuple[int, float]:
    images = data.batch(0)[0].double()
    gaps = {}
    for seed in range(SEEDS):
        ours.initialize(seed)
        trial = copy.deepcopy(module).double()
        copy_into(trial, ours)
        gaps[seed] = smallest_gap(trial, images)
    seed = max(gaps, key=gaps.get)
    return seed, gaps[seed]


def perturbed(module):
    result, noise = copy.deepcopy(module), torch.Generator().manual_seed(0)
    with torch.no_grad():
        for parameter in result.parameters():
            uniform = torch.rand(parameter.shape, generator=noise, dtype=torch.float64)
            parameter.mul_(1 + ROUNDING * (2 * uniform - 1))
    return result


def agreeing_steps(losses: list[float], runs: list[list[float]], allowed: float) -> int:
    """Leading steps at which every run is within `allowed` of `losses`."""
    for step, loss in enumerate(losses):
        if any(abs(run[step] - loss) > allowed * loss for run in runs):
            return step
    return len(losses)


def lockstep(ours: Model, library: Library, module, data: Data) -> dict:
    """PyTorch's losses and gradients in float64 at convmark's own parameters of each step."""
    optimizer = models.adam(module.train())
    theirs, differences, worst = [], [], []
    for step in range(STEPS):
        copy_into(module, ours)
        images, labels = data.raw_batch(step)
        our_loss = ours.train_step(library.floats(images), labels)
        theirs.append(train_step(module, optimizer, *data.batch(step)))
        differences.append(abs(our_loss - theirs[-1]) / theirs[-1])
        worst.append(worst_gradient(ours, module))
    return {"sha256": ours.sha256(), "losses": theirs, "loss_difference": max(differences),
            "gradient_difference": worst}


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


def parameters_after(ours: Model, module) -> float:
    """|ours - PyTorch's| / |PyTorch's| over all parameters together."""
    values = ours.tensors()
    distance = total = 0.0
    for name, parameter in module.named_parameters():
        mine = torch.frombuffer(values[name], dtype=torch.float32).reshape(parameter.shape)
        distance += (mine - parameter).double().square().sum().item()
        total += parameter.double().square().sum().item()
    return (distance / total) ** 0.5


def golden_of(variant: variants.Variant, library: Library, data: Data, test: Data,
              folder: str) -> dict:
    text = Path(folder, f"{variant.id}.txt")
    text.write_text(variants.network_text(variant, dropout=False))
    ours = Model(library, str(text), BATCH, torch.get_num_threads(), True)
    single = models.build(variant, dropout=False)
    seed, gap = choose_seed(ours, single, data)
    ours.initialize(seed)
    copy_into(single, ours)
    initial_sha256, evaluation = ours.sha256(), evaluate(copy.deepcopy(single), test)

    double = copy.deepcopy(single).double()
    start = copy.deepcopy(double).train()
    cross_entropy(start(data.batch(0)[0].double()), data.batch(0)[1]).backward()
    gradients = {name: fingerprint(name, parameter.grad.flatten().tolist())
                 for name, parameter in start.named_parameters()}
    moved = train(perturbed(double), data)
    losses32, losses = train(single, data), train(copy.deepcopy(double), data)
    compared = agreeing_steps(losses, [losses32, moved], tolerance(variant.id) / 4)
    locked = lockstep(ours, library, double, data)
    report = (locked.pop("loss_difference"), locked.pop("gradient_difference"))
    print(f"{variant.id}: seed {seed} (gap {gap:.1e}), {compared} steps are well conditioned; in "
          f"lockstep losses differ by {report[0]:.1e}, gradients of step 1 by "
          f"{report[1][0][0]:.1e} ({report[1][0][1]}), worst step {max(report[1])[0]:.1e}; free "
          f"float32 parameters after {STEPS} steps by {parameters_after(ours, single):.1e}",
          file=sys.stderr, flush=True)
    ours.close()
    return {"seed": seed, "initial_sha256": initial_sha256, "evaluation": evaluation,
            "compared_steps": compared, "losses": losses, "losses_float32": losses32,
            "gradients": gradients, "lockstep": locked}


def rounded(value):
    """Ten digits are far more than any tolerance here needs."""
    if isinstance(value, float):
        return float(f"{value:.10g}")
    if isinstance(value, list):
        return [rounded(item) for item in value]
    return {key: rounded(item) for key, item in value.items()} if isinstance(value, dict) else value


def golden_text(document: dict) -> str:
    """JSON with one short value or one tensor a line."""
    def lines(value, depth: int) -> str:
        if not isinstance(value, dict) or "norm" in value:
            return json.dumps(value)
        rows = ",\n".join(f"{' ' * depth}{json.dumps(key)}: {lines(item, depth + 1)}"
                          for key, item in value.items())
        return f"{{\n{rows}\n{' ' * (depth - 1)}}}"
    return lines(rounded(document), 1) + "\n"


def golden(output: str, names: list[str]) -> None:
    folder = data_folder()
    library = Library(os.environ["CONVMARK_LIBRARY"])
    data, test = Data(folder, "train"), Data(folder, "test")
    with tempfile.TemporaryDirectory() as temporary:
        rows = {name: golden_of(variants.find(name), library, data, test, temporary)
                for name in names}
    document = {"origin": f"PyTorch {torch.__version__}, CPU; scripts/peers.sh golden",
                "steps": STEPS, "batch": BATCH, "variants": rows}
    Path(f"{output}.tmp").write_text(golden_text(document))
    os.replace(f"{output}.tmp", output)


def exchange(name: str, source: str, target: str) -> None:
    from safetensors.torch import load_file, save_file
    module = models.build(variants.find(name))
    module.load_state_dict(load_file(source), strict=True)
    folder = data_folder()
    test = Data(folder, "test")
    loaded = evaluate(module, test)
    train(module, Data(folder, "train"), 3)
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
    command = commands.add_parser("exchange")
    command.add_argument("variant", choices=variants.IDS)
    command.add_argument("source")
    command.add_argument("target")
    options = parser.parse_args()
    torch.manual_seed(0)
    if options.command == "golden":
        golden(options.output, options.variants.split(","))
    else:
        exchange(options.variant, options.source, options.target)


if __name__ == "__main__":
    main()
