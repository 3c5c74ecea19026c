"""What any model folder needs, looked at without loading it: found, whole, safe to read, its bytes in one hash.

Light on purpose: planning and the command line use it, and torch is seconds away.
"""

import hashlib
import re
from collections.abc import Collection, Iterable, Mapping
from pathlib import Path
from typing import Any

from factory.errors import UsageError
from factory.models.weights import refuse_pickled, shapes_in
from factory.shards.commit import sha256_of
from factory.shards.foreign_text import parse_json

HUB_NAME = re.compile(r"[\w.-]+/[\w.-]+")
SHARD = re.compile(r"[A-Za-z0-9_][\w.-]*\.safetensors")
HALF = "fp16"


def is_hub_name(name: str) -> bool:
    """Whether a name that is no folder can be meant as a model on the Hugging Face hub."""
    return HUB_NAME.fullmatch(name) is not None and not Path(name).parent.exists()


def files_fingerprint(folder: Path, files: Iterable[Path]) -> str:
    """SHA-256 over (path relative to the folder, SHA-256) of these files, in their order.

    Names and contents count, not times or where the folder lies.
    """
    total = hashlib.sha256()
    for path in files:
        total.update(f"{path.relative_to(folder).as_posix()}\0{sha256_of(path)}\n".encode())
    return total.hexdigest()


def check_weights(folder: Path) -> None:
    """Refuse a folder whose weights are missing, pickled only, cut short, or lack a shard."""
    weights = sorted(folder.glob("*.safetensors"))
    if not weights:
        refuse_pickled(folder)
        raise UsageError(f"{folder} has no weights (*.safetensors): copy the model again, whole")
    shards = {path.name: shapes_in(path) for path in weights}
    variant = variant_of(folder)
    for index in sorted(folder.glob(f"*.safetensors.index.{variant}.json" if variant else "*.safetensors.index.json")):
        _check_index(index, shards)


def variant_of(folder: Path) -> str | None:
    """The word under which alone a part has its weights ("fp16"); None where they have plain names."""
    names = [path.name for path in folder.glob("*.safetensors")]
    return HALF if names and all(f".{HALF}" in name for name in names) else None


def _check_index(index: Path, shards: Mapping[str, Collection[str]]) -> None:
    """Of weights that lie in several files.  shards: the weights of each file beside it."""
    content = read_json(index)
    listed = content.get("weight_map") if isinstance(content, dict) else None
    if not isinstance(listed, dict) or not listed:
        raise UsageError(f"{index} does not list which file has which weight: copy it again")
    for weight, name in listed.items():
        if not isinstance(name, str) or not SHARD.fullmatch(name):
            raise UsageError(f"{index} names {name!r}, which is no file beside it: copy the model again, whole")
        if weight not in shards.get(name, ()):
            lack = "is missing" if name not in shards else f"lacks {weight}"
            raise UsageError(f"{index.parent / name} {lack}: copy the model again, whole")


def check_configurations(folder: Path, parts: Iterable[str]) -> None:
    """Raises UsageError for a configuration of a part that does not say values by name."""
    for part in parts:
        for path in sorted((folder / part).glob("*config.json")):
            read_mapping(path)


def read_mapping(path: Path) -> dict[str, Any]:
    """The values by name in a JSON file of the folder; anything else is a UsageError that names it."""
    content = read_json(path)
    if not isinstance(content, dict):
        raise UsageError(f"{path} does not say values by name: copy the model again, whole")
    return content


def read_json(path: Path) -> Any:
    """The content of a JSON file of the folder; missing or broken is a UsageError that names it."""
    try:
        return parse_json(path.read_bytes())
    except FileNotFoundError as error:
        raise UsageError(f"{path} is missing: copy the model again, whole") from error
    except (ValueError, OSError) as error:
        raise UsageError(f"{path} is not JSON ({error}): copy it again") from error
