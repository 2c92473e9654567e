"""convmark's side of the comparison: worker_convmark.py THREADS BATCH (see worker.py).
CONVMARK_LIBRARY names the shared library, CONVMARK_ISA an instruction set."""

import os
import tempfile
from ctypes import c_float
from pathlib import Path

import variants
import worker
from convmark_library import Library, Model


class ConvmarkSide(worker.Side):
    def __init__(self, threads: int, batch: int):
        self.library = Library(os.environ["CONVMARK_LIBRARY"])
        self.isa = os.environ.get("CONVMARK_ISA", "")
        self.threads, self.batch, self.model = threads, batch, None
        pixels, self.labels, self.data = worker.load_batches(batch)
        self.images = [self.library.floats(batch_pixels) for batch_pixels in pixels]
        self.logits = (c_float * (batch * 10))()

    def describe(self) -> dict:
        return {"version": self.library.machine()["build"]["version"], "threads": self.threads,
                "data": self.data}

    def setups(self, mode: str) -> list[str]:
        return ["default"]

    def _create(self, variant: str, training: bool, dropout: bool) -> None:
        if self.model is not None:
            self.model.close()
        with tempfile.TemporaryDirectory() as folder:
            network = variant
            if not dropout:
                network = f"{folder}/network.txt"
                text = variants.network_text(variants.find(variant), dropout=False)
                Path(network).write_text(text, encoding="utf-8")
            self.model = Model(self.library, network, self.batch, self.threads, training, self.isa)
        self.count = 0

    def prepare(self, work: dict, setup: str) -> str:
        """The instruction set."""
        training = work["mode"] == "train"
        self._create(work["variant"], training, work["dropout"])
        self.model.load(work["weights"])
        self.step = self.train if training else self.infer
        return self.model.isa()

    def save(self, variant: str, path: str, steps: int) -> None:
        """The variant's parameters after `steps` steps from seed 0, for all sides to load."""
        self._create(variant, True, dropout=True)
        self.model.initialize(0)
        for _ in range(steps):
            self.train()
        self.model.save(path)

    def _next(self) -> int:
        self.count += 1
        return (self.count - 1) % len(self.images)

    def train(self) -> list[float]:
        i = self._next()
        return [self.model.train_step(self.images[i], self.labels[i])]

    def infer(self):
        self.model.predict(self.images[self._next()], self.logits)
        return self.logits

    def value(self, result) -> list[float]:
        return list(result)


if __name__ == "__main__":
    worker.serve(ConvmarkSide)
