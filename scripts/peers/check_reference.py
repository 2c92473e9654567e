#!/usr/bin/env python3
"""Compares a report's runs with those of another program: the same distributions?

usage: check_reference.py REPORT.json [REFERENCE.jsonl]

For each variant, Welch's t-test of Loss/train, Loss/test and accuracy. Exits with 0 when no p is
below 0.001, 1 when one is, 2 on wrong usage, 3 on a bad file. REFERENCE holds one run a line, with
"variant", "train", "test" and "accuracy"; tests/oracles/pytorch_seeds.jsonl is taken when it is not
given. Standard library only.
"""

import collections
import json
import math
import pathlib
import sys

LEVEL = 0.001
REFERENCE = pathlib.Path(__file__).parents[2] / "tests/oracles/pytorch_seeds.jsonl"
MEASURES = (("train_loss", "train"), ("test_loss", "test"), ("accuracy", "accuracy"))


class BadFile(Exception):
    """What is wrong with a file, in one line."""


def beta_fraction(x, a, b):
    """The continued fraction of the incomplete beta function, by the modified Lentz method."""
    tiny = 1e-300
    c, d = 1.0, 1.0 / ((1.0 - (a + b) * x / (a + 1.0)) or tiny)
    value = d
    for m in range(1, 10000):
        for term in (m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m)),
                     -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1))):
            d = 1.0 / ((1.0 + term * d) or tiny)
            c = (1.0 + term / c) or tiny
            value *= c * d
        if abs(c * d - 1.0) < 1e-16:
            break
    return value


def two_sided_p(t, df):
    """P(|T| > |t|) of Student's t: the regularised incomplete beta function at df / (df + t^2)."""
    if t == 0:
        return 1.0
    if math.isinf(t):
        return 0.0
    x, y, a, b = df / (df + t * t), t * t / (df + t * t), df / 2, 0.5
    front = math.exp(math.lgamma(a + b) - math.lgamma(a) - math.lgamma(b)
                     + a * math.log(x) + b * math.log(y))
    if x < (a + 1) / (a + b + 2):
        return front * beta_fraction(x, a, b) / a
    return 1.0 - front * beta_fraction(y, b, a) / b


def mean_and_variance(values):
    mean = sum(values) / len(values)
    return mean, sum((value - mean) ** 2 for value in values) / (len(values) - 1)


def welch(ours, theirs):
    """Two-sided p of Welch's t-test; both sides have two values or more."""
    (mean_a, var_a), (mean_b, var_b) = mean_and_variance(ours), mean_and_variance(theirs)
    a, b = var_a / len(ours), var_b / len(theirs)
    if a + b == 0:
        return 1.0 if mean_a == mean_b else 0.0
    df = (a + b) ** 2 / (a ** 2 / (len(ours) - 1) + b ** 2 / (len(theirs) - 1))
    return two_sided_p((mean_a - mean_b) / math.sqrt(a + b), df)


def read(path):
    try:
        return pathlib.Path(path).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise BadFile(f"{path}: cannot be read: {error}") from error


def load_report(path):
    """{variant: [[train, test, accuracy], ...]} of report.json."""
    try:
        return {variant["id"]: [[float(run[key]) for key, _ in MEASURES]
                                for run in variant["seeds"]]
                for variant in json.loads(read(path))["variants"]}
    except (ValueError, KeyError, TypeError) as error:
        raise BadFile(f"{path}: is not the report.json of convmark report: {error!r}") from error


def load_reference(path):
    """The same of the other program's lines."""
    runs = collections.defaultdict(list)
    for number, line in enumerate(read(path).splitlines(), 1):
        try:
            row = json.loads(line)
            runs[row["variant"]].append([float(row[key]) for _, key in MEASURES])
        except (ValueError, KeyError, TypeError) as error:
            raise BadFile(f"{path}:{number}: is not a run: {error!r}") from error
    return runs


def compare(ours, theirs):
    """Prints a line per variant; (p values, variants that could not be compared)."""
    print(f"{'variant':16} {'runs':>5} {'theirs':>6}  {'p Loss/train':>12} {'p Loss/test':>12} "
          f"{'p Accuracy':>12}")
    found, skipped = [], []
    for variant, runs in ours.items():
        other = theirs.get(variant, [])
        if len(runs) < 2 or len(other) < 2:
            skipped.append(variant)
            continue
        ps = [welch(a, b) for a, b in zip(zip(*runs), zip(*other))]
        found += ps
        cells = " ".join(f"{p:11.4g}{'!' if p < LEVEL else ' '}" for p in ps)
        print(f"{variant:16} {len(runs):5} {len(other):6}  {cells}".rstrip())
    return found, skipped


def main(words):
    if len(words) not in (1, 2) or words[0].startswith("-"):
        print(__doc__.strip(), file=sys.stderr)
        return 2
    try:
        found, skipped = compare(load_report(words[0]),
                                 load_reference(words[1] if len(words) == 2 else REFERENCE))
    except BadFile as error:
        print(f"check_reference.py: {error}", file=sys.stderr)
        return 3
    if skipped:
        print("not compared, for want of two runs on each side: " + ", ".join(skipped))
    if not found:
        print("check_reference.py: nothing to compare; make the report with --seeds 2 or more",
              file=sys.stderr)
        return 3
    rejected = sum(not p >= LEVEL for p in found)
    print(f"{rejected} of {len(found)} comparisons rejected at {LEVEL}")
    return 1 if rejected else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
