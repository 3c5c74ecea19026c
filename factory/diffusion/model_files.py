"""What can be said about a model folder without loading it: is it whole, which bytes, whose licence.

Light on purpose: planning and the command line use it, and torch is seconds away.
"""

import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Literal, TypeAlias

from factory.diffusion.plain.arguments import classes
from factory.errors import UsageError, quoted
from factory.models.clip_words import check_words
from factory.models.folder import check_configurations, check_weights, files_fingerprint, is_hub_name, read_mapping
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
    return read_mapping(folder / INDEX).get("_class_name") == XL


def own_size(folder: Path) -> int:
    """Pixels of the side of the pictures that a model was made for. Raises UsageError where it does not say."""
    place = folder / "unet" / "config.json"
    latent = read_mapping(place).get("sample_size")
    if not isinstance(latent, int):
        raise UsageError(f"{place} must say sample_size, one number: copy the model again, whole.")
    return latent << (len(channels_of_levels(folder)) - 1)  # each level but the first halves the side


def channels_of_levels(folder: Path) -> Sequence[int]:
    """Of a model's autoencoder, from the pictures down. Raises UsageError where it does not say."""
    place = folder / "vae" / "config.json"
    channels = read_mapping(place).get("block_out_channels")
    if not isinstance(channels, list) or not channels or not all(isinstance(one, int) for one in channels):
        raise UsageError(f"{place} must list block_out_channels: copy the model again, whole.")
    return channels


def scheduler_class(folder: Path) -> str:
    """What diffusers calls a model's noise schedule. Raises UsageError where it has none of that name."""
    place = folder / "scheduler" / "scheduler_config.json"
    name = read_mapping(place).get("_class_name")
    if not isinstance(name, str) or not name.endswith("Scheduler") or name not in classes():
        raise UsageError(f"{place} names no scheduler that the installed diffusers has ({name}): copy it again.")
    return name


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
    check_configurations(folder, folders(xl=xl))
    scheduler_class(folder)
    for name in parts(xl=xl):
        check_weights(folder / name)
    check_words(folder / "tokenizer")
    if xl:
        check_words(folder / "tokenizer_2")
