"""Layer diffusion: a Stable Diffusion 1.5 or XL pipeline with LayerDiffuse's files, which paints α and colours.

It is asked for by its own flag, `--layers FOLDER`, beside the base in `--model`.
"""

from collections.abc import Mapping
from hashlib import sha256
from pathlib import Path
from typing import Any

from factory.diffusion.generators import plain, rgba
from factory.diffusion.generators.kind import GeneratorKind, Sampling
from factory.diffusion.layerdiffuse.files import find
from factory.diffusion.lora.laying import with_additions
from factory.diffusion.plain import folder as plain_folder
from factory.diffusion.plain.settings import PlainSettings
from factory.diffusion.routing import planned_routing
from factory.diffusion.sample.few_steps import with_few_steps
from factory.diffusion.sizes import refuse_sizes
from factory.engine.draft import Draft
from factory.engine.plan import Plan
from factory.errors import UsageError
from factory.models.device import Device
from factory.models.planned_file import bytes_as_planned, plan_file
from factory.sample import Source
from factory.settings import changed

NAME = "layers"
PATCH, DECODER = "layers_patch", "layers_decoder"  # of a plan
BASES = {"StableDiffusionPipeline": "sd15", "StableDiffusionXLPipeline": "xl"}
OWN = PlainSettings(sampler="dpm++2m", steps=20, guidance=7.0, negative_prompt="bad, ugly", template="{prompt}")
MULTIPLE = 64
OF_XL = "vae_transparent_decoder"  # its name does not say for what it is


def plan_layers(files: Path, base: Path, draft: Draft) -> None:
    """Freeze LayerDiffuse's files. Raises UsageError for a base that they are not for."""
    pipeline = plain_folder.read_index(base).pipeline
    if pipeline not in BASES:
        raise UsageError(f"--layers: {base} is for {pipeline}; LayerDiffuse is for {' and '.join(BASES)}.")
    found = find(files)
    for file in found:
        for family in BASES.values():
            if f"_{family}_" in f"_{file.stem}_" and family != BASES[pipeline]:
                raise UsageError(f"--layers: {file.name} is for another base than {base}, which is for {pipeline}.")
    if BASES[pipeline] == "sd15" and found.decoder.stem == OF_XL:
        raise UsageError(f"--layers: {found.decoder.name} is XL's, and {base} is for {pipeline}.")
    plan_file(PATCH, found.patch, draft)
    plan_file(DECODER, found.decoder, draft)


def _fits(_folder: Path) -> bool:
    """It is asked for by its own flag."""
    return False


def _sampling(asked: Mapping[str, Any], folder: Path) -> Sampling:
    others = {name: value for name, value in asked.items() if name != "key"}
    sampler = changed("sampler", OWN, with_few_steps(others, OWN.sampler))
    refuse_sizes(sampler.sizes)
    if sampler.size % MULTIPLE:
        raise UsageError(f"sampler.size {sampler.size}: layer diffusion takes multiples of {MULTIPLE}.")
    if sampler.start != "noise":
        raise UsageError("sampler.start: layer diffusion paints no screen: leave it at noise.")
    screens = rgba.sampling({"key": asked["key"]} if "key" in asked else {}, folder)
    return Sampling(changed("sampler", sampler, {"key": screens.settings.key}), screens.keys)


def _written(prompt: str, sampler: PlainSettings, _folder: Path) -> str:
    return sampler.template.replace("{prompt}", prompt)


def _open(plan: Plan, device: Device) -> Source:
    from factory.diffusion.layerdiffuse.painter import LayerPainter  # noqa: PLC0415  (torch takes seconds)
    from factory.diffusion.transparent import TransparentSource  # noqa: PLC0415

    files = {name: (Path(plan.places[name]), bytes_as_planned(plan, name)) for name in (PATCH, DECODER)}
    painter, sampler, _ = plain.opened(plan, Path(plan.places[NAME]), device)
    layers = LayerPainter(painter, sampler, files[PATCH], files[DECODER])
    whole = "\n".join([with_additions(plan.weights[NAME], plan), plan.weights[PATCH], plan.weights[DECODER]])
    return TransparentSource(
        layers.paint,
        plan.batch_size,
        key=sampler.key,
        template=sampler.template,
        routing=planned_routing(plan),
        about={
            "source": f"LayerDiffuse on {painter.name}",
            "licence": plan.settings["licence"],
            "negative_prompt": sampler.negative_prompt if painter.guided(sampler) else "",
            "model": sha256(whole.encode()).hexdigest(),
            **painter.facts(sampler),
        },
    )


LAYERS = GeneratorKind(
    name=NAME,
    says="layer diffusion: paints alpha and colours",
    fits=_fits,
    check=plain.check,
    facts=plain.facts,
    sampling=_sampling,
    written=_written,
    fingerprint=plain_folder.fingerprint,
    open=_open,
    gives="matte",
)
