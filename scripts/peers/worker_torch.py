"""PyTorch's side of the speed comparison: worker_torch.py THREADS (see worker.py)."""

import torch

import model as models
import variants
import worker

LAYOUTS = {"channels_last": torch.channels_last, "contiguous": torch.contiguous_format}


class TorchSide:
    def __init__(self, threads: int):
        torch.set_num_threads(threads)
        pixels, labels, self.data = worker.load_batches()
        shape = (worker.BATCH_COUNT, worker.BATCH, 1, 28, 28)
        images = torch.frombuffer(bytearray(pixels), dtype=torch.uint8).reshape(shape).float() / 255
        self.images = list(images)
        self.labels = list(torch.frombuffer(bytearray(labels), dtype=torch.uint8).long()
                           .reshape(worker.BATCH_COUNT, worker.BATCH))
        self.threads = threads

    def describe(self) -> dict:
        return {"name": "PyTorch", "version": torch.__version__, "threads": torch.get_num_threads(),
                "build": torch.__config__.show(), "data": self.data}

    def setups(self, mode: str) -> list[str]:
        # foreach is Adam's default; fused does a parameter in one pass.
        return ([f"{layout}, Adam {adam}" for adam in ("fused", "foreach") for layout in LAYOUTS]
                if mode == "train" else list(LAYOUTS))

    def prepare(self, variant: str, mode: str, setup: str) -> None:
        layout, _, adam = setup.partition(", Adam ")
        torch.manual_seed(0)
        memory_format = LAYOUTS[layout]
        self.model = models.build(variants.find(variant)).to(memory_format=memory_format)
        self.batches = [images.to(memory_format=memory_format) for images in self.images]
        self.step = 0
        if mode == "train":
            self.model.train()
            self.optimizer = models.adam(self.model, **{adam: True})
            self.loss = torch.nn.CrossEntropyLoss()
            self.run = self.train
        else:
            self.model.eval()
            self.run = self.infer

    def train(self, batches: int) -> None:
        for _ in range(batches):
            i = self.step % worker.BATCH_COUNT
            self.optimizer.zero_grad(set_to_none=True)
            loss = self.loss(self.model(self.batches[i]), self.labels[i])
            loss.backward()
            self.optimizer.step()
            loss.item()
            self.step += 1

    @torch.inference_mode()
    def infer(self, batches: int) -> None:
        for _ in range(batches):
            self.model(self.batches[self.step % worker.BATCH_COUNT])
            self.step += 1


if __name__ == "__main__":
    worker.serve(TorchSide)
