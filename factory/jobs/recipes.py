"""What to make: strict pydantic models, read from YAML; the command line's flags build the same objects."""

from collections.abc import Sequence
from itertools import takewhile
from pathlib import Path
from typing import Annotated, Any, Literal, TypeAlias

import yaml
from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from factory.diffusion.train.settings import TrainSettings
from factory.errors import UsageError
from factory.greenscreen.colours import KeyName
from factory.greenscreen.keyer.settings import KeyerSettings
from factory.quality.gates import GateSettings
from factory.refine.greenpost import GreenPostSettings
from factory.shards.marking import MarkingSettings
from factory.sources.captioning.model import CaptionSettings
from factory.sources.clips.settings import ClipSettings


class Strict(BaseModel):
    """Unknown fields are errors: a mistyped one must not be silently ignored."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class RunSettings(Strict):
    """What every run has. Of these only seed, shard_size, batch and threads decide bytes."""

    out: Path
    seed: Annotated[int, Field(ge=0)] = 0
    shard_size: int = 256
    batch: int = 16
    threads: int = 1
    executor: Literal["ray", "local"] = "ray"
    workers: Annotated[int, Field(ge=0)] = 0  # 0: one per GPU, else one per core
    gpus: Annotated[int, Field(ge=-1)] = -1  # -1: all the cluster has
    wait_for_gpus: Annotated[float, Field(ge=0)] = 0.0  # seconds, for clusters that grow
    allow_short: bool = False  # a set with unfilled slots is no failure
    accept_software: bool = False  # go on under other versions, although bytes may differ


class GenerateRecipe(RunSettings):
    """Prompts in, samples out."""

    job: Literal["generate"] = "generate"
    prompts: str = ""  # a file (txt, csv, jsonl, parquet), "-" for stdin, "" for the model's own classes
    template: str = ""  # for class names: "{a} {class}", "{a} {colour} {class}"; "" takes the model's
    n: Annotated[int, Field(ge=1)] = 32
    model: str = ""  # a model folder; "" is the embedded one
    sampler: dict[str, Any] = {}  # what differs from the model's own sampler settings
    greenpost: GreenPostSettings = GreenPostSettings()
    gates: GateSettings = GateSettings()
    marking: MarkingSettings = MarkingSettings()  # what the pictures say of themselves
    max_attempts: Annotated[int, Field(ge=1, le=100)] = 10


class ProceduralEntry(Strict):
    """Drawn objects, as many as you like."""

    type: Literal["procedural"] = "procedural"
    n: Annotated[int, Field(ge=1)]
    validation: Annotated[int, Field(ge=0)] = 0  # of further samples for the validation split
    classes: tuple[str, ...] = ()  # () is all


class FiniteEntry(Strict):
    """Files on the user's disk."""

    path: Path
    captions: Path | None = None  # a table (csv, jsonl, parquet) with a caption for each file
    at_most: Annotated[int, Field(ge=0)] = 0  # pictures (of clips: frames) to take, drawn by the seed; 0 is all
    repeat: Annotated[int, Field(ge=1)] = 1  # framings of each picture
    paper: Annotated[int, Field(ge=0)] = 0  # images that the paper took of this source
    allowed_failures: Annotated[float, Field(ge=0, le=1)] = 0.0  # share of items with bad data that is no failure
    optional: bool = False  # an absent folder is skipped with a word, not refused


class RgbaFolderEntry(FiniteEntry):
    """Pictures with an alpha channel."""

    type: Literal["rgba_folder"] = "rgba_folder"
    name: str = ""  # what it goes by in every sample; "" is the folder's name
    include: tuple[str, ...] = ("**/*",)  # glob patterns below the folder
    caption_from: Literal["file", "folder"] = "file"
    licence: str = ""
    attribution: str = ""


class PublicEntry(FiniteEntry):
    """A public matting or segmentation set as its users unpack it; sources/public/ has the list."""

    type: Literal["public"] = "public"
    dataset: str  # am-2k, p3m-10k …; "pairs" is any two folders matched by name
    name: str = ""  # what it goes by in every sample; "" is the set's own
    include_test: bool = False  # also images of public benchmarks
    every: Annotated[int, Field(ge=1)] = 5  # of a set of videos each n-th frame; 5 comes nearest to the paper's count
    inverted: bool | None = None  # whether the mattes' black is the object; None is as the set is known to be
    licence: str = ""  # "" is the set's own
    attribution: str = ""


class VideosEntry(FiniteEntry):
    """Green-screen clips, to be keyed."""

    type: Literal["videos"] = "videos"
    name: str = "clips"
    include: tuple[str, ...] = ("**/*",)
    select: ClipSettings = ClipSettings()  # which frames, and how their colours are read
    validation: Annotated[float, Field(ge=0, le=0.5)] = 0.0  # share of the clips
    class_name: str = "person"
    keyer: KeyerSettings = KeyerSettings()
    licence: str = ""
    attribution: str = ""


