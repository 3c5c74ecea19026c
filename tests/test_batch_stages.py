"""A stage may take a batch at once, and remember its shard: nothing else about a shard changes by that."""

import time
from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from mixed_line import OPERATIONS, Counting, Doing, Outcomes, Together, build, line_of, stamp
from program import hashes
from small_line import make_plan, picky

from factory.engine.drive import Drive
from factory.engine.line import Build
from factory.engine.local import InProcessCrew, ProcessCrew
from factory.engine.order import WorkOrder
from factory.engine.plan import Plan, Segment, sample_seed
from factory.engine.worker import ShardWorker
from factory.errors import DataError
from factory.review.thumbnails import rejection_thumbnail
from factory.sample import BatchStage, BatchStep, Rejection, Sample, Stage
from factory.shards.commit import CommitRecord, valid_commits
from factory.shards.layout import Layout
from factory.shards.manifest import read_manifest
from factory.shards.reader import read_samples

Stages = Mapping[str, Stage | BatchStage]
MIX = [("picky", False), ("count", True), ("brighten", True), ("stamp", False), ("faulty", True), ("mirror", False)]


class Watching:
    """Passes all on, and remembers what came: (slot, attempt) of each sample, by batch, by shard."""

    device = "cpu"

    def __init__(self) -> None:
        self.shards: list[list[list[tuple[int, int]]]] = []

    def begin(self) -> BatchStep:
        batches: list[list[tuple[int, int]]] = []
        self.shards.append(batches)

        def step(samples: Sequence[Sample]) -> Outcomes:
            batches.append([(sample.request.slot, sample.request.attempt) for sample in samples])
            return samples

        return step


def silent(news: object) -> None:
    """Hears and forgets."""


def order_of(root: Path, plan: Plan, build: Build, threads: int = 3) -> WorkOrder:
    root.mkdir(parents=True, exist_ok=True)
    return WorkOrder(
        root=root, run="run", plan=plan, build=build, thumbnail=rejection_thumbnail, finishing_threads=threads
    )


def worker_of(root: Path, plan: Plan, stages: Stages) -> ShardWorker:
    """A worker in this process that holds the folder."""
    worker = order_of(root, plan, lambda plan, root: line_of(stages)).start()
    Layout(root).lock.write_text("run")
    return worker


def one_shard(root: Path, stages: Stages, attempts: int = 1) -> CommitRecord:
    """A shard of ten slots in batches of four, made with these stages."""
    plan = make_plan(segments=(Segment(source="discs", split="train", slots=10, attempts=attempts),))
    return worker_of(root, plan, stages).run(0, silent)


def make(root: Path, plan: Plan, build: Build, workers: int = 1, threads: int = 3) -> dict[int, str]:
    """Returns the quarantined shards."""
    order = order_of(root, plan, build, threads)
    with Layout(root).store.lease(Layout(root).lock, "run"):
        crew = InProcessCrew(order, silent) if workers == 1 else ProcessCrew(order)
        drive = Drive(crew, range(plan.shards), workers, silent)
        drive.run()
    return drive.quarantined


def expected(plan: Plan, number: int) -> list[list[tuple[int, int]]]:
    """The batches of a shard behind a gate that turns down every third seed: those left of each, in slot order."""
    shard, batches = plan.shard(number), []
    unfilled = [shard.first_slot + index for index in range(shard.slots)]
    for attempt in range(shard.segment.attempts):
        refused = {slot for slot in unfilled if sample_seed(plan.seed, slot, attempt) % 3 == 0}
        for start in range(0, len(unfilled), plan.batch_size):
            left = [(slot, attempt) for slot in unfilled[start : start + plan.batch_size] if slot not in refused]
            batches += [left] if left else []
        unfilled = [slot for slot in unfilled if slot in refused]
    return batches


def test_it_sees_each_batch_in_slot_order_and_only_what_earlier_stages_left(tmp_path: Path) -> None:
    plan, early, late = make_plan(), Watching(), Watching()
    worker_of(tmp_path, plan, {"early": early, "picky": picky, "late": late, "stamp": stamp}).run(1, silent)
    assert late.shards == [expected(plan, 1)]
    first_round = [slot for batch in early.shards[0] for slot, attempt in batch if attempt == 0]
    assert first_round == list(range(16, 32))
    assert any(len(batch) < plan.batch_size for batch in late.shards[0])


def test_a_batch_of_which_nothing_is_left_is_not_shown(tmp_path: Path) -> None:
    watching = Watching()
    record = one_shard(tmp_path, {"no": Doing(lambda all_: [DataError("empty", "no") for _ in all_]), "see": watching})
    assert watching.shards == [[]]
    assert (record.accepted, record.failed) == (0, {"empty": 10})
    assert "see" not in record.seconds


def test_its_memory_begins_with_the_shard_whatever_the_worker_made_before(tmp_path: Path) -> None:
    plan, watching = make_plan(), Watching()
    stages: Stages = {"count": Counting(), "picky": picky, "watch": watching}
    worker = worker_of(tmp_path / "busy", plan, stages)
    for number in (2, 0, 2):
        worker.run(number, silent)
    assert watching.shards == [expected(plan, number) for number in (2, 0, 2)]
    worker_of(tmp_path / "fresh", plan, stages).run(2, silent)
    busy, fresh = hashes(tmp_path / "busy"), hashes(tmp_path / "fresh")
    assert fresh
    assert fresh.items() <= busy.items()


