"""The report, the contact sheet and `show`, over a small set made by the real engine."""

import json
import shutil
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image
from report_page import read_page

from factory.engine.drive import Drive
from factory.engine.events import Diary
from factory.engine.line import Line
from factory.engine.local import InProcessCrew
from factory.engine.order import WorkOrder
from factory.engine.plan import Plan, Segment
from factory.equation import constant_plate
from factory.errors import DataError, MachineError, UsageError
from factory.greenscreen.gsg import GSG_DEFINITION
from factory.review import digest as digest_module
from factory.review import examples
from factory.review.choice import choose
from factory.review.contact_sheet import GUTTER, MARGIN, PANE, contact_sheet
from factory.review.digest import read_digest
from factory.review.histogram import WIDTH, histogram
from factory.review.report import THUMBNAILS, write_report
from factory.review.show import show
from factory.review.thumbnails import GAP, SPRITE_MARGIN, rejection_thumbnail, sprite, strip
from factory.sample import Matte, Origin, Picture, Rejection, Request, Sample, Scores
from factory.shards.commit import valid_commits
from factory.shards.durable import write_json
from factory.shards.encoding import decode_png, encode
from factory.shards.finalise import finalise
from factory.shards.layout import Layout
from factory.shards.lock import hold
from factory.shards.lookup import attempts, find, read_row
from factory.shards.manifest import read_manifest
from factory.shards.reader import Stored, read_samples

EVIL = '<script>alert(1)</script> & "quotes"'
CLASSES = ("ball", "box", "ring")
SPOILED, HOPELESS, BROKEN = 3, 5, 7  # slots: rejected once, rejected always, never drawn at all
TRIES = 3


