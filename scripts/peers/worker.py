"""The protocol of the two speed workers: one JSON request a line on standard input, one JSON answer
a line on standard output. Between requests a worker is blocked on its pipe and uses no CPU.

A side is an object with
    describe() -> dict                     versions and what else belongs in the results
    setups(mode) -> [name]                 ways to run `mode` ("train" or "infer"), usual one first
    prepare(variant, mode, setup) -> None  builds a fresh model
    run(batches) -> None                   runs that many batches of the prepared model
"""

import json
import os
import sys
import time
from typing import Callable

BATCH = 64
BATCH_COUNT = 16  # different batches that both sides walk through
WARM_UP = 2  # untimed batches of each turn: threads awake, caches filled again


def usable_cpus() -> list[int]:
    """The CPUs this process may use, one a physical core first."""
    first, rest, seen = [], [], set()
    for cpu in sorted(os.sched_getaffinity(0)):
        try:
            with open(f"/sys/devices/system/cpu/cpu{cpu}/topology/thread_siblings_list") as file:
                siblings = file.read()
        except OSError:
            siblings = str(cpu)
        (rest if siblings in seen else first).append(cpu)
        seen.add(siblings)
    return first + rest


def load_batches() -> tuple[bytes, bytes, str]:
    """Pixels and labels of BATCH_COUNT batches, and where they are from."""
    import fashion_mnist
    folder, images = fashion_mnist.find(), BATCH * BATCH_COUNT
    if folder is None:  # speed hardly depends on the pictures
        import random
        noise = random.Random(0)
        return noise.randbytes(images * 784), bytes(i % 10 for i in range(images)), "noise"
    (_, height, width), pixels, labels = fashion_mnist.load(folder, "train")
    return pixels[:images * height * width], labels[:images], str(folder)


def timed(side, batches: int) -> float:
    side.run(WARM_UP)
    begin = time.perf_counter()
    side.run(batches)
    return time.perf_counter() - begin


def answer(side, request: dict):
    match request["do"]:
        case "describe":
            return side.describe()
        case "setups":
            return side.setups(request["mode"])
        case "prepare":
            return side.prepare(request["variant"], request["mode"], request["setup"])
        case "run":
            return timed(side, request["batches"])
    raise ValueError(f"unknown request {request}")


def serve(make_side: Callable[[int], object]) -> None:
    threads = int(sys.argv[1])
    # Before the OpenMP runtime is loaded, so that it sees only these CPUs.
    os.sched_setaffinity(0, usable_cpus()[:threads])
    # Answers have the real standard output for themselves; prints of libraries go to stderr.
    replies = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    side = make_side(threads)
    for line in sys.stdin:
        json.dump(answer(side, json.loads(line)), replies)
        replies.write("\n")
        replies.flush()
