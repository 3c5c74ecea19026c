"""DiffuMatting: Stable Diffusion taught to paint on a screen, whose decoder tells a coarse mask."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from factory.diffusion import model_files
from factory.diffusion.clip_vocabulary import read_tokenizer
from factory.diffusion.control.planning import planned_controls, with_controls
from factory.diffusion.control.style_planning import with_styles
from factory.diffusion.generators.kind import AUTO, GeneratorKind, Sampling, check_key, screens
from factory.diffusion.given.pictures import planned_given
from factory.diffusion.given.settings import Given, check_steps_taken
from factory.diffusion.lora.bases import family_of_unet
from factory.diffusion.lora.laying import lay_planned, with_additions
from factory.diffusion.lora.lowering import lowered
from factory.diffusion.routing import planned_routing
from factory.diffusion.row_pictures import planned_row_pictures
from factory.diffusion.sample.few_steps import with_few_steps
from factory.diffusion.sample.settings import DEFAULTS_FILE, KEYS, SamplerSettings, default_settings, known_keys
from factory.diffusion.sizes import check_sizes, in_turn
from factory.diffusion.vocabulary import screen_prompt
from factory.engine.plan import Plan
from factory.errors import UsageError
from factory.greenscreen.colours import KeyName
from factory.models.device import Device
from factory.models.folder import read_mapping
from factory.sample import Source
from factory.settings import changed, settings

NAME = "diffumatting"


def _fits(folder: Path) -> bool:
    return (folder / "matting_head").is_dir()


def _facts(folder: Path) -> Sequence[tuple[str, str]]:
    unet = read_mapping(folder / "unet" / "config.json")
    keys = known_keys(folder)
    return [
        ("family", family_of_unet(unet) or "Stable Diffusion's layout, in another size"),
        ("size", f"{model_files.own_size(folder)} pixels"),
        ("text", f"{unet.get('cross_attention_dim')} numbers a token"),
        ("predicts", _predicts(folder)),
        ("screens", screens(keys) if keys else "not said"),
    ]


def _predicts(folder: Path) -> str:
    return str(read_mapping(folder / "scheduler" / "scheduler_config.json").get("prediction_type", "epsilon"))


def _sampling(asked: Mapping[str, Any], folder: Path) -> Sampling:
    """How to sample, and where each prompt gets its own screen, among which. Raises UsageError for one it knows not."""
    own, keys = default_settings(folder), known_keys(folder)
    asked = with_few_steps(asked, own.sampler)
    key = asked.get("key", own.key)
    check_key(key)
    if key != AUTO:
        sampler = changed("sampler", own, asked)
        if keys and sampler.key not in keys:
            raise UsageError(
                f"--key {sampler.key}: the model knows {screens(keys)} only: leave --key out, or name one with "
                f"--model that was trained on {screens([sampler.key])}."
            )
        _check_screens(folder, [sampler.key])
        return Sampling(_fitting(folder, sampler), ())
    if len(keys) < 2:
        found = f"the model knows {screens(keys)} only" if keys else "the model does not say which screens it knows"
        raise UsageError(
            f"--key {AUTO}: {found}, so there is no choice: leave --key out, or name one with --model whose "
            f"{DEFAULTS_FILE} lists several under `{KEYS}`."
        )
    sampler = changed("sampler", own, {name: value for name, value in asked.items() if name != "key"})
    _check_screens(folder, keys)
    return Sampling(_fitting(folder, sampler), keys)


def _check_screens(folder: Path, keys: Sequence[KeyName]) -> None:
    """Raises UsageError where a screen's word is not one token: training taught that token to mean the screen."""
    for place in (folder / part for part in model_files.folders(xl=model_files.is_xl(folder)) if "tokenizer" in part):
        tokenizer = read_tokenizer(place)
        for key in keys:
            if len(tokens := tokenizer.encode(key).tokens) != 1:
                raise UsageError(
                    f"{place} splits {key!r} into {len(tokens)} tokens: no model was taught that screen with it; take "
                    "the tokenizer that the model came with."
                )


