"""A survey looks at each file once, wherever the looking is done, and remembers what it saw."""

import io
import os
import signal
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import pytest
from threadpoolctl import threadpool_info

from factory.engine import survey
from factory.engine.survey import Answer, Item, Look, Memory, Surveyor
from factory.errors import MachineError

RAY = pytest.param("ray", marks=[pytest.mark.ray, pytest.mark.xdist_group("ray")])
ELSEWHERE = ["processes", RAY]
WHEREVER = ["here", *ELSEWHERE]
LETHAL, UNREADABLE = "kill", "raise"  # contents of files


@dataclass(frozen=True)
class Measure:
    """A look with settings, as planning's are: what a file holds, and the process that looked. Leaves a trace of it.

    seconds: how long it takes.
    """

    seconds: float = 0.0

    def __call__(self, *paths: str) -> Answer:
        with Path(f"{paths[0]}.looks").open("a") as trace:
            trace.write(".")
        time.sleep(self.seconds)
        return {"text": "+".join(Path(path).read_text() for path in paths), "process": os.getpid()}


def risky(path: str) -> Answer:
    """A look at which some files end the process, and some raise."""
    answer = Measure()(path)
    if answer["text"] == LETHAL:
        os.kill(os.getpid(), signal.SIGKILL)
    if answer["text"] == UNREADABLE:
        raise MachineError(f"{Path(path).name} cannot be read: is its disk sound?")
    return answer


def lost(*paths: str) -> Answer:
    return {"text": f"lost {Path(paths[0]).name}", "process": 0}


def looks_at(path: Path | str) -> int:
    """How often a file was looked at."""
    trace = Path(f"{path}.looks")
    return len(trace.read_text()) if trace.exists() else 0


def make_files(folder: Path, texts: Sequence[str]) -> list[Item]:
    items: list[Item] = []
    for number, text in enumerate(texts):
        path = folder / f"file {number:02d}"
        path.write_text(text)
        items.append((str(path),))
    return items


def surveyor(where: str, request: pytest.FixtureRequest, memory: Memory | None = None) -> Surveyor:
    """Two workers, or this process alone."""
    if where == "ray":
        import ray  # here: the processes that look do without

        request.getfixturevalue("ray_session")
        by_value: Any = ray.cloudpickle.register_pickle_by_value
        by_value(sys.modules[__name__])  # Ray's workers do not find the tests
    workers = 1 if where == "here" else 2
    return Surveyor("ray" if where == "ray" else "local", workers, memory or Memory(None), io.StringIO())


def texts(answers: Sequence[Answer]) -> list[str]:
    return [answer["text"] for answer in answers]


