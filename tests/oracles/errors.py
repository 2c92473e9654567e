#!/usr/bin/env python3
"""Errors of PyTorch float32 on one thread. usage: python3 -P errors.py > errors_golden.h

Each case draws its inputs from Philox as tests/kernels/test_errors.c does, computes in float32 and
in float64 from the same float32 inputs, and prints how far float32 is off. Needs torch and numpy.
"""

import sys
from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as F

SEED, PURPOSE = 17, 6
ARRAYS = ("X", "WEIGHT", "BIAS", "DY", "GAMMA", "BETA", "PARAM", "M", "V")
SAMPLE = 2  # channels of a convolution's outputs that are compared
EPS, MOMENTUM = float(np.float32(1e-5)), float(np.float32(0.1))


class Case(NamedTuple):
    operation: str
    data: str
    batch: int
    size: int  # of the map; Adam: the step
    channels: int
    out_channels: int = 0
    kernel: int = 0
    stride: int = 1
    padding: int = 0
    algorithm: str = "AUTO"


# ---- Inputs ----

def philox(index: int, blocks: int) -> np.ndarray:
    """[blocks][4] words of the array `index`."""
    word = np.uint64(0xFFFFFFFF)
    counter = [np.arange(blocks, dtype=np.uint64), np.zeros(blocks, np.uint64),
               np.full(blocks, index, np.uint64), np.full(blocks, PURPOSE, np.uint64)]
    key = [SEED, 0]
    for _ in range(10):
        p0 = np.uint64(0xD2511F53) * counter[0]
        p1 = np.uint64(0xCD9E8D57) * counter[2]
        counter = [(p1 >> np.uint64(32)) ^ counter[1] ^ np.uint64(key[0]), p1 & word,
                   (p0 >> np.uint64(32)) ^ counter[3] ^ np.uint64(key[1]), p0 & word]
        key = [(key[0] + 0x9E3779B9) & 0xFFFFFFFF, (key[1] + 0xBB67AE85) & 0xFFFFFFFF]
    return np.stack(counter, axis=1)


