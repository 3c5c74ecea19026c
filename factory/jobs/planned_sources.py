"""The sources of a plan, opened in a worker."""

from collections.abc import Mapping
from pathlib import Path

from factory.engine.plan import Plan
from factory.sample import Source
from factory.shards.layout import Layout
from factory.sources.entry import PlannedSource
from factory.sources.kinds import READERS


def opened(plan: Plan, root: Path) -> Mapping[str, Source]:
    """By the names that the plan's segments use.  root: the set's folder, where the frozen tables lie."""
    inputs = Layout(root).inputs
    return {
        name: READERS[own["type"]](PlannedSource(name, own, Path(plan.places.get(name, ".")), inputs))
        for name, own in plan.settings["sources"].items()
    }
