"""A pipeline on its device: laid out for it, compiled if asked for, in turns where it does not fit."""

import logging
from collections.abc import Sequence
from typing import Any

import torch
from diffusers import AutoencoderKL, UNet2DConditionModel

from factory.errors import UsageError
from factory.models.compiling import allow_shapes

ROOM = 0.8  # of a GPU's free memory, that weights may take before parts wait on the CPU for their turn
LOG = logging.getLogger(__name__)


def placed(pipeline: Any, device: str, *, compiled: bool = False) -> Any:
    """On its device; where a GPU is too small for all of it, its parts take turns, and that is logged.

    compiled: the blocks of which its networks have many; only on CUDA. Raises UsageError where no network names any.
    """
    parts: list[Any] = [part for part in pipeline.components.values() if isinstance(part, torch.nn.Module)]
    repeating = [part for part in parts if getattr(part, "_repeated_blocks", None)]
    if compiled and not repeating:
        raise UsageError(f"sampler.compile: no network of {type(pipeline).__name__} repeats blocks: leave it out.")
    if device != "cuda":
        return pipeline.to(device)
    for part in parts:
        if isinstance(part, UNet2DConditionModel | AutoencoderKL):
            part.to(memory_format=torch.channels_last)
    if compiled:
        allow_shapes()
        for network in repeating:
            network.compile_repeated_blocks(dynamic=False)
    needed, free = bytes_of(parts), torch.cuda.mem_get_info()[0]
    if needed <= ROOM * free:
        return pipeline.to(device)
    LOG.warning(
        "the model takes %.1f GB and its GPU has %.1f GB free: its parts wait on the CPU for their turn.",
        needed / 1e9,
        free / 1e9,
    )
    pipeline.enable_model_cpu_offload()
    return pipeline


def bytes_of(parts: Sequence[torch.nn.Module]) -> int:
    """What their weights take."""
    return sum(weight.numel() * weight.element_size() for part in parts for weight in part.parameters())