def uniform(name: str, count: int) -> np.ndarray:
    words = philox(ARRAYS.index(name), (count + 3) // 4).reshape(-1)[:count]
    return (words >> np.uint64(8)).astype(np.float32) * np.float32(2.0 ** -24)


def signed(name: str, count: int) -> np.ndarray:
    return np.float32(2) * uniform(name, count) - np.float32(1)


def bell(name: str, count: int) -> np.ndarray:
    u = uniform(name, 4 * count).reshape(count, 4)
    return ((u[:, 0] + u[:, 1]) + (u[:, 2] + u[:, 3])) - np.float32(2)


def draw(name: str, data: str, batch: int, positions: int, channels: int) -> np.ndarray:
    """[batch][positions][channels], flat."""
    count = batch * positions * channels
    if data.startswith("CONSTANT"):
        return np.full(count, 0.3 if data == "CONSTANT_0" else 10.3, np.float32)
    if data == "BELL":
        return bell(name, count)
    values = signed(name, count)
    if data == "LARGE_MEAN":
        return np.float32(10000) + np.float32(1.7320508) * values
    if data == "TWO_VALUES":
        return np.where(values < 0, np.float32(-0.7), np.float32(0.7))
    place = np.arange(count) // channels
    length = positions if positions > 1 else batch
    if data == "HALVES":
        values += np.float32(5) * (place % length >= length // 2)
    elif data == "EVERY_FOURTH":
        values += np.float32(5) * (place % length % 4 == 0)
    return values.astype(np.float32)


def image(name: str, data: str, batch: int, size: int, channels: int) -> np.ndarray:
    """In PyTorch's order: NCHW."""
    flat = draw(name, data, batch, size * size, channels)
    return np.ascontiguousarray(flat.reshape(batch, size, size, channels).transpose(0, 3, 1, 2))


def of_gradient(data: str) -> str:
    """Which data dy has: where it makes no gradient 0, that of x."""
    return data if data in ("BELL", "TWO_VALUES", "HALVES") else "UNIFORM"


# ---- Operations: each gives its outputs, all computed in one type ----

def batch_norm_inputs(case: Case, channels: int):
    if case.data.startswith("CONSTANT"):
        return np.ones(channels, np.float32), np.zeros(channels, np.float32)
    return np.float32(0.5) + uniform("GAMMA", channels), signed("BETA", channels)


def batch_norm(case: Case, to):
    x = to(image("X", case.data, case.batch, case.size, case.channels)).requires_grad_()
    dy = to(image("DY", of_gradient(case.data), case.batch, case.size, case.channels))
    gamma, beta = (to(a).requires_grad_() for a in batch_norm_inputs(case, case.channels))
    mean, var = torch.zeros_like(gamma), torch.ones_like(gamma)
    y, batch_mean, rstd = torch.native_batch_norm(x, gamma, beta, mean, var, True, MOMENTUM, EPS)
    y.backward(dy)
    return {"y": y, "mean": batch_mean, "rstd": rstd, "running_mean": mean, "running_var": var,
            "dx": x.grad, "dgamma": gamma.grad, "dbeta": beta.grad}, dy


def batch_norm_max_pool2d(case: Case, to):
    x = to(image("X", case.data, case.batch, case.size, case.channels)).requires_grad_()
    dy = to(image("DY", of_gradient(case.data), case.batch, case.size // 2, case.channels))
    gamma, beta = (to(a).requires_grad_() for a in batch_norm_inputs(case, case.channels))
    y = F.max_pool2d(F.batch_norm(x, None, None, gamma, beta, True, MOMENTUM, EPS), 2)
    y.backward(dy)
    return {"y": y, "dx": x.grad, "dgamma": gamma.grad, "dbeta": beta.grad}, dy


def conv2d_inputs(case: Case, to):
    fan_in = case.channels * case.kernel ** 2
    bound = np.float32(1 / np.sqrt(np.float32(fan_in)))
    flat = bound * signed("WEIGHT", fan_in * case.out_channels)
    weight = flat.reshape(case.kernel, case.kernel, case.channels, case.out_channels)
    x = to(image("X", case.data, case.batch, case.size, case.channels)).requires_grad_()
    weight = to(np.ascontiguousarray(weight.transpose(3, 2, 0, 1))).requires_grad_()
    bias = to(bound * signed("BIAS", case.out_channels)).requires_grad_()
    return x, weight, bias


def conv2d(case: Case, to):
    x, weight, bias = conv2d_inputs(case, to)
    if case.size == 1 and case.kernel == 1:
        y = F.linear(x.flatten(1), weight.flatten(1), bias)[:, :, None, None]
    else:
        y = F.conv2d(x, weight, bias, case.stride, case.padding)
    data = "CONSTANT_0" if case.data == "CONSTANT_0" else of_gradient(case.data)
    y.backward(to(image("DY", data, case.batch, y.shape[2], case.out_channels)))
    return {"y": y[:, :SAMPLE], "dx": x.grad[:, :SAMPLE], "dweight": weight.grad[:SAMPLE],
            "dbias": bias.grad}, None


def conv2d_dweight(case: Case, to):
    outputs, _ = conv2d(case, to)
    return {"dweight": outputs["dweight"]}, None


def first_layer(case: Case, to):
    x, weight, bias = conv2d_inputs(case, to)
    y = F.max_pool2d(F.conv2d(x, weight, bias, case.stride, case.padding), 2)
    y.backward(to(image("DY", of_gradient(case.data), case.batch, y.shape[2], case.out_channels)))
    return {"y": y, "dweight": weight.grad, "dbias": bias.grad}, None


def first_layer_batch_norm(case: Case, to):
    x, weight, bias = conv2d_inputs(case, to)
    gamma = to(np.float32(0.5) + uniform("GAMMA", case.out_channels)).requires_grad_()
    beta = to(signed("BETA", case.out_channels)).requires_grad_()
    mean, var = torch.zeros_like(gamma), torch.ones_like(gamma)
    z = F.conv2d(x, weight, bias, case.stride, case.padding)
    y = F.max_pool2d(F.batch_norm(z, mean, var, gamma, beta, True, MOMENTUM, EPS), 2)
    y.backward(to(image("DY", of_gradient(case.data), case.batch, y.shape[2], case.out_channels)))
    return {"y": y, "running_mean": mean, "running_var": var, "dweight": weight.grad,
            "dgamma": gamma.grad, "dbeta": beta.grad}, None


def loss(case: Case, to):
    logits = to(draw("X", case.data, case.batch, 1, case.channels)
                .reshape(case.batch, case.channels)).requires_grad_()
    labels = torch.arange(case.batch) % case.channels
    value = F.cross_entropy(logits, labels)
    value.backward()
    return {"loss": value, "dlogits": logits.grad}, None


def adam(case: Case, to):
    """One step, from given moments; in float64 by the formula."""
    count, t, rate, betas = case.channels, case.size, 1e-3, (0.9, 0.999)
    param = to(signed("PARAM", count)).requires_grad_()
    param.grad = to(draw("X", case.data, 1, 1, count))
    first = t == 1
    m = to(np.float32(0.1) * signed("M", count) * np.float32(0 if first else 1))
    v = to(np.float32(0.01) * uniform("V", count) * np.float32(0 if first else 1))
    optimizer = torch.optim.Adam([param], rate, betas, eps=1e-8, weight_decay=1e-5)
    optimizer.state[param] = {"step": torch.tensor(float(t - 1)), "exp_avg": m, "exp_avg_sq": v}
    optimizer.step()
    return {"param": param, "m": m, "v": v}, None


OPERATIONS = {f.__name__.upper(): f for f in
              (batch_norm, batch_norm_max_pool2d, conv2d, conv2d_dweight, first_layer,
               first_layer_batch_norm, loss, adam)}


# ---- Errors ----

def errors(case: Case) -> dict[str, float]:
    function = OPERATIONS[case.operation]
    ours, _ = function(case, torch.tensor)
    exact, dy = function(case, lambda a: torch.tensor(a, dtype=torch.float64))
    found = {}
    constant = case.operation.startswith("BATCH_NORM") and case.data.startswith("CONSTANT")
    for name, value in exact.items():
        e, d = value.detach(), ours[name].detach().double() - value.detach()
        if constant and name == "y":  # beta is 0
            found[name] = d.abs().max().item()
        elif constant and name == "dgamma":
            found[name] = (d.norm() / dy.abs().sum((0, 2, 3)).norm()).item()
        elif name in ("mean", "running_mean"):  # may be nearly 0: over the root mean square of x
            mean = exact["running_mean"] / MOMENTUM
            var = (exact["running_var"] - (1 - MOMENTUM)) / MOMENTUM
            scale = (mean ** 2 + var).max().sqrt() * (1 if name == "mean" else MOMENTUM)
            found[name] = (d.abs().max() / scale).item()
        elif name in ("dweight", "dbias", "dgamma", "dbeta"):
            found[name] = (d.norm() / e.norm()).item()
        else:
            found[name] = (d.abs().max() / e.abs().max()).item()
    return found


# ---- Cases ----

DATA = ("UNIFORM", "BELL", "CONSTANT_0", "CONSTANT_10", "LARGE_MEAN", "TWO_VALUES", "HALVES",
        "EVERY_FOURTH")
MAPS = ((2, 1), (64, 1), (1024, 1), (1, 2), (64, 2), (1024, 2), (1, 3), (64, 3), (1024, 3), (1, 9),
        (2, 9), (64, 9), (256, 9), (1, 28), (16, 28), (1, 56), (8, 56), (1, 112), (2, 112),
        (1, 224), (2, 224))
# batch, size, channels, out channels, kernel, stride, padding, algorithm
CONVOLUTIONS = (
    # Direct, chains along rows.
    (1, 9, 8, 8, 3, 1, 1, "AUTO"), (64, 9, 8, 8, 3, 1, 1, "AUTO"), (4, 28, 16, 16, 3, 1, 1, "AUTO"),
    (64, 28, 8, 4, 1, 1, 0, "AUTO"), (2, 56, 16, 8, 3, 1, 1, "AUTO"),
    (1, 112, 8, 8, 3, 2, 1, "AUTO"),
    (1, 224, 8, 4, 3, 1, 1, "AUTO"), (1, 224, 8, 4, 1, 1, 0, "AUTO"),
    # Direct, chains over images.
    (1, 1, 8, 8, 1, 1, 0, "AUTO"), (1024, 1, 16, 16, 3, 1, 1, "AUTO"),
    (1, 2, 8, 8, 3, 1, 1, "AUTO"),
    (1024, 2, 16, 8, 3, 1, 1, "AUTO"), (1, 3, 8, 8, 3, 1, 1, "AUTO"),
    (1024, 3, 8, 8, 3, 1, 1, "AUTO"),
    (64, 3, 64, 8, 3, 1, 1, "DIRECT"),
    # Direct, patches of few channels.
    (64, 9, 1, 8, 3, 1, 1, "AUTO"), (4, 28, 1, 16, 3, 1, 1, "AUTO"),
    (1024, 3, 3, 8, 3, 1, 1, "AUTO"),
    (1, 224, 3, 8, 7, 2, 3, "AUTO"), (1, 224, 3, 4, 3, 1, 1, "AUTO"),
    # Transforms.
    (2, 3, 16, 16, 3, 1, 1, "AUTO"), (64, 3, 64, 16, 3, 1, 1, "AUTO"),
    (1024, 3, 16, 16, 3, 1, 1, "AUTO"),
    (2, 9, 16, 16, 3, 1, 1, "AUTO"), (64, 9, 64, 16, 3, 1, 1, "AUTO"),
    (256, 9, 16, 16, 3, 1, 1, "AUTO"),
    (2, 9, 16, 16, 3, 1, 1, "WINOGRAD3"), (16, 28, 16, 16, 3, 1, 1, "WINOGRAD3"),
    (1, 112, 16, 8, 3, 1, 1, "WINOGRAD3"), (2, 9, 16, 16, 3, 1, 1, "WINOGRAD4"),
    (16, 28, 16, 16, 3, 1, 1, "WINOGRAD4"), (1, 112, 16, 8, 3, 1, 1, "WINOGRAD4"),
    # Linear layers.
    (1, 1, 1152, 128, 1, 1, 0, "AUTO"), (64, 1, 1152, 128, 1, 1, 0, "AUTO"),
    (1024, 1, 1152, 10, 1, 1, 0, "AUTO"),
)
# ResNet-50: channels, size, out channels, kernel, stride
RESNET50 = ((3, 224, 64, 7, 2), (64, 56, 64, 1, 1), (64, 56, 256, 1, 1), (64, 56, 64, 3, 1),
            (256, 56, 64, 1, 1), (256, 56, 128, 1, 2), (256, 56, 512, 1, 2), (128, 28, 128, 3, 1),
            (128, 28, 512, 1, 1), (512, 28, 128, 1, 1), (512, 28, 256, 1, 2), (512, 28, 1024, 1, 2),
            (256, 14, 256, 3, 1), (256, 14, 1024, 1, 1), (1024, 14, 256, 1, 1),
            (1024, 14, 512, 1, 2), (1024, 14, 2048, 1, 2), (512, 7, 512, 3, 1),
            (512, 7, 2048, 1, 1), (2048, 7, 512, 1, 1), (2048, 1, 1000, 1, 1))
FIRST_LAYERS = ((64, 9, 1, 8, 3), (1, 28, 1, 8, 3), (64, 28, 1, 8, 3), (4, 28, 3, 8, 3),
                (1, 112, 3, 8, 3), (1, 224, 3, 8, 3))


def channels_of(batch: int, size: int) -> int:
    """Many, so that the largest error is no luck, but few of large maps."""
    return 16 if batch * size * size <= 13000 else 4


def cases():
    for batch, size in MAPS:
        for data in DATA:
            yield Case("BATCH_NORM", data, batch, size, channels_of(batch, size))
    for batch, size in MAPS:
        if size > 1:
            for data in DATA:
                if batch * (size // 2) > 1:
                    yield Case("BATCH_NORM_MAX_POOL2D", data, batch, size,
                               channels_of(batch, size))
    for row in CONVOLUTIONS:
        for data in DATA:
            yield Case("CONV2D", data, *row)
    for channels, size, out_channels, kernel, stride in RESNET50:
        yield Case("CONV2D_DWEIGHT", "BELL", 2, size, channels, out_channels, kernel, stride,
                   kernel // 2)
    for batch, size, channels, out_channels, kernel in FIRST_LAYERS:
        for data in DATA:
            for operation in "FIRST_LAYER", "FIRST_LAYER_BATCH_NORM":
                yield Case(operation, data, batch, size, channels, out_channels, kernel, 1,
                           kernel // 2)
    for batch in 1, 64, 1024:
        for classes in 2, 10, 250:
            for data in "UNIFORM", "BELL", "CONSTANT_10", "LARGE_MEAN", "TWO_VALUES":
                yield Case("LOSS", data, batch, 1, classes)
    for step in 1, 1000:
        for data in "UNIFORM", "BELL", "CONSTANT_0", "LARGE_MEAN", "TWO_VALUES":
            yield Case("ADAM", data, 1, step, 4096)


def main():
    torch.set_num_threads(1)
    done = [(case, list(errors(case).values())) for case in cases()]
    most = max(len(found) for _, found in done)
    names = {kind: ", ".join(names) for kind, names in
             (("operation", (f"ERRORS_{name}" for name in OPERATIONS)),
              ("data", (f"DATA_{name}" for name in DATA)), ("array",
              (f"ARRAY_{name}" for name in ARRAYS)))}
    print(f"/* By errors.py, PyTorch {torch.__version__.split('+')[0]}: a row per case. */\n"
          "#ifndef CM_TESTS_ERRORS_GOLDEN_H\n#define CM_TESTS_ERRORS_GOLDEN_H\n\n"
          '#include "convmark/conv2d.h"\n')
    print("/* clang-format off */")
    for kind, text in names.items():
        print(f"typedef enum errors_{kind} {{ {text} }} errors_{kind};")
    print(f"enum {{ ERRORS_SEED = {SEED}, ERRORS_SAMPLE = {SAMPLE}, ERRORS_OUTPUTS = {most} }};\n")
    print("typedef struct errors_case {\n    errors_operation operation;\n    errors_data data;\n"
          "    int batch, size, channels, out_channels, kernel, stride, padding;\n"
          "    cm_conv2d_algorithm algorithm;\n"
          "    double pytorch[ERRORS_OUTPUTS]; /* in the order of the operation's outputs */\n"
          "} errors_case;\n\nstatic const errors_case errors_golden[] = {")
    for case, found in done:
        numbers = ", ".join(str(n) for n in case[2:9])
        print(f"    {{ERRORS_{case.operation}, DATA_{case.data}, {numbers}, "
              f"CM_CONV2D_{case.algorithm},\n     {{{', '.join(f'{e:.3g}' for e in found)}}}}},")
    print("};\n/* clang-format on */\n\n#endif")


if __name__ == "__main__":
    sys.exit(main())
