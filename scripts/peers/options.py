"""Options that the commands of scripts/peers.sh share. Standard library only."""

import argparse
import sys

import conv_shapes
import frameworks
import variants
import worker
from frameworks import FRAMEWORKS, LIMITS, MODES


class Parser(argparse.ArgumentParser):
    """Wrong usage is one line and exit code 2."""

    def error(self, message: str):
        self.exit(2, f"{self.prog}: {message}; {self.prog} --help lists the options\n")


def names(known):
    def words(text: str) -> list[str]:
        for word in text.split(","):
            if word not in known:
                raise argparse.ArgumentTypeError(f"unknown '{word}'; known: {', '.join(known)}")
        return list(dict.fromkeys(text.split(",")))
    return words


def whole(low: int, high: int):
    def number(text: str) -> int:
        if not text.isascii() or not text.isdigit() or not low <= int(text) <= high:
            raise argparse.ArgumentTypeError(f"'{text}' is no whole number from {low} to {high}")
        return int(text)
    return number


def thread_counts(text: str) -> list[int]:
    most = len(worker.usable_cpus())
    return list(dict.fromkeys(whole(1, most)(word) for word in text.split(",")))


def add_common(parser: argparse.ArgumentParser) -> None:
    most = len(worker.usable_cpus())
    parser.add_argument("--frameworks", type=names(FRAMEWORKS), default=list(FRAMEWORKS),
                        metavar="NAME,...", help=f"default: {','.join(FRAMEWORKS)}")
    parser.add_argument("--modes", type=names(MODES), default=["train", "infer"],
                        metavar="MODE,...", help=f"of {','.join(MODES)}; default: train,infer")
    parser.add_argument("--variants", type=names(variants.IDS), default=list(variants.DISTINCT),
                        metavar="ID,...", help="default: the five that are not one another with "
                        "another dropout")
    parser.add_argument("--shapes", type=names(conv_shapes.SETS), default=["report"],
                        metavar="SET,...", help="mode conv: of "
                        f"{','.join(conv_shapes.SETS)}; default: report")
    parser.add_argument("--batch", type=whole(1, 4096), default=64, metavar="N",
                        help="images; default: 64")
    parser.add_argument("--threads", type=thread_counts, default=sorted({1, min(2, most)}),
                        metavar="1,2", help="default: 1,2")
    parser.add_argument("--isa", type=str, choices=[isa for isa in LIMITS if isa], default="",
                        help="limit every framework to this instruction set; those that cannot be "
                        "limited are left out")
    parser.add_argument("--dry-run", action="store_true",
                        help="only say what would be measured, or what is missing")


def settle(options) -> list[str]:
    """The frameworks that take part: those that are asked for, have one of the modes and can be
    limited; says on standard error which of them cannot. PeerError: one is not installed."""
    chosen = []
    for name in options.frameworks:
        row = FRAMEWORKS[name]
        if options.isa and not row.limited:
            if not options.dry_run:  # which scripts/peers.sh runs first
                print(f"peers.sh: {row.title} cannot be limited to {options.isa}: left out",
                      file=sys.stderr)
        elif set(row.workers) & set(options.modes):
            chosen.append(name)
    environments = {FRAMEWORKS[name].environment for name in chosen}
    if "inference" in environments:
        environments.add("pytorch")  # exports the networks
    frameworks.require(environments)
    return chosen
