#!/usr/bin/env python3
"""Prints tests/oracles/claims_golden.h: scipy on PyTorch's seeds.

Paired differences of mean accuracy with their 95 % intervals, and prediction intervals.
Needs scipy (made with 1.17); not run by the tests:
    cd tests/oracles; python3 claims.py | clang-format > claims_golden.h
"""
import collections
import json
import pathlib

import numpy
from scipy import stats

MEASURES = ("train", "test", "accuracy")
PARTS = [  # claim, part, a, b
    (0, 0, ["dropout-out-0.5"], "baseline"), (0, 1, ["dropout-conv-0.5"], "baseline"),
    (0, 2, ["dropout-conv-0.3"], "baseline"),
    (0, 3, ["dropout-out-0.5", "dropout-conv-0.5", "dropout-conv-0.3"], "baseline"),
    (0, 4, ["dropout-conv-0.3"], "dropout-conv-0.5"),
    (1, 0, ["bn-3"], "baseline"), (1, 1, ["bn-8"], "plain-8"), (2, 0, ["plain-8"], "baseline"),
    (3, 0, ["bn-3"], "bn-8"), (3, 1, ["bn-8"], "bn-16"), (4, 0, ["bn-3"], "baseline"),
    (4, 1, ["bn-3"], "dropout-out-0.5"), (4, 2, ["bn-3"], "dropout-conv-0.5"),
    (4, 3, ["bn-3"], "dropout-conv-0.3"), (4, 4, ["bn-3"], "plain-8"), (4, 5, ["bn-3"], "bn-8"),
    (4, 6, ["bn-3"], "bn-16")]


def main():
    runs = collections.defaultdict(list)
    path = pathlib.Path(__file__).with_name("pytorch_seeds.jsonl")
    for row in map(json.loads, path.read_text().splitlines()):
        runs[row["variant"]].append([row[m] for m in MEASURES])
    values = {variant: numpy.array(rows).T for variant, rows in runs.items()}
    n = 8
    print("/* Written by tests/oracles/claims.py from scipy; do not edit. */")
    print("#ifndef CM_CLAIMS_GOLDEN_H\n#define CM_CLAIMS_GOLDEN_H\n")
    print(f"enum {{ GOLDEN_SEEDS = {n} }};\n")
    print("static const struct {\n    const char *variant;\n    double values[3][GOLDEN_SEEDS];"
          " /* train loss, test loss, accuracy */\n    double low[3], high[3]; /* prediction */\n"
          "} golden_variants[] = {")
    for variant, rows in values.items():
        low, high = stats.t.interval(0.95, n - 1, rows.mean(1),
                                     rows.std(1, ddof=1) * (1 + 1 / n) ** 0.5)
        braces = ",\n      ".join("{" + ", ".join(map(repr, row.tolist())) + "}" for row in rows)
        ends = (", ".join(map(repr, end.tolist())) for end in (low, high))
        print(f'    {{"{variant}",\n     {{{braces}}},\n     {{{next(ends)}}}, {{{next(ends)}}}}},')
    print("};\n")
    print("static const struct {\n    int claim, part;\n    double difference, low, high, p;\n"
          "} golden_parts[] = {")
    for claim, part, a, b in PARTS:
        mean_a = numpy.mean([values[name][2] for name in a], axis=0)
        test = stats.ttest_rel(mean_a, values[b][2])
        ci = test.confidence_interval(0.95)
        difference = float(numpy.mean(mean_a - values[b][2]))
        print(f"    {{{claim}, {part}, {difference!r}, {float(ci.low)!r}, {float(ci.high)!r}, "
              f"{float(test.pvalue)!r}}},")
    print("};")
    print("\n#endif")


if __name__ == "__main__":
    main()
