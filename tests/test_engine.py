"""The engine's promises: shards are a pure function of the plan, whoever makes them and whatever dies meanwhile."""

import errno
import hashlib
import os
import pickle
import tempfile
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from threading import Event, Lock

import pytest
from hypothesis import given
from hypothesis import strategies as st
from ray.exceptions import ActorDiedError, NodeDiedError, OutOfMemoryError, RayError, RuntimeEnvSetupError
from small_disk import mounted
from small_line import build, draw, make_plan

from factory.engine import worker as worker_module
from factory.engine.drive import Drive
from factory.engine.events import Diary, read_events
from factory.engine.faults import Blame, fault_of
from factory.engine.inputs import HOLE, InputTable, content_hash, make_table, write_inputs
from factory.engine.local import InProcessCrew, ProcessCrew
from factory.engine.on_ray import _how_it_ended
from factory.engine.order import WorkOrder
from factory.engine.plan import Plan, Segment, differences, sample_seed
from factory.engine.progress import LiveLine, Tally
from factory.engine.worker import ShardWorker
from factory.errors import DataError, InputChanged, MachineError, UsageError
from factory.review.thumbnails import rejection_thumbnail
from factory.sample import Rejection, Request, Sample
from factory.shards.commit import valid_commits
from factory.shards.durable import write_json
from factory.shards.layout import Layout
from factory.shards.lock import hold
from factory.shards.manifest import read_manifest
from factory.shards.reader import read_samples


def silent(news: object) -> None:
    """Hears and forgets."""


def run(root: Path, plan: Plan, workers: int = 1, run_id: str = "run") -> Drive:
    """Drive a crew of this many processes (1: in this process) over all shards that are missing."""
    root.mkdir(parents=True, exist_ok=True)
    done = {record.shard for record in valid_commits(Layout(root), plan.fingerprints)}
    missing = [number for number in range(plan.shards) if number not in done]
    order = WorkOrder(root=root, run=run_id, plan=plan, build=build, thumbnail=rejection_thumbnail)
    with hold(Layout(root).lock, run_id):
        crew = InProcessCrew(order, silent) if workers == 1 else ProcessCrew(order)
        drive = Drive(crew, missing, workers, silent)
        drive.run()
    return drive


def hashes(root: Path) -> dict[str, str]:
    """Name → SHA-256 of all that must be equal bit for bit."""
    folders = (Layout(root).data, Layout(root).parts, Layout(root).rejected)
    files = [path for folder in folders for path in sorted(folder.glob("*"))]
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


@pytest.fixture(scope="module")
def reference(tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, str]:
    """The bytes of the plan, made by one worker in this process."""
    root = tmp_path_factory.mktemp("reference")
    run(root, make_plan())
    return hashes(root)


def test_every_slot_is_filled_and_keys_are_in_order(tmp_path: Path) -> None:
    run(tmp_path, make_plan())
    train = [stored.key for stored in read_samples(tmp_path, "train")]
    validation = [stored.key for stored in read_samples(tmp_path, "validation")]
    assert train == sorted(train)
    assert len(train) == 60
    assert len(validation) == 10
    assert not set(train) & set(validation)
    manifest = read_manifest(Layout(tmp_path)).to_pylist()
    rejected = [row for row in manifest if row["status"] == "rejected"]
    assert rejected
    assert all(row["seed"] % 3 == 0 and row["reason"] == "picky" for row in rejected)
    assert {row["key"] for row in manifest if row["status"] == "accepted"} == {*train, *validation}


