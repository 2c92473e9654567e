"""OpenVINO's side of the comparison: worker_openvino.py THREADS BATCH (see worker.py)."""

import numpy
import openvino

import worker

LATENCY, THROUGHPUT = "one stream", "a stream per thread"


class OpenVinoSide(worker.Side):
    def __init__(self, threads: int, batch: int):
        self.threads, self.core = threads, openvino.Core()
        pixels, _, self.data = worker.load_batches(batch)
        self.images = [openvino.Tensor(numpy.frombuffer(b, numpy.uint8).reshape(-1, 1, 28, 28)
                                       .astype(numpy.float32) / numpy.float32(255))
                       for b in pixels]

    def describe(self) -> dict:
        return {"version": openvino.__version__, "threads": self.threads, "data": self.data}

    def setups(self, mode: str) -> list[str]:
        return [LATENCY, THROUGHPUT] if self.threads > 1 else [LATENCY]

    def prepare(self, work: dict, setup: str) -> None:
        streams = self.threads if setup == THROUGHPUT else 1
        compiled = self.core.compile_model(work["onnx"], "CPU", {
            "INFERENCE_NUM_THREADS": self.threads, "NUM_STREAMS": streams,
            # Else bfloat16 is used where the processor has it.
            "INFERENCE_PRECISION_HINT": "f32"})
        self.requests = [compiled.create_infer_request() for _ in range(streams)]
        self.count = 0

    def _next(self):
        self.count += 1
        return self.images[(self.count - 1) % len(self.images)]

    def run(self, batches: int) -> list[float]:
        """Batches are in flight on every stream; with one stream that is one after the other."""
        for i in range(batches):
            request = self.requests[i % len(self.requests)]
            request.wait()
            request.set_input_tensor(self._next())
            request.start_async()
        for other in self.requests:
            other.wait()
        return request.get_output_tensor().data.ravel().tolist()


if __name__ == "__main__":
    worker.serve(OpenVinoSide)
