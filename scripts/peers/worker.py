"""The protocol of the speed workers: one JSON request per line on standard input, one JSON answer a
line on standard output. Between requests a worker is blocked on its pipe and uses no CPU.

    worker_NAME.py THREADS BATCH [ARGUMENT]

Its work is a dict with "mode": "train" and "infer" have "variant", "weights" (a safetensors file),
"onnx" (the same network as an ONNX file) and "dropout" (whether it is on); "conv" has "pass",
"shape" and "images" (a call's).
"""

import json
import os
import sys
import time
from typing import Callable

BATCH_COUNT = 16  # different batches that all sides walk through
WARM_UP = 2  # untimed batches of each turn: threads awake, caches filled again


class Side:
    """One framework. Sub-classes have these and

    describe() -> dict                versions and what else belongs in the results
    setups(mode) -> [name]            ways to run `mode`, the usual one first
    prepare(work, setup) -> str|None  builds everything again; the implementation's name, if any
    step() -> result                  one batch of the prepared work
    value(result) -> [float]          what a step has computed: [loss] or logits
    """

    def run(self, batches: int):
        """Runs that many batches (at least 1) and reads the last one's result, so that all the work
        is done when it returns."""
        for _ in range(batches):
            result = self.step()
        return self.value(result)

    def memory(self) -> dict:
        """Bytes of resident memory of this process: now, and the most there ever was."""
        with open("/proc/self/status", encoding="utf-8") as file:
            fields = dict(line.split(":", 1) for line in file)
        return {name: 1024 * int(fields[field].split()[0])
                for name, field in (("resident", "VmRSS"), ("peak", "VmHWM"))}


def usable_cpus() -> list[int]:
    """The CPUs this process may use, one a physical core first."""
    first, rest, seen = [], [], set()
    for cpu in sorted(os.sched_getaffinity(0)):
        try:
            with open(f"/sys/devices/system/cpu/cpu{cpu}/topology/thread_siblings_list",
                      encoding="utf-8") as file:
                siblings = file.read()
        except OSError:
            siblings = str(cpu)
        (rest if siblings in seen else first).append(cpu)
        seen.add(siblings)
    return first + rest


def load_batches(batch: int) -> tuple[list[bytes], list[bytes], str]:
    """Pixels and labels of the batches, and the name of the data set they are from."""
    import fashion_mnist
    folder = fashion_mnist.find()
    if folder is None:  # speed hardly depends on the pictures
        import random
        pixels, labels, name = random.Random(0).randbytes(batch * 784), bytes(batch), "noise"
    else:
        _, pixels, labels = fashion_mnist.load(folder, "train")
        name = "fashion-mnist"
    count = max(1, min(BATCH_COUNT, len(labels) // batch))
    return ([pixels[i * batch * 784:(i + 1) * batch * 784] for i in range(count)],
            [labels[i * batch:(i + 1) * batch] for i in range(count)], name)


def timed(side: Side, batches: int) -> float:
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
            return side.prepare(request["work"], request["setup"])
        case "time":
            return timed(side, request["batches"])
        case "values":
            return [side.run(1) for _ in range(request["batches"])]
        case "output":
            return side.output()
        case "memory":
            return side.memory()
        case "save":
            return side.save(request["variant"], request["path"], request["steps"])
    raise ValueError(f"unknown request {request}")


def forget_peak() -> None:
    """Starts the count of the most memory again: what imports and reading the data set needed for a
    moment is not training's."""
    try:
        with open("/proc/self/clear_refs", "w", encoding="utf-8") as file:
            file.write("5")
    except OSError:
        pass  # a system that forbids it counts them in


def serve(make_side: Callable[..., Side]) -> None:
    threads, batch = int(sys.argv[1]), int(sys.argv[2])
    # Before an OpenMP runtime is loaded, so that it sees only these CPUs.
    os.sched_setaffinity(0, usable_cpus()[:threads])
    # Answers have the real standard output for themselves; prints of libraries go to stderr.
    replies = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    side = make_side(threads, batch, *sys.argv[3:])
    forget_peak()
    for line in sys.stdin:
        json.dump(answer(side, json.loads(line)), replies)
        replies.write("\n")
        replies.flush()