SourceEntry: TypeAlias = Annotated[
    ProceduralEntry | RgbaFolderEntry | PublicEntry | VideosEntry, Field(discriminator="type")
]


class BuildRecipe(RunSettings):
    """The training set: objects with known alpha on a pure screen."""

    job: Literal["build-green100k"] = "build-green100k"
    size: Annotated[int, Field(ge=16, le=4096)] = 512
    key: KeyName = "green"
    sources: Annotated[tuple[SourceEntry, ...], Field(min_length=1)]
    exclude: tuple[Path, ...] = ()  # lists of file hashes to keep out, beside the list of benchmark images that ships
    captioner: CaptionSettings = CaptionSettings()  # without a model captions come from tables and file names
    gates: GateSettings = GateSettings()
    marking: MarkingSettings = MarkingSettings()  # what the pictures say of themselves
    max_attempts: Annotated[int, Field(ge=1, le=100)] = 10  # for sources without an end


class RefineRecipe(RunSettings):
    """GreenPost over an existing set: same keys, new mattes."""

    job: Literal["refine"] = "refine"
    data: Path
    greenpost: GreenPostSettings = GreenPostSettings()
    gates: dict[str, Any] = {}  # what differs from the set's own gates
    marking: dict[str, Any] = {}  # what differs from the set's own marking


class FilterRecipe(RunSettings):
    """The samples of an existing set that pass (other) gates."""

    job: Literal["filter"] = "filter"
    data: Path
    gates: dict[str, Any] = {}  # what differs from the set's own gates
    marking: dict[str, Any] = {}  # what differs from the set's own marking
    drop_duplicates: bool = False  # also those the manifest marks as duplicate_of another shard's sample


class CaptionsRecipe(RunSettings):
    """An existing set with the captions of a corrected table."""

    job: Literal["captions"] = "captions"
    data: Path
    table: Path  # as `factory captions export` wrote it, corrected
    by: Annotated[str, Field(min_length=1)]  # who corrected it
    marking: dict[str, Any] = {}  # what differs from the set's own marking


class TrainRecipe(Strict):
    """A training of DiffuMatting."""

    job: Literal["train"] = "train"
    out: Path
    train: TrainSettings


DatasetRecipe: TypeAlias = GenerateRecipe | BuildRecipe | RefineRecipe | FilterRecipe | CaptionsRecipe
AnyRecipe: TypeAlias = DatasetRecipe | TrainRecipe
_ADAPTER: TypeAdapter[AnyRecipe] = TypeAdapter(Annotated[AnyRecipe, Field(discriminator="job")])


def read_yaml(path: Path) -> dict[str, Any]:
    """The fields in a recipe file. Raises UsageError where it is missing, broken or not a mapping."""
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise UsageError(
            f"there is no recipe {path}: give the path of a YAML file, for example from pipelines/."
        ) from error
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        reason = " ".join(str(error).split())
        raise UsageError(f"{path} is not a readable YAML recipe ({reason}).") from error
    if not isinstance(content, dict):
        raise UsageError(f"{path} is not a recipe: it must be a YAML mapping with a field `job`.")
    return content


def set_dotted(fields: dict[str, Any], assignment: str) -> None:
    """Apply one `--set a.b=1` in place; the value is parsed as YAML."""
    name, equals, text = assignment.partition("=")
    if not equals or not name:
        raise UsageError(f"--set {assignment} is not of the form a.b=value.")
    try:
        value = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise UsageError(f"--set {name}: {text!r} is not a YAML value.") from error
    *parents, last = name.split(".")
    for parent in parents:
        inner = fields.setdefault(parent, {})
        if not isinstance(inner, dict):
            raise UsageError(f"--set {name}: {parent} is not a group of fields.")
        fields = inner
    fields[last] = value


def parse(fields: dict[str, Any]) -> AnyRecipe:
    """The recipe in these fields. Raises UsageError naming each wrong field."""
    try:
        return _ADAPTER.validate_python(fields)
    except ValidationError as error:
        faults = []
        found = error.errors()
        for fault in found:
            if any(len(other["loc"]) > len(fault["loc"]) == _shared(other["loc"], fault["loc"]) for other in found):
                continue  # it only follows from a fault inside of it
            place = ".".join(str(part) for part in fault["loc"] if part != fields.get("job"))
            faults.append(f"{place or 'job'}: {fault['msg']}")
        raise UsageError("wrong recipe: " + "; ".join(faults) + ".") from error


def _shared(one: Sequence[Any], other: Sequence[Any]) -> int:
    """How many parts two places have in common from their beginning on."""
    return sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], zip(one, other, strict=False)))


def to_yaml(recipe: BaseModel) -> str:
    """The recipe with every field written out."""
    return yaml.safe_dump(recipe.model_dump(mode="json"), sort_keys=False, allow_unicode=True)
