"""The command that fills in the GPU's figures, where there is no GPU: benchmarks/on_gpu.py."""

import json
import math
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import on_gpu
import pytest
from figures import Measured, Row
from program import PATIENCE

SCRIPT = Path(on_gpu.__file__)
# What a bare machine lacks is absent, also for those who only ask whether it is there.
BARE = """
import runpy, sys
from importlib.machinery import PathFinder

class WithoutMost(PathFinder):
    @classmethod
    def find_spec(cls, name, path=None, target=None):
        absent = {"ray", "av", "pymatting", "webdataset", "scipy", "pandas", "sklearn", "datasets", "torchvision"}
        return None if name.split(".")[0] in absent else super().find_spec(name, path, target)

sys.meta_path[sys.meta_path.index(PathFinder)] = WithoutMost
sys.argv = sys.argv[1:]
sys.path.insert(0, sys.argv[0].rpartition("/")[0])
runpy.run_path(sys.argv[0], run_name="__main__")
"""


def run(*command: str) -> subprocess.CompletedProcess[str]:
    """A fresh Python that sees no CUDA device."""
    variables = os.environ | {"PYTHONPATH": str(SCRIPT.parents[1]), "CUDA_VISIBLE_DEVICES": ""}
    return subprocess.run(
        [sys.executable, *command], capture_output=True, text=True, timeout=PATIENCE, check=False, env=variables
    )


def read(file: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in file.read_text().splitlines()]


def fine() -> Measured:
    return Measured("two a second", {"per_s": 2.0})


def out_of_memory() -> Measured:
    raise MemoryError("no | memory\nat all")


@pytest.mark.slow
def test_on_a_bare_machine_every_row_is_measured_at_tiny_sizes(tmp_path: Path) -> None:
    out = tmp_path / "rows.jsonl"
    ended = run("-c", BARE, str(SCRIPT), "--tiny", "--out", str(out), "--commit", "abc")
    assert ended.returncode == 0, ended.stderr
    records = read(out)
    assert len(records) == 11
    for record in records:
        assert record["status"] == "measured", record
        assert record["numbers"] and all(map(math.isfinite, record["numbers"].values())), record
        assert record["card"] and record["torch"] and record["diffusers"] and record["commit"] == "abc"
        assert f"| {record['figure']} | {record['must']} | {record['text']} |" in ended.stdout
    by_name = {record["figure"]: record["numbers"] for record in records}
    assert by_name["the same shard twice: equal bytes"] == {"equal": 1.0, "samples": 6}
    assert set(by_name["the same batch again, mixed with others, one alone: equal pictures and masks"].values()) == {
        1.0
    }


@pytest.mark.slow
def test_without_a_gpu_one_sentence_says_what_to_do() -> None:
    ended = run(str(SCRIPT))
    assert ended.returncode == 2
    assert ended.stderr.count("\n") == 1 and "--tiny" in ended.stderr


def test_help_needs_no_wheel_and_says_which_to_bring() -> None:
    ended = run("-S", str(SCRIPT), "--help")
    assert ended.returncode == 0, ended.stderr
    assert "--no-index --no-deps --target" in ended.stdout and "pyarrow" in ended.stdout


def test_a_missing_wheel_is_named() -> None:
    ended = run("-S", str(SCRIPT), "--tiny")
    assert ended.returncode == 2
    assert "the module torch is missing" in ended.stderr and ended.stderr.count("\n") == 1


def test_no_row_is_begun_after_the_time_limit(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rows = [Row("first", "", fine), Row("second", "", fine)]
    records = on_gpu.measure(rows, tmp_path / "rows.jsonl", 0, {"card": "none"})
    assert [record["status"] for record in records] == ["skipped", "skipped"]
    assert read(tmp_path / "rows.jsonl") == records
    assert on_gpu.tell(records, 0) == 0
    assert "left out after 0 minutes: first; second" in capsys.readouterr().err


def test_a_failing_row_does_not_stop_the_others(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rows = [Row("first", "", out_of_memory), Row("second", "", fine)]
    records = on_gpu.measure(rows, tmp_path / "rows.jsonl", 1, {"card": "none"})
    assert [record["status"] for record in records] == ["failed", "measured"]
    assert records[0]["text"] == "failed: MemoryError: no | memory"
    assert read(tmp_path / "rows.jsonl") == records
    assert "| first |  | failed: MemoryError: no / memory | none |" in on_gpu.table(records, {"card": "none"}, "this")
    assert on_gpu.tell(records, 1) == 1
    assert "failed: first\n" in capsys.readouterr().err
