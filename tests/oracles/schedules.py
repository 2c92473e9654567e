#!/usr/bin/env python3
"""Golden learning rates. usage: python3 schedules.py > schedules_golden.h

The formulas of PyTorch's StepLR (chained, as it computes), CosineAnnealingLR (closed form, eta_min
0) and OneCycleLR (two phases, cos, pct_start 0.3, div_factor 25, final_div_factor 1e4).
"""

import math

RATE = 1e-3


def constant(_step, _total, _epoch_steps, _step_epochs, _factor):
    return RATE


def stepped(step, _total, epoch_steps, step_epochs, factor):
    rate = RATE
    for epoch in range(1, step // epoch_steps + 1):
        if epoch % step_epochs == 0:
            rate *= factor
    return rate


def cosine(step, total, *_):
    return RATE * (1 + math.cos(math.pi * step / total)) / 2


def one_cycle(step, total, *_):
    def anneal(start, end, share):
        return end + (start - end) / 2.0 * (math.cos(math.pi * share) + 1)

    first = RATE / 25
    last = first / 1e4
    phases = ((float(0.3 * total) - 1, first, RATE), (total - 1, RATE, last))
    begin = 0
    for i, (end, low, high) in enumerate(phases):
        if step <= end or i == len(phases) - 1:
            return anneal(low, high, (step - begin) / (end - begin))
        begin = end
    raise AssertionError


# name, function, epochs, batches per epoch, epochs between reductions, factor
RUNS = (("CONSTANT", constant, 2, 3, 1, 0.1), ("STEP", stepped, 5, 2, 1, 0.1),
        ("STEP", stepped, 11, 3, 4, 0.5), ("COSINE", cosine, 1, 1, 1, 0.1),
        ("COSINE", cosine, 3, 7, 1, 0.1), ("COSINE", cosine, 2, 50, 1, 0.1),
        ("ONE_CYCLE", one_cycle, 1, 1, 1, 0.1), ("ONE_CYCLE", one_cycle, 1, 3, 1, 0.1),
        ("ONE_CYCLE", one_cycle, 1, 4, 1, 0.1), ("ONE_CYCLE", one_cycle, 2, 5, 1, 0.1),
        ("ONE_CYCLE", one_cycle, 3, 50, 1, 0.1))


def main():
    print("/* By schedules.py: a row per batch. */")
    print("#ifndef CM_TESTS_SCHEDULES_GOLDEN_H\n#define CM_TESTS_SCHEDULES_GOLDEN_H\n")
    print('#include "train/schedule.h"\n')
    print("/* kind, epochs, batches per epoch, epochs between reductions, factor; batch, rate */")
    print("static const struct {\n    cm_schedule_kind kind;\n    int epochs, steps, step_epochs;\n"
          "    double factor;\n    int step;\n    double rate;\n} schedules_golden[] = {")
    for name, function, epochs, steps, step_epochs, factor in RUNS:
        for step in range(epochs * steps):
            rate = function(step, epochs * steps, steps, step_epochs, factor)
            row = (f"CM_SCHEDULE_{name}", epochs, steps, step_epochs, factor, step, rate.hex())
            print(f"    {{{', '.join(map(str, row))}}},")
    print("};\n\n#endif")


main()
