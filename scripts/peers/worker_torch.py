"""PyTorch's side of the comparison: worker_torch.py THREADS BATCH eager|compile (see worker.py)."""

import os

import safetensors.torch
import torch

import model as models
import variants
import worker

LAYOUTS = {"channels_last": torch.channels_last, "contiguous": torch.contiguous_format}


class TorchSide(worker.Side):
    def __init__(self, threads: int, batch: int, how: str):
        torch.set_num_threads(threads)
        self.compile = how == "compile"
        if os.environ.get("ATEN_CPU_CAPABILITY") == "avx2":  # the compiler's flag beside it
            import torch._inductor.config as inductor
            inductor.cpp.march = "x86-64-v3"
        pixels, labels, self.data = worker.load_batches(batch)
        self.images = [torch.frombuffer(bytearray(b), dtype=torch.uint8).reshape(-1, 1, 28, 28)
                       .float() / 255 for b in pixels]
        self.labels = [torch.frombuffer(bytearray(b), dtype=torch.uint8).long() for b in labels]

    def describe(self) -> dict:
        return {"version": torch.__version__, "threads": torch.get_num_threads(), "data": self.data,
                "build": torch.__config__.show()}

    def setups(self, mode: str) -> list[str]:
        # Adam: foreach is the default; fused does a parameter in one pass.
        adams = [f"Adam {adam}" for adam in ("fused", "foreach")]
        if self.compile:
            words = adams if mode == "train" else ["weights as arguments", "weights frozen"]
            return [f"compiled, channels_last, {word}" for word in words]
        if mode == "train":
            return [f"{layout}, {adam}" for adam in adams for layout in LAYOUTS]
        return list(LAYOUTS)

    def prepare(self, work: dict, setup: str) -> None:
        torch.manual_seed(0)
        torch.compiler.reset()
        words = setup.removeprefix("compiled, ").split(", ")
        layout = LAYOUTS[words[0]]
        module = models.build(variants.find(work["variant"]), work["dropout"])
        module.load_state_dict(safetensors.torch.load_file(work["weights"]), strict=True)
        module = module.to(memory_format=layout)
        self.batches = [images.to(memory_format=layout) for images in self.images]
        self.count = 0
        if work["mode"] == "train":
            module.train()
            self.optimizer = models.adam(module, **{words[1].removeprefix("Adam "): True})
            criterion = torch.nn.CrossEntropyLoss()
            self.forward = self._compiled(lambda images, labels: criterion(module(images), labels))
            self.step = self.train
        else:
            module.eval()
            self.forward = self._compiled(module, freezing="weights frozen" in words)
            self.step = self.infer

    def _compiled(self, function, **options):
        return torch.compile(function, options=options or None) if self.compile else function

    def _next(self) -> int:
        self.count += 1
        return (self.count - 1) % len(self.batches)

    def train(self) -> torch.Tensor:
        i = self._next()
        self.optimizer.zero_grad(set_to_none=True)
        loss = self.forward(self.batches[i], self.labels[i])
        loss.backward()
        self.optimizer.step()
        return loss

    def infer(self) -> torch.Tensor:
        with torch.no_grad() if self.compile else torch.inference_mode():
            return self.forward(self.batches[self._next()])

    def value(self, result: torch.Tensor) -> list[float]:
        return result.detach().flatten().tolist()


if __name__ == "__main__":
    worker.serve(TorchSide)
