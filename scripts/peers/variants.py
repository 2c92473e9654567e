"""The report's eight variants as data and as network text. Standard library only."""

from typing import NamedTuple


class Variant(NamedTuple):
    id: str
    conv_layers: int  # L
    pool_period: int  # P: max_pool2d(3) after conv i when i % P == 0
    batch_norm: bool
    dropout_conv: float  # at the end of module conv; 0: no such layer
    dropout_output: float  # before the output layer; always a layer
    params: int  # true count; the report prints plain-8's for bn-8


VARIANTS = (
    Variant("baseline", 3, 1, False, 0.0, 0.0, 314_250),
    Variant("dropout-out-0.5", 3, 1, False, 0.0, 0.5, 314_250),
    Variant("dropout-conv-0.5", 3, 1, False, 0.5, 0.0, 314_250),
    Variant("dropout-conv-0.3", 3, 1, False, 0.3, 0.0, 314_250),
    Variant("bn-3", 3, 1, True, 0.0, 0.1, 315_018),
    Variant("plain-8", 8, 3, False, 0.0, 0.1, 1_052_170),
    Variant("bn-8", 8, 3, True, 0.0, 0.1, 1_054_218),
    Variant("bn-16", 16, 6, True, 0.0, 0.1, 2_236_938),
)

IDS = tuple(variant.id for variant in VARIANTS)
# Without dropout, the three dropout variants compute what baseline does.
DISTINCT = ("baseline", "bn-3", "plain-8", "bn-8", "bn-16")


def find(name: str) -> Variant:
    for variant in VARIANTS:
        if variant.id == name:
            return variant
    raise ValueError(f"unknown variant '{name}'; one of: {', '.join(IDS)}")


def network_text(variant: Variant, dropout: bool = True) -> str:
    """The variant in convmark's network text; without `dropout`, every probability is 0, which
    leaves all layers and so all names where they are."""
    lines = ["input 1 28 28"]
    for i in range(variant.conv_layers):
        lines.append("conv2d 128 kernel 3 stride 1 padding 1")
        if variant.batch_norm:
            lines.append("batch_norm")
        lines.append("relu")
        if i % variant.pool_period == 0:
            lines.append("max_pool2d 3 stride 3")
    if variant.dropout_conv:
        lines.append(f"dropout {variant.dropout_conv if dropout else 0}")
    lines += ["flatten", "linear 128", "relu",
              f"dropout {variant.dropout_output if dropout else 0}", "linear 10"]
    return "\n".join(lines) + "\n"
