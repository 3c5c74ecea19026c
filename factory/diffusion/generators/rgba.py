"""Pipelines whose pictures come with α: asked for transparency as they were taught, nothing is keyed."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from factory.diffusion.generators import plain
from factory.diffusion.generators.kind import AUTO, GeneratorKind, Sampling, check_key
from factory.diffusion.lora.laying import with_additions
from factory.diffusion.model_files import INDEX
from factory.diffusion.plain import folder as plain_folder
from factory.diffusion.plain.families import family_of
from factory.diffusion.plain.settings import PlainSettings
from factory.diffusion.routing import planned_routing
from factory.diffusion.sizes import refuse_sizes
from factory.engine.plan import Plan
from factory.greenscreen.colours import KEY_COLOURS
from factory.models.device import Device
from factory.sample import Source
from factory.settings import changed

NAME = "rgba"


def _fits(folder: Path) -> bool:
    return (folder / INDEX).is_file() and family_of(plain_folder.read_index(folder).pipeline).rgba


def sampling(asked: Mapping[str, Any], _folder: Path) -> Sampling:
    """The screen is only what the object is set on afterwards: each prompt's own, unless a recipe names one."""
    key = asked.get("key", AUTO)
    check_key(key)
    changes = {name: value for name, value in asked.items() if not (name == "key" and value == AUTO)}
    sampler = changed("sampler", PlainSettings(negative_prompt=""), changes)
    refuse_sizes(sampler.sizes)
    return Sampling(sampler, tuple(KEY_COLOURS) if key == AUTO else ())


def _open(plan: Plan, device: Device) -> Source:
    from factory.diffusion.transparent import TransparentSource  # noqa: PLC0415  (torch takes seconds)

    painter, sampler, _ = plain.opened(plan, Path(plan.places[NAME]), device)

    def paint(prompts: list[str], seeds: list[int]) -> Any:
        return painter.paint(prompts, seeds, sampler, [sampler.key] * len(prompts))

    return TransparentSource(
        paint,
        plan.batch_size,
        key=sampler.key,
        template=sampler.template or painter.family.template,
        routing=planned_routing(plan),
        about={
            "source": painter.name,
            "licence": plan.settings["licence"],
            "model": with_additions(plan.weights[NAME], plan),
            **painter.facts(sampler),
        },
    )


RGBA = GeneratorKind(
    name=NAME,
    says="a text-to-image pipeline whose pictures come with alpha",
    fits=_fits,
    check=plain.check,
    facts=plain.facts,
    sampling=sampling,
    written=plain.written,
    fingerprint=plain_folder.fingerprint,
    open=_open,
    gives="matte",
)
