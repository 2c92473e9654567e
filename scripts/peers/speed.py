"""Training and inference images/s of convmark and PyTorch, taking turns in one run.

Two long-lived worker processes, one a side, so that their OpenMP runtimes do not share a process.
They measure alternately (A B A B ...), pinned to the same CPUs; the one that waits is blocked on a
pipe. Standard library only: PyTorch is imported by its worker alone.
"""

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import time
from pathlib import Path

import variants
import worker

HERE = Path(__file__).parent
WORKERS = {"convmark": "worker_convmark.py", "torch": "worker_torch.py"}
MODES = ("train", "infer")
# Idle OpenMP threads spin for some milliseconds (libgomp) or 200 (libomp, unless told): the other
# side's turn begins after that.
PAUSE = 0.1
ENVIRONMENT = {"KMP_BLOCKTIME": "50"}


class Worker:
    def __init__(self, side: str, threads: int):
        self.side = side
        environment = {**os.environ, **ENVIRONMENT, "OMP_NUM_THREADS": str(threads)}
        self.process = subprocess.Popen(
            [sys.executable, str(HERE / WORKERS[side]), str(threads)], env=environment,
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def ask(self, do: str, **arguments):
        self.process.stdin.write(json.dumps({"do": do, **arguments}) + "\n")
        self.process.stdin.flush()
        line = self.process.stdout.readline()
        if not line:
            raise RuntimeError(f"the {self.side} worker ended during '{do}' {arguments}")
        return json.loads(line)

    def rate(self, batches: int) -> float:
        """Images/s of one turn."""
        time.sleep(PAUSE)
        return batches * worker.BATCH / self.ask("run", batches=batches)

    def batches_for(self, seconds: float) -> int:
        """Batches of a turn of about `seconds`; the measurement itself is the warm-up."""
        self.ask("run", batches=1)
        return max(4, round(seconds * self.rate(3) / worker.BATCH))

    def close(self) -> None:
        self.process.stdin.close()
        self.process.wait()


def best_setup(side: Worker, variant: str, mode: str, seconds: float) -> dict:
    """Tries every way this side can run the variant; leaves the fastest prepared."""
    setups = side.ask("setups", mode=mode)
    trials = {}
    for setup in setups:
        side.ask("prepare", variant=variant, mode=mode, setup=setup)
        if len(setups) > 1:
            batches = side.batches_for(seconds)
            trials[setup] = max(side.rate(batches) for _ in range(2))
    best = max(trials, key=trials.get) if trials else setups[0]
    if best != setups[-1]:  # not the one that is prepared
        side.ask("prepare", variant=variant, mode=mode, setup=best)
    return {"setup": best, "trials": trials, "batches": side.batches_for(seconds)}


def measure(sides: list[Worker], variant: str, mode: str, options) -> dict:
    rows = {side.side: best_setup(side, variant, mode, options.seconds) | {"samples": []}
            for side in sides}
    for _ in range(options.repetitions):
        for side in sides:
            row = rows[side.side]
            row["samples"].append(side.rate(row["batches"]))
    return rows


def summary(rows: dict) -> dict:
    result = {f"{side}_median": statistics.median(row["samples"]) for side, row in rows.items()}
    if len(rows) == 2:
        ratios = [a / b for a, b in zip(*(rows[side]["samples"] for side in WORKERS))]
        result |= {"ratio_median": statistics.median(ratios), "ratio_min": min(ratios),
                   "ratio_max": max(ratios)}
    return result


def cpu_model() -> str:
    try:
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()


def print_row(threads: int, mode: str, variant: str, rows: dict, figures: dict) -> None:
    cells = [f"{figures[f'{side}_median']:>11,.0f}" if side in rows else f"{'-':>11}"
             for side in WORKERS]
    ratio = (f"{figures['ratio_median']:5.2f} ({figures['ratio_min']:.2f}-"
             f"{figures['ratio_max']:.2f})" if "ratio_median" in figures else "-")
    setup = rows["torch"]["setup"] if "torch" in rows else ""
    print(f"{threads:>7}  {mode:<5}  {variant:<16}  {' '.join(cells)}  {ratio:<17}  {setup}",
          flush=True)


def run(options) -> list[dict]:
    results = []
    print("median images/s; ratio of each pair of turns: median (min-max)")
    print(f"{'threads':>7}  {'mode':<5}  {'variant':<16}  {'convmark':>11} {'PyTorch':>11}  "
          f"{'ratio':<17}  PyTorch's best mode")
    for threads in options.threads:
        sides = [Worker(side, threads) for side in options.sides]
        described = {side.side: side.ask("describe") for side in sides}
        for mode in options.modes:
            for variant in options.variants:
                rows = measure(sides, variant, mode, options)
                figures = summary(rows)
                print_row(threads, mode, variant, rows, figures)
                results.append({"threads": threads, "mode": mode, "variant": variant,
                                "sides": rows, **figures, "workers": described})
        for side in sides:
            side.close()
    return results


def write_json(path: str, options, results: list[dict]) -> None:
    workers = {f"{row['threads']}": row.pop("workers") for row in results}
    document = {
        "schema_version": 1, "kind": "peers-speed", "unit": "images/s", "batch": worker.BATCH,
        "repetitions": options.repetitions, "seconds_per_turn": options.seconds,
        "created": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "command_line": ["scripts/peers.sh", "speed", *sys.argv[1:]],
        "machine": {"cpu": cpu_model(), "cpus": worker.usable_cpus(), "system": platform.platform(),
                    "python": platform.python_version()},
        "workers_by_threads": workers, "results": results,
    }
    temporary = f"{path}.{os.getpid()}.tmp"
    with open(temporary, "w") as file:
        json.dump(document, file, indent=1, allow_nan=False)
        file.write("\n")
        file.flush()
        os.fsync(file.fileno())
    os.replace(temporary, path)


def parse(arguments: list[str]):
    def threads(text: str) -> list[int]:
        counts = [int(word) for word in text.split(",")]
        most = len(worker.usable_cpus())
        if not all(1 <= count <= most for count in counts):
            raise argparse.ArgumentTypeError(f"thread counts must be 1 to {most} on this machine")
        return counts

    def names(known: tuple[str, ...]):
        def words(text: str) -> list[str]:
            unknown = [word for word in text.split(",") if word not in known]
            if unknown:
                raise argparse.ArgumentTypeError(
                    f"unknown '{unknown[0]}'; known: {', '.join(known)}")
            return text.split(",")
        return words

    most = len(worker.usable_cpus())
    parser = argparse.ArgumentParser(prog="scripts/peers.sh speed", description=(
        "Training and inference images/s of convmark and PyTorch at batch 64, in turn in one run."))
    parser.add_argument("--threads", type=threads, default=sorted({1, min(2, most)}),
                        metavar="1,2", help="thread counts")
    parser.add_argument("--repetitions", type=int, default=5, metavar="N",
                        help="turns of each side")
    parser.add_argument("--seconds", type=float, default=1.0, help="length of a turn")
    parser.add_argument("--variants", type=names(variants.IDS), default=list(variants.IDS),
                        metavar="ID,...")
    parser.add_argument("--modes", type=names(MODES), default=list(MODES), metavar="train,infer")
    parser.add_argument("--sides", type=names(tuple(WORKERS)), default=list(WORKERS),
                        metavar="convmark,torch", help="measure one side only")
    parser.add_argument("--json", metavar="FILE", help="write all samples")
    options = parser.parse_args(arguments)
    if options.repetitions < 1 or not 0 < options.seconds <= 60:
        parser.error("--repetitions must be at least 1, --seconds above 0 and at most 60")
    if options.json and not os.access(Path(options.json).resolve().parent, os.W_OK):
        parser.error(f"--json: cannot write in the folder of {options.json}")
    return options


if __name__ == "__main__":
    chosen = parse(sys.argv[1:])
    measured = run(chosen)
    if chosen.json:
        write_json(chosen.json, chosen, measured)
