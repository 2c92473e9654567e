"""Writes variants as ONNX files: export_onnx.py BATCH FOLDER VARIANT...

FOLDER/VARIANT.safetensors are the values, FOLDER/VARIANT.onnx what is written: evaluation mode, a
fixed batch, so that a runtime can plan for it.
"""

import sys
from pathlib import Path

import safetensors.torch
import torch

import model as models
import variants


def export(variant: variants.Variant, batch: int, folder: Path) -> None:
    module = models.build(variant)
    module.load_state_dict(safetensors.torch.load_file(folder / f"{variant.id}.safetensors"))
    torch.onnx.export(module.eval(), (torch.zeros(batch, 1, 28, 28),),
                      folder / f"{variant.id}.onnx", dynamo=True, external_data=False,
                      verbose=False)


if __name__ == "__main__":
    for name in sys.argv[3:]:
        export(variants.find(name), int(sys.argv[1]), Path(sys.argv[2]))
