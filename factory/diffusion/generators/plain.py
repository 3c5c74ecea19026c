"""Plain models: any text-to-image pipeline of diffusers, asked for a screen in words; the keyer tells α."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from factory.diffusion.control.planning import planned_controls, with_controls
from factory.diffusion.control.style_planning import SETTINGS as STYLES
from factory.diffusion.control.style_planning import with_styles
from factory.diffusion.generators.kind import AUTO, GeneratorKind, Sampling, check_key, screens
from factory.diffusion.given.pictures import planned_given
from factory.diffusion.given.settings import Given, check_steps_taken
from factory.diffusion.lora.laying import ADAPTED, lay_planned, with_additions
from factory.diffusion.lora.lowering import Lay, lowered
from factory.diffusion.model_files import INDEX
from factory.diffusion.plain import folder as plain_folder
from factory.diffusion.plain.arguments import call_of
from factory.diffusion.plain.families import family_of
from factory.diffusion.plain.settings import PlainSettings, asked
from factory.diffusion.routing import planned_routing
from factory.diffusion.row_pictures import planned_row_pictures
from factory.diffusion.sample.few_steps import FEW_STEPS, with_few_steps
from factory.diffusion.sizes import check_sizes, in_turn
from factory.engine.plan import Plan
from factory.errors import UsageError
from factory.greenscreen.colours import KEY_COLOURS
from factory.models.device import Device
from factory.models.folder import read_mapping
from factory.sample import Source
from factory.settings import changed, settings

if TYPE_CHECKING:
    from factory.diffusion.conditions import Condition
    from factory.diffusion.plain.pipeline import PlainPipeline

NAME = "plain"
MULTIPLE = 8  # of pixels, that pipelines of Stable Diffusion's kind take
TOKENIZERS = {"text_encoder": "tokenizer", "text_encoder_2": "tokenizer_2"}


def _fits(folder: Path) -> bool:
    return (folder / INDEX).is_file()


def check(folder: Path) -> None:
    plain_folder.check(folder)


def facts(folder: Path) -> Sequence[tuple[str, str]]:
    index = plain_folder.read_index(folder)
    parts = ", ".join(f"{part} ({kind})" for part, (_, kind) in index.parts.items())
    weights = f"{plain_folder.bytes_of_weights(folder, index) / 1e9:.2f} GB"
    return [
        ("pipeline", index.pipeline),
        ("saved by", f"diffusers {index.version}" if index.version else "not said"),
        ("parts", parts),
        ("weights", weights),
        *asked_in_words(folder),
    ]


def asked_in_words(folder: Path) -> Sequence[tuple[str, str]]:
    """How the pipeline that a folder's index names paints screens."""
    from_screen = family_of(plain_folder.read_index(folder).pipeline).from_screen
    return [
        ("screens", f"{screens(list(KEY_COLOURS))}, asked for in words"),
        ("starts from", "a screen, or noise" if from_screen else "noise"),
    ]


def sampling(asked: Mapping[str, Any], folder: Path) -> Sampling:
    """Screens are asked for in words, so each prompt gets one of its own unless a recipe names one."""
    index = plain_folder.read_index(folder)
    family = family_of(index.pipeline)
    asked = _in_few_steps(asked, folder)
    key = asked.get("key", AUTO)
    check_key(key)
    own = PlainSettings(start="screen" if family.from_screen else "noise")
    changes = {name: value for name, value in asked.items() if not (name == "key" and value == AUTO)}
    sampler = changed("sampler", own, changes)
    if sampler.start == "screen" and not family.from_screen:
        raise UsageError("sampler.start: this pipeline's noise cannot be drawn toward a screen: leave it at noise.")
    if sampler.template and "{key}" not in sampler.template:
        raise UsageError(f"sampler.template {sampler.template!r} does not say where {{key}} goes: write it there.")
    if sampler.sampler and not family.from_screen:
        raise UsageError("sampler.sampler: this pipeline steps by a scheduler of its own kind: leave it out.")
    if sampler.sampler and family.sampler not in ("", sampler.sampler):
        raise UsageError(f"sampler.sampler: this pipeline steps by {family.sampler} only: leave it out.")
    if family.from_screen and sampler.size % MULTIPLE:
        raise UsageError(f"sampler.size {sampler.size} does not fit this model: take a multiple of {MULTIPLE}.")
    if sampler.sizes and "height" not in call_of(index.pipeline).names:
        raise UsageError("sampler.sizes: this pipeline paints at a size of its own: leave it out.")
    check_sizes(sampler.sizes, plain_folder.evenly_halved(folder, index))
    return Sampling(sampler, tuple(KEY_COLOURS) if key == AUTO else ())


def _in_few_steps(asked: Mapping[str, Any], folder: Path) -> Mapping[str, Any]:
    """With what a sampler of few steps is called with, but for guidance where the network itself is told of it."""
    laid = with_few_steps(asked)
    unet = folder / "unet" / "config.json"
    if "guidance" in asked or not unet.is_file() or read_mapping(unet).get("time_cond_proj_dim") is None:
        return laid
    return {name: value for name, value in laid.items() if name != "guidance"}


def written(prompt: str, sampler: PlainSettings, folder: Path) -> str:
    template = sampler.template or family_of(plain_folder.read_index(folder).pipeline).template
    return asked(prompt, sampler.key, template)


