"""Pickled weights to safetensors: the one place that opens a pickle, and only as far as tensors go."""

import re
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import save
from torch import Tensor

from factory.errors import UsageError, count_of
from factory.models.weights import SAFE
from factory.shards.durable import appearing

WRAPPER = "state_dict"  # under which some trainers keep the weights, beside their own state
FOREIGN = re.compile(r"GLOBAL (\S+)")  # in what torch says of a pickle: the first thing in it that is refused
PARALLEL = "module."  # before every name, where they were saved out of a parallel training


def convert(source: Path, target: Path | None) -> Path:
    """Write the tensors of a pickled file as safetensors, under the names they have.

    target: a new file; None: beside the source.
    Raises UsageError where the source is no file of tensors by name, or the target exists or cannot be written.
    """
    final = target or source.with_suffix(SAFE)
    if final.suffix != SAFE:
        raise UsageError(f"{final} is to be a safetensors file: give a name that ends in {SAFE}.")
    if final.exists():
        raise UsageError(f"{final} exists: name another file, or remove it.")
    tensors = _tensors(source)
    try:
        data = save(tensors, metadata={"format": "pt"})  # transformers and diffusers ask for this word
    except (SafetensorError, KeyError, ValueError) as error:
        raise UsageError(
            f"{source} has numbers of a kind that safetensors cannot hold ({error}): save others."
        ) from error
    try:
        with appearing(final) as file:
            file.write(data)
    except OSError as error:
        raise UsageError(f"{final} cannot be written ({error.strerror}): choose another place.") from error
    return final


def _tensors(source: Path) -> dict[str, Tensor]:
    content = _unpickled(source)
    if isinstance(content, Mapping) and isinstance(content.get(WRAPPER), Mapping):
        content = content[WRAPPER]
    if not isinstance(content, Mapping) or not content:
        raise UsageError(f"{source} holds no weights by name: give a file with a network's state_dict.")
    others = [name for name, value in content.items() if not (isinstance(name, str) and _is_plain(value))]
    if others:
        more = count_of(len(others), "entry", "entries")
        raise UsageError(f"{source} holds {more} beside plain tensors ({others[0]!r}): give a state_dict alone.")
    prefix = PARALLEL if all(name.startswith(PARALLEL) for name in content) else ""
    # A safetensors file holds each tensor whole and by itself.
    return {name.removeprefix(prefix): value.detach().clone().contiguous() for name, value in content.items()}


def _is_plain(value: Any) -> bool:
    """Whether it is a tensor that lies in the file as large as it says it is. A few bytes may claim to be terabytes."""
    if not isinstance(value, Tensor) or value.layout is not torch.strided or value.is_quantized or value.is_meta:
        return False
    return value.numel() * value.element_size() <= value.untyped_storage().nbytes()


def _unpickled(source: Path) -> Any:
    """The content of a file, in which nothing but tensors and plain containers is allowed."""
    try:
        with warnings.catch_warnings(action="ignore"):  # of what it is about to refuse
            return torch.load(source, map_location="cpu", weights_only=True)
    except FileNotFoundError as error:
        raise UsageError(f"there is no file {source}: name the weights to convert.") from error
    except OSError as error:
        raise UsageError(f"{source} cannot be read ({error.strerror or error}): mend that and try again.") from error
    except Exception as error:  # what a broken pickle can raise is without end
        # Torch's own words advise to open the file without this care.
        foreign = FOREIGN.search(str(error))
        said = f", it holds {foreign[1]}" if foreign else ""
        raise UsageError(
            f"{source} is not a file of tensors alone{said}: give a state_dict saved by torch, not a program "
            "(TorchScript) and not a whole model."
        ) from error
