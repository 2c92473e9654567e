"""The eight variants as PyTorch modules whose state_dict has convmark's names and shapes.

Run by hand it checks the parameter counts: python scripts/peers/model.py
"""

import torch
from torch import nn

from variants import VARIANTS, Variant


class ConvNet(nn.Module):
    """Two nn.Sequential: `conv` (conv, [batch norm], ReLU, [pool] a layer; at its end [dropout])
    and `dense` (flatten, linear, ReLU, dropout, linear)."""

    def __init__(self, variant: Variant, dropout: bool = True):
        super().__init__()
        layers: list[nn.Module] = []
        for i in range(variant.conv_layers):
            layers.append(nn.Conv2d(1 if i == 0 else 128, 128, kernel_size=3, padding=1))
            if variant.batch_norm:
                layers.append(nn.BatchNorm2d(128))
            layers.append(nn.ReLU())
            if i % variant.pool_period == 0:
                layers.append(nn.MaxPool2d(3, stride=3))
        if variant.dropout_conv:
            layers.append(nn.Dropout(variant.dropout_conv if dropout else 0.0))
        self.conv = nn.Sequential(*layers)
        self.dense = nn.Sequential(
            nn.Flatten(),
            nn.Linear(128, 128),
            nn.ReLU(),
            nn.Dropout(variant.dropout_output if dropout else 0.0),
            nn.Linear(128, 10),
        )

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return self.dense(self.conv(images))


def build(variant: Variant, dropout: bool = True) -> ConvNet:
    model = ConvNet(variant, dropout)
    count = sum(parameter.numel() for parameter in model.parameters())
    if count != variant.params:
        raise AssertionError(f"{variant.id}: {count} parameters, expected {variant.params}")
    return model


def adam(model: nn.Module, **options) -> torch.optim.Adam:
    """The protocol's optimizer: Adam with L2 weight decay added to the gradient (not AdamW)."""
    return torch.optim.Adam(model.parameters(), lr=1e-3, betas=(0.9, 0.999), eps=1e-8,
                            weight_decay=1e-5, **options)


if __name__ == "__main__":
    for row in VARIANTS:
        build(row)
        print(f"{row.id:18} {row.params:>9,} parameters")
