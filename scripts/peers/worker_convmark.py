"""convmark's side of the speed comparison: worker_convmark.py THREADS (see worker.py).
CONVMARK_LIBRARY names the shared library."""

import os
from ctypes import c_float

import worker
from convmark_library import Library, Model


class ConvmarkSide:
    def __init__(self, threads: int):
        self.path = os.environ["CONVMARK_LIBRARY"]
        self.library = Library(self.path)
        self.threads, self.model = threads, None
        pixels, labels, self.data = worker.load_batches()
        size, count = worker.BATCH * 784, worker.BATCH
        self.images = [self.library.floats(pixels[i * size:(i + 1) * size])
                       for i in range(worker.BATCH_COUNT)]
        self.labels = [labels[i * count:(i + 1) * count] for i in range(worker.BATCH_COUNT)]
        self.logits = (c_float * (worker.BATCH * 10))()

    def describe(self) -> dict:
        return {"name": "convmark", "library": os.path.basename(os.path.realpath(self.path)),
                "threads": self.threads, "data": self.data}

    def setups(self, mode: str) -> list[str]:
        return ["best instruction set"]

    def prepare(self, variant: str, mode: str, setup: str) -> None:
        if self.model is not None:
            self.model.close()
        self.model = Model(self.library, variant, worker.BATCH, self.threads, mode == "train")
        self.model.initialize(0)
        self.step = 0
        self.run = self.train if mode == "train" else self.infer

    def train(self, batches: int) -> None:
        for _ in range(batches):
            i = self.step % worker.BATCH_COUNT
            self.model.train_step(self.images[i], self.labels[i])
            self.step += 1

    def infer(self, batches: int) -> None:
        for _ in range(batches):
            self.model.predict(self.images[self.step % worker.BATCH_COUNT], self.logits)
            self.step += 1


if __name__ == "__main__":
    worker.serve(ConvmarkSide)
