"""Fixtures shared by all tests."""

import os
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parents[1]


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of real pictures, mattes and clips; tests that need it skip where it is absent."""
    folder = Path(os.environ.get("FACTORY_DATA", REPOSITORY.parent / "shared" / "data"))
    if not folder.is_dir():
        pytest.skip(f"no data at {folder}: set FACTORY_DATA to a folder with the test pictures")
    return folder
