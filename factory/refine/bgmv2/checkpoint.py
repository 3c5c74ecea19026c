"""Published weights of BackgroundMattingV2: backbone and kernel are read from their names and shapes."""

from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors.torch import load_file

from factory.errors import UsageError
from factory.models.weights import shapes_in
from factory.refine.bgmv2.network import BackgroundMatting
from factory.refine.bgmv2.refiner import Kernel

Shapes = Mapping[str, tuple[int, ...]]

UNUSED = "num_batches_tracked"  # counters of training, which some copies leave out
WANTED = "give one with MobileNetV2, ResNet-50 or ResNet-101, as published"


def recognised(path: Path) -> tuple[str, Kernel | None]:
    """Backbone and kernel (None: the base alone) of a safetensors file, without reading its numbers.

    Raises UsageError where its names and shapes are not those of a published network.
    """
    found = {name: shape for name, shape in shapes_in(path).items() if not name.endswith(UNUSED)}
    backbone, kernel = _backbone(found), _kernel(found)
    if backbone is None:
        raise UsageError(f"{path} has no weights of a backbone of BackgroundMattingV2: {WANTED}.")
    with torch.device("meta"):
        state = BackgroundMatting(backbone, kernel).state_dict()
    wanted = {name: tuple(tensor.shape) for name, tensor in state.items() if not name.endswith(UNUSED)}
    for name in (*wanted, *found):
        if (has := found.get(name)) != (wants := wanted.get(name)):
            told = f"has {name} {has or '(none)'} where a BackgroundMattingV2 with {backbone} has {wants or '(none)'}"
            raise UsageError(f"{path} {told}: {WANTED}.")
    return backbone, kernel


def load(path: Path, device: str) -> BackgroundMatting:
    """The network in float32 on a device."""
    network = BackgroundMatting(*recognised(path))
    weights = load_file(path)
    state = network.state_dict() | {name: value for name, value in weights.items() if not name.endswith(UNUSED)}
    network.load_state_dict(state)
    return network.to(device)


def _backbone(shapes: Shapes) -> str | None:
    if "backbone.features.0.0.weight" in shapes:
        return "mobilenetv2"
    if "backbone.conv1.weight" in shapes:
        return "resnet101" if "backbone.layer3.6.conv1.weight" in shapes else "resnet50"
    return None


def _kernel(shapes: Shapes) -> Kernel | None:
    """The refiner's; a side that no refiner has counts as 3, and its shapes are then refused."""
    shape = shapes.get("refiner.conv1.weight")
    if shape is None:
        return None
    return 1 if shape[-1:] == (1,) else 3
