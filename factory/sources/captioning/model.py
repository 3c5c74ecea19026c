"""What can be said about a captioning model without loading it: where it is, is it whole, which bytes.

Light on purpose: planning uses it, and torch is seconds away.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, TypeAlias

from factory.errors import UsageError, quoted
from factory.models.folder import check_weights, files_fingerprint, is_hub_name, read_json

Precision: TypeAlias = Literal["auto", "float32", "bfloat16", "float16"]

CONFIG = "config.json"
SHARDS = "model.safetensors.index.json"
PROCESSORS = ("processor_config.json", "preprocessor_config.json")
TOKENIZERS = ("tokenizer.json", "vocab.txt", "vocab.json", "tokenizer.model", "spiece.model", "sentencepiece.bpe.model")
DECIDING = (".safetensors", ".json", ".txt", ".model", ".jinja")  # weights, configurations, vocabularies, templates


@dataclass(frozen=True, slots=True, kw_only=True)
class CaptionSettings:
    """How objects are captioned. Part of the plan, `model` apart: of it the plan has place and fingerprint.

    model: a folder, or the hub name of a model that is then downloaded.
    prompt: what the model is asked, never part of the caption. An instructed model (InstructBLIP, LLaVA …) follows it,
        BLIP, BLIP-2 and GIT write on from it. "" asks the instructed for a short description and the others nothing.
    max_new_tokens: of a caption; a longer one is cut.  beams: of the search, 1 is greedy.
    batch: pictures at a time; each batch is filled up to it, so that a caption does not depend on its company.
    precision: "auto" takes bfloat16 on GPUs that have it, float16 on older ones and float32 on a CPU.
    """

    model: str = ""
    prompt: str = ""
    max_new_tokens: int = 40
    beams: int = 3
    batch: int = 16
    precision: Precision = "auto"

    def __post_init__(self) -> None:
        """Refuse what no plan should hold."""
        for name in ("max_new_tokens", "beams", "batch"):
            if not 1 <= getattr(self, name) <= 1024:
                raise UsageError(f"captions: {name} is {getattr(self, name)}: choose 1 to 1024")


def resolve(model: str) -> Path:
    """The folder of a model. A hub name is the asking for a download, which an earlier one saves."""
    if not model:
        raise UsageError("captions: no model is named: give a model's folder, or its name on the hub")
    folder = Path(model)
    if folder.is_dir():
        return folder
    if not is_hub_name(model):
        raise UsageError(f"captions: there is no folder {model}; give a model's folder, or its name on the hub")
    return _downloaded(model)


def _downloaded(name: str) -> Path:
    from huggingface_hub import snapshot_download  # noqa: PLC0415  (takes a while, only needed here)
    from huggingface_hub.errors import HFValidationError  # noqa: PLC0415

    try:
        return Path(snapshot_download(name, allow_patterns=[f"*{suffix}" for suffix in DECIDING]))
    except (OSError, HFValidationError) as error:  # all that the hub's client raises is one of these
        reason = str(error).strip().partition("\n")[0].rstrip(".")
        raise UsageError(
            f"captions: {name} cannot be fetched from the Hugging Face hub ({reason}); where there is a network run "
            f"`hf download {name} --local-dir {quoted(name.rpartition('/')[2])}` and give that folder"
        ) from error


def fingerprint(folder: Path) -> str:
    """SHA-256 over (relative path, SHA-256) of every file that decides a caption."""
    return files_fingerprint(folder, _deciding_files(folder))


def _deciding_files(folder: Path) -> Iterator[Path]:
    for path in sorted(folder.rglob("*")):
        hidden = any(part.startswith(".") for part in path.relative_to(folder).parts)  # the hub client's notes
        if path.suffix in DECIDING and path.is_file() and not hidden:
            yield path


def check(folder: Path) -> None:
    """Refuse what would fail later in someone else's words, or run someone else's code."""
    if not (folder / CONFIG).is_file():
        raise UsageError(f"{folder} is not a captioning model: there is no {CONFIG} in it")
    kind = _read_object(folder / CONFIG).get("model_type")
    if not isinstance(kind, str):
        raise UsageError(f"{folder / CONFIG} names no `model_type`: give the folder of a transformers model")
    if not any((folder / name).is_file() for name in PROCESSORS):
        raise UsageError(
            f"{folder} does not say how pictures are prepared ({PROCESSORS[1]}): copy the model again, whole"
        )
    for place in [folder, *([folder / "qformer_tokenizer"] if kind == "instructblip" else [])]:
        if not any((place / name).is_file() for name in TOKENIZERS):  # transformers would go on with an empty one
            raise UsageError(f"{place} has no tokenizer ({TOKENIZERS[0]}): copy the model again, whole")
    index = folder / SHARDS
    if index.is_file():
        shards = sorted({str(name) for name in _read_object(index).get("weight_map", {}).values()})
        missing = [name for name in shards if not (folder / name).is_file()]
        if missing:
            raise UsageError(f"{folder} lacks {missing[0]} and so part of its weights: copy the model again, whole")
    check_weights(folder)


def _read_object(path: Path) -> dict[str, Any]:
    content = read_json(path)
    if not isinstance(content, dict):
        raise UsageError(f"{path} is not a JSON object: copy it again")
    return content
