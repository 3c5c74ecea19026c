"""Code of the user's own that paints pictures with α, named by `--painter module:function`.

    def paint(prompts: list[str], seeds: list[int]) -> Sequence[numpy array (H, W, 4) in 0..1 or 0..255, or PIL RGBA]

Straight colours, one picture a prompt. A picture has to depend on its prompt and seed alone, or shards are not the same
twice. It runs with all rights of the program, and only when it is named so.
"""

import importlib
from collections.abc import Mapping, Sequence
from hashlib import sha256
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from factory.diffusion.generators.kind import GeneratorKind, Sampling
from factory.diffusion.generators.rgba import sampling as of_rgba
from factory.diffusion.plain.settings import PlainSettings
from factory.diffusion.routing import planned_routing
from factory.engine.plan import Plan
from factory.errors import UsageError
from factory.models.device import Device
from factory.sample import Source
from factory.settings import settings

NAME = "callable"
AS_IT_IS = "{prompt}"


def _fits(_folder: Path) -> bool:
    """It is asked for by its own flag."""
    return False


def _module_of(place: Path) -> Path:
    """The file of the code. Raises UsageError where there is none."""
    module, _, function = str(place).partition(":")
    if not module or not function.isidentifier():
        raise UsageError(f"--painter {place}: name a function as module:function.")
    try:
        spec = find_spec(module)
    except (ImportError, ValueError) as error:
        raise UsageError(f"--painter {place}: {module} cannot be found ({error}).") from error
    if spec is None or spec.origin is None or not Path(spec.origin).is_file():
        raise UsageError(f"--painter {place}: there is no module {module}; is its folder on PYTHONPATH?")
    return Path(spec.origin)


def _check(place: Path) -> None:
    _module_of(place)


def _facts(place: Path) -> Sequence[tuple[str, str]]:
    return [("code", str(_module_of(place)))]


def _sampling(asked: Mapping[str, Any], folder: Path) -> Sampling:
    others = sorted(asked.keys() - {"key", "template"})
    if others:
        raise UsageError(f"sampler.{others[0]}: code of your own knows itself how to paint: leave it out.")
    return of_rgba(asked, folder)


def _written(prompt: str, sampler: PlainSettings, _place: Path) -> str:
    return (sampler.template or AS_IT_IS).replace("{prompt}", prompt)


def _fingerprint(place: Path) -> str:
    """Of the module's own file and the function's name; what it imports may change unseen."""
    return sha256(f"{str(place).rpartition(':')[2]}\n".encode() + _module_of(place).read_bytes()).hexdigest()


def _open(plan: Plan, _device: Device) -> Source:
    from factory.diffusion.transparent import TransparentSource  # noqa: PLC0415

    place = plan.places[NAME]
    module, _, function = place.partition(":")
    paint = getattr(importlib.import_module(module), function, None)
    if not callable(paint):
        raise UsageError(f"--painter {place}: {module} has no function {function}.")
    sampler = settings(PlainSettings, plan.settings["sampler"])
    return TransparentSource(
        paint,
        plan.batch_size,
        key=sampler.key,
        template=sampler.template or AS_IT_IS,
        routing=planned_routing(plan),
        about={"source": place, "licence": plan.settings["licence"], "model": plan.weights[NAME]},
    )


CALLABLE = GeneratorKind(
    name=NAME,
    says="code of your own whose pictures come with alpha",
    fits=_fits,
    check=_check,
    facts=_facts,
    sampling=_sampling,
    written=_written,
    fingerprint=_fingerprint,
    open=_open,
    gives="matte",
)
