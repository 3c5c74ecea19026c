"""Adapters of a plan: looked at while it is made, laid over the model in a worker."""

import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from factory.diffusion.lora.lowering import Lay, planned_lowering
from factory.diffusion.lora.settings import Lora
from factory.diffusion.new_words import add_planned, add_words, said_of
from factory.diffusion.plain.folder import read_index
from factory.engine.draft import Draft
from factory.engine.plan import Plan
from factory.errors import UsageError
from factory.models.folder import read_mapping
from factory.models.planned_file import bytes_as_planned, plan_file
from factory.models.weights import shapes_in, weights_file

if TYPE_CHECKING:
    from torch import nn

    from factory.diffusion.lora.file import Adapter
    from factory.diffusion.lora.names import Known

ADAPTED = ("unet", "transformer", "text_encoder", "text_encoder_2")  # the parts of a model that adapters are for
PEFT_CONFIG = "adapter_config.json"  # in a folder that PEFT saved
MOST_KEYS, MOST_BYTES = 100_000, 8e9  # of an adapter; the largest that people share have some 3,000 and 3 GB
SETTINGS = "loras"  # of a plan: the weights, in their order, and whether keys may go unused


def plan_loras(loras: Sequence[Lora], folder: Path, draft: Draft, *, partial: bool) -> None:
    """Freeze the adapters, by their content. Raises UsageError for one that does not fit the model in the folder."""
    if not loras:
        if partial:
            raise UsageError("--allow-partial is about the keys of adapters: name one with --lora, or leave it out.")
        return
    files = [weights_file(lora.file, "--lora") for lora in loras]
    for index, file in enumerate(files):
        if file.resolve() in {other.resolve() for other in files[:index]}:
            raise UsageError(f"--lora {file} is named twice: name it once, with the sum of the weights.")
        _check_size(file)
        plan_file(_name(index), file, draft)
        if (config := file.with_name(PEFT_CONFIG)).is_file() and loras[index].file.is_dir():
            plan_file(_name(index, "config"), config, draft)
    _check(without_numbers(folder), files, draft, partial=partial)
    draft.remarks += [
        f"laid over the model: {file.name}" + (f", at {lora.weight:g} of its weight" if lora.weight != 1 else "")
        for file, lora in zip(files, loras, strict=True)
    ]
    draft.settings[SETTINGS] = {"weights": [float(lora.weight) for lora in loras], "partial": partial}


def lay_planned(plan: Plan, parts: Mapping[str, "nn.Module"], tokenizers: Mapping[str, Any]) -> Lay:
    """Merge a plan's adapters into a model's weights, and teach it the plan's words.

    Returns what lays them anew, for plans that lower them. Raises InputChanged where a file is not the planned one.
    parts: of the model, those of ADAPTED that it has.  tokenizers: by the text encoder that reads their tokens.
    """
    from factory.diffusion.lora.merging import Laid, Weighted, merge  # noqa: PLC0415  (torch takes seconds)
    from factory.diffusion.lora.names import Known  # noqa: PLC0415

    add_planned(plan, parts, tokenizers)
    if SETTINGS not in plan.settings:
        return _unchanged
    known, weights = Known(parts), plan.settings[SETTINGS]["weights"]
    lowering, partial = planned_lowering(plan), plan.settings[SETTINGS]["partial"]
    lay: Lay = _unchanged
    exempt = lowering.exempt if lowering else ()
    laid = [
        Weighted(_read(plan, index, known), float(weight), index not in exempt) for index, weight in enumerate(weights)
    ]
    if lowering is None:
        merge(parts, laid, partial=partial)
    else:
        lay = Laid(parts, laid, partial=partial).lay
    for one in laid:
        if one.adapter.words:
            add_words(tokenizers["text_encoder"], parts["text_encoder"], one.adapter.words)
    return lay


def _unchanged(_share: float) -> bool:
    """A plan's adapters always count alike."""
    return False


def with_additions(model: str, plan: Plan) -> str:
    """The fingerprint of what paints: of the model alone, or with a plan's adapters and words."""
    words = said_of(plan)
    if SETTINGS not in plan.settings and not words:
        return model
    total = hashlib.sha256(f"{model}\n{words}".encode())
    for i, weight in enumerate(plan.settings.get(SETTINGS, {"weights": ()})["weights"]):
        total.update(f"{plan.weights[_name(i)]} {weight!r}\n".encode())
        total.update(plan.weights.get(_name(i, "config"), "").encode())
    return total.hexdigest()


def _name(index: int, what: str = "") -> str:
    return f"lora_{index}_{what}" if what else f"lora_{index}"


def _check_size(file: Path) -> None:
    """Before it is read. Raises UsageError for more than an adapter can be."""
    keys, size = len(shapes_in(file)), file.stat().st_size
    if keys > MOST_KEYS or size > MOST_BYTES:
        raise UsageError(
            f"--lora {file} has {keys:,} keys and {size / 1e9:.1f} GB, adapters have at most {MOST_KEYS:,} and "
            f"{MOST_BYTES / 1e9:g}: is it a whole model? Give that with --model."
        )


def _read(planned: Plan | Draft, index: int, known: "Known") -> "Adapter":
    """The adapter and what PEFT says beside it. Raises UsageError, InputChanged."""
    from factory.diffusion.lora.file import read_adapter  # noqa: PLC0415  (torch takes seconds)
    from factory.diffusion.lora.peft import said_in_config  # noqa: PLC0415

    name, config, beside = _name(index), _name(index, "config"), None
    if config in planned.weights:
        beside = said_in_config(Path(planned.places[config]), bytes_as_planned(planned, config))
    return read_adapter(Path(planned.places[name]), bytes_as_planned(planned, name), known, beside)


def _check(parts: Mapping[str, "nn.Module"], files: Sequence[Path], draft: Draft, *, partial: bool) -> None:
    from factory.diffusion.lora.merging import check  # noqa: PLC0415  (torch takes seconds)
    from factory.diffusion.lora.names import Known  # noqa: PLC0415

    known, words = Known(parts), dict[str, Path]()
    for index, file in enumerate(files):
        adapter = _read(draft, index, known)
        check(adapter, parts, partial=partial)
        for word in adapter.words:
            if word in words:
                raise UsageError(f"{words[word]} and {file} both bring the word {word}: take one of them.")
            words[word] = file


def without_numbers(folder: Path) -> Mapping[str, "nn.Module"]:
    """The networks that adapters change, as their configurations say, without memory for their weights."""
    import diffusers  # noqa: PLC0415  (seconds; only where there is an adapter)
    import torch  # noqa: PLC0415
    import transformers  # noqa: PLC0415

    parts = dict[str, Any]()
    with torch.device("meta"):
        for part, (library, kind) in read_index(folder).parts.items():
            if part in ADAPTED:
                place = folder / part / "config.json"
                try:
                    config = read_mapping(place)
                    if library == "diffusers":
                        parts[part] = getattr(diffusers, kind).from_config(config)
                    elif library == "transformers":
                        network = getattr(transformers, kind)
                        parts[part] = network(network.config_class(**config))
                except (AttributeError, TypeError, ValueError, RuntimeError) as error:
                    raise UsageError(f"{place} makes no {kind} ({error}): copy the model again, whole.") from error
    return parts
