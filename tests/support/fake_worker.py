"""A framework that computes nothing: fake_worker.py THREADS BATCH NAME, speaking the protocol of
scripts/peers/worker.py.

FAKE_LOG is appended a line a request. FAKE_SECONDS is what a block of batches takes by setup, in
seconds per batch, as JSON. FAKE_BAD is "NAME REQUEST": at that request this framework says "out of
luck" and ends. FAKE_SHIFT is "NAME VALUE": what is added to what it computes. FAKE_SLEEP: seconds
that a turn takes in truth.
"""

import json
import os
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "scripts/peers"))
import worker  # noqa: E402

SECONDS = json.loads(os.environ.get("FAKE_SECONDS", "{}"))


class FakeSide(worker.Side):
    def __init__(self, threads, batch, name):
        self.name = name
        self.setup = ""
        who, _, shift = os.environ.get("FAKE_SHIFT", "").partition(" ")
        self.shift = float(shift) if who == name else 0.0

    def describe(self):
        return {"version": "1.2", "cpus": sorted(os.sched_getaffinity(0)),
                "environment": {key: os.environ.get(key) for key in
                                ("ONEDNN_MAX_CPU_ISA", "CONVMARK_ISA", "OMP_NUM_THREADS")}}

    def setups(self, mode):
        return {"pytorch": ["slow", "fast", "middle"]}.get(self.name, ["only"])

    def prepare(self, work, setup):
        self.setup = setup

    def run(self, batches):
        return [2.5 + self.shift]

    def save(self, variant, path, steps):
        Path(path).write_text(f"{variant} {steps}", encoding="utf-8")


def answer(side, request):
    with open(os.environ["FAKE_LOG"], "a", encoding="utf-8") as log:
        log.write(f"{side.name} {request['do']} {side.setup}\n")
    if os.environ.get("FAKE_BAD") == f"{side.name} {request['do']}":
        print("a long story\nout of luck", file=sys.stderr, flush=True)
        os._exit(7)
    if request["do"] == "time":
        time.sleep(float(os.environ.get("FAKE_SLEEP", "0")))
        return request["batches"] * SECONDS.get(f"{side.name} {side.setup}", 0.5)
    return REAL_ANSWER(side, request)


REAL_ANSWER = worker.answer
worker.answer = answer
worker.serve(FakeSide)
