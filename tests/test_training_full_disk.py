"""A disk that is full ends a training in a word and costs nothing that was saved."""

import errno
import hashlib
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from small_disk import mounted
from small_training import make_set, quiet, small_settings

from factory.diffusion.train.trainer import train
from factory.training.folder import STATE_FILE
from factory.training.progress import TrainingProgress

torch.set_num_threads(1)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_set(tmp_path_factory.mktemp("full-disk") / "data", slots=12)


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    with mounted(tmp_path / "disk", "8m") as folder:
        yield folder


def weights(out: Path) -> list[str]:
    return [hashlib.sha256(file.read_bytes()).hexdigest() for file in sorted((out / "model").rglob("*.safetensors"))]


@pytest.mark.parametrize("fields", [{}, {"ema_in": "files"}], ids=["memory", "files"])
def test_the_old_state_stays_where_a_new_one_does_not_fit(
    fields: dict[str, str], data: Path, disk: Path, tmp_path: Path
) -> None:
    settings = small_settings(data, **fields)
    train(settings, tmp_path / "calm", quiet)
    filler = disk / "filler"

    def fill(progress: TrainingProgress) -> None:
        if (progress.phase, progress.step) == ("generation", 3):
            with pytest.raises(OSError, match="No space"), filler.open("wb") as file:
                while True:
                    file.write(bytes(4096))
                    file.flush()

    with pytest.raises(OSError, match="No space") as full:
        train(settings, disk / "out", fill)
    assert full.value.errno == errno.ENOSPC
    state = torch.load(disk / "out" / STATE_FILE, weights_only=True)
    assert (state["phase"], state["step"]) == (1, 2)
    filler.unlink()
    train(settings, disk / "out", quiet)
    assert weights(disk / "out") == weights(tmp_path / "calm")


def test_latents_that_do_not_fit_are_a_word_and_no_crash(data: Path, disk: Path) -> None:
    """What is only mapped, and not there, would end the process."""
    subprocess.run(["mount", "-o", "remount,size=24k", disk], check=True)
    with pytest.raises(OSError, match="No space"):
        train(small_settings(data), disk / "out", quiet)
