"""What the documentation says is what the code does, and it names nothing that a reader does not have."""

import re
import subprocess

import pytest
from conftest import REPOSITORY

from factory.greenscreen.gsg import GSG_K, GSG_PIXELS

ABOVE = re.compile(r"parents\[2\]|REPOSITORY\.parent\b")
ABOVE_OR_BESIDE = re.compile(ABOVE.pattern + r"|(?<![\w./])\.\./(?!PWNED)\w[\w/]*")  # tests try such paths on purpose


def test_the_format_says_how_gsg_is_measured() -> None:
    text = (REPOSITORY / "docs" / "format.md").read_text(encoding="utf-8")
    assert f"`gsg`: the paper's, K = {GSG_K} on at most {GSG_PIXELS:,} evenly spaced pixels" in text


def test_no_path_outside_the_repository_is_named() -> None:
    """But for where continuous integration looks for test pictures if FACTORY_DATA does not say it."""
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=REPOSITORY, capture_output=True, check=False)
    if listed.returncode:
        pytest.skip("this is no checkout")
    texts = (".md", ".py", ".yaml", ".toml", "Makefile", "Dockerfile")
    found = [
        f"{name}: {hit}"
        for name in listed.stdout.decode().split("\0")
        if name.endswith(texts)
        for hit in (ABOVE if name.startswith("tests/") else ABOVE_OR_BESIDE).findall(
            (REPOSITORY / name).read_text(encoding="utf-8")
        )
    ]
    assert found == []


def test_what_holds_a_label_is_a_test_that_there_is() -> None:
    tests = "".join(path.read_text(encoding="utf-8") for path in (REPOSITORY / "tests").glob("test_*.py"))
    named = re.findall(r"`(test_\w+)`", (REPOSITORY / "docs/labels.md").read_text(encoding="utf-8"))
    assert len(named) > 15
    assert [name for name in named if f"def {name}(" not in tests] == []