@pytest.mark.parametrize("kept", [False, True])
def test_an_attempt_is_told_why_the_earlier_ones_of_its_slot_came_to_nothing(tmp_path: Path, kept: bool) -> None:
    """By a stage, by the shard's own gate or by bad data; nothing of other slots."""

    def source(requests: Sequence[Request]) -> list[Sample | DataError]:
        return [draw(request) if request.seed % 4 else DataError("nan", "no numbers") for request in requests]

    def admit(sample: Sample) -> Rejection | None:
        seed = sample.request.seed
        return Rejection(sample=sample, reason="duplicate", detail="seen before") if seed % 5 == 0 else None

    plan = replace(make_plan(), keep_rejected=kept)
    line = replace(build(plan, tmp_path), sources={"discs": source}, admission=lambda: admit)
    worker = ShardWorker(tmp_path, "test", plan, line, thumbnail=lambda rejection: b"png", finishing_threads=2)
    with hold(Layout(tmp_path).lock, "test"):
        for number in range(plan.shards):
            worker.run(number, silent)
    worker.close()
    told = {}
    reasons: dict[int, list[str]] = defaultdict(list)
    for row in sorted(read_manifest(Layout(tmp_path)).to_pylist(), key=lambda row: (row["slot"], row["attempt"])):
        if row["status"] != "failed":
            told[row["slot"], row["attempt"]] = row["prompt"]
            assert row["prompt"] == ", ".join(reasons[row["slot"]])
        reasons[row["slot"]].append(row["reason"])
    assert {"nan", "picky", "duplicate"} <= {reason for slot in reasons.values() for reason in slot}
    assert any(", " in prompt for prompt in told.values())


def test_a_source_that_makes_one_after_the_other_is_not_asked_far_ahead(tmp_path: Path) -> None:
    """So that of large pictures few are in memory; the bytes are those of a source that makes all at once."""
    plan = make_plan(batch_size=16, segments=(Segment(source="discs", split="train", slots=16),))
    read, finished, too_far, lock = 0, 0, Event(), Lock()

    def source(requests: Sequence[Request]) -> Iterator[Sample | DataError]:
        nonlocal read
        for request in requests:
            read += 1
            if read - finished > 4:  # one that is read, two that are worked at, one that may just be done
                too_far.set()
            yield draw(request)

    def slow(sample: Sample) -> Sample:
        nonlocal finished
        too_far.wait(0.1)
        with lock:
            finished += 1
        return sample

    whole = build(plan, tmp_path)
    for name, sources in (("one", {"discs": source}), ("all", whole.sources)):
        line = replace(whole, sources=sources, stages={"slow": slow, **whole.stages})
        root = tmp_path / name
        worker = ShardWorker(root, "test", plan, line, thumbnail=lambda rejection: b"png", finishing_threads=2)
        root.mkdir()
        with hold(Layout(root).lock, "test"):
            record = worker.run(0, silent)
        worker.close()
        assert record.seconds["source"] > 0
        assert not too_far.is_set()
    assert read == 16
    assert hashes(tmp_path / "one") == hashes(tmp_path / "all")


@pytest.mark.parametrize("workers", [2, 3])
def test_the_number_of_workers_does_not_change_a_byte(
    tmp_path: Path, reference: Mapping[str, str], workers: int
) -> None:
    run(tmp_path, make_plan(), workers)
    assert hashes(tmp_path) == reference


def test_a_worker_that_is_killed_costs_nothing(tmp_path: Path) -> None:
    calm = make_plan(settings={"die_in": 99, "once": str(tmp_path / "marker")})
    run(tmp_path / "calm", calm)
    killed = make_plan(settings={"die_in": 2, "once": str(tmp_path / "marker")})
    drive = run(tmp_path / "killed", killed, workers=2)
    assert (tmp_path / "marker").exists()
    assert not drive.quarantined
    assert hashes(tmp_path / "killed") == hashes(tmp_path / "calm")


def test_a_poisoned_shard_is_quarantined_and_the_rest_is_made(tmp_path: Path) -> None:
    plan = make_plan(settings={"die_in": 1})
    drive = run(tmp_path, plan, workers=2)
    assert drive.quarantined == {1: "it cost 3 workers, the last: killed by SIGKILL"}
    made = {record.shard for record in valid_commits(Layout(tmp_path), plan.fingerprints)}
    assert made == set(range(plan.shards)) - {1}


