"""Promise: which pictures mattes are measured on follows from names alone, and what looks alike stays together."""

from collections import Counter
from pathlib import Path

from small_sources import put, rgba

from factory.sources.files.rgba_folder import first_look, list_items
from factory.sources.groups import GROUPS, Group, family_of, group_of


def test_what_looks_alike_is_in_one_group() -> None:
    for alike in (
        ("cat.webp", "cat_face.webp", "cat_with_tears_of_joy.webp"),
        ("man_artist.webp", "woman_artist.webp", "artist.webp"),
        ("kit-1.0/tower.webp", "kit-1.0/wall.webp", "kit-1.0/deeper/door.webp"),
    ):
        assert len({family_of(path) for path in alike}) == 1
        assert len({group_of(path) for path in alike}) == 1
    assert family_of("woman.webp") == "woman", "a family of its own: nothing else is left of the name"


def test_each_group_has_its_share_and_a_picture_never_moves() -> None:
    counted = Counter(group_of(f"thing{i}.png") for i in range(4000))
    assert [round(counted[group] / 4000, 1) for group in GROUPS] == [0.6, 0.1, 0.3]
    fixed = {"thing1.png": "report", "thing6.png": "validate", "thing0.png": "develop", "parrot.webp": "develop"}
    assert {path: group_of(path) for path in fixed} == fixed, "else what was measured on would be tuned with"


def test_a_source_takes_one_group_of_a_folder(tmp_path: Path) -> None:
    names = [f"thing{i}" for i in range(12)]
    for number, name in enumerate(names):
        put(tmp_path / f"{name}.png", rgba(number))

    def taken(group: Group | None) -> set[str]:
        rows = list_items(tmp_path, lambda paths: [first_look(tmp_path / path) for path in paths], group=group)
        return {str(row["path"]) for row in rows}

    parts = [taken(group) for group in GROUPS]
    assert set.union(*parts) == taken(None) == {f"{name}.png" for name in names}
    assert sum(map(len, parts)) == len(names)
    assert all(parts), "the test needs names of each group"
