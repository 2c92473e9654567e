"""Convolutions that libraries are compared on, by set. Standard library only."""

from typing import NamedTuple

PASSES = ("forward", "backward_data", "backward_weights")


class Shape(NamedTuple):
    """Square maps and kernels, padding that keeps the map's size (rounded down)."""
    in_channels: int
    size: int
    out_channels: int
    kernel: int
    stride: int = 1

    @property
    def padding(self) -> int:
        return (self.kernel - 1) // 2

    def name(self, batch: int) -> str:
        stride = f"_s{self.stride}" if self.stride != 1 else ""
        return (f"n{batch}_c{self.in_channels}_h{self.size}_w{self.size}_k{self.out_channels}"
                f"_r{self.kernel}{stride}")


# What the published report's networks have; the layers with most work of ResNet-50 (He et al.,
# arXiv 1512.03385) and of VGG-16 (Simonyan & Zisserman, arXiv 1409.1556), at 224x224 pixels.
SETS = {
    "report": (Shape(1, 28, 128, 3), Shape(128, 9, 128, 3), Shape(128, 3, 128, 3),
               Shape(128, 1, 128, 3)),
    "resnet50": (Shape(3, 224, 64, 7, 2), Shape(64, 56, 64, 3), Shape(64, 56, 256, 1),
                 Shape(128, 28, 128, 3), Shape(512, 28, 128, 1), Shape(256, 14, 256, 3),
                 Shape(1024, 14, 256, 1), Shape(512, 7, 512, 3), Shape(512, 7, 2048, 1)),
    "vgg16": (Shape(3, 224, 64, 3), Shape(64, 224, 64, 3), Shape(128, 112, 128, 3),
              Shape(256, 56, 256, 3), Shape(512, 28, 512, 3), Shape(512, 14, 512, 3)),
}


def images(set_name: str, batch: int) -> int:
    """Images per call: large maps at a batch of 64 would need gigabytes."""
    return batch if set_name == "report" else min(batch, 16)
