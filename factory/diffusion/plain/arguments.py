"""What a pipeline's call takes, read in diffusers' source and not imported: that takes seconds."""

import ast
import re
from collections.abc import Sequence
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import NamedTuple

from factory.errors import UsageError

PICTURES = ("image", "control_image", "mask_image", "reference_image", "images")  # arguments that are some
NEED_ONE = re.compile(
    "Control|Inpaint|Img2Img|Pix2Pix|Upscale|SuperResolution|Depth2Img|Adapter|Fill|Refiner|Layered|DiffEdit|EditPlus|"
    "QwenImageEdit|LongCatImageEdit"
)  # the names of pipelines that cannot do without, though the argument may be left out
OF_VIDEOS = ("num_frames", "num_videos_per_prompt", "frames", "video", "video_length")
OF_OTHERS = re.compile("Audio|Music|AceStep|Latte|ShapE|LLaDA|DiffusionGemma|Prior|SanaVideo|Helios")


class Call(NamedTuple):
    """names: of all arguments but the pipeline itself.  needed: of those without a default."""

    names: tuple[str, ...]
    needed: tuple[str, ...]


def check_arguments(folder: Path, pipeline: str) -> None:
    """Raises UsageError for a pipeline that does not make pictures of a text alone."""
    call = call_of(pipeline)
    if any(argument in call.names for argument in OF_VIDEOS) or OF_OTHERS.search(pipeline):
        raise UsageError(f"{folder} is for {pipeline}, which makes something else than still pictures.")
    if "prompt" not in call.names or "generator" not in call.names:
        raise UsageError(f"{folder} is for {pipeline}, which does not paint from a text and a seed.")
    more = [argument for argument in call.needed if argument != "prompt"]
    if NEED_ONE.search(pipeline):
        more += [argument for argument in PICTURES if argument in call.names]
    if more:
        raise UsageError(
            f"{folder} is for {pipeline}, which needs more than a prompt ({more[0]}): take a text-to-image model."
        )


@cache
def call_of(pipeline: str) -> Call:
    """Of a class by its name; no arguments for one without a call, or that is no pipeline."""
    for file in _sources():
        text = file.read_text(encoding="utf-8")
        if re.search(rf"^class {pipeline}\b", text, re.MULTILINE):
            return _call_in(ast.parse(text), pipeline)
    return Call((), ())


def _call_in(module: ast.Module, name: str) -> Call:
    (own, *_) = (each for each in module.body if isinstance(each, ast.ClassDef) and each.name == name)
    for each in own.body:
        if isinstance(each, ast.FunctionDef) and each.name == "__call__":
            return _arguments(each.args)
    bases = [base.id for base in own.bases if isinstance(base, ast.Name) and base.id.endswith("Pipeline")]
    return call_of(bases[0]) if bases and bases[0] != "DiffusionPipeline" else Call((), ())


def _arguments(args: ast.arguments) -> Call:
    placed = [each.arg for each in (*args.posonlyargs, *args.args)][1:]
    named = [each.arg for each in args.kwonlyargs]
    without = placed[: len(placed) - len(args.defaults)]
    without += [name for name, default in zip(named, args.kw_defaults, strict=True) if default is None]
    return Call((*placed, *named), tuple(without))


@cache
def classes() -> frozenset[str]:
    """The names that diffusers has, read and not imported: that takes seconds."""
    return frozenset(re.findall(r'"([A-Za-z0-9_]+)"', (package() / "__init__.py").read_text(encoding="utf-8")))


@cache
def package() -> Path:
    """The folder that diffusers is installed in."""
    spec = find_spec("diffusers")
    assert spec is not None
    assert spec.origin is not None
    return Path(spec.origin).parent


@cache
def _sources() -> Sequence[Path]:
    return sorted((package() / "pipelines").rglob("pipeline_*.py"))
