"""Images/s of convmark and its peers, taking turns in one run: scripts/peers.sh speed.

Every framework has a long-lived worker process. In every round each measures one block, in an order
that is drawn again each round, pinned to the same CPUs; those that wait are blocked on a pipe.
After every piece of work, one file per framework is written. Standard library only: a framework is
imported by its workers alone.
"""

import os
import random
import sys
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path

import frameworks
import measurements
import options as common
import table
import works
from convmark_library import Library
from frameworks import FRAMEWORKS, PeerError
from process import Process

MEMORY_STEPS = 8
ORDER_SEED = 0


def best_setup(process: Process, work: works.Work, seconds: float) -> dict:
    """Tries every way this framework can do the work; leaves the fastest prepared."""
    setups = process.ask("setups", mode=work.mode)
    trials, prepared, implementation = {}, None, None
    for setup in setups:
        process.ask("prepare", work=work.request, setup=setup)
        prepared = setup
        if len(setups) > 1:
            batches = process.batches_for(work.images, seconds / 2)
            trials[setup] = max(process.rate(work.images, batches) for _ in range(2))
    best = max(trials, key=trials.get) if trials else setups[0]
    if best != prepared or len(setups) == 1:
        implementation = process.ask("prepare", work=work.request, setup=best)
    row = {"setup": best, "trials": trials, "batches": process.batches_for(work.images, seconds)}
    return row | ({"implementation": implementation} if implementation else {})


def measure(processes: dict[str, Process], work: works.Work, options,
            order: random.Random) -> dict[str, dict]:
    """A row per framework: its best setup and its samples, images/s."""
    rows = {name: best_setup(process, work, options.seconds) | {"samples": []}
            for name, process in processes.items()}
    for _ in range(options.repetitions):
        turns = list(processes)
        order.shuffle(turns)
        for name in turns:
            row = rows[name]
            row["samples"].append(processes[name].rate(work.images, row["batches"]))
    return rows


def peak_memory(framework: str, work: works.Work, setup: str, options) -> dict:
    """Of a fresh process that trains for some steps."""
    with Process(framework, work.mode, work.parts["threads"], options.batch, options.isa) as alone:
        before = alone.ask("memory")
        alone.ask("prepare", work=work.request, setup=setup)
        alone.ask("values", batches=MEMORY_STEPS)
        after = alone.ask("memory")
    return measurements.measurement(work.name, "peak_memory", "bytes", False, [after["peak"]],
                                    **work.parts, framework=framework, setup=setup,
                                    resident_before=before["resident"])


