"""A folder that any pipeline of diffusers was saved in: looked at without loading it.

Nothing in it is run: neither pickles nor code that a model brings with it.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from factory.diffusion.model_files import INDEX
from factory.diffusion.plain.arguments import check_arguments, classes, package
from factory.errors import UsageError
from factory.models.clip_words import check_words
from factory.models.folder import check_configurations, check_weights, files_fingerprint, read_mapping

LIBRARIES = frozenset({"diffusers", "transformers"})  # whose classes a folder may ask for, and pipelines' own modules
NAME = re.compile(r"[A-Za-z0-9_]+")
DECIDING = frozenset({".safetensors", ".json", ".txt", ".model", ".jinja"})  # suffixes of what decides a pixel
OPTIONAL = ("safety_checker", "feature_extractor", "image_encoder")  # what an index may name and people take away
WITHOUT_WEIGHTS = re.compile(r"scheduler|tokenizer|feature_extractor|image_processor|processor|guider")


@dataclass(frozen=True)
class Index:
    """What model_index.json says.  parts: by name the library and class of each that is there."""

    pipeline: str
    version: str  # of diffusers, that saved it
    parts: dict[str, tuple[str, str]]


def read_index(folder: Path) -> Index:
    """Raises UsageError for an index that is broken, or asks for code of its own."""
    content = read_mapping(folder / INDEX)
    name = content.get("_class_name")
    if isinstance(name, list):
        raise UsageError(f"{folder} brings a pipeline as code of its own ({name[-1]}), which is never run.")
    if not isinstance(name, str) or not NAME.fullmatch(name):
        raise UsageError(f"{folder / INDEX} names no pipeline: copy the model again, whole")
    parts = dict[str, tuple[str, str]]()
    for part, said in content.items():
        if not part.startswith("_") and isinstance(said, list) and len(said) == 2 and all(map(_is_text, said)):
            if not NAME.fullmatch(part):
                raise UsageError(f"{folder / INDEX} names a part {part!r}: that is no folder of a model")
            if part not in OPTIONAL or (folder / part).is_dir():
                parts[part] = (said[0], said[1])
    return Index(name, str(content.get("_diffusers_version", "")), parts)


def _is_text(value: Any) -> bool:
    return isinstance(value, str)


def check(folder: Path) -> Index:
    """Refuse what would fail later in someone else's words, or run someone else's code. Raises UsageError."""
    index = check_index(folder)
    for part, (_, kind) in index.parts.items():
        if not (folder / part).is_dir():
            raise UsageError(f"{folder} has no {part}/: copy the model again, whole")
        if not WITHOUT_WEIGHTS.search(part):
            check_weights(folder / part)
        if kind.startswith("CLIPTokenizer"):
            check_words(folder / part)
    return index


def check_index(folder: Path) -> Index:
    """The same of a folder that may have no weights."""
    if not (folder / INDEX).is_file():
        raise UsageError(f"{folder} is not a model folder: there is no {INDEX} in it; give one that diffusers saved")
    index = read_index(folder)
    if index.pipeline not in classes():
        newer = f"; it was saved by diffusers {index.version}: install that or a newer one" if index.version else ""
        raise UsageError(f"{folder} is for the pipeline {index.pipeline}, which the installed diffusers lacks{newer}.")
    check_configurations(folder, index.parts)
    check_arguments(folder, index.pipeline)
    for part, (library, kind) in index.parts.items():
        if library not in LIBRARIES and library not in _modules():
            raise UsageError(f"{folder} asks for {library}.{kind} as its {part}: code from elsewhere is never run.")
        if library == "transformers" and kind.startswith("Auto"):
            raise UsageError(
                f"{folder} leaves open what its {part} is ({kind}), which could be code of its own: refused."
            )
    return index


def fingerprint(folder: Path) -> str:
    """SHA-256 over (relative path, SHA-256) of every file that decides a pixel."""
    return files_fingerprint(folder, deciding_files(folder, read_index(folder)))


def configurations_fingerprint(folder: Path) -> str:
    """The same of what its parts are configured by, without weights and words."""
    index = read_index(folder)
    configs = [path for path in deciding_files(folder, index) if path.name.endswith(("config.json", "_map.json"))]
    return files_fingerprint(folder, [folder / INDEX, *configs])


def evenly_halved(folder: Path, index: Index) -> int:
    """Pixels of which a picture's sides are to be multiples, so that all networks halve them evenly.

    An autoencoder that does not say how often it halves does so 3 times; a transformer cuts patches of 2. Some
    pipelines do with less.
    """
    return int(2 ** ((_halvings(folder, index, "vae") or 3) + (_halvings(folder, index, "unet") or 1)))


def _halvings(folder: Path, index: Index, part: str) -> int:
    """0 where it is not said."""
    config = read_mapping(folder / part / "config.json") if part in index.parts else {}
    levels = config.get("block_out_channels") or config.get("encoder_block_out_channels")
    return len(levels) - 1 if isinstance(levels, list) else 0


def bytes_of_weights(folder: Path, index: Index) -> int:
    """What the weights take on disk."""
    return sum(path.stat().st_size for part in index.parts for path in (folder / part).glob("*.safetensors"))


def deciding_files(folder: Path, index: Index | None = None) -> Iterator[Path]:
    """All that decides a pixel."""
    yield folder / INDEX
    index = index or read_index(folder)
    for part in sorted(index.parts):
        yield from sorted(path for path in (folder / part).rglob("*") if path.suffix in DECIDING and path.is_file())


@cache
def _modules() -> frozenset[str]:
    """The modules of its pipelines, whose classes an index names by them: a safety checker."""
    return frozenset(path.name for path in (package() / "pipelines").iterdir() if path.is_dir())
