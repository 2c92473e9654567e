"""Reads what `convmark profile --json` wrote: the parts of a step, added up by what they do."""

import re

# Parts of a step (layer kind, pass, part): the row that they are added up in.
FAMILIES = (
    (r"conv2d forward multiply|conv2d backward multiply",
     "convolutions: multiplications, forward and backward-data"),
    (r"conv2d backward weights", "convolutions: multiplications, backward-weights"),
    (r"conv2d \w+ transform", "convolutions: maps to planes"),
    (r"conv2d \w+ restore", "convolutions: planes to maps"),
    (r"conv2d \w+ (kernels|filters)", "convolutions: packing and transforming filters"),
    (r"batch_norm .*", "batch norm"),
    (r"adam .*", "Adam"),
    (r"conv2d\+pool .*", "first layer, with its pool"),
    (r"max_pool2d .*", "max pools"),
    (r".*", "all other parts"),
)


def kind(part: dict) -> str:
    """'conv2d' of the layer 'conv.7 conv2d'; 'adam' of the layer 'adam'."""
    return part["layer"].split(" ", 1)[-1]


def family(part: dict) -> str:
    key = f"{kind(part)} {part['pass']} {part['part']}"
    return next(name for pattern, name in FAMILIES if re.fullmatch(pattern, key))


def parts(profile: dict) -> list[dict]:
    return [m for m in profile["measurements"] if "share" in m]


def step_seconds(profile: dict) -> float:
    return next((m["median"] for m in profile["measurements"] if m["name"].endswith("/step")), 0.0)


def peak(profile: dict) -> float:
    return profile["capability"]["flops_per_second"][profile["isa"]]


def by_family(profile: dict) -> dict[str, dict]:
    """share, flops, seconds and gain (seconds that the step would save at the limit)."""
    sums = {name: {"share": 0.0, "flops": 0.0, "seconds": 0.0, "gain": 0.0} for _, name in FAMILIES}
    for part in parts(profile):
        total = sums[family(part)]
        total["share"] += part["share"]
        total["flops"] += part["flops"]
        total["seconds"] += part["median"]
        total["gain"] += part.get("gain") or 0.0
    return sums


def joined(profile: dict) -> list[dict]:
    """Parts of equal kind, pass and part of all layers as one: sums, and the number of layers."""
    found: dict[tuple, dict] = {}
    for part in parts(profile):
        key = (kind(part), part["pass"], part["part"])
        one = found.setdefault(key, {
            "name": f"{kind(part)} {part['pass']} {part['part']}", "family": family(part),
            "layers": 0, "share": 0.0, "flops": 0.0, "bytes": 0.0, "seconds": 0.0})
        one["layers"] += 1
        for target, source in (("share", "share"), ("flops", "flops"), ("bytes", "bytes"),
                               ("seconds", "median")):
            one[target] += part[source]
    return list(found.values())


def name(profile: dict) -> str:
    threads = profile["threads"]
    return (f"{profile['variant']}, {profile['mode']}, batch {profile['batch']}, "
            f"{threads} thread{'' if threads == 1 else 's'}, {profile['isa']}")
