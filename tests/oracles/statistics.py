#!/usr/bin/env python3
"""Prints tests/oracles/statistics_golden.h: what scipy says, for tests/core/test_statistics.c.

Needs scipy (made with 1.17); not run by the tests:
    cd tests/oracles; python3 statistics.py | clang-format > statistics_golden.h
"""
import numpy
from scipy import stats

A = [0.8071875, 0.81109375, 0.81125, 0.81203125, 0.80921875]
B = [0.720625, 0.5234375, 0.65125, 0.70984375, 0.7253125, 0.7496875, 0.6990625]
DFS = [0.5, 1, 2, 2.5, 3, 7, 9, 29.25, 100, 1000]


def rows(name, declaration, values):
    print(f"static const struct {{\n    {declaration};\n}} {name}[] = {{")
    for row in values:
        print("    {" + ", ".join(repr(float(x)) for x in row) + "},")
    print("};\n")


def one(name, value):
    print(f"static const double {name} = {float(value)!r};")


def array(name, values):
    print(f"static const double {name}[] = {{{', '.join(map(repr, values))}}};")


def main():
    print("/* Written by tests/oracles/statistics.py from scipy; do not edit. */")
    print("#ifndef CM_STATISTICS_GOLDEN_H\n#define CM_STATISTICS_GOLDEN_H\n")
    rows("golden_cdf", "double t, df, cdf",
         [(t, df, stats.t.cdf(t, df)) for df in DFS
          for t in (-12.0, -4.302652729696142, -1.5, -0.01, 0.0, 0.3, 2.0, 6.5)])
    rows("golden_quantile", "double p, df, t",
         [(p, df, stats.t.ppf(p, df)) for df in DFS
          for p in (0.0005, 0.025, 0.3, 0.5, 0.75, 0.975, 0.995)])
    array("sample_a", A)
    array("sample_b", B)
    n = len(A)
    one("golden_mean", numpy.mean(A))
    one("golden_sd", numpy.std(A, ddof=1))
    low, high = stats.t.interval(0.95, n - 1, numpy.mean(A),
                                 numpy.std(A, ddof=1) * (1 + 1 / n) ** 0.5)
    one("golden_prediction_low", low)
    one("golden_prediction_high", high)
    low, high = stats.t.interval(0.95, n - 1, numpy.mean(A), stats.sem(A))
    one("golden_mean_low", low)
    one("golden_mean_high", high)
    for name, test, size in (("welch", stats.ttest_ind(A, B, equal_var=False), len(B)),
                             ("paired", stats.ttest_rel(A, B[:n]), n)):
        ci = test.confidence_interval(0.95)
        one(f"golden_{name}_difference", numpy.mean(A) - numpy.mean(B[:size]))
        one(f"golden_{name}_t", test.statistic)
        one(f"golden_{name}_df", test.df)
        one(f"golden_{name}_p", test.pvalue)
        one(f"golden_{name}_low", ci.low)
        one(f"golden_{name}_high", ci.high)
    print("\n#endif")


if __name__ == "__main__":
    main()
