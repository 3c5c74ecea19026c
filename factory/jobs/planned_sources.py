"""What the jobs over sources share: a plan's beginning, which the sources fill, and the sources opened in a worker."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path

from factory.engine.draft import Draft
from factory.engine.plan import Plan
from factory.engine.survey import Memory, Surveyor
from factory.greenscreen.colours import KeyChoice
from factory.jobs.base import NewSet
from factory.quality.scores import ScoreSettings
from factory.sample import Source
from factory.settings import said
from factory.shards.layout import Layout
from factory.sources.entry import PlannedSource, Planning
from factory.sources.files.benchmark_images import load_hashes
from factory.sources.kinds import READERS


def begun(recipe: NewSet, memory: Memory, *, size: int, key: KeyChoice, exclude: Sequence[Path] = ()) -> Planning:
    """What each source's planner is given.  size, key: see `Planning`.  exclude: lists of hashes to keep out."""
    settings = {
        "size": size,
        "sources": {},
        "excluded": {},
        "scores": said(ScoreSettings()),
        "gates": said(recipe.gates),
        "marking": asdict(recipe.marking),
    }
    return Planning(
        size=size,
        key=key,
        seed=recipe.seed,
        shard_size=recipe.shard_size,
        max_attempts=recipe.max_attempts,
        surveyor=Surveyor(recipe.executor, recipe.workers, memory),
        draft=Draft(settings=settings, keep_rejected=recipe.keep_rejected),
        kept_out=load_hashes(exclude),
    )


def opened(plan: Plan, root: Path) -> Mapping[str, Source]:
    """By the names that the plan's segments use.  root: the set's folder, where the frozen tables lie."""
    inputs = Layout(root).inputs
    return {
        name: READERS[own["type"]](PlannedSource(name, own, Path(plan.places.get(name, ".")), inputs))
        for name, own in plan.settings["sources"].items()
    }