def _fitting(folder: Path, sampler: SamplerSettings) -> SamplerSettings:
    """Refuse, before a worker loads the networks, a size that they cannot halve evenly, and what only XL is told.

    Size 0 is the model's own.
    """
    configs = {part: read_mapping(folder / part / "config.json") for part in ("vae", "unet")}
    try:
        halvings = sum(len(config["block_out_channels"]) - 1 for config in configs.values())
    except (KeyError, TypeError) as error:
        raise UsageError(
            f"{folder}: the config.json of vae and unet must list block_out_channels: copy the model again, whole."
        ) from error
    if configs["unet"].get("time_cond_proj_dim") is not None:
        raise UsageError(f"{folder}: its network is told how much guidance there is, as only plain models can be here.")
    if (sampler.original_size or any(sampler.crop)) and not model_files.is_xl(folder):
        raise UsageError(
            "sampler.original_size, sampler.crop: only Stable Diffusion XL is told of them: leave them out."
        )
    if not sampler.size:
        model_files.own_size(folder)
    if sampler.size % 2**halvings:
        raise UsageError(f"sampler.size {sampler.size} does not fit this model: take a multiple of {2**halvings}.")
    check_sizes(sampler.sizes, 2**halvings)
    return sampler


def _written(prompt: str, sampler: SamplerSettings, _folder: Path) -> str:
    return screen_prompt(prompt, sampler.key)


def _given(given: Given, sampler: SamplerSettings, _folder: Path) -> None:
    check_steps_taken(given, sampler.steps)


def _open(plan: Plan, device: Device) -> Source:
    from factory.diffusion import model_folder  # noqa: PLC0415  (torch takes seconds)
    from factory.diffusion.control.networks import load_networks  # noqa: PLC0415
    from factory.diffusion.control.residuals import controlled  # noqa: PLC0415
    from factory.diffusion.control.styles import hinted, wear  # noqa: PLC0415
    from factory.diffusion.plain.pipeline import keep_quiet  # noqa: PLC0415
    from factory.diffusion.sample.pipeline import DiffuMattingPipeline, working_type  # noqa: PLC0415
    from factory.diffusion.sample.source import DiffuMattingSource  # noqa: PLC0415

    keep_quiet()
    components = model_folder.load_to_paint(Path(plan.places[NAME]), working_type(device.torch), device.torch)
    parts = {"unet": components.unet, "text_encoder": components.text_encoder}
    tokenizers = {"text_encoder": components.tokenizer}
    if components.text_encoder_2 is not None:
        parts["text_encoder_2"], tokenizers["text_encoder_2"] = components.text_encoder_2, components.tokenizer_2
    lay = lay_planned(plan, parts, tokenizers)
    sampler, pictures = settings(SamplerSettings, plan.settings["sampler"]), planned_row_pictures(plan)
    styles = wear(plan, components.unet)
    pipeline = DiffuMattingPipeline(components)
    networks = load_networks(planned_controls(plan), pipeline.dtype)

    def source_at(sizes: tuple[str, ...]) -> Source:
        own = replace(sampler, sizes=sizes)
        conditions = [hinted(styles, pictures)] if styles else []
        if networks:
            conditions.append(controlled(networks, pictures, pipeline.picture_size(own), pipeline.device))
        return DiffuMattingSource(
            pipeline,
            own,
            plan.batch_size,
            licence=plan.settings["licence"],
            routing=planned_routing(plan),
            given=planned_given(plan),
            model=with_styles(with_controls(with_additions(plan.weights[NAME], plan), plan), plan),
            conditions=conditions,
        )

    return lowered(in_turn(sampler.sizes, source_at), plan, lay, forget=pipeline.texts.forget)


DIFFUMATTING = GeneratorKind(
    name=NAME,
    says="DiffuMatting: paints on a screen, and tells a coarse mask",
    fits=_fits,
    check=model_files.check,
    facts=_facts,
    sampling=_sampling,
    written=_written,
    fingerprint=model_files.fingerprint,
    open=_open,
    gives="mask",
    given=_given,
)
