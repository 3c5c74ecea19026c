"""The stages that the lines of all jobs share: refiners, scores, gates, encoding."""

from collections.abc import Mapping

from factory.engine.line import Line
from factory.engine.plan import Plan
from factory.models.device import CPU, Device, best_device
from factory.quality.gates import GateSettings, NearDuplicates, judge
from factory.quality.scorers.scorers import SCORERS, opened
from factory.quality.scores import ScoreSettings, completed, score
from factory.refine.refiners import stages as refining
from factory.sample import BatchStage, Source, Stage
from factory.settings import settings
from factory.shards.encoding import encode
from factory.shards.marking import MarkingSettings

NONE: Mapping[str, Stage | BatchStage] = {}


def matting_line(
    plan: Plan,
    sources: Mapping[str, Source],
    device: Device = CPU,
    *,
    first: Mapping[str, Stage | BatchStage] = NONE,
) -> Line:
    """Refine, score and gate what the sources make, as far as the plan has settings for it.

    sources: by the names that the plan's segments use.  device: of what wants one.
    first: the job's own stages, before all others.
    """
    gates = settings(GateSettings, plan.settings["gates"])
    marking = settings(MarkingSettings, plan.settings["marking"])
    stages = {**first, **refining(plan, device)}
    if "scores" in plan.settings:
        scores = settings(ScoreSettings, plan.settings["scores"])
        stages["score"] = lambda sample: score(sample, scores)
    else:  # a filter judges by those that are recorded
        stages["score"] = completed
    if SCORERS in plan.settings:
        stages["scorers"] = opened(plan, best_device())
    stages["gates"] = lambda sample: judge(sample, gates)
    return Line(
        sources=sources,
        stages=stages,
        admission=lambda: NearDuplicates(gates),
        encode=lambda sample: encode(sample, marking, plan.members, plan.asked_scores),
        device=device.name,
    )
