"""Joint transformers taught to paint on a screen: any of `JOINT` with a matting head, which tells a coarse mask."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from factory.diffusion.generators import plain
from factory.diffusion.generators.kind import GeneratorKind, Sampling, check_key, screens
from factory.diffusion.lora.laying import with_additions
from factory.diffusion.lora.lowering import lowered
from factory.diffusion.model_files import INDEX
from factory.diffusion.plain import folder as plain_folder
from factory.diffusion.plain.families import JOINT
from factory.diffusion.plain.settings import PlainSettings
from factory.diffusion.sample.settings import DEFAULTS_FILE
from factory.diffusion.sizes import in_turn
from factory.engine.plan import Plan
from factory.errors import UsageError
from factory.models.device import Device
from factory.models.folder import check_weights, files_fingerprint, read_mapping
from factory.sample import Source
from factory.settings import changed

NAME = "headed"
HEAD = "matting_head"
TEMPLATE = "{key} screen, {prompt}"  # as trainings have it, unless the model's sampler.json says otherwise


def _fits(folder: Path) -> bool:
    return (folder / HEAD).is_dir() and (folder / INDEX).is_file() and plain_folder.read_index(folder).pipeline in JOINT


def check(folder: Path) -> None:
    plain_folder.check(folder)
    check_weights(folder / HEAD)


def own_settings(folder: Path) -> Mapping[str, Any]:
    """How the model is called, unless asked otherwise: its folder's sampler.json, with fields of `PlainSettings`."""
    path = folder / DEFAULTS_FILE
    own = {"key": "green", "template": TEMPLATE, **(read_mapping(path) if path.is_file() else {})}
    changed(str(path), PlainSettings(), own)
    return own


def _facts(folder: Path) -> Sequence[tuple[str, str]]:
    known = [fact for fact in plain.facts(folder) if fact[0] not in ("screens", "starts from")]
    return [*known, ("screens", screens([own_settings(folder)["key"]]))]


def _sampling(asked: Mapping[str, Any], folder: Path) -> Sampling:
    """On the screen that the model was taught."""
    own = own_settings(folder)
    key = asked.get("key", own["key"])
    check_key(key)
    if key != own["key"]:
        raise UsageError(f"--key {key}: the model knows {screens([own['key']])} only: leave --key out.")
    return plain.sampling({**own, **asked}, folder)


def fingerprint(folder: Path) -> str:
    """Of the pipeline and the head."""
    return files_fingerprint(folder, [*plain_folder.deciding_files(folder), *sorted((folder / HEAD).glob("*.*"))])


def _open(plan: Plan, device: Device) -> Source:
    from factory.diffusion.matting_head import MattingHead  # noqa: PLC0415  (torch takes seconds)
    from factory.diffusion.plain.headed import HeadedPipeline, HeadedSource  # noqa: PLC0415
    from factory.diffusion.sample.pipeline import working_type  # noqa: PLC0415
    from factory.models.part import load_part  # noqa: PLC0415

    folder = Path(plan.places[NAME])
    painter, sampler, lay = plain.opened(plan, folder, device)
    head = load_part(MattingHead, folder / HEAD, torch_dtype=working_type(device.torch)).to(device.torch).eval()
    headed = HeadedPipeline(painter, head)

    def source_at(sizes: tuple[str, ...]) -> Source:
        return HeadedSource(
            headed,
            replace(sampler, sizes=sizes),
            plan.batch_size,
            licence=plan.settings["licence"],
            model=with_additions(plan.weights[NAME], plan),
            name=NAME,
        )

    return lowered(in_turn(sampler.sizes, source_at), plan, lay)


HEADED = GeneratorKind(
    name=NAME,
    says="a text-to-image pipeline taught to paint on a screen, whose matting head tells a coarse mask",
    fits=_fits,
    check=check,
    facts=_facts,
    sampling=_sampling,
    written=plain.written,
    fingerprint=fingerprint,
    open=_open,
    gives="mask",
)
