"""One network of a model folder, loaded whole: weights that its files lack are an error, never drawn anew."""

from pathlib import Path
from typing import Any

import torch
from huggingface_hub.errors import StrictDataclassError
from safetensors import SafetensorError, safe_open

from factory.errors import UsageError
from factory.models.folder import read_mapping, variant_of
from factory.models.weights import SAFE, shapes_in

UNREADABLE = (
    *(OSError, ValueError, TypeError, RuntimeError, ArithmeticError, AttributeError, ImportError, LookupError),
    *(SafetensorError, StrictDataclassError),
)
"""What diffusers and transformers raise of folders that they cannot read."""


def load_part(kind: Any, folder: Path, **more: Any) -> Any:
    """A network of diffusers' or transformers' class `kind`, with its own configuration.

    more: arguments of its `from_pretrained`; the type, which is called `torch_dtype` here and `dtype` there.
    Raises UsageError for weights that are missing, or of another shape: both libraries begin the former anew and only
    log it.
    """
    read_mapping(folder / "config.json")
    try:
        model, info = kind.from_pretrained(
            folder,
            local_files_only=True,
            use_safetensors=True,
            output_loading_info=True,
            variant=variant_of(folder),
            **more,
        )
    except UNREADABLE as error:
        reason = next(iter(str(error).splitlines()), type(error).__name__)
        raise UsageError(f"{folder} cannot be loaded, its config.json and weights differ: {reason}") from error
    if missing := sorted(info["missing_keys"]):
        raise UsageError(f"{folder} lacks {len(missing)} weights, {missing[0]} among them: copy it again, whole")
    return model


def lay_out_for_pictures(network: torch.nn.Module, folder: Path) -> None:
    """Put the convolutions of a network that was just loaded channels-last, in place, without holding them twice.

    Its weights are views into its file, which is mapped as a whole: what is copied from there stays in memory beside
    the copy for as long as any other weight is a view. So each is read through a mapping of its own, which goes with
    it. Weights in several files stay as they are.
    """
    files = sorted(folder.glob(f"*{SAFE}"))
    if len(files) != 1:
        return
    weights = dict(network.named_parameters())
    for name in sorted(weights.keys() & shapes_in(files[0]).keys()):
        if (weight := weights[name]).dim() == 4:
            with safe_open(files[0], framework="pt") as file:
                fresh = file.get_tensor(name)
                weight.data = fresh.to(weight.dtype, memory_format=torch.channels_last, copy=True)
