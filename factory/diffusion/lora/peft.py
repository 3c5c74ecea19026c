"""What PEFT says of an adapter beside its factors: α, and how it counts. In a folder's config, or a file's metadata."""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from math import isfinite
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from factory.diffusion.lora.names import Layer, bare
from factory.errors import UsageError

METADATA = "lora_adapter_metadata"  # diffusers' key in a file's metadata
LEAVES_THE_BASE = (True, False, "gaussian", "eva", "orthogonal")  # ways to begin that do not change the base's weights
NAME = re.compile(r"\^?[\w.]+")


@dataclass(frozen=True)
class Said:
    """alpha: of all layers but those in `alphas`, whose keys are ends of names, or whole ones behind a `^`.

    rescaled: whether α is divided by √r (rsLoRA) and not by r.
    """

    alpha: float | None = None
    alphas: Mapping[str, float] = field(default_factory=dict)
    rescaled: bool = False

    def of(self, layer: Layer) -> dict[str, Tensor]:
        """The factors `alpha` and `rescaled` of a layer, as changes.py reads them."""
        own = (value for name, value in self.alphas.items() if _is_called(layer.name, name))
        alpha = next(own, self.alpha)
        if alpha is None:
            return {}
        return {"alpha": torch.tensor(alpha)} | ({"rescaled": torch.tensor(1.0)} if self.rescaled else {})


def said_in_config(file: Path, content: bytes) -> Said:
    """What an adapter_config.json says. Raises UsageError for one of no LoRA, or not for the base as it is."""
    try:
        config: dict[str, Any] = json.loads(content)
        kind, begun = config.get("peft_type"), config.get("init_lora_weights", True)
    except (ValueError, AttributeError, RecursionError) as error:
        raise UsageError(f"{file} cannot be read ({error}): copy the adapter again, whole.") from error
    if kind != "LORA":
        raise UsageError(f"{file} is of PEFT's kind {kind}, and only LORA is read: save it in LyCORIS's form.")
    if begun not in LEAVES_THE_BASE:
        raise UsageError(
            f"{file}: it began as {begun}, which changes the base, too: save it with PEFT's "
            "`path_initial_model_for_weight_conversion`, which makes a plain LoRA of it."
        )
    return _said(config, str(file))


def said_in_metadata(file: Path, metadata: Mapping[str, str], part: str) -> Said:
    """What a file that diffusers saved says of one part of a model. Raises UsageError."""
    try:
        content: dict[str, Any] = json.loads(metadata.get(METADATA, "{}"))
        own = {key.removeprefix(f"{part}."): value for key, value in content.items() if key.startswith(f"{part}.")}
    except (ValueError, AttributeError, RecursionError) as error:
        raise UsageError(f"{file}: its {METADATA} cannot be read ({error}): take another file.") from error
    return _said(own, f"{file}: its {METADATA}")


def _said(config: Mapping[str, Any], where: str) -> Said:
    try:
        alpha, alphas = config.get("lora_alpha"), config.get("alpha_pattern") or {}
        said = Said(
            float(alpha) if alpha is not None else None,
            {name: float(value) for name, value in alphas.items()},
            config.get("use_rslora") is True,
        )
    except (ValueError, TypeError, AttributeError, OverflowError) as error:
        raise UsageError(f"{where} cannot be read ({error}): take another file.") from error
    if strangers := [name for name in said.alphas if not NAME.fullmatch(name)]:
        raise UsageError(f"{where} has an alpha_pattern {strangers[0]!r}: name each layer instead.")
    if not all(map(isfinite, [*said.alphas.values(), said.alpha or 0.0])):
        raise UsageError(f"{where} has an α that is not finite: take another file.")
    return said


def _is_called(layer: str, name: str) -> bool:
    """As PEFT matches: at the end of the layer's name, at a dot."""
    if name.startswith("^"):
        return layer == bare(name[1:])
    return f".{layer}".endswith(f".{bare(name)}")
