"""The production line that the engine is handed: it calls its parts and knows nothing of what they do."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

from factory.engine.plan import Plan
from factory.sample import Admission, BatchStage, Sample, Source, Stage


@dataclass(frozen=True, kw_only=True)
class Line:
    """What happens to a sample, in order: source → stages → admission → encoding.

    sources: by the name the plan's segments use.  stages: by name (the commit record counts seconds by it); of one
    sample or of a batch, as each is.
    admission: makes the gate with a memory of one shard.
    device: what all but the stages of a batch compute on; these say it themselves.
    """

    sources: Mapping[str, Source]
    stages: Mapping[str, Stage | BatchStage]
    admission: Callable[[], Admission]
    encode: Callable[[Sample], tuple[dict[str, bytes], dict[str, object]]]
    device: str = "cpu"

    @property
    def devices(self) -> str:
        """All that the bytes of a shard may depend on, by name; "cpu" where nothing else computes."""
        own = [stage.device for stage in self.stages.values() if isinstance(stage, BatchStage)]
        return ", ".join(dict.fromkeys(name for name in (self.device, *own) if name != "cpu")) or "cpu"


Build: TypeAlias = Callable[[Plan, Path], Line]
"""Builds the line in a worker: loads models, opens nothing that belongs to a single shard."""
