#!/usr/bin/env python3
"""Prints tests/oracles/samples_golden.h: what scipy says, for tests/core/test_samples.c.

Needs scipy (made with 1.17); not run by the tests:
    cd tests/oracles; python3 samples.py | clang-format > samples_golden.h
"""
import numpy
from scipy import stats

LEVEL = 0.95
SIZES = [(1, 1), (3, 4), (5, 5), (9, 9), (12, 7), (30, 30), (31, 8), (40, 50)]


def median_interval(values):
    """Order statistics k and n + 1 - k with P(k .. n - k values lie below) >= LEVEL."""
    n = len(values)
    k = int(stats.binom.ppf((1 - LEVEL) / 2, n, 0.5))
    while k > 0 and stats.binom.cdf(k - 1, n, 0.5) > (1 - LEVEL) / 2:
        k -= 1
    ordered = numpy.sort(values)
    return (ordered[k - 1], ordered[n - k]) if k > 0 else (0, 0)


def ratio_interval(a, b):
    """Inverts the test: all factors f that do not reject "b / f and a are alike"."""
    ratios = numpy.sort(numpy.divide.outer(b, a).ravel())
    method = "exact" if max(len(a), len(b)) <= 30 else "asymptotic"

    def accepted(f):
        p = stats.mannwhitneyu(b / f, a, method=method, use_continuity=False).pvalue
        return p > 1 - LEVEL

    inside = [r for x in ratios for r in (x * (1 - 1e-9), x * (1 + 1e-9)) if accepted(r)]
    if not inside or accepted(ratios[0] / 2):
        return 0, 0
    ends = min(inside), max(inside)
    return tuple(min(ratios, key=lambda r: abs(r - end)) for end in ends)


def main():
    generator = numpy.random.default_rng(7)
    print("/* Made by samples.py with scipy: do not edit. An interval of 0, 0 is unknown. */\n"
          "#ifndef CM_TESTS_SAMPLES_GOLDEN_H\n#define CM_TESTS_SAMPLES_GOLDEN_H\n")
    print("static const struct {\n    int a_count, b_count;\n    double a[50], b[50], median,"
          " low, high, p, ratio, ratio_low, ratio_high;\n} golden_samples[] = {")
    for n, m in SIZES:
        for tied in (False, True):
            a = numpy.exp(generator.normal(3, 0.1, n))
            b = numpy.exp(generator.normal(3.08, 0.12, m))
            if tied:
                a, b = numpy.round(a, 0), numpy.round(b, 0)
            if len(set(a) | set(b)) == 1:
                continue
            exact = not tied and max(n, m) <= 30
            p = stats.mannwhitneyu(a, b, method="exact" if exact else "asymptotic").pvalue
            ratio = numpy.exp(numpy.median(numpy.log(numpy.divide.outer(b, a))))
            low, high = median_interval(a)
            ratio_low, ratio_high = (0, 0) if tied else ratio_interval(a, b)
            values = [numpy.median(a), low, high, p, ratio, ratio_low, ratio_high]
            print(f"{{{n}, {m}, {{{', '.join(repr(float(x)) for x in a)}}}, "
                  f"{{{', '.join(repr(float(x)) for x in b)}}}, "
                  f"{', '.join(repr(float(x)) for x in values)}}},")
    print("};\n\n#endif")


if __name__ == "__main__":
    main()
