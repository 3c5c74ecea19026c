"""Promise: a training can be watched from its folder: a page with all curves and pictures, and a few lines."""

import json
from collections.abc import Iterable
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from program import factory_here
from report_page import Page, read_page
from small_training import make_set, small_settings

from factory.errors import UsageError
from factory.matting.data.settings import LoaderSettings, SetEntry
from factory.matting.train.settings import MattingTraining
from factory.review.training.curves import MOST_POINTS, curve, running_mean
from factory.review.training.page import write_page
from factory.review.training.status import training_status
from factory.shards.durable import write_json
from factory.training.grids import read_grid, write_grid
from factory.training.log import append_log

EVIL = '<script>alert(1)</script> & "quotes"'


def line(step: int, phase: int = 0, name: str = "generation", **losses: float) -> dict[str, object]:
    return {"phase": phase, "name": name, "step": step, "losses": losses}


def folder(root: Path, settings: object, lines: Iterable[dict[str, object]] = ()) -> Path:
    """As a training leaves it."""
    root.mkdir(parents=True)
    write_json(root / "settings.json", asdict(settings))  # type: ignore[call-overload]
    for one in lines:
        append_log(root / "log.jsonl", one)
    return root


def matting(root: Path, lines: Iterable[dict[str, object]] = (), data: str = "runs/objects") -> Path:
    loader = LoaderSettings((SetEntry(data),), backgrounds="photographs", crop=64)
    return folder(root, MattingTraining(loader=loader, steps=400, lr=0.25), lines)


def drawings(page: Page) -> list[str]:
    return [attributes["aria-label"] or "" for tag, attributes in page.elements if tag == "svg"]


def draw(file: Path, captions: tuple[str, ...], shade: int, count: int = 0) -> None:
    pictures = [np.full((16, 16, 3), shade, np.uint8) for _ in captions or range(count)]
    write_grid([pictures, pictures], file, captions)


def test_the_page_has_each_loss_and_each_measure_with_its_best(tmp_path: Path) -> None:
    out = matting(
        tmp_path / "run",
        [
            *(line(step, name="small", alpha=1 / step, composition=2 / step) for step in range(20, 200, 20)),
            *(line(step, name="validation", mse=abs(step - 140) / 100 + 0.5) for step in range(20, 200, 20)),
        ],
    )
    page = read_page(write_page(out))
    assert {label.split(",")[0] for label in drawings(page)} == {"alpha", "composition", "mse"}
    assert {label.split(", ")[1] for label in drawings(page) if label.startswith("alpha")} == {"logarithmic", "linear"}
    words = page.words()
    assert "best 0.5 at step 140" in words
    assert "step 180 of 400" in words
    assert "watch the dark line" in words
    assert "when the training is finished" in words


def test_the_page_is_one_file_without_any_script(tmp_path: Path) -> None:
    """It links to what lies in the folder, and asks for nothing."""
    out = folder(tmp_path / "run", small_settings(tmp_path / "data"), [line(1, noise=1.0)])
    (out / "pictures").mkdir()
    draw(out / "pictures" / "1-generation-0000005.png", ("a red disc", "a dog"), 9)
    page = read_page(write_page(out))
    assert not any(tag in {"script", "iframe", "object", "embed"} for tag, _ in page.elements)
    assert not any(name.startswith("on") for _, attributes in page.elements for name in attributes)
    pictures = [attributes["src"] or "" for tag, attributes in page.elements if tag == "img"]
    assert len(pictures) == 2
    assert all(source.startswith("data:image/webp;base64,") for source in pictures)
    assert all(link.startswith(("data:", "#", "pictures/")) for link in page.links())


def test_the_strip_shows_the_same_captions_over_the_steps(tmp_path: Path) -> None:
    """At most eight moments, the first and the last among them; pictures of other captions are left out."""
    out = folder(tmp_path / "run", small_settings(tmp_path / "data"))
    (out / "pictures").mkdir()
    draw(out / "pictures" / "1-generation-0000000.png", ("a cat",), 9)
    for step in range(5, 100, 5):
        draw(out / "pictures" / f"1-generation-{step:07d}.png", ("a red disc", "a dog"), step)
    draw(out / "pictures" / "0-autoencoder-0000005.png", (), 9, count=3)
    (out / "pictures" / "2-joint-0000005.png").write_bytes(b"\x89PNG broken")
    (out / "pictures" / "2-joint-0000006.png").write_bytes(b"")
    page = read_page(write_page(out))
    links = [link for link in page.links() if link.startswith("pictures/")]
    assert links[0] == "pictures/0-autoencoder-0000005.png"
    assert links[-1] == "pictures/1-generation-0000095.png"
    assert "pictures/1-generation-0000000.png" not in links
    assert 7 <= len(links) - 1 <= 8
    words = page.words()
    assert "a red disc" in words
    assert "picture 3" in words
    assert "a cat" not in words


def test_what_others_wrote_stays_text(tmp_path: Path) -> None:
    out = matting(tmp_path / 'a "run" & more', [line(1, name="small", **{EVIL: 1.0})], data=EVIL)
    write_json(out / "finished.json", {"device": EVIL, "software": {EVIL: EVIL}, "seconds": EVIL})
    page = write_page(out)
    assert "<script" not in page.read_text(encoding="utf-8")
    assert read_page(page).words().count(EVIL) >= 4


def test_settings_that_differ_from_the_defaults_come_first(tmp_path: Path) -> None:
    words = read_page(write_page(matting(tmp_path / "run"))).words()
    differing, as_default = words.split("settings have their defaults")
    assert "lr 0.25 0.001" in differing
    assert "loader.sets.0.path runs/objects" in differing
    assert "weight_decay" in as_default
    assert "weight_decay" not in differing