class Run:
    """What is measured, and the files that hold it."""

    def __init__(self, options, chosen: list[str]):
        self.options, self.chosen, self.order = options, chosen, random.Random(ORDER_SEED)
        self.items: dict[str, list[dict]] = {name: [] for name in chosen}
        self.described: dict[str, dict] = {name: {} for name in chosen}
        self.machine = Library(os.environ["CONVMARK_LIBRARY"]).machine()
        self.started = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
        self.done, self.begin = 0, time.monotonic()

    def document(self, framework: str, complete: bool) -> dict:
        workers = self.described[framework]
        return {
            "schema_version": 1, "kind": "peers", "framework": framework, "complete": complete,
            "version": next((each["version"] for each in workers.values()), None),
            "frameworks": self.chosen, "batch": self.options.batch,
            "isa_limit": self.options.isa or None, "repetitions": self.options.repetitions,
            "seconds": self.options.seconds, "workers": workers,
            "measurements": self.items[framework],
            "command": ["scripts/peers.sh", "speed", *sys.argv[1:]], "started": self.started,
            "machine": self.machine,
        }

    def write(self, complete: bool = False) -> None:
        for name in self.chosen:
            measurements.write_json(Path(self.options.output, f"{name}.json"),
                                    self.document(name, complete))

    def say(self, work: works.Work, rows: dict[str, dict], count: int) -> None:
        self.done += 1
        left = (time.monotonic() - self.begin) / self.done * (count - self.done)
        cells = ", ".join(f"{FRAMEWORKS[name].title} {max(row['samples']):,.0f}"
                          for name, row in rows.items())
        print(f"[{self.done}/{count}, {left / 60:.0f} min left] {work.name}: {cells}",
              file=sys.stderr, flush=True)

    def start(self, threads: int, stack: ExitStack) -> dict:
        """The processes of this thread count, by framework and worker."""
        processes = {}
        for name in self.chosen:
            for mode in self.options.modes:
                worker = FRAMEWORKS[name].workers.get(mode)
                if worker and (name, worker) not in processes:
                    process = stack.enter_context(
                        Process(name, mode, threads, self.options.batch, self.options.isa))
                    processes[name, worker] = process
                    kind = "conv" if mode == "conv" else "networks"
                    self.described[name][f"{kind}/threads:{threads}"] = process.ask("describe")
        return processes

    def measure_all(self, all_works: dict[int, list[works.Work]]) -> None:
        count = sum(map(len, all_works.values()))
        for threads, list_of_works in all_works.items():
            with ExitStack() as stack:
                processes = self.start(threads, stack)
                for work in list_of_works:
                    taking_part = {name: processes[name, FRAMEWORKS[name].workers[work.mode]]
                                   for name in work.frameworks(self.chosen)}
                    rows = measure(taking_part, work, self.options, self.order)
                    for name, row in rows.items():
                        samples = row.pop("samples")
                        self.items[name].append(measurements.measurement(
                            work.name, "images_per_second", "images/s", True, samples,
                            **work.parts, framework=name, **row))
                        row["samples"] = samples
                    self.write()
                    self.say(work, rows, count)

    def measure_memory(self, all_works: list[works.Work]) -> None:
        for work in all_works:
            for name in work.frameworks(self.chosen) if work.mode == "train" else []:
                setup = next(item["setup"] for item in self.items[name]
                             if item["name"] == work.name)
                self.items[name].append(peak_memory(name, work, setup, self.options))
        self.write()


def run(options, chosen: list[str]) -> None:
    Path(options.output).mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="convmark-peers-") as folder:
        works.make_files(options, chosen, Path(folder))
        every = {threads: works.every(options, threads, Path(folder))
                 for threads in options.threads}
        result = Run(options, chosen)
        result.measure_all(every)
        result.measure_memory(every[max(options.threads)])
    result.write(complete=True)
    print("median images/s; ratio: convmark over the fastest of the others")
    print("\n".join(table.lines(result.items)))
    print("\n".join(table.memory_lines(result.items)))
    print(f"written: {options.output}/{{{','.join(chosen)}}}.json")


def parse(arguments: list[str]):
    parser = common.Parser(prog="peers.sh speed", description=(
        "Training and inference images/s of convmark and its peers, in turn in one run, at the "
        "same threads on the same CPUs; each in the fastest of its ways of running. "
        "docs/guide/peers.md."))
    common.add_common(parser)
    parser.add_argument("--repetitions", type=common.whole(1, 1000), default=9, metavar="N",
                        help="turns of each framework; default: 9")
    parser.add_argument("--seconds", type=float, default=1.0, help="length of a turn; default: 1")
    parser.add_argument("--output", default="out/peers", metavar="DIR",
                        help="one JSON file per framework; default: out/peers")
    options = parser.parse_args(arguments)
    if not 0.01 <= options.seconds <= 60:
        parser.error("--seconds must be from 0.01 to 60")
    existing = [name for name in FRAMEWORKS if Path(options.output, f"{name}.json").exists()]
    if existing:
        parser.error(f"--output: {options.output}/{existing[0]}.json exists; name another folder, "
                     "or delete it")
    return options


def main() -> int:
    options = parse(sys.argv[1:])
    try:
        chosen = common.settle(options)
        if options.dry_run:
            for threads in options.threads:
                for work in works.every(options, threads, Path()):
                    print(f"{work.name}: {', '.join(work.frameworks(chosen))}")
        else:
            run(options, chosen)
    except (PeerError, OSError) as error:
        print(f"peers.sh: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print(f"peers.sh: interrupted; what was measured is in {options.output}", file=sys.stderr)
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