def check_beginning(given: Given, sampler: PlainSettings, folder: Path) -> None:
    from factory.diffusion.plain.sibling import check_sibling  # noqa: PLC0415  (torch takes seconds)

    index = plain_folder.read_index(folder)
    check_sibling(index.pipeline, given)
    if not (sampler.size or sampler.sizes) and not _knows_its_size(folder, index):
        raise UsageError("--given: say at what size to paint, with --set sampler.size=PIXELS.")
    if sampler.steps:
        check_steps_taken(given, sampler.steps)
        if family_of(index.pipeline).sampler and sampler.steps > int(FEW_STEPS["lcm"].most * given.strength):
            raise UsageError(
                f"given.strength {given.strength:g} leaves too few timesteps for so many steps: take more."
            )


def _knows_its_size(folder: Path, index: plain_folder.Index) -> bool:
    """Whether pictures to begin with are of the size that the U-Net was trained at; pixels of the `vae` there are."""
    return {"unet", "vae"} <= index.parts.keys() and "sample_size" in read_mapping(folder / "unet" / "config.json")


def opened(plan: Plan, folder: Path, device: Device) -> "tuple[PlainPipeline, PlainSettings, Lay]":
    """`prepared` of a folder's pipeline."""
    from factory.diffusion.plain.pipeline import load_pipeline  # noqa: PLC0415  (torch takes seconds)
    from factory.diffusion.sample.pipeline import working_type  # noqa: PLC0415

    return prepared(plan, load_pipeline(folder, working_type(device.torch)), device)


def prepared(
    plan: Plan, pipeline: Any, device: Device, beside: Callable[[Any], Any] = lambda pipeline: pipeline
) -> "tuple[PlainPipeline, PlainSettings, Lay]":
    """The pipeline on its device, adapters laid over it. Raises UsageError for settings that it has no use for.

    beside: makes of it a pipeline with further parts, before it goes to its device.
    """
    from factory.diffusion.plain import sibling  # noqa: PLC0415
    from factory.diffusion.plain.pipeline import PlainPipeline, check_settings  # noqa: PLC0415
    from factory.diffusion.plain.placing import placed  # noqa: PLC0415

    parts = {name: part for name, part in pipeline.components.items() if part is not None}
    tokenizers = {name: parts[reads] for name, reads in TOKENIZERS.items() if reads in parts}
    lay = lay_planned(plan, {name: parts[name] for name in ADAPTED if name in parts}, tokenizers)
    family, beginning = family_of(type(pipeline).__name__), planned_given(plan)
    if beginning:
        pipeline = sibling.sibling_of(pipeline, beginning.given)
    sampler = settings(PlainSettings, plan.settings["sampler"])
    painter = PlainPipeline(placed(beside(pipeline), device.torch, compiled=sampler.compile), family)
    check_settings(painter, sampler)
    return painter, sampler, lay


def source_of(plan: Plan, pipeline: Any, device: Device, model: str, name: str = NAME) -> Source:
    """The source that paints with a pipeline and all that a plan lays over it and puts beside it.

    model: the fingerprint of the pipeline alone.  name: of the source in the plan.
    """
    from factory.diffusion.control.beside_pipeline import controlled, sibling  # noqa: PLC0415  (torch takes seconds)
    from factory.diffusion.control.networks import load_networks  # noqa: PLC0415
    from factory.diffusion.control.styles import called, wear  # noqa: PLC0415
    from factory.diffusion.plain.sibling import check_given  # noqa: PLC0415
    from factory.diffusion.plain.source import PlainSource  # noqa: PLC0415
    from factory.diffusion.sample.pipeline import working_type  # noqa: PLC0415

    base, pictures = type(pipeline).__name__, planned_row_pictures(plan)
    networks = load_networks(planned_controls(plan), working_type(device.torch))
    painter, sampler, lay = prepared(
        plan, pipeline, device, lambda alone: sibling(alone, networks) if networks else alone
    )
    styles = wear(plan, painter.pipeline.unet) if plan.settings.get(STYLES) else []
    beginning = planned_given(plan)

    def source_at(sizes: tuple[str, ...]) -> Source:
        own = replace(sampler, sizes=sizes)
        if beginning:
            check_given(painter, beginning.given, painter.picture_size(own), painter.facts(own)["steps"])
        conditions = list["Condition[Mapping[str, Any]]"]()
        if networks:
            conditions.append(controlled(networks, base, pictures, painter.picture_size(own)))
        if styles:
            conditions.append(called(styles, pictures, guided=painter.guided(own)))
        return PlainSource(
            painter,
            own,
            plan.batch_size,
            licence=plan.settings["licence"],
            routing=planned_routing(plan),
            given=beginning,
            model=with_styles(with_controls(with_additions(model, plan), plan), plan),
            conditions=conditions,
            name=name,
        )

    return lowered(in_turn(sampler.sizes, source_at), plan, lay)


def _open(plan: Plan, device: Device) -> Source:
    from factory.diffusion.plain.pipeline import load_pipeline  # noqa: PLC0415  (torch takes seconds)
    from factory.diffusion.sample.pipeline import working_type  # noqa: PLC0415

    pipeline = load_pipeline(Path(plan.places[NAME]), working_type(device.torch))
    return source_of(plan, pipeline, device, plan.weights[NAME])


PLAIN = GeneratorKind(
    name=NAME,
    says="a text-to-image pipeline: asked for a screen in words, its pictures are keyed",
    fits=_fits,
    check=check,
    facts=facts,
    sampling=sampling,
    written=written,
    fingerprint=plain_folder.fingerprint,
    open=_open,
    gives="picture",
    given=check_beginning,
)
