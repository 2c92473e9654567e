"""Pieces of work that frameworks are measured on, and the files these need.
Standard library only."""

import subprocess
from pathlib import Path
from typing import NamedTuple

import conv_shapes
import frameworks
from frameworks import FRAMEWORKS, PeerError
from process import Process

TRAINED_STEPS = 8  # steps that made the weights: running statistics are then not 0 and 1


class Work(NamedTuple):
    mode: str
    what: str  # for people: the variant, or pass and shape
    name: str  # docs/reference/results-schema.md
    images: int  # of one step or call
    request: dict  # what a worker prepares
    parts: dict  # the name's parts

    def frameworks(self, chosen: list[str]) -> list[str]:
        return [name for name in chosen if self.mode in FRAMEWORKS[name].workers]


def network(mode: str, variant: str, batch: int, threads: int, folder: Path,
            dropout: bool = True, trained: bool = True) -> Work:
    weights = folder / f"{variant}{'' if trained else '-initial'}.safetensors"
    return Work(mode, variant, f"{mode}/{variant}/n{batch}/threads:{threads}", batch,
                {"mode": mode, "variant": variant, "weights": str(weights),
                 "onnx": str(folder / f"{variant}.onnx"), "dropout": dropout},
                {"mode": mode, "variant": variant, "batch": batch, "threads": threads})


def convolution(which: str, shape: conv_shapes.Shape, images: int, threads: int) -> Work:
    what = f"{which}/{shape.name(images)}"
    return Work("conv", what, f"conv2d/{what}/threads:{threads}", images,
                {"mode": "conv", "pass": which, "shape": shape, "images": images},
                {"mode": "conv", "pass": which, "shape": shape.name(images), "batch": images,
                 "threads": threads})


def every(options, threads: int, folder: Path) -> list[Work]:
    """All work that `options` asks for at this thread count."""
    result = [network(mode, variant, options.batch, threads, folder)
              for mode in options.modes if mode != "conv" for variant in options.variants]
    if "conv" in options.modes:
        result += [convolution(which, shape, conv_shapes.images(name, options.batch), threads)
                   for name in options.shapes for shape in conv_shapes.SETS[name]
                   for which in conv_shapes.PASSES]
    return result


def make_files(options, chosen: list[str], folder: Path) -> None:
    """Weights of the variants, drawn and trained by convmark, and where a framework reads such,
    ONNX files of them, exported from PyTorch's modules."""
    if not {"train", "infer"} & set(options.modes):
        return
    with Process("convmark", "train", max(options.threads), options.batch) as ours:
        for variant in options.variants:
            for ending, steps in (("", TRAINED_STEPS), ("-initial", 0)):
                ours.ask("save", variant=variant, steps=steps,
                         path=str(folder / f"{variant}{ending}.safetensors"))
    if "infer" in options.modes and any(FRAMEWORKS[name].environment == "inference"
                                        for name in chosen):
        export_onnx(options.variants, options.batch, folder)


def export_onnx(variants: list[str], batch: int, folder: Path) -> None:
    done = subprocess.run([frameworks.python("pytorch"), str(frameworks.HERE / "export_onnx.py"),
                           str(batch), str(folder), *variants], capture_output=True, text=True,
                          check=False)
    if done.returncode != 0:
        raise PeerError(f"export to ONNX: {(done.stderr.strip() or 'failed').splitlines()[-1]}")
