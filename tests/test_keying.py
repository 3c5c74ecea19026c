"""Promise: sources only read; what they read is keyed by a stage, as the plan says for each source."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray
from small_sources import coded, film, put, shape

from factory.engine.inputs import InputTable, write_inputs
from factory.engine.plan import Plan
from factory.errors import DataError
from factory.jobs import registry
from factory.jobs.base import RunSettings
from factory.jobs.planned_sources import opened
from factory.jobs.prepare import prepare
from factory.refine import keying as keying_module
from factory.refine.keying import LARGE, keying
from factory.sample import Request, Sample, Stage
from factory.shards.layout import Layout

GREEN, SKIN = (20, 180, 60), (190, 140, 115)


def before(number: int, side: int = 96) -> NDArray[np.uint8]:
    """(side, side, 3): the shape of that number before a green screen."""
    alpha = shape(number, side)[..., None] / 255
    return np.asarray(np.rint(alpha * np.array(SKIN) + (1 - alpha) * np.array(GREEN)), np.uint8)


@pytest.fixture
def shoot(tmp_path: Path) -> Path:
    """Two stills, one of them with a clean plate, and a clip."""
    folder = tmp_path / "shoot"
    put(folder / "a.png", coded(before(1)))
    put(folder / "b.png", coded(before(2)))
    put(folder / "b.plate.png", coded(np.full((48, 48, 3), GREEN, np.uint8)))
    film(folder / "clip.mp4", count=2)
    return folder


def read(shoot: Path, out: Path, **fields: object) -> tuple[list[Sample], Plan]:
    """What the sources of the job `key` hand out, and its plan."""
    recipe = registry.parse({"job": "key", "pictures": str(shoot), "out": str(out), "executor": "local", **fields})
    assert isinstance(recipe, RunSettings)
    prepared = prepare(recipe)
    inputs = Layout(out).inputs
    inputs.mkdir(parents=True)
    for name, table in prepared.tables.items():
        write_inputs(table, inputs / f"{name}.arrow")
    return list(_samples(prepared.plan, out)), prepared.plan


def _samples(plan: Plan, out: Path) -> Iterator[Sample]:
    sources = opened(plan, out)
    for segment in plan.segments:
        rows = InputTable(Layout(out).inputs / f"{segment.table}.arrow")
        requests = [
            Request(key=f"{i:010d}", slot=i, attempt=0, seed=i, item=rows.row(i) or {}) for i in range(segment.rows)
        ]
        for sample in sources[segment.source](requests):
            assert isinstance(sample, Sample), sample
            yield sample


def stage_of(plan: Plan) -> Stage:
    return keying(plan.settings["sources"])["keying"]


def test_sources_hand_out_pictures_as_they_were_read(shoot: Path, tmp_path: Path) -> None:
    samples, _ = read(shoot, tmp_path / "set")
    assert [sample.origin.item for sample in samples][:2] == ["a.png", "b.png"]
    assert len(samples) == 4
    for sample in samples:
        assert sample.alpha is None and sample.foreground is None and sample.plate == ()
    first, second, *frames = samples
    assert np.array_equal(first.rgb, before(1))
    assert first.shot is not None and second.shot is not None
    assert (first.shot.source, first.shot.empty, first.shot.screen, first.shot.exact) == ("stills", None, None, None)
    assert second.shot.empty is not None and second.shot.empty.shape == (48, 48, 3)
    for frame in frames:
        assert frame.shot is not None and frame.shot.screen is not None and frame.shot.exact is not None
        assert (frame.shot.source, frame.shot.halved) == ("videos", True)
        assert np.abs(frame.shot.exact * 255 - frame.rgb).max() <= 0.5001


def test_the_stage_keys_each_by_the_settings_of_its_source(shoot: Path, tmp_path: Path) -> None:
    samples, plan = read(shoot, tmp_path / "set")
    stage = stage_of(plan)
    for number, sample in zip((1, 2), samples, strict=False):
        made = stage(sample)
        assert isinstance(made, Sample) and made.alpha is not None and made.foreground is not None
        assert made.shot is None
        assert np.abs(made.alpha.astype(float) - shape(number, 96)).mean() < 2
        assert (made.rgb[made.alpha == 0] == (0, 255, 0)).all()
    squares, plan = read(shoot, tmp_path / "framed", size=32, keyer={"black_point": 2.0})
    assert {stage_of(plan)(sample).rgb.shape for sample in squares} == {(32, 32, 3)}  # type: ignore[union-attr]


def test_what_is_cut_out_already_passes(shoot: Path, tmp_path: Path) -> None:
    samples, plan = read(shoot, tmp_path / "set")
    drawn = replace(samples[0], shot=None)
    assert stage_of(plan)(drawn) is drawn
    assert keying({"procedural-0": {"type": "procedural", "settings": {}}}) == {}


def test_a_picture_of_nothing_but_its_screen_costs_itself(shoot: Path, tmp_path: Path) -> None:
    samples, plan = read(shoot, tmp_path / "set")
    stage = stage_of(plan)
    for picture, kind in ((GREEN, "empty"), ((150, 150, 150), "no_screen")):
        with pytest.raises(DataError) as fault:
            stage(replace(samples[0], rgb=np.full((96, 96, 3), picture, np.uint8)))
        assert fault.value.kind == kind


def test_colours_that_were_averaged_are_not_taken_for_blurred_ones(
    shoot: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[bool] = []
    real = keying_module.key_frame

    def spying(*own: object, halved: bool, shapes: bytes | None) -> object:
        told.append(halved)
        return real(*own, halved=halved, shapes=shapes)

    monkeypatch.setattr(keying_module, "key_frame", spying)
    (shoot / "a.png").unlink()
    (shoot / "clip.mp4").unlink()
    large = np.asarray(cv2.resize(before(1), (192, 192)))
    put(shoot / "b.jpg", coded(large, "JPEG", quality=95, subsampling=2))
    (shoot / "b.png").unlink()
    for lines in (0, 96):
        samples, plan = read(shoot, tmp_path / str(lines), select={"keyed_at": lines})
        made = stage_of(plan)(samples[0])
        assert isinstance(made, Sample)
        assert made.rgb.shape[:2] == ((96, 96) if lines else (192, 192))
    assert told == [True, False]
    assert LARGE > 1920 * 1080, "frames of clips are keyed side by side"
