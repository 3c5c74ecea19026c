"""What every store promises. A new one is tested by a line in ADDRESSES."""

import subprocess
import sys
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from factory.errors import UsageError
from factory.shards.layout import Layout
from factory.shards.store import STORES, Store, open_store

HOLDING = """
import sys, time
from pathlib import Path
from factory.shards.layout import Layout
layout = Layout(Path(sys.argv[1]))
with layout.store.lease(layout.lock, "the other"):
    print("held", flush=True)
    time.sleep(600)
"""


def _folder(scratch: Path) -> Path:
    (scratch / "set").mkdir()
    return scratch / "set"


ADDRESSES: Mapping[str, Callable[[Path], Path]] = {"": _folder}  # by scheme: makes room for a set, returns its address


@dataclass(frozen=True)
class Opened:
    """A store with an address for one set, and a local folder for what is unfinished."""

    store: Store
    layout: Layout
    scratch: Path

    def finished(self, data: bytes) -> Path:
        """A local file, ready to be published."""
        path = self.scratch / "finished"
        path.write_bytes(data)
        return path

    def write(self, place: Path, data: bytes) -> None:
        self.store.write(place, data, self.scratch)


@pytest.fixture(params=STORES)
def opened(request: pytest.FixtureRequest, tmp_path: Path) -> Opened:
    root = ADDRESSES[request.param](tmp_path)
    (tmp_path / "scratch").mkdir()
    return Opened(open_store(root), Layout(root), tmp_path / "scratch")


def test_every_store_is_tested_and_opened_by_its_address(opened: Opened) -> None:
    assert ADDRESSES.keys() == STORES.keys()
    assert opened.store in STORES.values()
    assert opened.layout.store is opened.store
    assert open_store(Path("relative/set")) is open_store(Path("C:/set")) is STORES[""]


# --- files --------------------------------------------------------------------------------------------------------


def test_what_is_published_lies_there_and_replaces_what_lay_there(opened: Opened) -> None:
    store, place = opened.store, opened.layout.tar(3, "train")
    assert store.size(place) is None
    for data in (b"first", b"", b"x" * 100_000, b"last"):
        store.publish(opened.finished(data), place)
        assert (store.read(place), store.size(place)) == (data, len(data))
    assert store.sizes(place.parent) == {"train-000003.tar": 4}


def test_small_files_are_written_and_leave_nothing_behind(opened: Opened) -> None:
    store, places = opened.store, [opened.layout.commit(0), opened.layout.commit(1), opened.layout.plan]
    for place in places:
        opened.write(place, b"before")
        opened.write(place, place.name.encode())
        assert store.read(place) == place.name.encode()
    assert store.sizes(opened.layout.commits) == {"000000.json": 11, "000001.json": 11}
    assert store.sizes(opened.layout.root) == {"plan.json": 9}
    assert list(opened.scratch.iterdir()) == []


def test_a_reader_sees_the_old_file_or_the_new_one_and_nothing_between(opened: Opened) -> None:
    place, versions = opened.layout.manifest, [bytes([number]) * (1 + 70_001 * number) for number in range(12)]
    opened.write(place, versions[0])

    def publish() -> None:
        for number, data in enumerate(versions):
            if number % 2:
                opened.write(place, data)
            else:
                opened.store.publish(opened.finished(data), place)

    writer, seen = threading.Thread(target=publish), []
    writer.start()
    while writer.is_alive():
        seen.append(opened.store.read(place))
    writer.join()
    assert set(seen) <= set(versions)
    ages = [versions.index(data) for data in seen]
    assert ages == sorted(ages)
    assert opened.store.read(place) == versions[-1]


@given(data=st.binary(max_size=3000), offset=st.integers(0, 3100), size=st.none() | st.integers(0, 3100))
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_range_is_what_lies_there(opened: Opened, data: bytes, offset: int, size: int | None) -> None:
    place = opened.layout.tar(0, "train")
    opened.write(place, data)
    wanted = data[offset:] if size is None else data[offset : offset + size]
    assert opened.store.read(place, offset, size) == wanted
    assert opened.store.size(place) == len(data)


def test_what_is_not_there_has_no_size_and_cannot_be_read(opened: Opened) -> None:
    store, layout = opened.store, opened.layout
    assert store.size(layout.manifest) is None
    assert store.sizes(layout.data) == {}
    for place in (layout.manifest, layout.tar(0, "train")):
        with pytest.raises(FileNotFoundError):
            store.read(place)
        with pytest.raises(FileNotFoundError):
            store.read(place, 5, 5)


def test_a_folder_lists_its_own_files_and_no_others(opened: Opened) -> None:
    layout = opened.layout
    for number in range(20):
        opened.write(layout.commit(number), b"x" * number)
    opened.write(layout.commits / "deeper" / "000099.json", b"not this one")
    opened.write(layout.part(0), b"nor this")
    assert opened.store.sizes(layout.commits) == {f"{number:06d}.json": number for number in range(20)}


def test_what_is_removed_is_gone_and_the_rest_stays(opened: Opened) -> None:
    store, layout = opened.store, opened.layout
    for number in range(4):
        opened.write(layout.commit(number), b"record")
        opened.write(layout.part(number), b"part")
    store.remove(place for place in (layout.commit(1), layout.part(1), layout.commit(3)))
    store.remove(())
    assert store.sizes(layout.commits).keys() == {"000000.json", "000002.json"}
    assert store.sizes(layout.parts).keys() == {f"part-{number:06d}.parquet" for number in (0, 2, 3)}
    assert store.size(layout.commit(1)) is None
    opened.write(layout.commit(1), b"again")
    assert store.read(layout.commit(1)) == b"again"


# --- one driver at a time -----------------------------------------------------------------------------------------


def test_a_set_is_leased_to_one_holder_whom_workers_can_tell(opened: Opened) -> None:
    store, lock = opened.store, opened.layout.lock
    assert not store.is_leased_to(lock, "first")
    with store.lease(lock, "first"):
        assert store.is_leased_to(lock, "first")
        with pytest.raises(UsageError, match=r"another run \(first\) works in"), store.lease(lock, "second"):
            pytest.fail("two hold it")
        assert store.is_leased_to(lock, "first"), "a refused one leaves no trace"
    with store.lease(lock, "the second, of a longer name"):
        assert store.is_leased_to(lock, "the second, of a longer name")
        assert not store.is_leased_to(lock, "first"), "its workers outlived it"
    with store.lease(lock, "third"):
        assert store.is_leased_to(lock, "third")


def test_a_lease_ends_with_an_error_too(opened: Opened) -> None:
    lock = opened.layout.lock
    with pytest.raises(ZeroDivisionError), opened.store.lease(lock, "first"):
        raise ZeroDivisionError
    with opened.store.lease(lock, "second"):
        assert opened.store.is_leased_to(lock, "second")


def test_a_lease_ends_with_its_process_however_that_ends(opened: Opened) -> None:
    store, layout = opened.store, opened.layout
    process = subprocess.Popen([sys.executable, "-c", HOLDING, str(layout.root)], stdout=subprocess.PIPE)
    assert process.stdout is not None
    try:
        assert process.stdout.readline() == b"held\n"
        assert store.is_leased_to(layout.lock, "the other")
        with pytest.raises(UsageError, match="the other"), store.lease(layout.lock, "mine"):
            pytest.fail("two hold it")
    finally:
        process.kill()
        process.communicate()
    with store.lease(layout.lock, "mine"):
        assert store.is_leased_to(layout.lock, "mine")
        assert not store.is_leased_to(layout.lock, "the other")
