"""ONNX Runtime's side of the comparison: worker_onnxruntime.py THREADS BATCH (see worker.py)."""

import numpy
import onnxruntime

import worker

LEVELS = onnxruntime.GraphOptimizationLevel
SETUPS = {"all optimizations (NCHWc)": LEVELS.ORT_ENABLE_ALL,
          "extended optimizations (NCHW)": LEVELS.ORT_ENABLE_EXTENDED}


class OnnxRuntimeSide(worker.Side):
    def __init__(self, threads: int, batch: int):
        self.threads = threads
        pixels, _, self.data = worker.load_batches(batch)
        self.images = [numpy.frombuffer(b, numpy.uint8).reshape(-1, 1, 28, 28)
                       .astype(numpy.float32) / numpy.float32(255) for b in pixels]

    def describe(self) -> dict:
        return {"version": onnxruntime.__version__, "threads": self.threads, "data": self.data,
                "build": onnxruntime.get_build_info()}

    def setups(self, mode: str) -> list[str]:
        return list(SETUPS)

    def prepare(self, work: dict, setup: str) -> None:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = self.threads
        options.inter_op_num_threads = 1
        options.graph_optimization_level = SETUPS[setup]
        self.session = onnxruntime.InferenceSession(work["onnx"], options,
                                                    providers=["CPUExecutionProvider"])
        self.input, self.count = self.session.get_inputs()[0].name, 0

    def step(self):
        self.count += 1
        images = self.images[(self.count - 1) % len(self.images)]
        return self.session.run(None, {self.input: images})[0]

    def value(self, result) -> list[float]:
        return result.ravel().tolist()


if __name__ == "__main__":
    worker.serve(OnnxRuntimeSide)