def painted(kind: str, seed: int, height: int, width: int) -> tuple[Picture, Matte, Picture]:
    """A shape on pure green: picture, alpha, foreground."""
    rng = np.random.default_rng(seed)
    alpha = np.zeros((height, width), np.uint8)
    centre, radius = (width // 2, height // 2), min(height, width) // 3
    if kind == "box":
        cv2.rectangle(
            alpha, (centre[0] - radius, centre[1] - radius), (centre[0] + radius, centre[1] + radius), 255, -1
        )
    else:
        cv2.circle(alpha, centre, radius, 255, -1 if kind == "ball" else 3, cv2.LINE_AA)
    foreground = np.full((height, width, 3), rng.integers(40, 256, 3), np.uint8)
    a = alpha[..., None] / 255
    return np.rint(a * foreground + (1 - a) * np.array([0, 255, 0])).astype(np.uint8), alpha, foreground


def draw(requests: Sequence[Request], height: int, width: int) -> list[Sample | DataError]:
    """The source: one shape per request, except where an item is broken."""
    drawn: list[Sample | DataError] = []
    for request in requests:
        if request.slot == BROKEN:
            drawn.append(DataError("nan", "the sampler returned no numbers"))
            continue
        name = CLASSES[request.slot % len(CLASSES)]
        rgb, alpha, foreground = painted(name, request.seed, height, width)
        origin = Origin(kind="generated", class_name=name, caption=f"a {name}", prompt=f"{EVIL} {name}", sampler="ddim")
        drawn.append(
            Sample(
                request=request,
                origin=origin,
                rgb=rgb,
                alpha=alpha,
                foreground=foreground,
                plate=constant_plate((0, 255, 0)),
                scores=Scores(gsg=float(request.slot), coverage=float((alpha > 127).mean())),
            )
        )
    return drawn


def judge(sample: Sample) -> Sample | Rejection:
    slot, attempt = sample.request.slot, sample.request.attempt
    if slot == HOPELESS or (slot == SPOILED and attempt == 0):
        spoiled = replace(sample, scores=replace(sample.scores, gsg=60.0))
        return Rejection(sample=spoiled, reason="gsg", detail=f"GSG is 60 in attempt {attempt}")
    return sample


@dataclass(frozen=True)
class Build:
    """Builds the line for pictures of one size."""

    height: int
    width: int

    def __call__(self, plan: Plan, root: Path) -> Line:
        return Line(
            sources={"shapes": lambda requests: draw(requests, self.height, self.width)},
            stages={"judge": judge},
            admission=lambda: lambda sample: None,
            encode=encode,
        )


@dataclass(frozen=True)
class Fussy(Build):
    """Turns every other slot down for one of 48 reasons, whatever the attempt."""

    def __call__(self, plan: Plan, root: Path) -> Line:
        return replace(super().__call__(plan, root), stages={"judge": _fussy})


def _fussy(sample: Sample) -> Sample | Rejection:
    slot, attempt = sample.request.slot, sample.request.attempt
    if slot % 2:
        return sample
    return Rejection(sample=sample, reason=f"reason {slot // 2}", detail=f"attempt {attempt} does not please")


def make_set(root: Path, slots: int, shard_size: int, build: Build) -> Path:
    layout = Layout(root)
    root.mkdir(parents=True)
    segment = Segment(source="shapes", split="train", slots=slots, attempts=TRIES)
    gates = {"gsg_max": 50.0, "spread_max": 6.0, "coverage_min": 0.01, "duplicate_distance": 3}
    plan = Plan(
        job="generate",
        seed=11,
        shard_size=shard_size,
        batch_size=8,
        threads=1,
        segments=(segment,),
        settings={"gates": gates},
    )
    write_json(layout.plan, plan.to_json(), layout.scratch)
    layout.recipe.write_text(f"order: generate\n# {EVIL}\n")
    with hold(layout.lock, "test"):
        crew = InProcessCrew(
            WorkOrder(root=root, run="test", plan=plan, build=build, thumbnail=rejection_thumbnail),
            lambda progress: None,
        )
        Drive(crew, range(plan.shards), 1, lambda news: None).run()
    return root


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """24 slots in 3 shards of pictures that are not square: 22 accepted, 1 never, 1 broken."""
    return make_set(tmp_path_factory.mktemp("review") / "a & b", 24, 8, Build(48, 64))


def test_the_report_counts_what_the_manifest_holds(small: Path) -> None:
    page = read_page(write_report(small))
    statuses = read_manifest(Layout(small))["status"].to_pylist()
    count = {name: statuses.count(name) for name in ("accepted", "rejected", "failed")}
    assert count == {"accepted": 22, "rejected": 1 + TRIES, "failed": TRIES}
    words = page.words()
    assert "Accepted 22 of 24 asked" in words
    assert "2 missing" in words
    assert f"Attempts {len(statuses)}" in words
    assert f"Rejected {count['rejected']} Failed items {count['failed']}" in words
    assert "3 of 3 shards" in words
    for name in CLASSES:
        accepted = sum(slot % 3 == CLASSES.index(name) for slot in range(24) if slot not in (HOPELESS, BROKEN))
        assert f"{name} {accepted}" in words
    assert "the sampler returned no numbers" in words
    assert "max 50" in words, "the gate's limit is drawn into its histogram"
    assert GSG_DEFINITION in words
    items = json.loads(page.scripts["items"])
    assert sum(not item["rejected"] for item in items) == 22
    assert sum(tag == "a" and "data-item" in attributes for tag, attributes in page.elements) == len(items)


def test_the_report_opens_offline_and_every_file_it_names_exists(small: Path) -> None:
    index = write_report(small)
    page = read_page(index)
    named = [link for link in page.links() if not link.startswith(("#", "data:"))]
    assert named
    for link in named:
        assert "//" not in link
        assert (index.parent / link).is_file(), link
    source = index.read_text(encoding="utf-8")
    assert "url(" not in source
    assert "@import" not in source
    assert {path.name for path in (index.parent / "thumbs").iterdir()} == {
        Path(link).name for link in named if link.startswith("thumbs/")
    }
    for tag, attributes in page.elements:
        if tag == "img":
            assert attributes["alt"]
        if tag == "img" and "src" in attributes:
            assert attributes["loading"] == "lazy"


def test_text_of_users_is_shown_and_never_run(small: Path) -> None:
    index = write_report(small)
    page = read_page(index)
    assert sum(tag == "script" for tag, _ in page.elements) == 2
    assert "alert(1)" not in page.scripts["code"]
    assert EVIL in page.words(), "the recipe's comment is there as text"
    items = json.loads(page.scripts["items"])
    assert any(f"{EVIL} ball" in dict(item["facts"]).get("prompt", "") for item in items)
    assert "<script>alert" not in index.read_text(encoding="utf-8")


def test_seeds_of_64_bits_reach_the_page_whole(small: Path) -> None:
    items = json.loads(read_page(write_report(small)).scripts["items"])
    for item in items:
        facts = dict(item["facts"])
        rows = {str(row["seed"]) for row in attempts(small, facts["key"])}
        assert isinstance(facts["seed"], str)
        assert facts["seed"] in rows


def test_a_report_written_again_is_the_same_and_leaves_nothing_old(small: Path) -> None:
    index = write_report(small)
    before = {path.relative_to(index.parent): path.read_bytes() for path in index.parent.rglob("*") if path.is_file()}
    (index.parent / "thumbs" / "old.webp").write_bytes(b"of an earlier report")
    write_report(small)
    after = {path.relative_to(index.parent): path.read_bytes() for path in index.parent.rglob("*") if path.is_file()}
    assert before == after


def test_a_large_set_shows_each_class_and_at_most_500_thumbnails(tmp_path: Path) -> None:
    root = make_set(tmp_path / "large", 640, 64, Build(16, 16))
    index = write_report(root)
    thumbs = list((index.parent / "thumbs").iterdir())
    assert 300 < len(thumbs) <= THUMBNAILS
    digest = read_digest(Layout(root))
    chosen = choose(digest, most=200)
    assert len(chosen) == 200
    gsg = {key: find(root, key)["gsg"] for key in chosen}
    assert {find(root, key)["class"] for key, why in chosen.items() if "each class" in why} == set(CLASSES)
    best = [gsg[key] for key, why in chosen.items() if "best" in why]
    worst = [gsg[key] for key, why in chosen.items() if "worst" in why]
    assert max(best) < min(worst)
    assert max(worst) == 639


def test_the_report_is_the_same_over_parts_and_over_the_finished_manifest(tmp_path: Path) -> None:
    root = make_set(tmp_path / "set", 24, 8, Build(16, 16))
    layout = Layout(root)
    before = write_report(root).read_bytes()
    finalise(layout, list(valid_commits(layout, read_digest(layout).plan.fingerprints)))
    assert layout.manifest.exists()
    assert write_report(root).read_bytes() == before
    assert "duplicate of" not in show(root, "0000000000", tmp_path)[0]


def test_a_huge_set_is_sampled_and_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root = make_set(tmp_path / "set", 40, 8, Build(16, 16))
    monkeypatch.setattr(digest_module, "SHARDS_LOOKED_INTO", 2)
    words = read_page(write_report(root)).words()
    assert "in shards drawn by the seed" in words
    assert "Accepted 38 of 40 asked" in words, "counts still come from every shard"


def test_many_reasons_leave_room_for_accepted_samples(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root = make_set(tmp_path / "set", 96, 8, Fussy(16, 16))
    items = json.loads(read_page(write_report(root)).scripts["items"])
    shown = [item["why"] for item in items if item["rejected"]]
    assert sorted(shown) == sorted([f"reason {number}"] for number in range(48) for _ in range(2))
    monkeypatch.setattr(examples, "GROUPS", 10)
    items = json.loads(read_page(write_report(root)).scripts["items"])
    assert len({item["why"][0] for item in items if item["rejected"]}) == 10
    assert sum(not item["rejected"] for item in items) == 47, "one slot is broken"
    assert len(list((root / "report" / "thumbs").iterdir())) == len(items)


def test_quarantined_shards_are_named_until_they_are_made(tmp_path: Path) -> None:
    root = make_set(tmp_path / "set", 16, 8, Build(16, 16))
    layout = Layout(root)
    diary = Diary(layout.events, "test")
    for shard in (0, 1):
        diary.write("quarantined", shard=shard, reason=f"killed <by> signal {shard}")
    diary.close()
    layout.commit(1).unlink()
    words = read_page(write_report(root)).words()
    assert "1 quarantined shard" in words
    assert "shard 1: killed <by> signal 1" in words
    assert "signal 0" not in words
    assert "1 of 2 shards" in words


def test_the_rejected_and_failed_slots_are_shown_with_their_reasons(small: Path, tmp_path: Path) -> None:
    text, picture = show(small, f"000000000{HOPELESS}", tmp_path)
    assert picture is not None
    assert decode_png(picture.read_bytes()).ndim == 3
    for attempt in range(TRIES):
        assert f"GSG is 60 in attempt {attempt}" in text
    text, picture = show(small, f"000000000{BROKEN}", tmp_path)
    assert picture is None
    assert text.count("failed: nan (the sampler returned no numbers)") == TRIES


def test_show_tells_how_a_sample_was_made(small: Path, tmp_path: Path) -> None:
    text, picture = show(small, f"000000000{SPOILED}", tmp_path / "new" / "folder")
    sample = read_row(small, find(small, f"000000000{SPOILED}"))
    for expected in (
        EVIL,
        sample.meta["seed"],
        "ddim",
        "recipe.yaml",
        "rejected: gsg",
        "accepted",
        "train-000000.tar",
        "K = 5",
    ):
        assert expected in text
    assert picture is not None
    side = 64 * 4
    assert decode_png(picture.read_bytes()).shape == (side, 4 * side + 3 * GAP, 3)


def test_a_set_without_a_finished_shard_says_so_of_every_key(tmp_path: Path) -> None:
    root = make_set(tmp_path / "set", 8, 8, Build(16, 16))
    shutil.rmtree(Layout(root).parts)
    with pytest.raises(UsageError, match="no shard of it is finished yet"):
        find(root, "0000000001")


def test_an_unknown_key_of_a_set_without_parts_is_answered_with_the_nearest_ones(tmp_path: Path) -> None:
    root = make_set(tmp_path / "set", 8, 8, Build(16, 16))
    layout = Layout(root)
    finalise(layout, list(valid_commits(layout, read_digest(layout).plan.fingerprints)))
    shutil.rmtree(layout.parts)
    with pytest.raises(UsageError, match=r"the nearest keys are 0000000006, 0000000007"):
        find(root, "0000000009")


def test_an_unknown_key_is_answered_with_the_nearest_ones(small: Path) -> None:
    with pytest.raises(UsageError, match="0000020006, 0000020007"):
        attempts(small, "0000020009")
    with pytest.raises(UsageError, match="0000020007"):
        attempts(small, "0999990000")
    with pytest.raises(UsageError, match="10 digits"):
        attempts(small, "../plan")
    with pytest.raises(UsageError, match="never accepted \\(gsg, gsg, gsg\\)"):
        find(small, f"000000000{HOPELESS}")


def test_a_sample_read_by_range_is_the_one_in_the_tar(small: Path) -> None:
    for stored in read_samples(small, "train"):
        one = read_row(small, find(small, stored.key))
        assert one.meta == stored.meta
        for got, expected in ((one.rgb, stored.rgb), (one.alpha, stored.alpha), (one.foreground, stored.foreground)):
            np.testing.assert_array_equal(got, expected)


def test_a_broken_picture_is_named(tmp_path: Path) -> None:
    root = make_set(tmp_path / "set", 8, 8, Build(16, 16))
    row = find(root, "0000000001")
    tar = Layout(root).tar(0, "train")
    content = bytearray(tar.read_bytes())
    content[row["rgb_png_offset"] : row["rgb_png_offset"] + 40] = bytes(40)
    tar.write_bytes(content)
    with pytest.raises(MachineError, match="factory verify"):
        write_report(root)


def test_a_folder_without_a_run_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"is not a data set made by factory: it has no plan\.json"):
        write_report(tmp_path)


@pytest.mark.parametrize(("height", "width", "pane"), [(64, 64, PANE), (48, 64, PANE), (50, 70, 140), (512, 512, PANE)])
def test_the_contact_sheet_has_a_cell_for_each_sample(tmp_path: Path, height: int, width: int, pane: int) -> None:
    samples = [
        Stored(
            f"{i:010d}",
            dict(zip(("rgb", "alpha", "fg"), painted("ball", i, height, width), strict=True)),
            {"caption": f"a ball, number {i} " + "long " * 60},
        )
        for i in range(5)
    ]
    contact_sheet(samples, tmp_path / "sheet.png", "Five balls", columns=2)
    with Image.open(tmp_path / "sheet.png") as sheet:
        assert sheet.width == 2 * MARGIN + 2 * (3 * pane + 2 * GAP) + GUTTER
        greens = np.asarray(sheet.convert("RGB")).reshape(-1, 3)
        assert sheet.height > 3 * pane
    share = np.all(greens == (0, 255, 0), axis=1).sum() / (5 * pane * pane * height / max(height, width))
    assert 0.5 < share < 0.9, "five panes of screen with a ball in each"


def test_what_lies_under_a_transparent_pixel_never_shows() -> None:
    rgb, alpha, foreground = painted("ring", 1, 90, 90)
    hidden = foreground.copy()
    hidden[alpha == 0] = 255 - hidden[alpha == 0]
    for side in (31, 90, 200):
        np.testing.assert_array_equal(strip(rgb, alpha, foreground, side), strip(rgb, alpha, hidden, side))


def test_a_sprite_keeps_a_small_sample_exactly() -> None:
    rgb, alpha, foreground = painted("ring", 2, 40, 40)
    panes = sprite(rgb, alpha, foreground, 40)
    m, side = SPRITE_MARGIN, 40 + 2 * SPRITE_MARGIN
    assert panes.shape == (side, 2 * side, 4)
    picture, cut = panes[m : m + 40, m : m + 40], panes[m : m + 40, side + m : side + m + 40]
    np.testing.assert_array_equal(picture, np.dstack([rgb, np.full_like(alpha, 255)]))
    np.testing.assert_array_equal(cut, np.dstack([foreground, alpha]))


def test_a_rejection_can_be_seen_at_every_stage() -> None:
    rgb, alpha, foreground = painted("ball", 3, 60, 80)
    request = Request(key="0000000000", slot=0, attempt=0, seed=1)
    bare = Sample(request=request, origin=Origin(kind="generated"), rgb=rgb)

    def seen(sample: Sample) -> NDArray[np.uint8]:
        rejection = Rejection(sample=sample, reason="empty", detail="")
        assert rejection_thumbnail(rejection) == rejection_thumbnail(rejection)
        return decode_png(rejection_thumbnail(rejection))

    with_alpha = seen(replace(bare, alpha=alpha, coarse=np.zeros_like(alpha), foreground=foreground))
    np.testing.assert_array_equal(with_alpha, seen(replace(bare, coarse=alpha)))
    assert (with_alpha != seen(bare)).any()


def test_a_histogram_counts_every_attempt_and_marks_the_limit() -> None:
    rng = np.random.default_rng(0)
    accepted, rejected = rng.gamma(2, 2, 500).astype(np.float32), (10 + rng.gamma(2, 2, 60)).astype(np.float32)
    drawing = histogram("gsg", accepted, rejected, [("max", 10.0), ("min", -500.0)])
    assert drawing is not None
    titles = [bar.title.replace(",", "").split(": ")[1].split() for bar in drawing.bars]
    assert sum(int(words[0]) for words in titles) == 500
    assert sum(int(words[2]) for words in titles) == 60
    near, far = drawing.limits
    assert near.drawn
    assert 0 < near.x < WIDTH
    assert not far.drawn
    assert histogram("gsg", accepted[:0], rejected[:0], []) is None