@pytest.mark.parametrize("workers", [1, 2])
@pytest.mark.parametrize("trouble", ["fail_in", "raise_in"])
def test_a_worker_that_raises_once_costs_nothing(
    tmp_path: Path, reference: Mapping[str, str], trouble: str, workers: int
) -> None:
    drive = run(tmp_path / "set", make_plan(settings={trouble: 2, "once": str(tmp_path / "marker")}), workers)
    assert (tmp_path / "marker").exists()
    assert not drive.quarantined
    assert hashes(tmp_path / "set") == reference


@pytest.mark.parametrize("workers", [1, 2])
@pytest.mark.parametrize(
    ("trouble", "reason"),
    [
        ("fail_in", "it cost 3 workers, the last: Stale file handle: /shared/picture.png"),
        ("raise_in", "ValueError: cannot reshape, 2 times (the traceback is in events.jsonl)"),
    ],
)
def test_a_shard_that_always_raises_is_quarantined_and_the_rest_is_made(
    tmp_path: Path, trouble: str, reason: str, workers: int
) -> None:
    plan = make_plan(settings={trouble: 1})
    drive = run(tmp_path, plan, workers)
    assert drive.quarantined == {1: reason}
    made = {record.shard for record in valid_commits(Layout(tmp_path), plan.fingerprints)}
    assert made == set(range(plan.shards)) - {1}


def test_a_picture_that_a_library_cannot_read_is_no_error_of_the_machine() -> None:
    assert fault_of(OSError("image file is truncated")).blame is Blame.SHARD
    assert fault_of(OSError(errno.EIO, "Input/output error", "a.png")).blame is Blame.WORKER


@pytest.mark.parametrize(
    ("error", "blame"),
    [
        (MemoryError(), Blame.WORKER),
        (RuntimeError("CUDA out of memory. Tried to allocate 2.00 GiB."), Blame.WORKER),
        (RuntimeError("CUDA error: an illegal memory access was encountered"), Blame.WORKER),
        (RuntimeError("cuDNN error: CUDNN_STATUS_EXECUTION_FAILED"), Blame.WORKER),
        (RuntimeError("Expected all tensors to be on the same device"), Blame.SHARD),
        (InputChanged("a.png has changed"), Blame.RUN),
        (MachineError("the set is full"), Blame.RUN),
    ],
)
def test_whose_fault_an_error_is(error: Exception, blame: Blame) -> None:
    assert fault_of(error).blame is blame


def test_a_fault_travels_without_the_frames_that_hold_pictures() -> None:
    class OddError(Exception):
        """It cannot be pickled: nobody finds its class."""

    with pytest.raises(OddError) as caught:
        raise OddError("strange")
    fault = pickle.loads(pickle.dumps(fault_of(caught.value)))
    assert fault.reason == "OddError: strange"
    assert "test_a_fault_travels" in fault.trace
    assert str(fault.error) == "OddError: strange"
    assert fault.error.__traceback__ is None


def spooled(folder: Path) -> list[Path]:
    """The files in this folder that this process holds open without a name."""
    held = [link.readlink() for link in Path("/proc/self/fd").iterdir() if link.is_symlink()]
    return [path for path in held if path.is_relative_to(folder) and path.name.endswith("(deleted)")]


