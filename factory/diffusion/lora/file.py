"""A file of adapters: read whole, with a ledger of every key."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load
from torch import Tensor

from factory.diffusion.lora.changes import parts_of
from factory.diffusion.lora.names import Known, Layer
from factory.diffusion.lora.peft import METADATA, Said, said_in_metadata
from factory.errors import UsageError

OF_PEFT = "base_model.model."  # PEFT's own names
WORD = "<embed>"  # what cloneofsimo's files say of a key that is a word's embedding


@dataclass(frozen=True, slots=True)
class Adapter:
    """One file, sorted by the layers of one model."""

    file: Path
    metadata: Mapping[str, str]
    layers: dict[Layer, dict[str, Tensor]] = field(default_factory=dict)  # the factors of each
    words: dict[str, Tensor] = field(default_factory=dict)  # (D,) embeddings of such as come with it, "<s1>" for one
    unused: list[str] = field(default_factory=list)  # keys that name nothing of this model


def read_adapter(file: Path, content: bytes, known: Known, beside: Said | None = None) -> Adapter:
    """What a safetensors file holds for a model whose layers are known.  file: for what is said of it.

    beside: what a PEFT folder's config says; else it may stand in the file's metadata.
    Raises UsageError for one that is cut short, holds a layer twice, or numbers that are not finite.
    """
    try:
        tensors = load(content)
        metadata = json.loads(content[8 : 8 + int.from_bytes(content[:8], "little")]).get("__metadata__", {})
    except (SafetensorError, ValueError) as error:
        raise UsageError(f"{file} is cut short or not a safetensors file ({error}): copy it again") from error
    adapter, keys = Adapter(file, metadata), dict[tuple[Layer, str], str]()
    for key, tensor in tensors.items():
        if not bool(torch.isfinite(tensor.float()).all()):
            raise UsageError(f"{file}: {key} has numbers that are not finite: the file is spoilt, take another.")
        if metadata.get(key) == WORD:
            adapter.words[key] = tensor
        elif (named := known.split(key)) is None:
            adapter.unused.append(key)
        elif named in keys:
            raise UsageError(f"{file}: {keys[named]} and {key} are the same factor of one layer: give a whole file.")
        else:
            keys[named] = key
            layer, part = named
            adapter.layers.setdefault(layer, {})[part] = tensor
    for layer, parts in adapter.layers.items():
        for stranger in sorted(parts.keys() - parts_of(parts)):
            adapter.unused.append(keys[layer, stranger])
            del parts[stranger]
        if parts and "alpha" not in parts:
            told = beside or said_in_metadata(file, metadata, layer.part)
            parts.update(told.of(layer))
    for layer in [layer for layer, parts in adapter.layers.items() if not parts]:
        del adapter.layers[layer]
    of_peft = not beside and METADATA not in metadata and any(key.startswith(OF_PEFT) for key in keys.values())
    if of_peft and any("alpha" not in parts for parts in adapter.layers.values()):
        raise UsageError(
            f"{file} is as PEFT saves it, with its α beside it: give the folder with its adapter_config.json."
        )
    return adapter
