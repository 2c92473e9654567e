#!/usr/bin/env python3
"""Golden values of ReduceLROnPlateau. usage: python3 -P plateau.py > plateau_golden.h

Needs torch. -P: torch wants the standard library's statistics, not the script beside this one.
"""

import random

import torch

random.seed(3)
FALLING = [1.0 / (1 + i) for i in range(12)]
NOISY = [round(random.uniform(0.4, 0.6), 6) for _ in range(40)]
SEQUENCES = (
    # learning rate, factor, patience, values
    (1e-3, 0.1, 10, FALLING),
    (1e-3, 0.1, 0, [1.0] * 8),
    (1e-3, 0.1, 1, [1.0] * 12),
    (1e-3, 0.1, 10, [0.5] * 36),
    (1e-2, 0.5, 2, NOISY),
    (1.0, 0.9, 1, NOISY),
    # about the relative threshold of 1e-4
    (1e-3, 0.1, 0, [1.0, 0.99991, 0.9999, 0.99989, 0.9998, 0.99979, 0.9997]),
    (1e-3, 0.1, 1, [1.0, 2.0, 0.5, 0.50001, 0.49999, 0.4, 0.4, 0.4, 0.4]),
    # a loss that is not a number, at the start and later
    (1e-3, 0.1, 1, [float("nan"), 1.0, float("nan"), float("nan"), 0.5, float("inf")]),
    # a change of 1e-8 or less is not made
    (2e-8, 0.5, 0, [1.0, 1.0, 1.0]),
    (2.1e-8, 0.5, 0, [1.0, 1.0, 1.0]),
)


def rates(rate, factor, patience, values):
    """The rate after each value."""
    optimizer = torch.optim.Adam([torch.zeros(1)], lr=rate)
    schedule = torch.optim.lr_scheduler.ReduceLROnPlateau(
        optimizer, factor=factor, patience=patience)
    for value in values:
        schedule.step(value)
        yield optimizer.param_groups[0]["lr"]


def number(value):
    """A C constant of the same bits."""
    if value != value:
        return "NAN"
    return "INFINITY" if value == float("inf") else value.hex()


def main():
    print(f"/* torch {torch.__version__.split('+')[0]}, by plateau.py: a row per epoch, with the "
          "learning rate after it. */")
    print("#ifndef CM_TESTS_PLATEAU_GOLDEN_H\n#define CM_TESTS_PLATEAU_GOLDEN_H\n")
    print("#include <math.h>\n")
    print("/* sequence, its first learning rate, factor, patience; value, learning rate */")
    print("static const struct {\n    int sequence;\n    double first, factor;\n    int patience;\n"
          "    double value, rate;\n} plateau_golden[] = {")
    for index, (rate, factor, patience, values) in enumerate(SEQUENCES):
        for value, after in zip(values, rates(rate, factor, patience, values)):
            print(f"    {{{index}, {rate!r}, {factor!r}, {patience}, {number(value)}, "
                  f"{number(after)}}},")
    print("};\n\n#endif")


main()
