"""A job whose samples have one member more: how far each pixel of the alpha is to be trusted, a grey picture."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

import numpy as np

from factory.engine.line import Line
from factory.engine.plan import Plan
from factory.jobs import build
from factory.jobs.base import Job
from factory.jobs.build import BuildRecipe
from factory.sample import Sample
from factory.shards.members import MATTING, Member

TRUST = Member("sure", 1, "How far α is to be trusted: 8-bit grey, 255 where nothing speaks against it.")


class TrustingRecipe(BuildRecipe):
    """A training set, with the trust in each pixel."""

    job: Literal["trusting"] = "trusting"


def trusted(sample: Sample) -> Sample:
    """Ends are certain, half transparent pixels are not."""
    assert sample.alpha is not None
    doubt = 127 - np.abs(sample.alpha.astype(np.int16) - 128).clip(0, 127)
    return replace(sample, layers={"sure": (255 - doubt).astype(np.uint8)})


def line(plan: Plan, root: Path) -> Line:
    """That of a training set, with one stage more."""
    own = build.line(plan, root)
    return replace(own, stages={"sure": trusted, **own.stages})


JOB: Job[Any] = Job(TrustingRecipe, build.plan, line, members=(*MATTING, TRUST))


def trusting(out: Path, **fields: object) -> TrustingRecipe:
    """Four drawn samples to train on and two to validate, in shards of two."""
    own: Mapping[str, object] = {
        "out": out,
        "sources": [{"type": "procedural", "n": 4, "validation": 2, "classes": ["heart", "star", "smoke"]}],
        "size": 32,
        "shard_size": 2,
        "executor": "local",
        "workers": 1,
        "gates": {"duplicate_distance": -1},
    }
    return TrustingRecipe.model_validate({**own, **fields})