def test_the_page_links_to_the_reports_of_its_sets(tmp_path: Path) -> None:
    report = tmp_path / "my set" / "report" / "index.html"
    report.parent.mkdir(parents=True)
    report.write_text("a report")
    page = read_page(write_page(matting(tmp_path / "runs" / "run", data=str(tmp_path / "my set"))))
    assert "../../my%20set/report/index.html" in set(page.links())


def test_status_and_report_know_a_training(tmp_path: Path) -> None:
    out = folder(tmp_path / "run", small_settings(tmp_path / "data"), [line(6, 1, noise=0.25), line(2, 2, noise=0.5)])
    assert factory_here("report", out).out == f"report: {out / 'report.html'}\n"
    told = factory_here("status", out).out
    assert told.splitlines()[0] == f"{out}: train, joint, step 2 of 4"
    assert "losses at step 2: noise 0.5" in told
    assert "not finished" in told
    write_json(out / "finished.json", {"seconds": 75.0})
    assert "finished, after 1 min 15 s of steps" in training_status(out)


@pytest.mark.parametrize(
    "damage", ["{}", "[]", "null", '{"phase": 0}', '{"phase":0,"step":1,"name":"x","losses":{"a":"b"}}']
)
def test_a_damaged_log_is_named(tmp_path: Path, damage: str) -> None:
    out = matting(tmp_path / "run", [line(1, name="small", alpha=1.0)])
    with (out / "log.jsonl").open("a") as log:
        log.write(f"{damage}\n")
    with pytest.raises(UsageError, match=r"log\.jsonl, line 2"):
        write_page(out)


def test_settings_of_no_training_are_named(tmp_path: Path) -> None:
    (tmp_path / "settings.json").write_text(json.dumps({"anything": 1}))
    with pytest.raises(UsageError, match="no settings of a training"):
        write_page(tmp_path)


def test_what_should_be_changed_is_said_on_the_page_and_in_the_status(tmp_path: Path) -> None:
    lines = [
        line(step, name=name, **{of: step / 10})
        for step in (10, 20, 30, 40)
        for name, of in (("small", "alpha"), ("validation", "mse"))
    ]
    out = matting(tmp_path / "run", lines)
    assert "What to change mse went from 1 to 4 in 3 validations" in read_page(write_page(out)).words()
    assert "mse went from 1 to 4" in training_status(out)


def test_a_torn_last_line_and_numbers_that_are_none_do_no_harm(tmp_path: Path) -> None:
    values = [1.0, float("nan"), 0.0, float("inf"), 1e308, -1e308, 5e-324, 2.0]
    out = matting(tmp_path / "run", [line(step, name="small", alpha=value) for step, value in enumerate(values, 1)])
    with (out / "log.jsonl").open("a") as log:
        log.write('{"phase": 0, "st')
    write_json(out / "finished.json", {"seconds": float("inf"), "waiting": float("nan")})
    assert "steps 1 to 8" in " ".join(drawings(read_page(write_page(out))))


def test_a_training_writes_its_page_while_it_runs_and_at_its_end(tmp_path: Path) -> None:
    from factory.diffusion.train.settings import Phase
    from factory.jobs.train import JOB, TrainRecipe
    from factory.run.train import execute_training

    out = tmp_path / "out"
    phases = (Phase(name="autoencoder", steps=2, batch=2, lr=1e-3), Phase(name="joint", steps=2, batch=2, lr=1e-3))
    recipe = TrainRecipe(out=out, train=small_settings(make_set(tmp_path / "data", 9), phases=phases))
    execute_training(JOB, recipe)
    page = read_page(out / "report.html")
    assert {label.split(",")[0] for label in drawings(page)} >= {"pixels", "noise", "latent"}
    assert "finished" in page.words()
    assert "model/README.md" in set(page.links())


finite = st.floats(-1e90, 1e90)


@given(st.lists(finite, min_size=1, max_size=600), st.booleans())
def test_every_curve_stays_inside_its_plot_and_keeps_its_peaks(values: list[float], is_positive: bool) -> None:
    values = [abs(value) for value in values] if is_positive else values
    drawn = curve("loss", list(enumerate(values)))
    for plot in drawn.plots:
        points = [tuple(float(part) for part in point.split(",")) for point in plot.raw.split()]
        assert len(points) <= MOST_POINTS + 2
        assert all(0 <= x <= 360 and -0.1 <= y <= 130.1 for x, y in points)
        assert all(-0.1 <= tick.at <= 130.1 for tick in plot.ticks)
        assert len(plot.ticks) <= 6
        heights = [y for _, y in points]
        assert (min(heights) < max(heights)) <= (min(values) < max(values))


@given(st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=60), st.integers(1, 80))
def test_the_running_mean_is_that_of_the_last_values(values: list[float], over: int) -> None:
    means = running_mean(np.asarray(values), over)
    wanted = [np.mean(values[max(0, end - over) : end]) for end in range(1, len(values) + 1)]
    np.testing.assert_allclose(means, wanted, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("captions", [("a red disc", "ein Bär, größer"), ()])
def test_a_grid_says_what_it_was_drawn_of(tmp_path: Path, captions: tuple[str, ...]) -> None:
    draw(tmp_path / "grid.png", captions, 77, count=2)
    grid = read_grid(tmp_path / "grid.png")
    assert grid
    assert grid.captions == captions
    assert [column.shape for column in grid.columns] == [(256, 128, 3)] * 2
    assert all((column == 77).all() for column in grid.columns)
