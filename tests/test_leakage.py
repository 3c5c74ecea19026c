"""A test picture that is in a training set is found, also as a copy; others are not. Tainted models are named."""

import io
import json
from pathlib import Path

import cv2
import numpy as np
import pytest
import yaml
from PIL import Image
from program import LOCAL, factory_here

from factory.errors import UsageError
from factory.matting.leakage import HeldOut, Leak, find_leaks, leaks_sentence
from factory.matting.tainted import models_of, taints
from factory.shards.data_set import DataSet
from factory.shards.layout import Layout

TRAINED = ("accordion", "ant", "avocado", "airplane")
HELD_OUT = ("anchor", "astronaut")


@pytest.fixture(scope="module")
def emoji(shared_data: Path) -> Path:
    return shared_data / "rgba_fluent_emoji_3d"


@pytest.fixture(scope="module")
def dataset(emoji: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A set of the emoji that are trained on, framed and mirrored as the seed has it."""
    home = tmp_path_factory.mktemp("leaks")
    (home / "trained").mkdir()
    for name in TRAINED:
        (home / "trained" / f"{name}.webp").write_bytes((emoji / f"{name}.webp").read_bytes())
    sources = [{"type": "rgba_folder", "path": str(home / "trained")}]
    recipe = {"job": "build-green100k", "out": str(home / "set"), "size": 96, "seed": 3, "sources": sources}
    (home / "recipe.yaml").write_text(yaml.safe_dump(recipe))
    made = factory_here("build-green100k", home / "recipe.yaml", *LOCAL)
    assert made.code == 0, made.err
    return home / "set"


def shown(leaks: tuple[Leak, ...], dataset: Path) -> set[tuple[str, str, str]]:
    """(picture, item of the sample that shows it, how)."""
    items = {row["key"]: Path(row["item"]).stem for row in DataSet(dataset).attempts.to_pylist()}
    return {(leak.picture.stem, items[leak.key], leak.how) for leak in leaks}


def test_the_file_that_a_sample_was_made_of_is_found_and_others_are_not(
    emoji: Path, dataset: Path, tmp_path: Path
) -> None:
    for name in (*TRAINED[:2], *HELD_OUT):
        (tmp_path / f"{name}.webp").write_bytes((emoji / f"{name}.webp").read_bytes())
    leaks = find_leaks([dataset], [HeldOut(tmp_path)])
    assert shown(leaks, dataset) == {(name, name, "file") for name in TRAINED[:2]}
    assert "2 test pictures are in what is trained on" in leaks_sentence(leaks)
    assert "(the same file)" in leaks_sentence(leaks)
    assert find_leaks([dataset], [HeldOut(tmp_path)], split="validation") == ()


def test_a_copy_is_found_by_its_looks_resized_mirrored_and_before_another_ground(
    emoji: Path, dataset: Path, tmp_path: Path
) -> None:
    (tmp_path / "image").mkdir()
    (tmp_path / "alpha").mkdir()
    for name in (*TRAINED, *HELD_OUT):
        picture = Image.open(emoji / f"{name}.webp").convert("RGBA").resize((190, 190))
        if name != "ant":
            picture = picture.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
        ground = Image.new("RGBA", picture.size, (120, 110, 90))
        Image.alpha_composite(ground, picture).convert("RGB").save(tmp_path / f"image/{name}.jpg", quality=85)
        picture.getchannel("A").save(tmp_path / f"alpha/{name}.png")
    leaks = find_leaks([dataset], [HeldOut(tmp_path / "image", tmp_path / "alpha")])
    assert shown(leaks, dataset) == {(name, name, "looks") for name in TRAINED}
    assert find_leaks([dataset], [HeldOut(tmp_path / "image")]) == ()  # without mattes there is no object to compare


def test_drawn_objects_of_like_outlines_are_not_copies_of_each_other(tmp_path: Path) -> None:
    sources = [{"type": "procedural", "n": 40, "classes": ["fence", "smoke", "spring", "net", "hedgehog"]}]
    recipe = {"job": "build-green100k", "out": str(tmp_path / "set"), "size": 96, "sources": sources}
    (tmp_path / "recipe.yaml").write_text(yaml.safe_dump(recipe))
    made = factory_here("build-green100k", tmp_path / "recipe.yaml", *LOCAL)
    assert made.code == 0, made.err
    for kind in ("image", "alpha"):
        (tmp_path / kind).mkdir()
    for sample in list(DataSet(tmp_path / "set"))[::4]:
        for kind, picture in (("image", sample.rgb[..., ::-1]), ("alpha", sample.alpha)):
            small = cv2.resize(picture, (80, 80), interpolation=cv2.INTER_AREA)
            cv2.imwrite(str(tmp_path / kind / f"{sample.key}.png"), small)
    leaks = find_leaks([tmp_path / "set"], [HeldOut(tmp_path / "image", tmp_path / "alpha")])
    assert [(leak.picture.stem, leak.how) for leak in leaks] == [(leak.key, "looks") for leak in leaks]
    assert len(leaks) == 10


def test_a_stored_picture_and_a_stored_matte_are_found_by_their_pixels(dataset: Path, tmp_path: Path) -> None:
    first, second, *_ = DataSet(dataset)
    cv2.imwrite(str(tmp_path / "picture.png"), first.rgb[..., ::-1])
    (tmp_path / "another").mkdir()
    (tmp_path / "mattes").mkdir()
    cv2.imwrite(str(tmp_path / "another/noise.png"), np.random.default_rng(1).integers(0, 256, (96, 96, 3), np.uint8))
    cv2.imwrite(str(tmp_path / "mattes/noise.png"), second.alpha)
    tests = [HeldOut(tmp_path / "another", tmp_path / "mattes")]
    assert [(leak.key, leak.how) for leak in find_leaks([dataset], tests)] == [(second.key, "pixels")]
    (tmp_path / "another/noise.png").unlink()
    (tmp_path / "picture.png").rename(tmp_path / "another/picture.png")
    tests = [HeldOut(tmp_path / "another")]
    assert [(leak.key, leak.how) for leak in find_leaks([dataset], tests)] == [(first.key, "pixels")]


def test_folders_that_cannot_be_compared_are_refused(dataset: Path, emoji: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="holds no pictures"):
        find_leaks([dataset], [HeldOut(tmp_path)])
    (tmp_path / "ant.webp").write_bytes((emoji / "ant.webp").read_bytes())
    with pytest.raises(UsageError, match="holds no manifest"):
        find_leaks([tmp_path], [HeldOut(tmp_path)])
    torn = io.BytesIO()
    Image.new("RGB", (40, 40)).save(torn, "PNG")
    (tmp_path / "torn.png").write_bytes(torn.getvalue()[:50])
    with pytest.raises(UsageError, match=r"torn.png cannot be tested on"):
        find_leaks([dataset], [HeldOut(tmp_path)])


def test_models_that_saw_a_benchmark_are_named_by_folder_and_benchmark() -> None:
    used = ("models/ZhengPeng7_BiRefNet-matting", "embedded")
    found = taints(used, [Path("data/P3M-10k/validation"), "ppm_100", "my pictures"])
    assert [(taint.model, taint.benchmark) for taint in found] == [
        ("BiRefNet-matting", "P3M-10k"),
        ("BiRefNet-matting", "PPM-100"),
    ]
    assert "results there mean nothing" in str(found[0])
    assert taints(["hustvl/vitmatte-small-composition-1k"], ["alphamatting_odd"])[0].benchmark == "alphamatting.com"
    assert taints(used, ["my pictures"]) == taints(["BiRefNet"], ["AIM-500"]) == ()


def test_what_a_plan_names_is_looked_through(dataset: Path, tmp_path: Path) -> None:
    assert any("trained" in text for text in models_of(dataset))
    assert models_of(tmp_path) == ()
    Layout(tmp_path).plan.write_text(json.dumps({"settings": {"keyer": [{"model": "BiRefNet-matting"}]}, "places": {}}))
    assert taints(models_of(tmp_path), ["AIM-500"])
    Layout(tmp_path).plan.write_text("{")
    with pytest.raises(UsageError, match="cannot be read"):
        models_of(tmp_path)
