"""Reads checkpoints as docs/guide/checkpoints.md describes them, without the program."""
import hashlib
import struct

MAGIC = b"\x89CMCKPT\n"
EPOCH = ("train_loss", "test_loss", "accuracy", "learning_rate", "train_seconds", "valid_seconds",
         "joules")


class Reader:
    def __init__(self, content):
        self.content, self.at = content, 0

    def take(self, size):
        part = self.content[self.at:self.at + size]
        assert len(part) == size, f"{size} bytes at {self.at}: the file is too short"
        self.at += size
        return part

    def number(self):
        return struct.unpack("<Q", self.take(8))[0]

    def doubles(self, count):
        return list(struct.unpack(f"<{count}d", self.take(8 * count)))

    def text(self):
        return self.take(self.number()).decode("ascii")

    def named(self):
        return {self.text(): self.number() for _ in range(self.number())}

    def tensor(self):
        name, count = self.text(), self.number()
        learned = name.endswith((".weight", ".bias"))
        size = count * (8 if name.endswith("num_batches_tracked") else 4)
        return name, [self.take(size) for _ in range(3 if learned else 1)]


def read(path):
    """Everything in the file, by the names of the document."""
    with open(path, "rb") as file:
        content = file.read()
    assert hashlib.sha256(content[:-64]).hexdigest().encode() == content[-64:], "sha256"
    reader = Reader(content[:-64])
    assert reader.take(8) == MAGIC, "magic"
    values = {"version": reader.number(), "numeric_contract": reader.number()}
    for name in ("network", "network_text", "conv_algorithm", "data_sha256", "initial_sha256"):
        values[name] = reader.text()
    values["options"], values["state"] = reader.named(), reader.named()
    for name in ("train_stream", "valid_stream"):
        values[name] = [reader.number(), reader.number()]
    values["step_losses"] = reader.doubles(reader.number())
    values["epochs"] = [dict(zip(EPOCH, reader.doubles(len(EPOCH))))
                        for _ in range(reader.number())]
    values["adam_steps"] = reader.number()
    values["beta_powers"] = reader.doubles(2)
    values["tensors"] = dict(reader.tensor() for _ in range(reader.number()))
    assert reader.at == len(reader.content), "bytes between the tensors and the hash"
    return values


def state_sha256(path):
    """SHA-256 of all of it but the times and the energy."""
    values = read(path)
    for part in (values["state"], *values["epochs"]):
        for name in [name for name in part if name.endswith(("seconds", "joules"))]:
            del part[name]
    return hashlib.sha256(repr(values).encode()).hexdigest()
