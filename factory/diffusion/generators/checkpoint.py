"""Checkpoints: a plain Stable Diffusion 1, 2 or XL in one file, as communities share them.

What is not in the file is found beside it or named by flags: its configurations, CLIP's vocabulary.
"""

from collections.abc import Sequence
from hashlib import sha256
from pathlib import Path

from factory.diffusion.checkpoints.header import CONFIGURATIONS, NAMES, read_header
from factory.diffusion.checkpoints.vocabulary import find_vocabulary
from factory.diffusion.generators import plain
from factory.diffusion.generators.kind import GeneratorKind
from factory.diffusion.model_files import XL
from factory.diffusion.plain.folder import check_index, configurations_fingerprint
from factory.engine.draft import Draft
from factory.engine.plan import Plan
from factory.errors import InputChanged, UsageError
from factory.models.clip_words import word_files
from factory.models.device import Device
from factory.models.folder import files_fingerprint
from factory.models.weights import SAFE
from factory.sample import Source
from factory.shards.commit import sha256_of

NAME = "checkpoint"
CONFIG, VOCABULARY = "checkpoint_config", "checkpoint_vocabulary"  # of a plan
PIPELINES = ("StableDiffusionPipeline", XL)


def plan_checkpoint(file: Path, config: str, tokenizer: str, draft: Draft) -> Path:
    """Freeze what a checkpoint is read with; the folder of its configurations. Raises UsageError."""
    header = read_header(file, other=bool(config))
    if header.velocity:
        raise UsageError(
            f"{file} predicts velocity, as {NAMES[header.family]} does not: give --config a folder of its "
            "configurations (docs/models.md)."
        )
    folder = Path(config) if config else CONFIGURATIONS / header.family
    if config and (pipeline := check_index(folder).pipeline) not in PIPELINES:
        raise UsageError(f"--config {folder} is for {pipeline}; a checkpoint is read as {' or '.join(PIPELINES)}.")
    words = find_vocabulary(tokenizer, [*([folder] if config else []), file.parent], header.words)
    draft.weights[CONFIG], draft.places[CONFIG] = configurations_fingerprint(folder), str(folder.resolve())
    draft.weights[VOCABULARY], draft.places[VOCABULARY] = _of_words(words), str(words.resolve())
    if header.guessed:
        draft.remarks.append(header.guessed)
    return folder


def _of_words(folder: Path) -> str:
    return files_fingerprint(folder, word_files(folder))


def _fits(place: Path) -> bool:
    return place.suffix == SAFE and place.is_file()


def _check(file: Path) -> None:
    read_header(file, other=True)


def _facts(file: Path) -> Sequence[tuple[str, str]]:
    header = read_header(file)
    return [
        ("family", NAMES[header.family]),
        ("weights", f"{file.stat().st_size / 1e9:.2f} GB"),
        *([("predicts", "velocity: needs --config, a folder of its configurations")] if header.velocity else []),
        *([("guessed", header.guessed)] if header.guessed else []),
        *plain.asked_in_words(CONFIGURATIONS / header.family),
    ]


def _open(plan: Plan, device: Device) -> Source:
    from factory.diffusion.checkpoints.loading import load_checkpoint  # noqa: PLC0415  (torch takes seconds)
    from factory.diffusion.sample.pipeline import working_type  # noqa: PLC0415

    config, words = Path(plan.places[CONFIG]), Path(plan.places[VOCABULARY])
    for folder, found, planned in (
        (config, configurations_fingerprint(config), plan.weights[CONFIG]),
        (words, _of_words(words), plan.weights[VOCABULARY]),
    ):
        if found != planned:
            raise InputChanged(f"{folder} is not what the run was planned with: restore it, or use a new --out.")
    pipeline = load_checkpoint(Path(plan.places[NAME]), config, words, working_type(device.torch))
    whole = "\n".join(plan.weights[name] for name in (NAME, CONFIG, VOCABULARY))
    return plain.source_of(plan, pipeline, device, sha256(whole.encode()).hexdigest(), NAME)


CHECKPOINT = GeneratorKind(
    name=NAME,
    says="a text-to-image model in one file: asked for a screen in words, its pictures are keyed",
    fits=_fits,
    check=_check,
    facts=_facts,
    sampling=plain.sampling,
    written=plain.written,
    fingerprint=sha256_of,
    open=_open,
    gives="picture",
    given=plain.check_beginning,
)
