"""Adapters that bend the screen count for less in a slot's later attempts, until the gates on the screen let one pass.

They are merged into the weights, so attempts at which they count differently are painted by different weights: one
batch for each, padded like any other. So a sample still depends on its prompt, seed and settings alone.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import TypeAlias

from factory.diffusion.lora.settings import Lora
from factory.engine.draft import Draft
from factory.engine.plan import Plan
from factory.errors import DataError, UsageError
from factory.sample import Request, Sample, Source
from factory.settings import UNSAID, said, settings

SETTINGS = "lowering"  # of a plan
Lay: TypeAlias = Callable[[float], bool]
"""Merges a plan's adapters into the model anew, each at this share of its own weight; whether any weight changed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Lowering:
    """How adapters are lowered.

    factor: 0 to below 1, by which all of them count less after each attempt that came to nothing for one of the
    `reasons`: which one is at fault cannot be told.
    exempt: the places, among the plan's, of adapters that always count alike.
    """

    factor: float
    reasons: tuple[str, ...]
    exempt: tuple[int, ...] = field(default=(), metadata=UNSAID)

    def share(self, reasons: Sequence[str]) -> float:
        """Of their weights, in an attempt.  reasons: why the slot's earlier attempts came to nothing."""
        return float(self.factor ** sum(reason in self.reasons for reason in reasons))


def plan_lowering(
    factor: float | None, reasons: Sequence[str], loras: Sequence[Lora], draft: Draft, *, few_steps: bool
) -> None:
    """Freeze it, if it is asked for.  few_steps: whether the sampler is one that an adapter may have been made for.

    Raises UsageError where there is nothing to lower, and where what makes few steps enough would be lowered.
    """
    if factor is None:
        return
    if not any(lora.lowered for lora in loras):
        raise UsageError("--lower-loras is about adapters: name one with --lora, or leave it out.")
    if not reasons:
        raise UsageError("--lower-loras: what paints tells its own alpha, so no adapter bends a screen: leave it out.")
    exempt = tuple(index for index, lora in enumerate(loras) if not lora.lowered)
    if few_steps and not exempt:
        raise UsageError(
            "--lower-loras would lower the adapter of few steps too, without which its sampler paints nothing: say "
            "`lowered: false` of it among the recipe's `loras`."
        )
    draft.settings[SETTINGS] = said(Lowering(factor=float(factor), reasons=tuple(reasons), exempt=exempt))


def planned_lowering(plan: Plan) -> Lowering | None:
    """None where a plan's adapters always count alike."""
    return settings(Lowering, plan.settings[SETTINGS]) if SETTINGS in plan.settings else None


def lowered(source: Source, plan: Plan, lay: Lay, forget: Callable[[], None] = lambda: None) -> Source:
    """The source, painting each attempt with the adapters at their share; as it is where none are lowered.

    forget: called when weights have changed, for what a source keeps of earlier ones.
    """
    lowering = planned_lowering(plan)
    if lowering is None:
        return source

    def painted(requests: Sequence[Request]) -> list[Sample | DataError]:
        shares = [lowering.share(request.reasons) for request in requests]
        made = dict[str, Sample | DataError]()
        for share in sorted(set(shares), reverse=True):
            if lay(share):
                forget()
            own = [request for request, its in zip(requests, shares, strict=True) if its == share]
            made |= {request.key: _recorded(result, share) for request, result in zip(own, source(own), strict=True)}
        return [made[request.key] for request in requests]

    return painted


def _recorded(result: Sample | DataError, share: float) -> Sample | DataError:
    return replace(result, origin=replace(result.origin, adapters=share)) if isinstance(result, Sample) else result
