"""Some hundreds of the fuzzer's cases. `benchmarks/fuzz.py` runs a hundred thousand, and watches memory and time."""

from pathlib import Path

import pytest
from fuzz import KINDS, faults_of
from fuzz_readers import Arena, make_arena

CASES = 60  # of each kind


@pytest.fixture(scope="module")
def arena(tmp_path_factory: pytest.TempPathFactory) -> Arena:
    return make_arena(tmp_path_factory.mktemp("fuzz").resolve())


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("kind", range(len(KINDS)), ids=KINDS)
def test_a_changed_file_is_read_or_refused(arena: Arena, kind: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(arena.out)
    cases = range(kind, CASES * len(KINDS), len(KINDS))
    assert [f"case {case}: {fault}" for case in cases for fault in faults_of(arena, case)] == []


def test_a_write_outside_is_seen(arena: Arena, tmp_path: Path) -> None:
    from fuzz import Outside, watch

    with pytest.raises(Outside, match="open of"), watch().over(arena.out):
        (tmp_path / "PWNED").write_text("x")
    (arena.out / "link").symlink_to(tmp_path / "PWNED")
    with pytest.raises(Outside, match="PWNED"), watch().over(arena.out):
        (arena.out / "link").write_text("x")
    (arena.out / "link").unlink()
    assert not (tmp_path / "PWNED").exists()