@pytest.mark.parametrize("where", WHEREVER)
@pytest.mark.parametrize("look", [Measure(), risky], ids=["with settings", "a function"])
def test_answers_come_in_the_order_of_the_items_and_each_is_looked_at_once(
    where: str, look: Look, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    items = make_files(tmp_path, [f"text {number}" for number in range(7)])
    asked = [items[3], *items, items[3]]
    answers = surveyor(where, request)("files", "q", look, asked, crashed=lost)
    assert texts(answers) == ["text 3", *(f"text {number}" for number in range(7)), "text 3"]
    assert [looks_at(path) for (path,) in items] == [1] * 7
    assert ({answer["process"] for answer in answers} == {os.getpid()}) == (where == "here")


def threads(path: str) -> Answer:
    """A look at how many threads a look may use."""
    return {
        "text": str({cv2.getNumThreads(), *(library["num_threads"] for library in threadpool_info())}),
        "process": 0,
    }


@pytest.mark.parametrize("where", WHEREVER)
def test_a_look_runs_on_one_thread_wherever_it_is(where: str, request: pytest.FixtureRequest, tmp_path: Path) -> None:
    before = cv2.getNumThreads()
    cv2.setNumThreads(3)
    try:
        answers = surveyor(where, request)("files", "q", threads, make_files(tmp_path, ["a", "b"]), crashed=lost)
        assert cv2.getNumThreads() == 3, "the driver's own number is put back"
    finally:
        cv2.setNumThreads(before)
    assert texts(answers) == ["{1}", "{1}"]


def test_a_few_looks_start_no_process(request: pytest.FixtureRequest, tmp_path: Path) -> None:
    items = make_files(tmp_path, ["a", "b", "c"])
    for few, here in ((3, True), (2, False)):
        answers = surveyor("processes", request)("files", "q", Measure(), items, crashed=lost, few=few)
        assert ({answer["process"] for answer in answers} == {os.getpid()}) == here


def test_files_are_looked_at_together(request: pytest.FixtureRequest, tmp_path: Path) -> None:
    (one,), (other,) = make_files(tmp_path, ["a", "b"])
    memory = Memory(tmp_path / "memory")
    for item, text in (((one, other), "a+b"), ((other, one), "b+a"), ((one,), "a")):
        assert texts(surveyor("here", request, memory)("pairs", "q", Measure(), [item], crashed=lost)) == [text]


@pytest.mark.parametrize("where", WHEREVER)
def test_what_was_seen_is_remembered_by_a_later_run(where: str, request: pytest.FixtureRequest, tmp_path: Path) -> None:
    items = make_files(tmp_path, ["a", "b", "c"])
    first = surveyor(where, request, Memory(tmp_path / "memory"))("files", "q", Measure(), items, crashed=lost)
    again = surveyor(where, request, Memory(tmp_path / "memory"))("files", "q", Measure(), items, crashed=lost)
    assert again == first
    assert [looks_at(path) for (path,) in items] == [1, 1, 1]


def test_an_answer_to_another_question_does_not_count(request: pytest.FixtureRequest, tmp_path: Path) -> None:
    items = make_files(tmp_path, ["a"])
    for question, looks in (("every 20", 1), ("every 10", 2), ("every 20", 2)):
        surveyor("here", request, Memory(tmp_path / "memory"))("files", question, Measure(), items, crashed=lost)
        assert looks_at(items[0][0]) == looks


def test_a_changed_file_is_looked_at_again(request: pytest.FixtureRequest, tmp_path: Path) -> None:
    items = make_files(tmp_path, ["a", "b"])
    surveyor("here", request, Memory(tmp_path / "memory"))("files", "q", Measure(), items, crashed=lost)
    Path(items[0][0]).write_text("longer")
    os.utime(items[1][0], (1, 1))
    later = surveyor("here", request, Memory(tmp_path / "memory"))
    assert texts(later("files", "q", Measure(), items, crashed=lost)) == ["longer", "b"]
    assert [looks_at(path) for (path,) in items] == [2, 2]


@pytest.mark.parametrize("torn", [1, 20, 150])
def test_a_torn_line_is_forgotten_and_spoils_no_other(
    torn: int, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    items, file = make_files(tmp_path, ["a", "b", "c"]), tmp_path / "memory"
    surveyor("here", request, Memory(file))("files", "q", Measure(), items[:2], crashed=lost)
    whole = file.read_bytes()
    assert torn < len(whole) - whole.rfind(b"\n"), "the last line alone is torn"
    file.write_bytes(whole[:-torn])
    for _ in range(2):  # the second run finds what the first one wrote behind the torn line
        answers = surveyor("here", request, Memory(file))("files", "q", Measure(), items, crashed=lost)
        assert texts(answers) == ["a", "b", "c"]
        assert [looks_at(path) for (path,) in items] == [1, 2, 1]


def test_a_line_that_was_tampered_with_is_forgotten(request: pytest.FixtureRequest, tmp_path: Path) -> None:
    items, file = make_files(tmp_path, ["a"]), tmp_path / "memory"
    surveyor("here", request, Memory(file))("files", "q", Measure(), items, crashed=lost)
    file.write_bytes(file.read_bytes().replace(b'"text": "a"', b'"text": "b"') + b"\n\xff\x00 nonsense\n\n")
    assert texts(surveyor("here", request, Memory(file))("files", "q", Measure(), items, crashed=lost)) == ["a"]


def test_a_memory_that_does_not_keep_recalls_and_writes_nothing(request: pytest.FixtureRequest, tmp_path: Path) -> None:
    items, file = make_files(tmp_path, ["a", "b"]), tmp_path / "out" / "memory"
    surveyor("here", request, Memory(file, keeps=False))("files", "q", Measure(), items, crashed=lost)
    assert not file.parent.exists()
    surveyor("here", request, Memory(file))("files", "q", Measure(), items[:1], crashed=lost)
    before = file.read_bytes()
    surveyor("here", request, Memory(file, keeps=False))("files", "q", Measure(), items, crashed=lost)
    assert file.read_bytes() == before
    assert [looks_at(path) for (path,) in items] == [2, 2]


@pytest.mark.parametrize("where", ELSEWHERE)
def test_a_look_that_kills_its_process_costs_nothing_else(
    where: str, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    contents = ["a", LETHAL, "b", "c", LETHAL, "d", "e", "f"]
    items, file = make_files(tmp_path, contents), tmp_path / "memory"
    expected = ["a", "lost file 01", "b", "c", "lost file 04", "d", "e", "f"]
    assert texts(surveyor(where, request, Memory(file))("files", "q", risky, items, crashed=lost)) == expected
    looks = [looks_at(path) for (path,) in items]
    assert texts(surveyor(where, request, Memory(file))("files", "q", risky, items, crashed=lost)) == expected
    assert [looks_at(path) for (path,) in items] == looks, "a deadly file is not opened again either"


@pytest.mark.parametrize("where", WHEREVER)
def test_an_exception_in_a_look_ends_the_survey_and_keeps_what_was_seen(
    where: str, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    items = make_files(tmp_path, ["a", "b", "c", UNREADABLE, "d"])
    file = tmp_path / "memory"
    surveyor(where, request, Memory(file))("files", "q", risky, items[:3], crashed=lost)
    with pytest.raises(MachineError, match=r"^file 03 cannot be read: is its disk sound\?$"):
        surveyor(where, request, Memory(file))("files", "q", risky, items, crashed=lost)
    assert [looks_at(path) for (path,) in items[:3]] == [1, 1, 1]
    memory = Memory(file)
    assert [memory.recall("q", item) is not None for item in items[:4]] == [True, True, True, False]


@pytest.mark.parametrize("where", WHEREVER)
def test_what_is_not_yet_looked_at_when_a_survey_ends_never_is(
    where: str, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    items = make_files(tmp_path, [UNREADABLE, *("a" for _ in range(400))])
    with pytest.raises(MachineError):
        surveyor(where, request)("files", "q", risky_and_slow, items, crashed=lost)
    assert sum(looks_at(path) for (path,) in items) < 100, "the others would have taken 20 s of work"


def risky_and_slow(path: str) -> Answer:
    answer = risky(path)
    time.sleep(0.05)
    return answer


@pytest.mark.parametrize("where", ["here", "processes"])
def test_a_line_is_shown_only_when_it_takes_long(
    where: str, request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    items = make_files(tmp_path, ["a", "b"])
    for patience, lines in ((60.0, []), (0.05, ["looked at 2 of 2 clips"])):
        monkeypatch.setattr(survey, "PATIENCE", patience)
        looker = surveyor(where, request)
        looker("clips", "q", Measure(0.1), items, crashed=lost)
        assert isinstance(looker.out, io.StringIO)
        assert looker.out.getvalue().splitlines()[-1:] == lines
