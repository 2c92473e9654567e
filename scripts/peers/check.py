"""Whether every peer computes what convmark computes: scripts/peers.sh check.

From the same weights: losses of the first training steps, logits of a batch, outputs of
convolutions; each in every way that `speed` may run it. Standard library only.
"""

import math
import sys
import tempfile
from pathlib import Path

import conv_shapes
import options as common
import variants
import works
from frameworks import FRAMEWORKS, PeerError
from process import Process

OURS = "convmark"
STEPS = 3
CONV_IMAGES = 2
LOGITS, OUTPUT = 1e-5, 1e-5  # L2 distance over norm
# Relative, of the first loss and of later ones, without batch norm and with it. There Adam's first
# steps are near +-learning rate whatever a gradient's size: where it is a rounding error, its sign
# is, and runs part quickly. (docs/guide/peers.md)
LOSSES = {False: (1e-5, 1e-5), True: (1e-4, 3e-2)}


def losses_differ(ours: list[list[float]], theirs: list[list[float]],
                  batch_norm: bool) -> tuple[float, bool]:
    """The largest relative difference, and whether one is above its tolerance."""
    first, later = LOSSES[batch_norm]
    differences = [abs(a[0] - b[0]) / abs(a[0]) for a, b in zip(ours, theirs, strict=True)]
    within = differences[0] <= first and all(each <= later for each in differences[1:])
    return max(differences), not within


def distance(ours: list[float], theirs: list[float], tolerance: float) -> tuple[float, bool]:
    relative = math.dist(ours, theirs) / math.hypot(*ours)
    return relative, not relative <= tolerance


def outputs(process: Process, work: works.Work, setup: str):
    process.ask("prepare", work=work.request, setup=setup)
    if work.mode == "conv":
        return process.ask("output")
    values = process.ask("values", batches=STEPS if work.mode == "train" else 1)
    return values if work.mode == "train" else values[0]


def compare(work: works.Work, ours, theirs) -> tuple[float, bool]:
    if work.mode == "train":
        return losses_differ(ours, theirs, variants.find(work.what).batch_norm)
    return distance(ours, theirs, LOGITS if work.mode == "infer" else OUTPUT)


def check_mode(mode: str, list_of_works: list[works.Work], chosen: list[str], options) -> int:
    """Prints a row each; how many differ."""
    threads, failures = max(options.threads), 0
    with Process(OURS, mode, threads, options.batch, options.isa) as process:
        expected = [outputs(process, work, "default") for work in list_of_works]
    for name in chosen:
        if name == OURS or mode not in FRAMEWORKS[name].workers:
            continue
        with Process(name, mode, threads, options.batch, options.isa) as process:
            for work, ours in zip(list_of_works, expected):
                for setup in process.ask("setups", mode=mode):
                    difference, differs = compare(work, ours, outputs(process, work, setup))
                    failures += differs
                    print(f"{FRAMEWORKS[name].title:<11}  {mode:<5}  {work.what:<44}  {setup:<45}  "
                          f"{difference:8.1e}  {'DIFFERS' if differs else 'same'}", flush=True)
    return failures


def every(options, folder: Path) -> dict[str, list[works.Work]]:
    threads = max(options.threads)
    result = {mode: [works.network(mode, variant, options.batch, threads, folder, dropout=False,
                                   trained=mode == "infer") for variant in options.variants]
              for mode in options.modes if mode != "conv"}
    if "conv" in options.modes:
        result["conv"] = [works.convolution(which, shape, CONV_IMAGES, threads)
                          for name in options.shapes for shape in conv_shapes.SETS[name]
                          for which in conv_shapes.PASSES]
    return result


def main() -> int:
    parser = common.Parser(prog="peers.sh check", description=(
        "Compares what each peer computes from the same weights with convmark's: losses of "
        f"{STEPS} training steps without dropout, logits, outputs of convolutions."))
    common.add_common(parser)
    options = parser.parse_args()
    failures = 0
    try:
        chosen = common.settle(options)
        if options.dry_run:
            return 0
        with tempfile.TemporaryDirectory(prefix="convmark-peers-") as folder:
            works.make_files(options, chosen, Path(folder))
            for mode, list_of_works in every(options, Path(folder)).items():
                failures += check_mode(mode, list_of_works, chosen, options)
    except (PeerError, OSError) as error:
        print(f"peers.sh: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    if failures:
        print(f"peers.sh: {failures} ways of running compute something else", file=sys.stderr)
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
