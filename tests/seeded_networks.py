"""Weights and inputs that follow from their names alone, as the outputs of public networks were made with."""

import importlib.util
from functools import cache
from pathlib import Path
from types import ModuleType

import pytest


def oracle_folder(shared_data: Path) -> Path:
    """Where those outputs lie among the test pictures (FACTORY_DATA); skips where they do not."""
    folder = shared_data / "oracles"
    if not folder.is_dir():
        pytest.skip(f"no outputs of public networks at {folder}")
    return folder


@cache
def seeded(folder: Path) -> ModuleType:
    """The rule by which weights follow from their names."""
    spec = importlib.util.spec_from_file_location("seeded_weights", folder / "seeded_weights.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