def test_it_may_turn_down_or_fail_single_samples(tmp_path: Path) -> None:
    def some(samples: Sequence[Sample]) -> Outcomes:
        verdicts: dict[int, Outcomes] = {
            1: [Rejection(sample=sample, reason="odd", detail="its slot is 1 of 4") for sample in samples],
            2: [DataError("broken", "its slot is 2 of 4") for _ in samples],
        }
        return [verdicts.get(sample.request.slot % 4, samples)[index] for index, sample in enumerate(samples)]

    record = one_shard(tmp_path, {"some": Doing(some), "stamp": stamp})
    assert (record.accepted, record.rejected, record.failed) == (5, {"odd": 3}, {"broken": 2})
    rows = read_manifest(Layout(tmp_path)).to_pylist()
    for row in rows:
        status, reason, detail = {
            1: ("rejected", "odd", "its slot is 1 of 4"),
            2: ("failed", "broken", "its slot is 2 of 4"),
        }.get(row["slot"] % 4, ("accepted", "", ""))
        assert (row["status"], row["reason"], row["detail"]) == (status, reason, detail)
    kept = {sample.key: sample.meta["caption"] for sample in read_samples(tmp_path, "train")}
    assert kept == {f"000000000{slot}": "a disc, stamped" for slot in (0, 3, 4, 7, 8)}
    assert record.rejected_tar.name == "000000.tar"


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (OSError(5, "Input/output error", "/a.png"), "it cost 3 workers, the last: Input/output error: /a.png"),
        (MemoryError(), "it cost 3 workers, the last: it ran out of memory"),
        (RuntimeError("a fault of ours"), "RuntimeError: a fault of ours, 2 times"),
    ],
)
def test_a_step_that_raises_fails_its_shard_alone(tmp_path: Path, error: Exception, reason: str) -> None:
    def fails_late(samples: Sequence[Sample]) -> Outcomes:
        if any(sample.request.slot == 9 for sample in samples):
            raise error
        return samples

    plan = make_plan()
    quarantined = make(tmp_path, plan, lambda plan, root: line_of({"fails": Doing(fails_late), "stamp": stamp}))
    assert quarantined.keys() == {0}
    assert quarantined[0].startswith(reason)
    assert [record.shard for record in valid_commits(Layout(tmp_path), plan.fingerprints)] == [1, 2, 3, 4]
    assert not Layout(tmp_path).tar(0, "train").exists()


def test_a_step_that_loses_a_sample_fails_the_shard(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="shorter"):
        one_shard(tmp_path, {"loses": Doing(lambda samples: samples[:-1])})
    assert not Layout(tmp_path).commits.exists()


def test_its_seconds_are_recorded_beside_those_of_other_stages(tmp_path: Path) -> None:
    def slow(samples: Sequence[Sample]) -> Outcomes:
        time.sleep(0.02)
        return samples

    seconds = one_shard(tmp_path, {"stamp": stamp, "slow": Doing(slow), "again": stamp}).seconds
    assert seconds.keys() == {"source", "stamp", "slow", "again", "encode", "write", "total"}
    assert 3 * 0.02 <= seconds["slow"] <= seconds["total"]


def test_the_devices_that_bytes_depend_on_are_recorded(tmp_path: Path) -> None:
    assert one_shard(tmp_path / "cpu", {"count": Counting()}).device == "cpu"
    on_one = {"a": Counting("A GPU"), "stamp": stamp, "b": Counting("A GPU"), "c": Counting("cpu")}
    assert one_shard(tmp_path / "gpu", on_one).device == "A GPU"
    plan = make_plan()
    assert worker_of(tmp_path / "two", plan, on_one | {"d": Counting("B GPU")}).device == "A GPU, B GPU"


# --- bytes --------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def reference(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """The bytes of a mix of stages, made by one worker with one finishing thread."""
    root = tmp_path_factory.mktemp("reference")
    make(root, make_plan(settings={"stages": MIX}), build, threads=1)
    return hashes(root)


@pytest.mark.parametrize(("workers", "threads"), [(1, 4), pytest.param(2, 2, marks=pytest.mark.slow)])
def test_workers_and_threads_do_not_change_a_byte(
    tmp_path: Path, reference: dict[str, str], workers: int, threads: int
) -> None:
    make(tmp_path, make_plan(settings={"stages": MIX}), build, workers, threads)
    assert hashes(tmp_path) == reference
    captions = {sample.meta["caption"] for sample in read_samples(tmp_path, "train")}
    assert any(caption.startswith("a disc, 0 in ") for caption in captions)


@pytest.mark.slow
@given(mix=st.lists(st.tuples(st.sampled_from([*OPERATIONS, "count"]), st.booleans()), max_size=6))
@settings(max_examples=12, deadline=None)
def test_any_mix_of_stages_gives_the_same_as_all_of_them_by_batch_or_one_by_one(
    tmp_path_factory: pytest.TempPathFactory, mix: list[tuple[str, bool]]
) -> None:
    """All but "count", which has a memory of its shard and so takes batches anyway."""
    made = []
    for together in (None, True, False):
        stages = [(name, own if together is None else together) for name, own in mix]
        plan = make_plan(
            segments=(Segment(source="discs", split="train", slots=7, attempts=3),), settings={"stages": stages}
        )
        root = tmp_path_factory.mktemp("mix")
        worker = order_of(root, plan, build).start()
        Layout(root).lock.write_text("run")
        worker.run(0, silent)
        worker.close()
        made.append(hashes(root))
    assert made[0] == made[1] == made[2]


def test_a_function_is_no_stage_of_batches() -> None:
    assert isinstance(Together(stamp), BatchStage)
    assert isinstance(Counting(), BatchStage)
    assert not isinstance(stamp, BatchStage)
    assert not isinstance(picky, BatchStage)
