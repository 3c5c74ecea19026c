"""Fixtures shared by all tests."""

import logging
import os
import shutil
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
from material import DATA

REPOSITORY = Path(__file__).resolve().parents[1]


def pytest_configure() -> None:
    """A shell that starts the tests in the background has them ignore Ctrl-C, which some of them send."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of real pictures, mattes and clips; tests that need it skip where it is absent."""
    if not DATA.is_dir():
        pytest.skip(f"no data at {DATA}: set FACTORY_DATA to a folder with the test pictures")
    return DATA


@pytest.fixture(scope="session")
def finished_set(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small finished set of four shards. Read it only; `small_set.py` says what is in it."""
    from small_set import make_shards, small_plan

    from factory.shards.finalise import finalise, mark_finished
    from factory.shards.layout import Layout

    plan, root = small_plan(), tmp_path_factory.mktemp("small") / "set"
    records = make_shards(root, plan, range(plan.shards))
    finalise(Layout(root), records)
    mark_finished(Layout(root), records)
    return root


@pytest.fixture
def root(finished_set: Path, tmp_path: Path) -> Path:
    """A copy of the small set, to be damaged."""
    return Path(shutil.copytree(finished_set, tmp_path / "set"))


@pytest.fixture(scope="session")
def ray_session() -> Iterator[None]:
    """Local Ray, started once for all tests that need it. They share one xdist worker: `xdist_group("ray")`."""
    import ray

    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    ray.init(num_cpus=4, include_dashboard=False, log_to_driver=False, logging_level=logging.ERROR)
    yield
    ray.shutdown()
