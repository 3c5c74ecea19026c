"""What can be said about a model folder without loading it: is it whole, which bytes, whose licence.

Light on purpose: planning and the command line use it, and torch is seconds away.
"""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Literal, TypeAlias

from factory.errors import UsageError, quoted
from factory.models.clip_words import check_words
from factory.models.folder import check_weights, files_fingerprint, is_hub_name, read_json
from factory.models.weights import PICKLED, SAFE, weights_file
from factory.shards.foreign_text import parse_yaml

EMBEDDED = Path(__file__).parents[1] / "embedded" / "model"  # ships with the package
Prediction: TypeAlias = Literal["epsilon", "v_prediction"]  # diffusers' names, in a scheduler's configuration
INDEX = "model_index.json"
XL = "StableDiffusionXLPipeline"
PARTS = ("unet", "vae", "text_encoder", "matting_head")  # the subfolders with weights


def resolve(name: str, said: str = "--model") -> Path:
    """The folder, or the single file, that a flag or recipe names. Raises UsageError for a pickled file.

    said: before the name, in errors.

    A hub name is not fetched: the error says what to run.
    """
    folder = Path(name)
    if folder.is_dir():
        return folder
    if folder.suffix in (SAFE, *PICKLED):
        return weights_file(folder, said)
    if is_hub_name(name):
        raise UsageError(
            f"{said} {name}: there is no such folder, and nothing is downloaded unasked; if it is a model on the "
            f"Hugging Face hub, run `hf download {name} --local-dir {quoted(folder.name)}` and give that folder"
        )
    raise UsageError(f"{said} {name}: there is no such folder; give a folder with a {INDEX} inside")


def is_xl(folder: Path) -> bool:
    """Whether a folder is laid out as Stable Diffusion XL, with two readers of the text."""
    index = read_json(folder / INDEX)
    return isinstance(index, dict) and index.get("_class_name") == XL


def parts(*, xl: bool) -> tuple[str, ...]:
    """The subfolders with weights."""
    return (*PARTS, "text_encoder_2") if xl else PARTS


def folders(*, xl: bool) -> tuple[str, ...]:
    """All subfolders of a model."""
    return (*parts(xl=xl), "tokenizer", "scheduler", *(["tokenizer_2"] if xl else []))


def fingerprint(folder: Path) -> str:
    """SHA-256 over (relative path, SHA-256) of every file that decides a pixel: weights, configurations, vocabulary."""
    return files_fingerprint(folder, _deciding_files(folder))


def licence(folder: Path) -> str:
    """The `license:` of the model card (README.md's front matter), "" where there is none."""
    card = folder / "README.md"
    if not card.is_file():
        return ""
    try:
        front_matter = re.match(r"---\n(.*?)\n---\n", card.read_text(encoding="utf-8"), re.DOTALL)
        fields = parse_yaml(front_matter.group(1)) if front_matter else None
    except (OSError, ValueError) as error:
        raise UsageError(f"{card} cannot be read ({' '.join(str(error).split())}): mend or remove it") from error
    return str(fields.get("license", "")) if isinstance(fields, dict) else ""


def _deciding_files(folder: Path) -> Iterator[Path]:
    yield folder / INDEX
    for name in sorted(folders(xl=is_xl(folder))):
        for path in sorted((folder / name).iterdir()):
            if path.suffix in {".safetensors", ".json", ".txt"}:
                yield path


def check(folder: Path) -> None:
    """Refuse what would fail later in someone else's words, or run someone else's code."""
    if not (folder / INDEX).is_file():
        raise UsageError(f"{folder} is not a model folder: there is no {INDEX} in it; give a Stable Diffusion folder")
    xl = is_xl(folder)
    for name in folders(xl=xl):
        if not (folder / name).is_dir():
            mend = "train one with `factory train`" if name == "matting_head" else "copy the model again, whole"
            raise UsageError(f"{folder} has no {name}/: {mend}")
    for name in parts(xl=xl):
        check_weights(folder / name)
    check_words(folder / "tokenizer")
    if xl:
        check_words(folder / "tokenizer_2")
