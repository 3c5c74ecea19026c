"""One network of a model folder, loaded whole: weights that its files lack are an error, never drawn anew."""

from pathlib import Path
from typing import Any

from safetensors import SafetensorError

from factory.errors import UsageError
from factory.models.folder import read_json, variant_of

UNREADABLE = (
    *(OSError, ValueError, TypeError, RuntimeError, AttributeError, ImportError, LookupError),
    SafetensorError,
)
"""What diffusers and transformers raise of folders that they cannot read."""


def load_part(kind: Any, folder: Path, **more: Any) -> Any:
    """A network of diffusers' or transformers' class `kind`, with its own configuration.

    more: arguments of its `from_pretrained`; the type, which is called `torch_dtype` here and `dtype` there.
    Raises UsageError for weights that are missing, or of another shape: both libraries begin the former anew and only
    log it.
    """
    read_json(folder / "config.json")
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