@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="reads /proc")
def test_the_spool_lies_on_the_machine_and_only_what_is_published_beside_the_set(
    tmp_path: Path, reference: Mapping[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    local, root = tmp_path / "local", tmp_path / "set"
    local.mkdir()
    root.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(local))
    monkeypatch.setattr(worker_module, "SPOOL_BYTES", 100)
    Layout(root).lock.write_text("run")
    order = WorkOrder(root=root, run="run", plan=make_plan(), build=build, thumbnail=rejection_thumbnail)
    seen: list[tuple[int, int, bool]] = []

    def look(progress: object) -> None:
        seen.append((len(spooled(local)), len(spooled(root)), Layout(root).scratch.exists()))

    order.start().run(0, look)
    assert seen[-1] == (1, 0, False), "the spool is here, and nothing is beside the set yet"
    assert list(local.iterdir()) == []
    made = hashes(root)
    assert made == {name: reference[name] for name in made}


@pytest.fixture
def full_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 16 kB."""
    with mounted(tmp_path / "disk", "16k") as folder:
        yield folder


def test_a_full_scratch_is_the_workers_fault(tmp_path: Path, full_disk: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(full_disk))
    monkeypatch.setattr(worker_module, "SPOOL_BYTES", 100)
    order = WorkOrder(root=tmp_path, run="run", plan=make_plan(), build=build, thumbnail=rejection_thumbnail)
    Layout(tmp_path).lock.write_text("run")
    with pytest.raises(OSError, match="No space left on device") as caught:
        order.start().run(0, silent)
    fault = fault_of(caught.value)
    assert fault.blame is Blame.WORKER
    assert fault.reason == f"No space left on device: {full_disk}"
    assert not Layout(tmp_path).data.exists()


def test_a_full_set_ends_the_run_at_once(full_disk: Path) -> None:
    with pytest.raises(MachineError, match=f"{full_disk} is full .*No space left on device"):
        run(full_disk, make_plan())


def test_a_crew_whose_every_worker_fails_ends_the_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "unmounted"))
    monkeypatch.setattr(worker_module, "SPOOL_BYTES", 100)
    with pytest.raises(MachineError, match=r"too many workers were lost, 4 so far \(the last: .*unmounted"):
        run(tmp_path, make_plan())


def test_a_record_whose_tar_is_damaged_counts_as_absent_and_is_made_again(
    tmp_path: Path, reference: Mapping[str, str]
) -> None:
    run(tmp_path, make_plan())
    tar = Layout(tmp_path).tar(1, "train")
    tar.write_bytes(tar.read_bytes()[:-512])
    Layout(tmp_path).part(2).unlink()
    Layout(tmp_path).commit(3).write_text("{ torn")
    run(tmp_path, make_plan(), run_id="again")
    assert hashes(tmp_path) == reference


def test_a_worker_whose_folder_belongs_to_another_run_publishes_nothing(tmp_path: Path) -> None:
    order = WorkOrder(root=tmp_path, run="old", plan=make_plan(), build=build, thumbnail=rejection_thumbnail)
    worker = order.start()
    Layout(tmp_path).lock.write_text("new")
    with pytest.raises(MachineError, match="another run"):
        worker.run(0, lambda progress: None)
    assert not Layout(tmp_path).commits.exists()
    assert not Layout(tmp_path).data.exists()


def test_a_worker_publishes_nothing_into_another_plan(tmp_path: Path) -> None:
    layout, plan = Layout(tmp_path), make_plan()
    worker = WorkOrder(root=tmp_path, run="run", plan=plan, build=build, thumbnail=rejection_thumbnail).start()
    layout.lock.write_text("run")
    write_json(layout.plan, replace(plan, seed=6).to_json(), layout.scratch)
    with pytest.raises(MachineError, match="now another plan"):
        worker.run(0, silent)
    assert not layout.data.exists()
    write_json(layout.plan, plan.to_json(), layout.scratch)
    assert worker.run(0, silent).shard == 0


def test_two_workers_may_make_the_same_shard_at_once(tmp_path: Path, reference: Mapping[str, str]) -> None:
    Layout(tmp_path).lock.write_text("run")
    order = WorkOrder(root=tmp_path, run="run", plan=make_plan(), build=build, thumbnail=rejection_thumbnail)
    with ThreadPoolExecutor(2) as pool:
        list(pool.map(lambda worker: worker.run(0, silent), [order.start(), order.start()]))
    made = hashes(tmp_path)
    assert made == {name: reference[name] for name in made}
    assert len(made) == 3


def test_a_worker_whose_driver_is_gone_ends_in_silence(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    order = WorkOrder(root=tmp_path, run="run", plan=make_plan(), build=build, thumbnail=rejection_thumbnail)
    crew = ProcessCrew(order)
    Layout(tmp_path).lock.write_text("run")
    crew.hire()
    while not crew.listen(1):
        pass
    ((process, connection),) = crew._workers.values()
    crew.give(0, 0)
    connection.close()
    process.join(60)
    assert process.exitcode == 0
    assert capfd.readouterr().err == ""


def test_the_live_line_outlives_its_reader() -> None:
    read, write = os.pipe()
    os.close(read)
    out = os.fdopen(write, "w")
    line = LiveLine(Tally(3).line, out)
    line.show()
    line.end()
    with suppress(BrokenPipeError):  # closing flushes once more
        out.close()


def test_the_live_line_claims_nothing_that_it_does_not_know() -> None:
    tally = Tally(40)
    assert tally.line() == "0/40 samples · – accepted · 0.00 accepted/s · – left · waiting for workers"
    tally = Tally(4, accepted=1, attempts=2, slots=1, workers={0})
    tally.marks.extend([(tally.marks[0][0] + 0.1, 1)])
    assert tally.line() == "1/4 samples · 50% accepted · 10.00 accepted/s · 0:01 left · 1 worker"
    tally = Tally(4, accepted=1, attempts=31, slots=4, workers={0, 1})
    assert tally.line().endswith(" · done · 2 workers"), "three slots were given up"
    tally = Tally(4, attempts=31, slots=4, workers={0})
    assert "0/4 samples · 0% accepted of 31 attempts" in tally.line()


def test_only_a_torn_diary_gets_its_line_closed(tmp_path: Path) -> None:
    path = tmp_path / "events.jsonl"
    for _ in range(2):
        with Diary(path, "run") as diary:
            diary.write("whole")
    path.write_bytes(path.read_bytes() + b'{"event": "to')
    with Diary(path, "run") as diary:
        diary.write("whole")
    assert path.read_bytes().count(b"\n") == 4
    assert [event["event"] for event in read_events(path)] == ["whole"] * 3


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (ActorDiedError(), "The actor died unexpectedly before finishing this task"),
        (OutOfMemoryError("Task was killed due to the node running low on memory.\nSee …"), "Task was killed due"),
        (RuntimeEnvSetupError("no such image"), "Failed to set up runtime environment"),
        (NodeDiedError(""), "NodeDiedError"),
    ],
)
def test_whatever_ray_raises_is_told_in_a_sentence(error: RayError, reason: str) -> None:
    told = _how_it_ended(error)
    assert reason in told
    assert "\n" not in told


def test_a_second_driver_is_refused(tmp_path: Path) -> None:
    lock = tmp_path / ".lock"
    with hold(lock, "first"), pytest.raises(UsageError, match="first"), hold(lock, "second"):
        pass


def test_a_finite_source_leaves_holes_and_names_what_was_bad(tmp_path: Path) -> None:
    rows = [{"path": f"item {index}.png", "broken": index % 4 == 1, HOLE: index == 6} for index in range(20)]
    table = make_table(rows)
    plan = make_plan(
        segments=(Segment(source="discs", split="train", slots=20, table="items", rows=20),),
        inputs={"items": content_hash(table)},
    )
    Layout(tmp_path).inputs.mkdir()
    write_inputs(table, Layout(tmp_path).inputs / "items.arrow")
    run(tmp_path, plan)
    manifest = read_manifest(Layout(tmp_path)).to_pylist()
    assert len(manifest) == 19, "one attempt each, none for the hole"
    failed = {row["item"]: row["reason"] for row in manifest if row["status"] == "failed"}
    assert failed == {f"item {index}.png": "undecodable" for index in range(1, 20, 4)}
    kept = {int(stored.key[6:]) for stored in read_samples(tmp_path, "train")}
    assert kept == {row["slot"] % 16 for row in manifest if row["status"] == "accepted"}


def test_a_shard_without_an_accepted_sample_commits_without_a_tar(tmp_path: Path) -> None:
    table = make_table([{"broken": True}])
    plan = make_plan(segments=(Segment(source="discs", split="train", slots=3, table="items", rows=1),))
    Layout(tmp_path).inputs.mkdir()
    write_inputs(table, Layout(tmp_path).inputs / "items.arrow")
    run(tmp_path, plan)
    (record,) = valid_commits(Layout(tmp_path), plan.fingerprints)
    assert record.accepted == 0
    assert record.tar.name == ""
    assert not list(Layout(tmp_path).data.glob("*"))


@given(
    sizes=st.lists(st.integers(1, 500), min_size=1, max_size=5),
    shard_size=st.integers(1, 64),
)
def test_shards_partition_the_slots(sizes: list[int], shard_size: int) -> None:
    segments = tuple(Segment(source=str(i), split="train", slots=size) for i, size in enumerate(sizes))
    plan = make_plan(segments=segments, shard_size=shard_size)
    covered = [shard.first_slot + index for shard in plan.all_shards() for index in range(shard.slots)]
    assert covered == list(range(sum(sizes)))
    for shard in plan.all_shards():
        assert 0 <= shard.first < shard.segment.slots
        assert shard.first + shard.slots <= shard.segment.slots


@given(st.integers(0, 2**40), st.integers(0, 2**40), st.integers(0, 99))
def test_seeds_fit_in_63_bits_and_differ_by_slot_and_attempt(run_seed: int, slot: int, attempt: int) -> None:
    seed = sample_seed(run_seed, slot, attempt)
    assert 0 <= seed < 2**63
    assert seed != sample_seed(run_seed, slot + 1, attempt)
    assert seed != sample_seed(run_seed, slot, attempt + 1)


def test_a_plan_survives_its_file_and_knows_what_changed() -> None:
    plan = make_plan(software={"torch": "1"}, places={"model": "here"})
    assert Plan.from_json(plan.to_json()) == plan
    moved = replace(plan, software={"torch": "2"}, places={"model": "there"})
    assert moved.fingerprint == plan.fingerprint
    other = replace(plan, seed=6, settings={"gates": {"gsg_max": 3}})
    assert other.fingerprint != plan.fingerprint
    assert differences(plan, other) == ["seed: 5 → 6", "settings.gates.gsg_max: (none) → 3"]


def test_plans_that_cannot_be_keyed_are_refused() -> None:
    with pytest.raises(UsageError, match="--shard-size"):
        make_plan(shard_size=10_001)
    with pytest.raises(UsageError, match="use --shard-size 10 or larger"):
        make_plan(shard_size=1, segments=(Segment(source="discs", split="train", slots=10_000_000),))


def test_a_hundred_million_slots_are_planned_at_once() -> None:
    plan = make_plan(shard_size=256, segments=(Segment(source="discs", split="train", slots=100_000_000),))
    last = plan.shard(plan.shards - 1)
    assert last.first_slot + last.slots == 100_000_000


def test_frozen_inputs_are_hashed_by_content(tmp_path: Path) -> None:
    rows = [{"prompt": f"a thing {index}", "n": index} for index in range(100)]
    write_inputs(make_table(rows), tmp_path / "rows.arrow")
    table = InputTable(tmp_path / "rows.arrow")
    assert table.row(42) == rows[42]
    assert content_hash(table.table) == content_hash(make_table(rows))
    assert content_hash(make_table([*rows[:-1], {"prompt": "other", "n": 99}])) != content_hash(make_table(rows))
