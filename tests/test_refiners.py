"""A refiner is one file and a line in `Refiners`: in a plan where it is wanted, a stage where it is planned."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import ClassVar, Literal

import cv2
import numpy as np
import pytest
from pydantic import ValidationError

from factory.engine.plan import read_plan
from factory.jobs import refine, registry
from factory.jobs.base import Job
from factory.jobs.refine import RefineRecipe
from factory.models.device import Device
from factory.refine import refiners
from factory.refine.greenpost import GreenPostSettings
from factory.refine.refiners import Refiners, in_plan, planned, want_a_device
from factory.review.verify import verify_set
from factory.run.execute import execute
from factory.sample import BatchStage, BatchStep, Rejection, Sample
from factory.settings import said
from factory.shards.commit import valid_commits
from factory.shards.layout import Layout
from factory.shards.reader import read_samples

OLD_SET = Path(__file__).parent / "old_sets" / "built"


@dataclass(frozen=True, slots=True, kw_only=True)
class ClippingSettings:
    """A refiner of single samples: no alpha below a level."""

    least: int = 8
    on_device: ClassVar[bool] = False

    def stage(self, _device: Device, _batch: int) -> Callable[[Sample], Sample]:
        return self._clipped

    def _clipped(self, sample: Sample) -> Sample:
        assert sample.alpha is not None
        return replace(sample, alpha=np.where(sample.alpha < self.least, 0, sample.alpha).astype(np.uint8))


@dataclass(frozen=True, slots=True, kw_only=True)
class NetworkSettings:
    """A refiner of batches."""

    width: float = 0.5
    on_device: ClassVar[bool] = True

    def stage(self, device: Device, _batch: int) -> BatchStage:
        return Network(self, device.name)


@dataclass(frozen=True, slots=True)
class Network:
    own: NetworkSettings
    device: str

    def begin(self) -> BatchStep:
        return self._step

    def _step(self, samples: Sequence[Sample]) -> Sequence[Sample | Rejection]:
        return [replace(sample, alpha=cv2.GaussianBlur(sample.alpha, (0, 0), self.own.width)) for sample in samples]


class More(Refiners):
    """As a later version will have them."""

    network: NetworkSettings | None = None
    clipping: ClippingSettings | None = None


class MoreRefineRecipe(RefineRecipe, More):
    """A job that refines with them."""

    job: Literal["refine-more"] = "refine-more"


@pytest.fixture(autouse=True)
def _registered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(refiners, "Refiners", More)
    monkeypatch.setitem(registry.JOBS, "refine-more", Job(MoreRefineRecipe, refine.plan, refine.line))


def test_a_refiner_that_is_not_wanted_is_in_no_plan_and_no_stage() -> None:
    assert planned(More()) == {"greenpost": said(GreenPostSettings())}
    assert list(in_plan(planned(More()))) == ["greenpost"]
    assert in_plan({"gates": {}, "scores": {}}) == {}, "a plan of drawn objects names none"


def test_one_that_is_wanted_is_planned_with_all_its_settings() -> None:
    own = More.model_validate({"clipping": {}, "network": {"width": 2}})
    assert planned(own) == {
        "greenpost": said(GreenPostSettings()),
        "network": {"width": 2.0},
        "clipping": {"least": 8},
    }
    with pytest.raises(ValidationError, match="wdth"):
        More.model_validate({"network": {"wdth": 2}})


def test_its_stage_stands_where_its_field_does_and_has_the_plans_settings() -> None:
    found = in_plan({"clipping": {"least": 99}, "network": {"width": 2.0}, "gates": {}})
    assert list(found) == ["network", "clipping"]
    network = found["network"].stage(Device("cuda", "a device"), 16)
    assert isinstance(network, BatchStage)
    assert (network, network.device) == (Network(NetworkSettings(width=2.0), "a device"), "a device")


def test_workers_want_gpus_only_for_a_refiner_that_has_use_for_one() -> None:
    assert not want_a_device(More.model_validate({"clipping": {}}))
    assert want_a_device(More.model_validate({"clipping": {}, "network": {}}))


def test_a_refiner_s_name_is_no_other_group_of_a_plan() -> None:
    taken = {"gates", "marking", "scores", "input", "sampler", "licence", "size", "sources", "excluded", "captioner"}
    assert not Refiners.model_fields.keys() & taken


def refined(out: Path, **fields: object) -> Path:
    """The old set with other mattes, made by a job as people run it."""
    gates = {"duplicate_distance": -1, "residual_max": 999, "agreement_min": 0}
    own = {"data": OLD_SET, "out": out, "executor": "local", "workers": 1, "gates": gates}
    recipe = MoreRefineRecipe.model_validate({**own, **fields})
    assert execute(recipe, lambda sentence: None).accepted == 6
    return out


def test_a_job_runs_it(tmp_path: Path) -> None:
    plain = refined(tmp_path / "plain")
    more = refined(tmp_path / "more", network={"width": 1.5}, clipping={"least": 30})
    for root, stages in ((plain, {"greenpost"}), (more, {"greenpost", "network", "clipping"})):
        plan = read_plan(Layout(root).plan)
        assert stages == plan.settings.keys() & {"greenpost", "network", "clipping"}
        for record in valid_commits(Layout(root), plan.fingerprints):
            assert stages == record.seconds.keys() & {"greenpost", "network", "clipping"}
        assert verify_set(root, 1) == []
    for before, after in zip(read_samples(plain, "train"), read_samples(more, "train"), strict=True):
        softened = cv2.GaussianBlur(before.alpha, (0, 0), 1.5)
        assert np.array_equal(after.alpha, np.where(softened < 30, 0, softened))
        assert np.array_equal(after.rgb, before.rgb)
